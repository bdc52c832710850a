/**
 * Keeps a client connected: dials, shakes hands, and after a failure does so again, later and later, by p-retry.
 * Knows nothing of sessions; what an attempt is made of is handed in.
 */
import pRetry from 'p-retry';
import type { Clock } from '../clock.js';
import { NyotaError } from '../errors.js';
import type { HandleSet } from '../net/dial.js';
import { listenerFailed } from '../peer/lifecycle-emitter.js';
import { type ReconnectOptions, reconnectDelay } from './reconnect-schedule.js';

export interface ConnectorHooks {
  /** One attempt. Rejects with a NyotaError. */
  attempt(signal: AbortSignal): Promise<void>;
  /** The next attempt is `delayMs` away. */
  waiting(attempt: number, delayMs: number, error: NyotaError | undefined): void;
  dialling(): void;
  /** There will be no further attempt: the error forbids it, or reconnecting is off. */
  gaveUp(error: NyotaError): void;
}

export interface ConnectorOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly handles: HandleSet;
}

export class Connector {
  readonly #options: ConnectorOptions;
  readonly #hooks: ConnectorHooks;
  #run: AbortController | undefined;
  /** Attempts that failed since a connection lived. */
  #failures = 0;
  #lastError: NyotaError | undefined;
  /** Ends the wait that is going on. */
  #skipWait: (() => void) | undefined;

  constructor(options: ConnectorOptions, hooks: ConnectorHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  /** True while it dials, or waits to dial. */
  get running(): boolean {
    return this.#run !== undefined;
  }

  /**
   * Begins, unless it is under way already.
   *
   * @param schedule the back-off as it is when it is needed; undefined: one attempt only
   */
  start(schedule: () => ReconnectOptions | undefined): void {
    if (this.#run !== undefined) return;
    const run = new AbortController();
    this.#run = run;
    const ended = (error?: unknown): void => {
      if (this.#run !== run) return; // stopped meanwhile
      this.#run = undefined;
      if (error === undefined) return;
      this.#hooks.gaveUp(error instanceof NyotaError ? error : listenerFailed('connecting', error));
    };
    pRetry(() => this.#attempt(run.signal, schedule), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0, // the delays are ours, see reconnect-schedule.ts
      signal: run.signal,
      shouldRetry: ({ error }) => schedule() !== undefined && (error as NyotaError).retry !== 'never',
    }).then(() => ended(), ended);
  }

  /** The attempt has a connection. It may be gone again before the promise of the attempt is settled. */
  succeeded(): void {
    this.#run = undefined;
  }

  /** A connection that lived is gone: the next delay is the first again. One that did not live counts as a failure. */
  lost(lived: boolean, error: NyotaError | undefined): void {
    this.#failures = lived ? 1 : this.#failures + 1;
    this.#lastError = error;
  }

  /** The next attempt is made at once. */
  hurry(): void {
    this.#failures = 0;
    this.#lastError = undefined;
    this.#skipWait?.();
  }

  /** No further attempt. One that is under way is broken off. */
  stop(reason: NyotaError): void {
    const run = this.#run;
    this.#run = undefined;
    run?.abort(reason);
    this.#skipWait?.();
  }

  async #attempt(signal: AbortSignal, schedule: () => ReconnectOptions | undefined): Promise<void> {
    const backOff = schedule();
    if (this.#failures > 0 && backOff !== undefined) await this.#wait(backOff);
    if (signal.aborted) throw signal.reason;
    this.#hooks.dialling();
    try {
      await this.#hooks.attempt(signal);
    } catch (error) {
      const known =
        error instanceof NyotaError
          ? error
          : new NyotaError('NYOTA_INTERNAL', 'connecting failed', { cause: error });
      // One that was broken off tells nothing about the server.
      if (!signal.aborted) {
        this.#failures++;
        this.#lastError = known;
      }
      throw known;
    }
  }

  #wait(schedule: ReconnectOptions): Promise<void> {
    const { clock, random, handles } = this.#options;
    const asked = this.#lastError?.retryAfterMs ?? 0;
    const delayMs = Math.max(asked, reconnectDelay(this.#failures, schedule, random));
    return new Promise((resolve) => {
      const timer = clock.setTimeout(() => done(), delayMs);
      const done = (): void => {
        clock.clearTimeout(timer);
        handles.delete(timer);
        this.#skipWait = undefined;
        resolve();
      };
      handles.add(timer);
      this.#skipWait = done;
      this.#hooks.waiting(this.#failures, delayMs, this.#lastError);
    });
  }
}
