/**
 * One direction of a proxied connection: reads from one socket, writes to the other, and does on the way what
 * the faults say. May import node:net (types), direction and real-timers. It holds at most MAX_QUEUED_BYTES and one read.
 *
 * The source's end (FIN) and reset (RST) go the same way as its bytes: behind them, delayed, stalled or lost.
 */

import type { Socket } from 'node:net';
import type { OneWay } from './direction.js';
import { clearImmediate, clearTimeout, realNow, setImmediate, setTimeout } from './real-timers.js';

/** `stalled`: not read, so that TCP pushes back. `blackhole`: read and thrown away. */
export type Flow = 'flowing' | 'stalled' | 'blackhole';

/** The faults of a proxy; its lanes read them, and are told by `update()` that they changed. */
export interface LaneFaults {
  readonly flow: Record<OneWay, Flow>;
  delayMs: number;
  jitterMs: number;
  sliceBytes: number;
  bytesPerSecond: number;
}

/** What a lane asks of, and tells, its connection. */
export interface LaneOwner {
  /** Bytes that may still pass in this direction. */
  allowance(way: OneWay): number;
  passed(way: OneWay, bytes: number): void;
  /** A blackhole has thrown bytes away. */
  lost(bytes: number): void;
  /** The source was reset: pass it on. */
  passReset(way: OneWay): void;
  /** Bytes are missing in a direction that flows again: TCP never shows such a stream to anybody. */
  holeFound(): void;
  random(): number;
}

interface Held {
  bytes: Buffer;
  dueMs: number;
}

/** More than this on its way (delayed, throttled, stalled) and the source is not read any further. */
const MAX_QUEUED_BYTES = 1024 * 1024;
/** A throttled lane writes this often in a second, so that the rate is even. */
const WRITES_PER_SECOND = 50;

export class FaultLane {
  readonly #way: OneWay;
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #faults: LaneFaults;
  readonly #owner: LaneOwner;
  #queue: Held[] = [];
  #queuedBytes = 0;
  /** What follows the queue: nothing yet, the source's FIN or RST; `done`: it was passed on, or lost. */
  #tail: 'open' | 'fin' | 'reset' | 'done' = 'open';
  #lastDueMs = 0;
  #paceUntilMs = 0;
  #sinkFull = false;
  #hole = false;
  #stopped = false;
  #cancelWait: (() => void) | undefined;

