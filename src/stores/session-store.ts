/**
 * Where sessions are kept: the one interface that every store implements, and what passes over it.
 * test/contract/session-store.ts is its executable description; every store passes it.
 *
 * A session in a store has one owner at a time. Attaching raises its fence, a number, by compare and set; every
 * later write carries the fence, and a process that lost the session finds out at its next write (DESIGN.md, rule 4).
 *
 * Methods may answer at once or with a promise; a `commit` counts when it has answered. Errors are NyotaErrors:
 * `NYOTA_TAKEN_OVER` for a fence that is not the current one, `NYOTA_STORE_FAILED` for everything else.
 */
import type { ErrorCode } from '../errors.js';

export type Awaitable<T> = T | PromiseLike<T>;

/** An inclusive range of numbers. */
export type Range = readonly [from: number, to: number];

/** What of the other side's messages has been handled. */
export interface InboundState {
  /** All up to this number are settled. */
  readonly settled: number;
  /** Those beyond it that are settled too, in rising order. */
  readonly beyond: readonly Range[];
}

/** An entry of the shared store. */
export interface StoredEntry {
  readonly key: string;
  /** undefined: the key is deleted. */
  readonly bytes: Buffer | undefined;
  readonly revision: number;
  /** When it expires, in ms since the epoch; undefined: never. */
  readonly expiresAt: number | undefined;
}

/** A whole frame of the outbox, as it goes on the wire. */
export interface StoredFrame {
  readonly seq: number;
  readonly frame: Buffer;
}

/** What does not change while a session lives. */
export interface SessionRecord {
  readonly id: string;
  /** A server's: knows the secret again. A client's: the secret itself. */
  readonly credential: Buffer;
  /** What `authenticate` returned, encoded; empty for a client. */
  readonly identity: Buffer;
  /** How long it waits for its client, in ms. */
  readonly resumeWindowMs: number;
}

/** What one atomic step changes. What is not there stays as it is. */
export interface SessionBatch {
  readonly inbound?: InboundState;
  /** New or changed entries, each key once. */
  readonly entries?: readonly StoredEntry[];
  /** The store's last revision. */
  readonly revision?: number;
  /** New frames, or the same numbers with another content. */
  readonly outbound?: readonly StoredFrame[];
  /** Frames up to this number are acknowledged: let go. */
  readonly trim?: number;
  /** The highest number given out. */
  readonly lastSeq?: number;
  /** The client is gone since then; null: it is there. */
  readonly detachedAt?: number | null;
  /** A client's: whether the server has welcomed the session. */
  readonly established?: boolean;
}

/** All that is known of a session. */
export interface StoredSession {
  readonly record: SessionRecord;
  readonly fence: number;
  readonly inbound: InboundState;
  readonly entries: readonly StoredEntry[];
  readonly revision: number;
  /** Rising, without a hole, up to `lastSeq`. */
  readonly outbound: readonly StoredFrame[];
  /** All up to this number are acknowledged. */
  readonly trimmed: number;
  readonly lastSeq: number;
  readonly detachedAt: number | null;
  readonly established: boolean;
}

/** What is known of a session that is over. */
export interface Tombstone {
  /** Why it is over. */
  readonly code: ErrorCode;
  /** Up to this number the client's messages were dispatched. */
  readonly received: number;
  /** The number of the last message that was meant for the client. */
  readonly sent: number;
}

/** How long a tombstone is kept, in ms: 24 hours. */
export const TOMBSTONE_MS = 24 * 60 * 60 * 1000;

export interface SessionStore {
  /**
   * True: a session outlives its process here. Everything is committed before it is acknowledged or sent.
   * False: the process's memory is the only place, and the store hears of beginnings and ends alone.
   */
  readonly durable: boolean;
  /** A new session, owned by the caller. Returns its fence. Rejects with `NYOTA_STORE_FAILED` where the id is taken. */
  create(record: SessionRecord, now: number): Awaitable<number>;
  load(id: string): Awaitable<StoredSession | undefined>;
  /** Makes the caller the owner: raises the fence where it is still `fence`. Returns the new one; undefined where it is another by now. */
  attach(id: string, fence: number, now: number): Awaitable<number | undefined>;
  /** One atomic step. Steps of a session take effect in the order of the calls. Rejects with `NYOTA_TAKEN_OVER` for an old fence; nothing is changed then. */
  commit(id: string, fence: number, batch: SessionBatch): Awaitable<void>;
  /** The session is over: forgets it and keeps the tombstone for `TOMBSTONE_MS`. With an old fence it does nothing. */
  end(id: string, fence: number, tombstone: Tombstone, now: number): Awaitable<void>;
  /** What is known of a session that is over; undefined where nothing is. */
  tombstone(id: string, now: number): Awaitable<Tombstone | undefined>;
  /** Ends the sessions whose client is gone for longer than their window, and whose owner does not live any more. Returns how many. */
  sweep(now: number): Awaitable<number>;
  /** Lets go of files and timers. Called by the server's `close`. */
  close(): Awaitable<void>;
}
