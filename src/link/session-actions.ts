/**
 * What a session asks of whoever carries it out: sockets, timers and listeners live on that side of this
 * interface, so that the same session runs over TCP, over an in-memory link and in a simulation.
 * Nothing here may throw into the session.
 */
import type { NyotaError } from '../errors.js';
import type { RunningRequest } from '../features/incoming-requests.js';
import type { Conflict } from '../features/store/replica.js';
import type { Change } from '../features/store/types.js';

export interface SessionActions {
  /** Milliseconds since the epoch. */
  now(): number;
  /**
   * Runs the listeners of a remote event. A promise where one of them has not settled yet.
   *
   * @param seq the message's number in its session; 0 for one that has none
   * @param redelivered a process that died may have dispatched it before
   */
  dispatch(
    event: string,
    args: unknown[],
    seq: number,
    redelivered: boolean,
  ): PromiseLike<unknown> | undefined;
  /**
   * Runs the handler of a request, which calls `done` once, now or later. False where there is no handler.
   */
  handle(
    event: string,
    args: unknown[],
    request: RunningRequest,
    done: (ok: boolean, value: unknown) => void,
  ): boolean;
  /** Visible changes of the store; `local` where this side made them. */
  changed(changes: readonly Change[], local: boolean): void;
  conflicted(conflicts: readonly Conflict[]): void;
  /** There is something to write: call `pull` soon, once for all that this tick brings. */
  wake(): void;
  /** `nextDeadline` may have become sooner. */
  rearm(): void;
  /** Start or stop reading the connection. */
  setReading(reading: boolean): void;
  /** The outbox has room again after a send that returned false. */
  drain(): void;
  /** Something less was left to do: see `SessionCore.quiet`. */
  settled(): void;
  /** An error that concerns the user, not the connection. */
  report(error: NyotaError): void;
  /** The connection must end: the other side broke the protocol, or is dead. */
  fail(error: NyotaError): void;
}
