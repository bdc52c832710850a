/**
 * Sessions in this process's memory. As a server's default it keeps tombstones only: the sessions live in the server, so no
 * message waits for a promise, and none is copied. With `durable: true` it behaves like a store on disk that several servers
 * share, for tests and simulations. The rules are in record.ts; this file keeps their rows in maps, and copies what goes in
 * and out.
 */
import { NyotaError } from '../errors.js';
import {
  attachSession,
  commitStep,
  createSession,
  endSession,
  expireSession,
  FailedOwners,
  type HeadRow,
  isForgotten,
  isOver,
  readSession,
  readTombstone,
  type TombstoneRow,
  takenOver,
} from './record.js';
import type {
  Range,
  SessionBatch,
  SessionRecord,
  SessionStore,
  StoredEntry,
  StoredFrame,
  StoredSession,
  Tombstone,
} from './session-store.js';

/** If there are more, the oldest go first. Each takes about a hundred bytes. */
const MAX_TOMBSTONES = 100_000;

interface Kept {
  head: HeadRow;
  readonly entries: Map<string, StoredEntry>;
  readonly frames: Map<number, StoredFrame>;
}

export class MemoryStore implements SessionStore {
  readonly durable: boolean;
  readonly #sessions = new Map<string, Kept>();
  /** Oldest first, by a Map's order of insertion. */
  readonly #tombstones = new Map<string, TombstoneRow>();
  readonly #failed = new FailedOwners();

  /** @param options `durable`: keep all of every session here. Default false. */
  constructor(options: { durable?: boolean } = {}) {
    this.durable = options.durable ?? false;
  }

  /** Sessions kept. */
  get size(): number {
    return this.#sessions.size;
  }

  create(record: SessionRecord, now: number, attempt?: number): number {
    const { id } = record;
    const head = createSession(record, this.#sessions.get(id)?.head, this.#tombstones.get(id), now, attempt);
    if (head instanceof NyotaError) throw head;
    this.#sessions.set(id, { head, entries: new Map(), frames: new Map() });
    return head.fence;
  }

  load(id: string): StoredSession | undefined {
    const kept = this.#sessions.get(id);
    if (kept === undefined) return undefined;
    const entries = [...kept.entries.values()].map(copyEntry);
    const frames = [...kept.frames.values()].sort((a, b) => a.seq - b.seq).map(copyFrame);
    return readSession(id, kept.head, entries, frames);
  }

  attach(id: string, fence: number, now: number, attempt?: number): number | undefined {
    const kept = this.#sessions.get(id);
    const head = attachSession(kept?.head, fence, now, attempt);
    if (kept === undefined || head === undefined) return undefined;
    kept.head = head;
    return head.fence;
  }

  takeOver(id: string, now: number): StoredSession | undefined {
    const kept = this.#sessions.get(id);
    if (kept !== undefined) this.attach(id, kept.head.fence, now);
    return this.load(id);
  }

  commit(id: string, fence: number, batch: SessionBatch): void {
    const kept = this.#sessions.get(id);
    if (kept === undefined) throw takenOver(id);
    const step = commitStep(id, kept.head, fence, batch);
    if (step instanceof NyotaError) throw step;
    if (this.#failed.has(id, fence))
      throw new NyotaError('NYOTA_STORE_FAILED', `an earlier step of the session ${id} failed`);
    let entries: StoredEntry[];
    let frames: StoredFrame[];
    try {
      entries = step.entries.map(copyEntry);
      frames = step.frames.map(copyFrame);
    } catch (cause) {
      this.#failed.add(id, fence);
      throw new NyotaError('NYOTA_STORE_FAILED', `a step of the session ${id} can't be kept`, { cause });
    }
    if (step.restart) {
      kept.entries.clear();
      kept.frames.clear();
    }
    for (const entry of entries) {
      if (entry.bytes === undefined) kept.entries.delete(entry.key);
      else kept.entries.set(entry.key, entry);
    }
    for (const frame of frames) kept.frames.set(frame.seq, frame);
    removeFrames(kept.frames, step.trim);
    kept.head = step.head;
  }

  end(id: string, fence: number, tombstone: Tombstone, now: number): void {
    const row = endSession(this.#sessions.get(id)?.head, this.#tombstones.get(id), fence, tombstone, now);
    if (row !== undefined) this.#bury(id, row, now);
  }

  tombstone(id: string, now: number): Tombstone | undefined {
    return readTombstone(this.#tombstones.get(id), now);
  }

  sweep(now: number): number {
    let ended = 0;
    for (const [id, { head }] of [...this.#sessions]) {
      if (!isOver(head, now)) continue;
      this.#bury(id, expireSession(head, now), now);
      ended++;
    }
    this.#failed.forgetOld((id) => this.#sessions.get(id)?.head.fence);
    return ended;
  }

  close(): void {}

  #bury(id: string, row: TombstoneRow, now: number): void {
    this.#sessions.delete(id);
    this.#tombstones.delete(id); // to go to the end
    this.#tombstones.set(id, row);
    for (const [oldest, old] of this.#tombstones) {
      if (!isForgotten(old, now) && this.#tombstones.size <= MAX_TOMBSTONES) return;
      this.#tombstones.delete(oldest);
    }
  }
}

/** Costs no more than the frames that are there, however wide the range of numbers is. */
function removeFrames(frames: Map<number, StoredFrame>, [from, to]: Range): void {
  if (to - from < frames.size) for (let seq = from; seq <= to; seq++) frames.delete(seq);
  else for (const seq of [...frames.keys()]) if (seq <= to) frames.delete(seq);
}

/** Copied on the way in and on the way out: the caller may change what it has. */
function copyEntry(entry: StoredEntry): StoredEntry {
  return { ...entry, bytes: entry.bytes && Buffer.from(entry.bytes) };
}

function copyFrame({ seq, frame }: StoredFrame): StoredFrame {
  return { seq, frame: Buffer.from(frame) };
}