  constructor(way: OneWay, source: Socket, sink: Socket, faults: LaneFaults, owner: LaneOwner) {
    this.#way = way;
    this.#source = source;
    this.#sink = sink;
    this.#faults = faults;
    this.#owner = owner;
    source.on('data', (bytes) => this.#take(bytes));
    source.on('end', () => this.#end('fin'));
    source.on('close', (hadError) => {
      if (hadError) this.#end('reset');
    });
    sink.on('drain', () => {
      this.#sinkFull = false;
      this.#pump();
    });
    sink.on('close', () => this.#pump());
    this.update();
  }

  /** The faults changed. */
  update(): void {
    if (this.#faults.delayMs === 0) for (const held of this.#queue) held.dueMs = 0;
    if (this.#faults.delayMs === 0) this.#lastDueMs = 0;
    this.#paceUntilMs = 0;
    this.#stopWaiting();
    if (this.#flow === 'blackhole') this.#loseQueue();
    if (this.#flow === 'flowing' && this.#hole && !this.#stopped) this.#owner.holeFound();
    else this.#pump();
  }

  /** Passes nothing on any more; what still comes is read and thrown away. */
  stop(): void {
    this.#stopped = true;
    this.#stopWaiting();
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#source.resume();
  }

  get #flow(): Flow {
    return this.#faults.flow[this.#way];
  }

  #take(bytes: Buffer): void {
    if (this.#stopped || this.#sink.destroyed) return;
    if (this.#flow === 'blackhole') {
      this.#hole = true;
      this.#owner.lost(bytes.length);
      return;
    }
    this.#queue.push({ bytes, dueMs: this.#dueMs() });
    this.#queuedBytes += bytes.length;
    this.#pump();
  }

  #end(tail: 'fin' | 'reset'): void {
    if (this.#stopped || this.#tail === 'done' || this.#tail === 'reset') return;
    if (this.#flow === 'blackhole') {
      this.#tail = 'done';
      this.#hole = true;
      return;
    }
    this.#tail = tail;
    this.#lastDueMs = this.#dueMs();
    this.#pump();
  }

  #dueMs(): number {
    const { delayMs, jitterMs } = this.#faults;
    if (delayMs === 0 && jitterMs === 0) return this.#lastDueMs;
    const dueMs = realNow() + delayMs + this.#owner.random() * jitterMs;
    this.#lastDueMs = Math.max(this.#lastDueMs, dueMs); // never overtakes: this is a stream
    return this.#lastDueMs;
  }

  #pump(): void {
    while (this.#cancelWait === undefined && this.#canPass()) {
      const head = this.#queue[0];
      if (head === undefined) break;
      if (!this.#isDue(Math.max(head.dueMs, this.#paceUntilMs))) break;
      this.#pass(head);
    }
    if (this.#queue.length === 0 && this.#cancelWait === undefined) this.#passTail();
    this.#steerSource();
  }

  #canPass(): boolean {
    if (this.#stopped || this.#flow !== 'flowing') return false;
    if (!this.#sink.destroyed && !this.#sink.writableEnded) return !this.#sinkFull;
    this.#queue = []; // nobody is left to take it; the other direction tells the source
    this.#queuedBytes = 0;
    return false;
  }

  /** Writes the next piece of `head`. */
  #pass(head: Held): void {
    const { sliceBytes, bytesPerSecond } = this.#faults;
    const paced = Math.max(1, Math.floor(bytesPerSecond / WRITES_PER_SECOND));
    const count = Math.min(head.bytes.length, sliceBytes, paced, this.#owner.allowance(this.#way));
    const piece = head.bytes.subarray(0, count);
    if (count === head.bytes.length) this.#queue.shift();
    else head.bytes = head.bytes.subarray(count);
    this.#queuedBytes -= count;
    this.#paceUntilMs = Math.max(this.#paceUntilMs, realNow()) + (count * 1000) / bytesPerSecond;
    this.#sinkFull = !this.#sink.write(piece);
    this.#owner.passed(this.#way, count);
    if (sliceBytes !== Number.POSITIVE_INFINITY && this.#queue.length > 0 && !this.#stopped) {
      // Each piece gets a turn of its own: written at once, the kernel would hand them over as one.
      const turn = setImmediate(() => this.#goOn());
      this.#cancelWait = () => clearImmediate(turn);
    }
  }

  #passTail(): void {
    if (this.#stopped || this.#flow !== 'flowing') return;
    if (this.#tail === 'open' || this.#tail === 'done' || !this.#isDue(this.#lastDueMs)) return;
    const tail = this.#tail;
    this.#tail = 'done';
    if (tail === 'reset') this.#owner.passReset(this.#way);
    else if (!this.#sink.destroyed) this.#sink.end();
  }

  #isDue(timeMs: number): boolean {
    const waitMs = timeMs - realNow();
    if (waitMs <= 0) return true;
    const timer = setTimeout(() => this.#goOn(), Math.ceil(waitMs));
    this.#cancelWait = () => clearTimeout(timer);
    return false;
  }

  #goOn(): void {
    this.#cancelWait = undefined;
    this.#pump();
  }

  #stopWaiting(): void {
    this.#cancelWait?.();
    this.#cancelWait = undefined;
  }

  #loseQueue(): void {
    if (this.#queue.length > 0 || this.#tail === 'fin' || this.#tail === 'reset') this.#hole = true;
    if (this.#tail !== 'open') this.#tail = 'done';
    this.#owner.lost(this.#queuedBytes);
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #steerSource(): void {
    const flows = this.#flow === 'flowing' && !this.#sinkFull && this.#queuedBytes < MAX_QUEUED_BYTES;
    if (flows || this.#stopped || this.#flow === 'blackhole' || this.#sink.destroyed) this.#source.resume();
    else this.#source.pause();
  }
}
