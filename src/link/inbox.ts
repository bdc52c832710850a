/**
 * What has arrived in one direction of a session: which number comes next, which are settled, and when an
 * acknowledgement is due. Pure: time is handed in.
 *
 * An ack is cumulative and means handled: it never claims a frame whose listeners have not run and settled
 * (docs/design.md, rule 2). `open` holds the numbers that have arrived and are not settled, in rising order:
 *
 *   settled … settled | open  settled  open … received
 *                     ^
 *                  ackable: the contiguous settled prefix
 */
import { IdMap } from './id-map.js';
import type { Range } from './persisted.js';

/** An ack goes out after this many settled frames, so many bytes, or so long, whichever comes first. */
export const ACK_FRAMES = 32;
export const ACK_BYTES = 64 * 1024;
export const ACK_DELAY_MS = 50;

/** A frame that has arrived and is not settled. */
export interface Unsettled {
  /** When its handling began; Infinity while it has not. */
  readonly since: number;
  /** The event whose listeners run; undefined for a request, whose time is the caller's deadline. */
  readonly event: string | undefined;
}

const NOT_BEGUN: Unsettled = { since: Number.POSITIVE_INFINITY, event: undefined };

export class Inbox {
  /** Counts the sessions of this link: what settles after its session is over is ignored. */
  epoch = 0;
  #received = 0;
  #ackSent = 0;
  #bytesSinceAck = 0;
  /** When the oldest settled and unacknowledged frame settled; 0 for none. */
  #ackDueAt = Number.POSITIVE_INFINITY;
  /** The sender waits for the ack of this number. */
  #urgentSeq = 0;
  #ackNow = false;
  /** With a durable store: no ack claims more than what is committed. */
  #committed = Number.POSITIVE_INFINITY;
  /** Numbers above `received` that a process before this one has settled. */
  #beyond: readonly Range[] = [];
  #changed = false;
  /** What is not settled, by number. Made when first needed. */
  #open: IdMap<Unsettled> | undefined;
  /** The entry that was added last. */
  #entry = NOT_BEGUN;
  /** All before this number are settled. A lower bound: `#firstOpen` moves it on. */
  #openFrom = 0;

  /** The highest number received; all before it have been received too. */
  get received(): number {
    return this.#received;
  }

