/**
 * Where sessions are kept: the one interface that every store implements, and what passes over it.
 * src/testing/session-store-contract.ts is its executable description, which every store passes; record.ts has the rules that all share.
 *
 * A session in a store has one owner at a time. Attaching raises its fence, a number, by compare and set; every
 * later write carries the fence, and a process that lost the session finds out at its next write (docs/design.md, rule 4).
 *
 * Methods may answer at once or with a promise; a `commit` counts when it has answered. Errors are NyotaErrors:
 * `NYOTA_TAKEN_OVER` for a fence that is not the current one, `NYOTA_STORE_FAILED` for everything else.
 */
import type { ErrorCode } from '../errors.js';
import type { Awaitable, CoreImage, SessionBatch } from '../link/persisted.js';

export type {
  Awaitable,
  CoreImage,
  InboundState,
  Range,
  SessionBatch,
  StoredEntry,
  StoredFrame,
} from '../link/persisted.js';

/** What does not change while a session lives. */
export interface SessionRecord {
  readonly id: string;
  /** Of a server: the hash by which it recognises the client's secret. Of a client: the secret itself. */
  readonly credential: Buffer;
  /** What `authenticate` returned, encoded; empty for a client. */
  readonly identity: Buffer;
  /** How long it waits for its client, in ms. */
  readonly resumeWindowMs: number;
}

/** All that is known of a session. */
export interface StoredSession extends CoreImage {
  readonly record: SessionRecord;
  readonly fence: number;
  /** The number of the client's attempt that was let in last. An earlier one has come too late (docs/design.md, rule 15). */
  readonly attempt: number;
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
  /**
   * True if a living process ended the session, and `received` is all that was ever dispatched. Otherwise a process that died
   * may have dispatched more: of what lies beyond `received` nobody can tell.
   */
  readonly exact?: boolean;
}

export interface SessionStore {
  /**
   * True: a session outlives its process here. Everything is committed before it is acknowledged or sent. False: sessions
   * live in the process's memory, and the store is only told when they begin and end.
   */
  readonly durable: boolean;
  /**
   * A new session, owned by the caller. Returns its fence, higher than any that the id had before. Rejects with
   * `NYOTA_STORE_FAILED` where the id is taken.
   * @param attempt kept with it. Default 0
   */
  create(record: SessionRecord, now: number, attempt?: number): Awaitable<number>;
  load(id: string): Awaitable<StoredSession | undefined>;
  /**
   * Makes the caller the owner: raises the fence if it is still `fence`. Returns the new one; undefined if it is
   * another by now. The new fence is at least `now`: a store that was restored from an old copy can't repeat a fence that was
   * given since.
   * @param attempt kept in place of the one before. Default: that one
   */
  attach(id: string, fence: number, now: number, attempt?: number): Awaitable<number | undefined>;
  /**
   * Takes over a client's own session, whoever owns it, and returns it as it is then: in one step, and at once, without a
   * promise, since the session must be there before the first call on the client. Undefined if there is none. Only a store
   * that serves clients needs it.
   */
  takeOver?(id: string, now: number): StoredSession | undefined;
  /**
   * One atomic step. Steps of a session take effect in the order of the calls. The store reads what it is handed until it has
   * answered, and keeps nothing of it. Rejects with `NYOTA_TAKEN_OVER` for an old fence, and with `NYOTA_STORE_FAILED` where
   * it can't be kept; nothing is changed then. After a step has failed, no later one with that fence takes effect: it was
   * made on top of the failed one (docs/design.md, rule 21).
   */
  commit(id: string, fence: number, batch: SessionBatch): Awaitable<void>;
  /**
   * The session is over: forgets it and keeps the tombstone for 24 hours. With an old fence it does nothing, even if the
   * session is over already.
   */
  end(id: string, fence: number, tombstone: Tombstone, now: number): Awaitable<void>;
  /** What is known of a session that is over; undefined if nothing is. */
  tombstone(id: string, now: number): Awaitable<Tombstone | undefined>;
  /**
   * Ends the sessions whose client has been away for longer than their window. A client whose server process died counts as
   * away since then. Returns how many.
   */
  sweep(now: number): Awaitable<number>;
  /** Lets go of files and timers. Called by the server's `close`. */
  close(): Awaitable<void>;
}
