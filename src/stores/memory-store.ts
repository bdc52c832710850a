/**
 * Sessions in this process's memory. As a server's default it is asked for tombstones only: the sessions themselves live
 * in the server, with no promise and no copy on the way of a message. With `durable: true` it behaves like a store on
 * disk that several servers share, for tests and simulations.
 */
import { NyotaError } from '../errors.js';
import {
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
}

interface Kept extends Omit<StoredSession, 'entries' | 'outbound'> {
  readonly entries: Map<string, StoredEntry>;
  readonly outbound: Map<number, StoredFrame>;
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
    this.#sessions.set(record.id, {
      record,
      fence: firstFence(now),
      attempt,
      inbound: { settled: 0, beyond: [] },
      entries: new Map(),
      revision: 0,
      outbound: new Map(),
      trimmed: 0,
      lastSeq: 0,
      detachedAt: now,
      resolvedSeq: 0,
      established: false,
    });
    return firstFence(now);
  }

  load(id: string): StoredSession | undefined {
    const kept = this.#sessions.get(id);
    if (kept === undefined) return undefined;
    const outbound = [...kept.outbound.values()].sort((a, b) => a.seq - b.seq);
    return { ...kept, entries: [...kept.entries.values()], outbound };
  }

  attach(id: string, fence: number, now: number, attempt?: number): number | undefined {
    const kept = this.#sessions.get(id);
    if (kept === undefined || kept.fence !== fence) return undefined;
    const raised = Math.max(fence + 1, firstFence(now));
    this.#sessions.set(id, { ...kept, fence: raised, attempt: attempt ?? kept.attempt, detachedAt: null });
    return raised;
  }

  commit(id: string, fence: number, batch: SessionBatch): void {
    const kept = this.#sessions.get(id);
    if (kept === undefined || kept.fence !== fence) throw fenced(id);
    const { inbound, entries, revision, outbound, trim, lastSeq, resolvedSeq, detachedAt, established } =
      batch;
    for (const entry of entries ?? []) {
      if (entry.bytes === undefined) kept.entries.delete(entry.key);
      else kept.entries.set(entry.key, { ...entry, bytes: Buffer.from(entry.bytes) });
    }
    for (const { seq, frame } of outbound ?? []) kept.outbound.set(seq, { seq, frame: Buffer.from(frame) });
    const trimmed = Math.max(kept.trimmed, trim ?? 0);
    for (let seq = kept.trimmed + 1; seq <= trimmed; seq++) kept.outbound.delete(seq);
    this.#sessions.set(id, {
      ...kept,
      trimmed,
      inbound: inbound ?? kept.inbound,
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
    this.#sessions.delete(id);
    this.#buried.set(id, { tombstone, until: now + TOMBSTONE_MS });
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

/** By time: an id that is used again after its end must not know the fences of its first life. */
function firstFence(now: number): number {
  return Math.floor(now);
}

function fenced(id: string): NyotaError {
  return new NyotaError('NYOTA_TAKEN_OVER', `another process owns the session ${id} by now`);
}
