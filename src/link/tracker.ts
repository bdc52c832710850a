/**
 * What a sender wants to know or to undo about single frames of its outbox: the callback at the acknowledgement, the time to
 * live of what is still unsent, a deadline for the ack, an abort. Most frames want none of it and have no entry here.
 * Touches the outbox alone. Pure: time is handed in.
 */
import { NyotaError } from '../errors.js';
import type { Outbox } from './outbox.js';

type OnAck = (error?: NyotaError) => void;

export interface TrackOptions {
  /** Called once: without an error when the other side has handled the message. */
  onAck?: OnAck | undefined;
  /** Dropped where it is still unsent at this time. */
  expiresAt?: number | undefined;
  /** Until when `onAck` waits. Where the message is unsent by then, it is taken back. */
  deadline?: number | undefined;
  /** Takes the message back while it is unsent; `onAck` stops waiting in any case. */
  signal?: AbortSignal | undefined;
}

interface Tracked {
  seq: number;
  readonly onAck: OnAck | undefined;
  /** Until then it must have been sent. */
  expiresAt: number;
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  readonly abort: (() => void) | undefined;
}

const NEVER = Number.POSITIVE_INFINITY;

export class Tracker {
  readonly #outbox: Outbox;
  /** In rising order of `seq`, by a Map's order of insertion. */
  #bySeq = new Map<number, Tracked>();
  /** Nothing is due before this. A lower bound: it is made exact when it is reached. */
  #nextDue = NEVER;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  get nextDeadline(): number {
    return this.#nextDue;
  }

  add(seq: number, options: TrackOptions): void {
    const { signal } = options;
    const tracked: Tracked = {
      seq,
      onAck: options.onAck,
      expiresAt: options.expiresAt ?? NEVER,
      deadline: options.deadline ?? NEVER,
      signal,
      abort:
        signal && (() => this.#giveUp(tracked, new NyotaError('NYOTA_ABORTED', 'the message was aborted'))),
    };
    if (signal !== undefined && tracked.abort !== undefined) signal.addEventListener('abort', tracked.abort);
    this.#bySeq.set(seq, tracked);
    this.#nextDue = Math.min(this.#nextDue, tracked.expiresAt, tracked.deadline);
  }

  /** All up to `seq` are handled. */
  acknowledged(seq: number): void {
    for (const tracked of this.#bySeq.values()) {
      if (tracked.seq > seq) return;
      this.#finish(tracked);
    }
  }

  /** Takes one message back while it is unsent. False if it has gone out. */
  withdraw(seq: number, error: NyotaError): boolean {
    if (!this.#outbox.withdraw(seq)) return false;
    const tracked = this.#bySeq.get(seq);
    if (tracked !== undefined) this.#finish(tracked, error);
    return true;
  }

  /** Drops what has outlived its time to live unsent, and stops waiting where a deadline has passed. Returns how many were dropped. */
  tick(now: number): number {
    if (now < this.#nextDue) return 0;
    let dropped = 0;
    this.#nextDue = NEVER;
    for (const tracked of [...this.#bySeq.values()]) {
      if (this.#bySeq.get(tracked.seq) !== tracked) continue; // finished by a callback of one before it
      if (tracked.expiresAt <= now) {
        const error = new NyotaError('NYOTA_EXPIRED', 'the message was still unsent when its ttlMs was over');
        if (this.withdraw(tracked.seq, error)) {
          dropped++;
          continue;
        }
        tracked.expiresAt = NEVER; // sent: from here on it is reliable like any other
      }
      if (tracked.deadline <= now) {
        this.#giveUp(
          tracked,
          new NyotaError('NYOTA_TIMEOUT', 'the other side has not acknowledged the message in time'),
        );
      } else {
        this.#nextDue = Math.min(this.#nextDue, tracked.expiresAt, tracked.deadline);
      }
    }
    return dropped;
  }

  /**
   * After the outbox began again: old numbers to new ones; what has none was handled, or has failed with `error`.
   * Returns what tells them so: to be called once all is in place, since their callbacks may send.
   */
  renumber(numbers: ReadonlyMap<number, number>, handledUpTo: number, error: NyotaError): () => void {
    const old = [...this.#bySeq.values()];
    this.#bySeq.clear();
    for (const tracked of old) {
      const seq = numbers.get(tracked.seq);
      if (seq !== undefined) {
        tracked.seq = seq;
        this.#bySeq.set(seq, tracked);
      }
    }
    const over = old.filter((tracked) => this.#bySeq.get(tracked.seq) !== tracked);
    return () => {
      for (const tracked of over) this.#finish(tracked, tracked.seq <= handledUpTo ? undefined : error);
    };
  }

  fail(error: NyotaError): void {
    // One by one: a callback may abort another, which is finished then.
    for (const [, tracked] of this.#bySeq) this.#finish(tracked, error);
  }

  #giveUp(tracked: Tracked, error: NyotaError): void {
    if (this.#bySeq.get(tracked.seq) !== tracked) return;
    if (!this.withdraw(tracked.seq, error)) this.#finish(tracked, error);
  }

  #finish(tracked: Tracked, error?: NyotaError): void {
    if (this.#bySeq.get(tracked.seq) === tracked) this.#bySeq.delete(tracked.seq);
    if (tracked.abort !== undefined) tracked.signal?.removeEventListener('abort', tracked.abort);
    if (error === undefined) tracked.onAck?.();
    else tracked.onAck?.(error);
  }
}
