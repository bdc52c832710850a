/**
 * One direction of a memory connection: what the two kernels and the cable between them are to a TCP stream.
 * May import byte-queue and real-timers. It carries bytes, the end (FIN) and the reset (RST), in that order, and the
 * faults work on all three: a stalled lane keeps them, a dropped one loses them.
 *
 *      open ──finish()──▶ finishing ──delivered──▶ done
 *        └──────reset()──────┴──▶ resetting ──delivered──┘ │
 *                                    ▲────────reset()──────┘
 */

import { ByteQueue } from './byte-queue.js';
import { setImmediate, soon } from './real-timers.js';

/** The end of a lane that bytes come out of. */
export interface LaneReceiver {
  readonly destroyed: boolean;
  /** Takes bytes that it may keep; false: no more until it calls `want()`. */
  receive(bytes: Buffer): boolean;
  receiveEnd(): void;
  receiveReset(): void;
}

/** Bytes that come out in one piece at most: what a read of a socket brings. */
const MAX_READ_BYTES = 65_536;

/** Deliveries in one turn of the event loop. More wait for the next, so that real timers and sockets get theirs. */
const MAX_PER_TURN = 256;
let deliveriesThisTurn = 0;

function deliverSoon(fn: () => void): void {
  if (deliveriesThisTurn === 0) {
    setImmediate(() => {
      deliveriesThisTurn = 0;
    });
  }
  deliveriesThisTurn += 1;
  if (deliveriesThisTurn <= MAX_PER_TURN) soon(fn);
  else setImmediate(fn);
}

export class MemoryLane {
  readonly #receiver: LaneReceiver;
  readonly #capacityBytes: number;
  /** Called when bytes arrive at an end that is gone: the other lane then carries the reset back. */
  readonly #onRefused: () => void;
  readonly #queue = new ByteQueue();
  #state: 'open' | 'finishing' | 'resetting' | 'done' = 'open';
  #fault: 'none' | 'stalled' | 'dropped' = 'none';
  #sliceBytes = Number.POSITIVE_INFINITY;
  #wanted = true;
  #scheduled = false;
  #accepted: (() => void) | undefined;

  constructor(receiver: LaneReceiver, capacityBytes: number, onRefused: () => void) {
    this.#receiver = receiver;
    this.#capacityBytes = capacityBytes;
    this.#onRefused = onRefused;
  }

  /** Takes a copy of `bytes`. `accepted` is called once the lane is below its capacity, perhaps never. */
  write(bytes: Uint8Array, accepted: () => void): void {
    const lost = this.#fault === 'dropped' || this.#state !== 'open';
    if (!lost) this.#queue.push(Buffer.from(bytes));
    if (this.#queue.length <= this.#capacityBytes) accepted();
    else this.#accepted = accepted;
    this.#schedule();
  }

  /** The sender sends no more; the bytes on their way still arrive. */
  finish(): void {
    this.#accepted = undefined;
    if (this.#state === 'open') this.#state = 'finishing';
    this.#schedule();
  }

  /** The sender is gone; the bytes on their way are lost. After `finish` too: a half-open receiver may still care. */
  reset(): void {
    this.#accepted = undefined;
    this.#state = 'resetting';
    this.#schedule();
  }

  /** The receiver has room again. */
  want(): void {
    this.#wanted = true;
    this.#schedule();
  }

  stall(): void {
    if (this.#fault === 'none') this.#fault = 'stalled';
  }

  unstall(): void {
    if (this.#fault === 'stalled') this.#fault = 'none';
    this.#schedule();
  }

  /** For good: everything on its way, and everything to come, is lost without a word. */
  drop(): void {
    this.#fault = 'dropped';
    this.#queue.clear();
    this.#admit();
  }

  slice(bytes: number): void {
    this.#sliceBytes = bytes;
  }

  #schedule(): void {
    if (this.#scheduled || this.#fault !== 'none' || !this.#hasWork()) return;
    this.#scheduled = true;
    deliverSoon(() => {
      this.#scheduled = false;
      if (this.#fault === 'none') this.#deliver();
    });
  }

  #hasWork(): boolean {
    if (this.#state === 'resetting' || (this.#state === 'finishing' && this.#queue.length === 0)) return true;
    return this.#queue.length > 0 && (this.#wanted || this.#receiver.destroyed);
  }

  #deliver(): void {
    if (this.#state === 'resetting') {
      this.#queue.clear();
      this.#state = 'done';
      this.#receiver.receiveReset();
      return;
    }
    if (this.#receiver.destroyed && this.#queue.length > 0) {
      this.#queue.clear();
      this.#admit();
      this.#onRefused();
    } else if (this.#wanted && this.#queue.length > 0) {
      this.#wanted = false; // receive() may call want() before it returns
      const bytes = this.#queue.take(Math.min(this.#sliceBytes, MAX_READ_BYTES));
      if (this.#receiver.receive(bytes)) this.#wanted = true;
      this.#admit();
    }
    if (this.#queue.length === 0 && this.#state === 'finishing') {
      this.#state = 'done';
      if (!this.#receiver.destroyed) this.#receiver.receiveEnd();
    }
    this.#schedule();
  }

  #admit(): void {
    const accepted = this.#accepted;
    if (accepted === undefined || this.#queue.length > this.#capacityBytes) return;
    this.#accepted = undefined;
    accepted();
  }
}