  /** The highest number that an ack may claim. */
  get ackable(): number {
    return Math.min(this.settled, this.#committed);
  }

  /** The end of the contiguous settled prefix. */
  get settled(): number {
    return (this.#firstOpen() ?? this.#received + 1) - 1;
  }

  /** Takes the next number in. It counts as settled unless `open` is called for it. */
  accept(seq: number, frameBytes: number, ackNow: boolean, now: number): void {
    this.#received = seq;
    this.#changed = true;
    this.#bytesSinceAck += frameBytes;
    if (ackNow) this.#urgentSeq = seq;
    if (this.#ackDueAt === Number.POSITIVE_INFINITY) this.#ackDueAt = now + ACK_DELAY_MS;
  }

  /** A frame that was accepted is not settled yet. Called again when its handling begins. */
  open(seq: number, since: number, event: string | undefined): void {
    this.#open ??= new IdMap();
    if (this.#open.size === 0 || seq < this.#openFrom) this.#openFrom = seq;
    // Requests of one chunk are alike.
    if (this.#entry.since !== since || this.#entry.event !== event) this.#entry = { since, event };
    this.#open.set(seq, this.#entry);
  }

  isOpen(seq: number): boolean {
    return this.#open?.get(seq) !== undefined;
  }

  /** True if it was open. */
  settle(seq: number, now: number): boolean {
    if (this.#open?.delete(seq) !== true) return false;
    this.#changed = true;
    if (this.#ackDueAt === Number.POSITIVE_INFINITY) this.#ackDueAt = now + ACK_DELAY_MS;
    return true;
  }

  /** The open ones, oldest number first, as they are now. Sorts. */
  unsettled(): ReadonlyArray<[seq: number, unsettled: Unsettled]> {
    return this.#open?.entries() ?? [];
  }

  /** Since when the oldest of the open ones is handled; Infinity where there is none, or it has not begun. */
  get oldestSince(): number {
    const first = this.#firstOpen();
    return first === undefined
      ? Number.POSITIVE_INFINITY
      : (this.#open?.get(first)?.since ?? Number.POSITIVE_INFINITY);
  }

  /** An ack would say something: new, or asked for again. */
  get ackReady(): boolean {
    return this.#ackNow || this.ackable > this.#ackSent;
  }

  /** A duplicate or a new connection: the other side should hear where we stand. */
  acknowledgeAgain(): void {
    this.#ackNow = true;
  }

  /** When `ackDue` will become true by time alone; Infinity where nothing waits. */
  get ackDueAt(): number {
    // With a store the ack follows the commit, which `snapshot` began.
    const waits = this.#committed === Number.POSITIVE_INFINITY || this.#changed;
    return waits && this.settled > this.#ackSent ? this.#ackDueAt : Number.POSITIVE_INFINITY;
  }

  ackDue(now: number): boolean {
    if (this.#ackNow) return true;
    const { settled } = this;
    const waiting = settled - this.#ackSent;
    if (waiting <= 0) return false;
    return (
      waiting >= ACK_FRAMES ||
      this.#bytesSinceAck >= ACK_BYTES ||
      now >= this.#ackDueAt ||
      (this.#urgentSeq > this.#ackSent && this.#urgentSeq <= settled)
    );
  }

  /** Another session begins, or none: numbers start anew, and nothing of the old one settles any more. */
  reset(): void {
    this.epoch++;
    this.#received = 0;
    this.#ackSent = 0;
    this.#bytesSinceAck = 0;
    this.#ackDueAt = Number.POSITIVE_INFINITY;
    this.#urgentSeq = 0;
    this.#ackNow = false;
    this.#beyond = [];
    this.#changed = false;
    this.#open = undefined;
    this.#openFrom = 0;
    if (this.#committed !== Number.POSITIVE_INFINITY) this.#committed = 0;
  }

  /** From here on an ack claims only what `commit` has been told of. */
  holdBack(): void {
    this.#committed = this.#received;
  }

  /** What was settled up to `seq` is in the store. */
  commit(seq: number): void {
    if (seq <= this.#committed) return;
    this.#committed = seq;
    if (seq > this.#ackSent) this.#ackNow = true;
  }

  /** Something was received or settled since the last `snapshot`. */
  get changed(): boolean {
    return this.#changed;
  }

  /** What is settled: the prefix, and the ranges beyond it. */
  snapshot(): { settled: number; beyond: Range[] } {
    this.#changed = false;
    this.#ackDueAt = Number.POSITIVE_INFINITY;
    const { settled } = this;
    const beyond: Range[] = [];
    let from = settled + 1;
    for (const [seq] of this.unsettled()) {
      if (seq > from) beyond.push([from, seq - 1]);
      from = seq + 1;
    }
    if (beyond.length > 0 || (this.#open?.size ?? 0) > 0) {
      if (this.#received >= from) beyond.push([from, this.#received]);
    }
    for (const [start, end] of this.#beyond) {
      if (end > this.#received) beyond.push([Math.max(start, this.#received + 1), end]);
    }
    return { settled, beyond };
  }

  /** Takes over what a store has kept: the other side sends again from `settled` on. */
  restore(settled: number, beyond: readonly Range[]): void {
    this.#received = settled;
    this.#ackSent = settled;
    this.#committed = settled;
    this.#beyond = beyond;
  }

  /** True for a number that a process before this one has settled: it is not dispatched again. */
  wasSettled(seq: number): boolean {
    return this.#beyond.length > 0 && this.#beyond.some(([from, to]) => seq >= from && seq <= to);
  }

  /** The number to put in the ack that is sent now. */
  takeAck(): number {
    const ackable = this.ackable;
    this.#ackSent = ackable;
    this.#ackNow = false;
    this.#bytesSinceAck = 0;
    // What has settled since the last commit is not told by this ack: it stays due.
    if (ackable === this.settled) this.#ackDueAt = Number.POSITIVE_INFINITY;
    return ackable;
  }

  #firstOpen(): number | undefined {
    const open = this.#open;
    if (open === undefined || open.size === 0) return undefined;
    while (open.get(this.#openFrom) === undefined) this.#openFrom++;
    return this.#openFrom;
  }
}
