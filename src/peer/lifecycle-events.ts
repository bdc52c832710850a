/** The events that nyota itself emits, with what their listeners are given. Types only. */
import type { NyotaError } from '../errors.js';
import type { Session } from '../server/session.js';
import type { AnyContract } from './contract.js';

/** A refused write to the shared store: what shows now is `current`. */
export interface StoreConflict {
  readonly key: string;
  /** What this side wrote; undefined: it deleted. */
  readonly attempted: unknown;
  /** What the server has instead; undefined if nothing. */
  readonly current: unknown;
  readonly error: NyotaError;
}

/** What may be missing after a session was lost. */
export interface Gap {
  /** Messages of this side's that were sent, and of which nobody can tell whether they were handled. */
  readonly uncertain: number;
  /**
   * Messages of the server's that were certainly lost, replies and store changes among them. Where the server has no memory of the session (`reason.code`
   * is `NYOTA_SESSION_UNKNOWN`) it can't be counted, and is 0.
   */
  readonly lost: number;
  readonly reason: NyotaError;
}

/** Of clients and of sessions on the server. */
export interface PeerEvents {
  /** A connection has shaken hands. `resumed`: the session was there before. */
  connect: (info: { resumed: boolean }) => void;
  /** The connection is gone. The session goes on. */
  disconnect: (reason: NyotaError | undefined) => void;
  /** What concerns no caller. Without a listener: a process warning. */
  error: (error: NyotaError) => void;
  /** There is room again after a `send` that returned false. */
  drain: () => void;
  /** The other side changed the shared store; `value` is undefined where the key is gone. */
  change: (key: string, value: unknown, revision: number) => void;
  /** A write of this side's was refused and rolled back. */
  conflict: (conflict: StoreConflict) => void;
  /** An event came that nobody listens to. */
  unhandled: (event: string, args: unknown[]) => void;
  /** It is over for good. */
  close: () => void;
}

export interface ClientEvents extends PeerEvents {
  /** The next attempt to connect is `delayMs` away. `error`: what ended the last one; undefined for a clean end. */
  reconnecting: (info: { attempt: number; delayMs: number; error: NyotaError | undefined }) => void;
  /** A new session began. `reason`: why the old one is over; undefined for the first. */
  session: (info: { id: string; reason: NyotaError | undefined }) => void;
  /** The server forgot the session on purpose. A new one follows, with an empty store. */
  sessionInvalidated: () => void;
  /** A session was lost, and something may be missing. */
  gap: (gap: Gap) => void;
}

export interface SessionEvents extends PeerEvents {
  /** The client did not come back within `resumeWindowMs`. `close` follows. */
  expired: () => void;
}

export interface ServerEvents<C = AnyContract> {
  listening: () => void;
  /** A session began, or was brought back from a store. */
  session: (session: Session<C>, resumed: boolean) => void;
  /** A connection was refused or broken off; nothing else is affected. */
  clientError: (error: NyotaError, info: { remoteAddress: string | undefined }) => void;
  error: (error: NyotaError) => void;
  close: () => void;
}
