/**
 * What a sender wants to know or to undo about single messages of its outbox: the callback at the
 * acknowledgement, the time to live of what is still unsent, a deadline for the ack, an abort. Pure: time is
 * handed in. Most messages want none of it and have no entry here.
 */
import { NyotaError } from '../errors.js';
import type { Outbox } from './outbox.js';

export type OnAck = (error?: NyotaError) => void;

export interface DeliveryOptions {
  /** Called once: without an error when the other side has handled the message. */
  onAck?: OnAck | undefined;
  /** Dropped where it is still unsent at this time. */
  expiresAt?: number | undefined;
  /** Until when `onAck` waits. Where the message is unsent by then, it is taken back. */
  deadline?: number | undefined;
  /** Takes the message back while it is unsent; `onAck` stops waiting in any case. */
  signal?: AbortSignal | undefined;
}

interface Delivery {
  seq: number;
  readonly onAck: OnAck | undefined;
  /** Until then it must have been sent. */
  expiresAt: number;
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  readonly abort: (() => void) | undefined;
}

const NEVER = Number.POSITIVE_INFINITY;

export class Deliveries {
  readonly #outbox: Outbox;
  /** In rising order of `seq`, by a Map's order of insertion. */
  #bySeq = new Map<number, Delivery>();
  /** Nothing is due before this. A lower bound: it is made exact when it is reached. */
  #nextDue = NEVER;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  get nextDeadline(): number {
    return this.#nextDue;
  }

  add(seq: number, options: DeliveryOptions): void {
    const { signal } = options;
    const delivery: Delivery = {
      seq,
      onAck: options.onAck,
      expiresAt: options.expiresAt ?? NEVER,
      deadline: options.deadline ?? NEVER,
      signal,
      abort:
        signal && (() => this.#giveUp(delivery, new NyotaError('NYOTA_ABORTED', 'the message was aborted'))),
    };
    if (signal !== undefined && delivery.abort !== undefined)
      signal.addEventListener('abort', delivery.abort);
    this.#bySeq.set(seq, delivery);
    this.#nextDue = Math.min(this.#nextDue, delivery.expiresAt, delivery.deadline);
  }

  /** All up to `seq` are handled. */
  acknowledged(seq: number): void {
    for (const delivery of this.#bySeq.values()) {
      if (delivery.seq > seq) return;
      this.#finish(delivery);
    }
  }

  /** Takes one message back while it is unsent. False where it has gone out. */
  withdraw(seq: number, error: NyotaError): boolean {
    if (!this.#outbox.withdraw(seq)) return false;
    const delivery = this.#bySeq.get(seq);
    if (delivery !== undefined) this.#finish(delivery, error);
    return true;
  }

  /** Drops what has outlived its time to live unsent, and stops waiting where a deadline has passed. Returns how many were dropped. */
  tick(now: number): number {
    if (now < this.#nextDue) return 0;
    let dropped = 0;
    this.#nextDue = NEVER;
    for (const delivery of [...this.#bySeq.values()]) {
      if (this.#bySeq.get(delivery.seq) !== delivery) continue; // finished by a callback of one before it
      if (delivery.expiresAt <= now) {
        const error = new NyotaError('NYOTA_EXPIRED', 'the message was still unsent when its ttlMs was over');
        if (this.withdraw(delivery.seq, error)) {
          dropped++;
          continue;
        }
        delivery.expiresAt = NEVER; // sent: from here on it is reliable like any other
      }
      if (delivery.deadline <= now) {
        this.#giveUp(
          delivery,
          new NyotaError('NYOTA_TIMEOUT', 'the other side has not acknowledged the message in time'),
        );
      } else {
        this.#nextDue = Math.min(this.#nextDue, delivery.expiresAt, delivery.deadline);
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
    for (const delivery of old) {
      const seq = numbers.get(delivery.seq);
      if (seq !== undefined) {
        delivery.seq = seq;
        this.#bySeq.set(seq, delivery);
      }
    }
    const over = old.filter((delivery) => this.#bySeq.get(delivery.seq) !== delivery);
    return () => {
      for (const delivery of over) this.#finish(delivery, delivery.seq <= handledUpTo ? undefined : error);
    };
  }

  fail(error: NyotaError): void {
    // One by one: a callback may abort another, which is finished then.
    for (const [, delivery] of this.#bySeq) this.#finish(delivery, error);
  }

  #giveUp(delivery: Delivery, error: NyotaError): void {
    if (this.#bySeq.get(delivery.seq) !== delivery) return;
    if (!this.withdraw(delivery.seq, error)) this.#finish(delivery, error);
  }

  #finish(delivery: Delivery, error?: NyotaError): void {
    if (this.#bySeq.get(delivery.seq) === delivery) this.#bySeq.delete(delivery.seq);
    if (delivery.abort !== undefined) delivery.signal?.removeEventListener('abort', delivery.abort);
    if (error === undefined) delivery.onAck?.();
    else delivery.onAck?.(error);
  }
}
