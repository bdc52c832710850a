/**
 * Sessions in this process's memory. As a server's default it is asked for tombstones only: the sessions themselves live
 * in the server, with no promise and no copy on the way of a message. With `durable: true` it behaves like a store on
 * disk that several servers share, for tests and simulations.
 */
import { NyotaError } from '../errors.js';
import {
  type InboundState,
  type SessionBatch,
  type SessionRecord,
  type SessionStore,
  type StoredEntry,
  type StoredFrame,
  type StoredSession,
  TOMBSTONE_MS,
  type Tombstone,
} from './session-store.js';

/** Above so many the oldest go first: a hundred bytes or so each. */
const MAX_TOMBSTONES = 100_000;

interface Buried {
  readonly tombstone: Tombstone;
  readonly until: number;
  /** The last one of the session. */
  readonly fence: number;
}

interface Kept extends Omit<StoredSession, 'entries' | 'outbound'> {
  readonly entries: Map<string, StoredEntry>;
  readonly outbound: Map<number, StoredFrame>;
  /** A step of this owner failed: what it does next is made on top of that. */
  readonly failed: boolean;
}

export class MemoryStore implements SessionStore {
  readonly durable: boolean;
  readonly #sessions = new Map<string, Kept>();
  /** Oldest first, by a Map's order of insertion. */
  readonly #buried = new Map<string, Buried>();

  /** @param options `durable`: keep all of every session here. Default false. */
  constructor(options: { durable?: boolean } = {}) {
    this.durable = options.durable ?? false;
  }

  /** Sessions kept. */
  get size(): number {
    return this.#sessions.size;
  }

  create(record: SessionRecord, now: number, attempt = 0): number {
    if (this.#sessions.has(record.id)) {
      throw new NyotaError('NYOTA_STORE_FAILED', `there is a session ${record.id} in the store already`);
    }
    const fence = Math.max(firstFence(now), (this.#buried.get(record.id)?.fence ?? 0) + 1);
    this.#sessions.set(record.id, newSession(record, fence, attempt, now));
    return fence;
  }

  load(id: string): StoredSession | undefined {
    const kept = this.#sessions.get(id);
    if (kept === undefined) return undefined;
    const { failed: _failed, record, ...numbers } = kept;
    const outbound = [...kept.outbound.values()].sort((a, b) => a.seq - b.seq).map(copyFrame);
    return {
      ...numbers,
      record: copyRecord(record),
      entries: [...kept.entries.values()].map(copyEntry),
      outbound,
    };
  }

  attach(id: string, fence: number, now: number, attempt?: number): number | undefined {
    const kept = this.#sessions.get(id);
    if (kept === undefined || kept.fence !== fence) return undefined;
    const raised = Math.max(fence + 1, firstFence(now));
    const attached = { fence: raised, attempt: attempt ?? kept.attempt, detachedAt: null, failed: false };
    this.#sessions.set(id, { ...kept, ...attached });
    return raised;
  }

  takeOver(id: string, now: number): StoredSession | undefined {
    const kept = this.#sessions.get(id);
    if (kept !== undefined) this.attach(id, kept.fence, now);
    return this.load(id);
  }

  commit(id: string, fence: number, batch: SessionBatch): void {
    const before = this.#sessions.get(id);
    if (before === undefined || before.fence !== fence) throw fenced(id);
    if (before.failed)
      throw new NyotaError('NYOTA_STORE_FAILED', `an earlier step of the session ${id} failed`);
    let copies: { entries: StoredEntry[]; frames: StoredFrame[] };
    try {
      copies = {
        entries: (batch.entries ?? []).map(copyEntry),
        frames: (batch.outbound ?? []).map(copyFrame),
      };
    } catch (cause) {
      this.#sessions.set(id, { ...before, failed: true });
      throw new NyotaError('NYOTA_STORE_FAILED', `a step of the session ${id} can't be kept`, { cause });
    }
    const { inbound, revision, trim = 0, lastSeq, resolvedSeq, detachedAt, established, credential } = batch;
    const kept =
      credential === undefined
        ? before
        : newSession({ ...before.record, credential }, fence, before.attempt, before.detachedAt);
    for (const entry of copies.entries) {
      if (entry.bytes === undefined) kept.entries.delete(entry.key);
      else kept.entries.set(entry.key, entry);
    }
    const trimmed = trim > kept.trimmed ? trim : kept.trimmed;
    for (const frame of copies.frames) if (frame.seq > trimmed) kept.outbound.set(frame.seq, frame);
    trimFrames(kept.outbound, kept.trimmed + 1, trimmed);
    this.#sessions.set(id, {
      ...kept,
      trimmed,
      inbound: inbound === undefined ? kept.inbound : copyInbound(inbound),
      revision: revision ?? kept.revision,
      lastSeq: lastSeq ?? kept.lastSeq,
      resolvedSeq: resolvedSeq ?? kept.resolvedSeq,
      detachedAt: detachedAt === undefined ? kept.detachedAt : detachedAt,
      established: established ?? kept.established,
    });
  }

