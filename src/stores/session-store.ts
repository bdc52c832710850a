/**
 * What a server keeps of sessions that are over, so that a client that comes back late can tell what was handled
 * from what is uncertain (docs/delivery.md).
 */
import type { ErrorCode } from '../errors.js';

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

/** Where a server keeps what must be known of a session after its end. May answer with promises. */
export interface SessionStore {
  /** Remembers the end of a session, for `TOMBSTONE_MS`. */
  bury(id: string, tombstone: Tombstone, now: number): void | PromiseLike<void>;
  /** What is known of a session that is over; undefined where nothing is. */
  tombstone(id: string, now: number): Tombstone | undefined | PromiseLike<Tombstone | undefined>;
}
