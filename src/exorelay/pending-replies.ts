/**
 * Who waits for replies: reply handlers, requests and streams, by the id of what they sent. Pure: time is handed in.
 * Each waits for so long after what it heard last, and none for ever unless it says so.
 */
import { NyotaError } from '../index.js';
import type { Message } from './message.js';

export interface PendingReply {
  readonly id: string;
  readonly name: string;
  readonly activityId: string;
  /** How long it waits, since it began or since the last reply. Infinity: for ever. */
  readonly idleMs: number;
  /** A graceful close waits for it. */
  readonly holdsClose: boolean;
  /** A reply has come. A promise where it is handled only later. */
  replied(reply: Message): unknown;
  /** No reply will come any more. Undefined: it has waited long enough. */
  ended(error: NyotaError | undefined): void;
}

interface Entry {
  readonly pending: PendingReply;
  dueAt: number;
}

export class PendingReplies {
  readonly #max: number;
  readonly #entries = new Map<string, Entry>();
  /** Nothing is due before this. A lower bound: it is made exact when it is reached. */
  #nextDue = Number.POSITIVE_INFINITY;
  #holding = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** How many a graceful close waits for. */
  get holding(): number {
    return this.#holding;
  }

  get nextDeadline(): number {
    return this.#nextDue;
  }

  /** @throws NyotaError `NYOTA_OUTBOX_FULL` where too many wait already */
  add(pending: PendingReply, now: number): void {
    if (this.#entries.size >= this.#max) {
      throw new NyotaError(
        'NYOTA_OUTBOX_FULL',
        `${this.#max} messages wait for their replies already (maxReplyHandlers)`,
      );
    }
    const dueAt = now + pending.idleMs;
    this.#entries.set(pending.id, { pending, dueAt });
    if (pending.holdsClose) this.#holding++;
    this.#nextDue = Math.min(this.#nextDue, dueAt);
  }

  /** Who waits for the replies to that message, which has just been replied to. */
  touch(id: string, now: number): PendingReply | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    entry.dueAt = now + entry.pending.idleMs;
    return entry.pending;
  }

  take(id: string): PendingReply | undefined {
    const pending = this.#entries.get(id)?.pending;
    if (pending === undefined) return undefined;
    this.#entries.delete(id);
    if (pending.holdsClose) this.#holding--;
    return pending;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  /** Takes out all that have waited long enough. */
  takeExpired(now: number): PendingReply[] {
    if (now < this.#nextDue) return [];
    const expired: PendingReply[] = [];
    this.#nextDue = Number.POSITIVE_INFINITY;
    for (const [id, { pending, dueAt }] of this.#entries) {
      if (dueAt <= now) {
        this.take(id);
        expired.push(pending);
      } else {
        this.#nextDue = Math.min(this.#nextDue, dueAt);
      }
    }
    return expired;
  }

  takeAll(): PendingReply[] {
    const all = [...this.#entries.values()].map(({ pending }) => pending);
    this.#entries.clear();
    this.#holding = 0;
    this.#nextDue = Number.POSITIVE_INFINITY;
    return all;
  }

  *[Symbol.iterator](): IterableIterator<PendingReply> {
    for (const { pending } of this.#entries.values()) yield pending;
  }
}