  end(id: string, fence: number, tombstone: Tombstone, now: number): void {
    const kept = this.#sessions.get(id);
    if (kept !== undefined && kept.fence !== fence) return;
    const last = this.#buried.get(id)?.fence ?? 0;
    // A later owner has ended it already, and knows more of it.
    if (kept === undefined && fence < last) return;
    this.#sessions.delete(id);
    this.#buried.delete(id); // to go to the end
    this.#buried.set(id, { tombstone, until: now + TOMBSTONE_MS, fence: Math.max(fence, last) });
    for (const [oldest, { until }] of this.#buried) {
      if (until > now && this.#buried.size <= MAX_TOMBSTONES) return;
      this.#buried.delete(oldest);
    }
  }

  tombstone(id: string, now: number): Tombstone | undefined {
    const buried = this.#buried.get(id);
    return buried !== undefined && buried.until > now ? buried.tombstone : undefined;
  }

  sweep(now: number): number {
    let ended = 0;
    for (const [id, kept] of [...this.#sessions]) {
      const { detachedAt, record, fence, inbound, lastSeq } = kept;
      if (detachedAt === null || detachedAt + record.resumeWindowMs > now) continue;
      this.end(id, fence, { code: 'NYOTA_SESSION_EXPIRED', received: inbound.settled, sent: lastSeq }, now);
      ended++;
    }
    return ended;
  }

  close(): void {}
}

function newSession(record: SessionRecord, fence: number, attempt: number, detachedAt: number | null): Kept {
  return {
    record: copyRecord(record),
    fence,
    attempt,
    inbound: { settled: 0, beyond: [] },
    entries: new Map(),
    revision: 0,
    outbound: new Map(),
    trimmed: 0,
    lastSeq: 0,
    detachedAt,
    resolvedSeq: 0,
    established: false,
    failed: false,
  };
}

/** No more than there are, however far the numbers are apart. */
function trimFrames(frames: Map<number, StoredFrame>, from: number, to: number): void {
  if (to - from < frames.size) for (let seq = from; seq <= to; seq++) frames.delete(seq);
  else for (const seq of [...frames.keys()]) if (seq <= to) frames.delete(seq);
}

/** Copies, in and out: who has the other one may change it. */
function copyRecord(record: SessionRecord): SessionRecord {
  const { credential, identity } = record;
  return { ...record, credential: Buffer.from(credential), identity: Buffer.from(identity) };
}

function copyEntry(entry: StoredEntry): StoredEntry {
  return { ...entry, bytes: entry.bytes && Buffer.from(entry.bytes) };
}

function copyFrame({ seq, frame }: StoredFrame): StoredFrame {
  return { seq, frame: Buffer.from(frame) };
}

function copyInbound({ settled, beyond }: InboundState): InboundState {
  return { settled, beyond: beyond.map(([from, to]) => [from, to] as const) };
}

/** By time: an id that is used again after its end must not know the fences of its first life. */
function firstFence(now: number): number {
  return Math.floor(now);
}

function fenced(id: string): NyotaError {
  return new NyotaError('NYOTA_TAKEN_OVER', `another process owns the session ${id} by now`);
}
