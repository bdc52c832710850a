/**
 * One simulated TCP connection: two sockets and the lane of each direction. Bytes arrive in order, in slices, late, or not
 * at all; an end may be heard of by one side only, and late. Bytes are copied when they are read, not when they are
 * written: who writes over them is found out.
 */
import { EventEmitter } from 'node:events';
import { Flag, LENGTH_BYTES } from '../../src/wire/constants.js';
import type { Random } from './random.js';
import type { Entry, Schedule } from './schedule.js';
import type { SimProcess } from './sim-process.js';

export interface LinkOptions {
  readonly minLatencyMs: number;
  readonly maxLatencyMs: number;
  /** How often a chunk is a small slice of what has arrived, from 0 to 1. */
  readonly slicing: number;
  /** What the systems of both sides buffer; above it the writer's socket does. */
  readonly windowBytes: number;
}

/** What a link that breaks down may do to whole frames before it is cut. */
export type FrameFault = 'drop' | 'repeat' | 'swap';

const HIGH_WATER_MARK = 16 * 1024;

export class SimSocket extends EventEmitter {
  readonly process: SimProcess;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly writableHighWaterMark = HIGH_WATER_MARK;
  connecting = false;
  destroyed = false;
  closed = false;
  writableEnded = false;
  /** False until a process has been handed it: nobody can have listened before. */
  known = true;
  paused = true;
  link: SimLink | undefined;
  /** Written before it was connected. */
  #early: Buffer[] = [];
  #needsDrain = false;

  constructor(process: SimProcess, remoteAddress: string, remotePort: number) {
    super();
    this.process = process;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }

  /** As node's: bytes wait until somebody listens for them. */
  override on(event: string, listener: (...args: never[]) => void): this {
    super.on(event, listener as (...args: unknown[]) => void);
    if (event === 'data') this.resume();
    return this;
  }

  /** Frames may still go out. */
  get open(): boolean {
    return !this.destroyed && !this.writableEnded;
  }

  get writableLength(): number {
    const lane = this.link?.laneFrom(this);
    if (lane === undefined) return this.#early.reduce((sum, piece) => sum + piece.length, 0);
    return lane.writerBytes;
  }

  write(piece: Buffer): boolean {
    if (!this.open) return false;
    const lane = this.link?.laneFrom(this);
    if (lane === undefined) this.#early.push(piece);
    else lane.write(piece);
    const room = this.writableLength < HIGH_WATER_MARK;
    if (!room) this.#needsDrain = true;
    return room;
  }

  end(last?: Buffer): this {
    if (!this.open) return this;
    if (last !== undefined) this.write(last);
    this.writableEnded = true;
    this.link?.laneFrom(this).finish('end');
    return this;
  }

  destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.link?.left(this);
    this.#emitClose(error);
    return this;
  }

  pause(): this {
    this.paused = true;
    return this;
  }

  resume(): this {
    this.paused = false;
    if (this.link !== undefined) this.link.laneTo(this).kick();
    return this;
  }

  isPaused(): boolean {
    return this.paused;
  }

  cork(): void {}
  uncork(): void {}
  setNoDelay(): void {}
  ref(): void {}
  unref(): void {}

  /** The link is there: what was written goes out. */
  connected(link: SimLink): void {
    this.link = link;
    this.connecting = false;
    if (this.destroyed) {
      link.left(this);
      return;
    }
    for (const piece of this.#early.splice(0)) link.laneFrom(this).write(piece);
    if (this.writableEnded) link.laneFrom(this).finish('end');
  }

  /** The lane has taken bytes off. */
  drained(): void {
    if (!this.#needsDrain || this.destroyed || this.writableLength > 0) return;
    this.#needsDrain = false;
    this.emit('drain');
  }

  heardEnd(): void {
    if (this.destroyed) return;
    this.emit('end');
    if (!this.destroyed) this.destroy();
  }

  heardReset(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.link?.left(this);
    this.#emitClose(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  }

  /** Its process has died. */
  orphan(): void {
    this.destroyed = true;
    this.closed = true;
    this.removeAllListeners();
  }

  #emitClose(error: Error | undefined): void {
    process.nextTick(() => {
      if (this.closed) return;
      this.closed = true;
      if (error !== undefined && this.known) this.emit('error', error);
      this.emit('close');
    });
  }
}

export class Lane {
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #options: LinkOptions;
  readonly from: SimSocket;
  readonly to: SimSocket;
  /** False until the receiver's process has accepted the connection. */
  accepted = false;
  /** Nothing arrives any more, and nobody is told. */
  hole = false;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #fin: 'end' | 'reset' | undefined;
  #entry: Entry | undefined;
  #stalledUntil = 0;
  #fault: FrameFault | undefined;

  constructor(from: SimSocket, to: SimSocket, schedule: Schedule, random: Random, options: LinkOptions) {
    this.from = from;
    this.to = to;
    this.#schedule = schedule;
    this.#random = random;
    this.#options = options;
  }

  /** What is still in the writer's own socket. */
  get writerBytes(): number {
    return Math.max(0, this.#bytes - this.#options.windowBytes);
  }

  get bytes(): number {
    return this.#bytes;
  }

  write(piece: Buffer): void {
    const fault = this.#fault;
    const faulty = fault === undefined ? undefined : withFault(piece, fault, this.#random);
    if (faulty !== undefined) this.#fault = undefined;
    const written = faulty ?? piece;
    if (written.length === 0) return;
    this.#pieces.push(written);
    this.#bytes += written.length;
    this.kick();
  }

  /** The next frames that are written arrive wrong. */
  spoil(fault: FrameFault): void {
    this.#fault = fault;
  }

  stall(ms: number): void {
    this.#stalledUntil = this.#schedule.now + ms;
  }

  finish(how: 'end' | 'reset'): void {
    this.#fin ??= how;
    this.kick();
  }

  /** The writer's socket is gone: what its system has taken arrives all the same, and nobody can write over that. */
  leave(): void {
    const taken = Buffer.concat(this.#pieces, Math.min(this.#bytes, this.#options.windowBytes));
    this.#pieces = taken.length === 0 ? [] : [taken];
    this.#bytes = taken.length;
  }

  /** What is under way is lost. */
  discard(): void {
    this.#pieces = [];
    this.#bytes = 0;
  }

  kick(): void {
    if (this.#entry !== undefined || this.hole || !this.accepted) return;
    if (this.#bytes === 0 && this.#fin === undefined) return;
    const { minLatencyMs, maxLatencyMs } = this.#options;
    const latency = this.#random.between(minLatencyMs, maxLatencyMs);
    const delay = Math.max(latency, this.#stalledUntil - this.#schedule.now);
    this.#entry = this.#schedule.after(this.to.process, delay, () => this.#deliver());
  }

  #deliver(): void {
    this.#entry = undefined;
    if (this.hole) return;
    if (this.#schedule.now < this.#stalledUntil) {
      this.kick();
      return;
    }
    if (this.to.destroyed) {
      const unread = this.#bytes > 0;
      this.discard();
      if (unread) this.#schedule.after(this.from.process, 1, () => this.from.heardReset());
      return;
    }
    if (this.#bytes > 0) {
      if (this.to.paused) return; // `resume` kicks
      this.to.emit('data', this.#read(this.#chunkBytes()));
      if (this.from.process.alive && !this.from.process.frozen) this.from.drained();
      else this.#schedule.after(this.from.process, 0, () => this.from.drained());
    } else if (this.#fin !== undefined) {
      const fin = this.#fin;
      this.#fin = undefined;
      if (fin === 'end') this.to.heardEnd();
      else this.to.heardReset();
      return;
    }
    this.kick();
  }

  #chunkBytes(): number {
    if (!this.#random.chance(this.#options.slicing)) return 64 * 1024;
    return this.#random.pick([1, 2, 7, 20, 60, 200, 1_000]);
  }

  #read(maxBytes: number): Buffer {
    const taken: Buffer[] = [];
    let left = Math.min(maxBytes, this.#bytes);
    this.#bytes -= left;
    while (left > 0) {
      const piece = this.#pieces[0] as Buffer;
      if (piece.length <= left) {
        taken.push(piece);
        left -= piece.length;
        this.#pieces.shift();
      } else {
        taken.push(piece.subarray(0, left));
        this.#pieces[0] = piece.subarray(left);
        left = 0;
      }
    }
    return Buffer.concat(taken);
  }
}

export class SimLink {
  readonly client: SimSocket;
  readonly server: SimSocket;
  readonly #up: Lane;
  readonly #down: Lane;
  readonly #schedule: Schedule;
  readonly #random: Random;

  constructor(
    client: SimSocket,
    server: SimSocket,
    schedule: Schedule,
    random: Random,
    options: LinkOptions,
  ) {
    this.client = client;
    this.server = server;
    this.#schedule = schedule;
    this.#random = random;
    this.#up = new Lane(client, server, schedule, random, options);
    this.#down = new Lane(server, client, schedule, random, options);
  }

  get up(): Lane {
    return this.#up;
  }

  get down(): Lane {
    return this.#down;
  }

  laneFrom(socket: SimSocket): Lane {
    return socket === this.client ? this.#up : this.#down;
  }

  laneTo(socket: SimSocket): Lane {
    return socket === this.client ? this.#down : this.#up;
  }

  /** A side is gone: the other one hears of it behind what was written, or at once and without that. */
  left(socket: SimSocket): void {
    const lane = this.laneFrom(socket);
    if (this.#random.chance(0.5)) {
      lane.leave();
      lane.finish('end');
    } else {
      lane.discard();
      lane.finish('reset');
    }
    this.laneTo(socket).discard();
  }

  /**
   * The connection breaks. Each side is told after so many milliseconds; undefined: never, it has to find out. What is
   * under way is lost.
   */
  cut(clientAfterMs: number | undefined, serverAfterMs: number | undefined): void {
    this.#up.hole = true;
    this.#down.hole = true;
    const tell = (socket: SimSocket, ms: number | undefined): void => {
      if (ms !== undefined) this.#schedule.after(socket.process, ms, () => socket.heardReset());
    };
    tell(this.client, clientAfterMs);
    tell(this.server, serverAfterMs);
  }
}

/** A piece of whole frames with one of the sequenced ones dropped, repeated, or swapped with the next; undefined: not possible here. */
function withFault(piece: Buffer, fault: FrameFault, random: Random): Buffer | undefined {
  const frames: Buffer[] = [];
  for (let at = 0; at < piece.length; ) {
    if (piece.length - at < LENGTH_BYTES) return undefined;
    const size = LENGTH_BYTES + piece.readUInt32BE(at);
    if (at + size > piece.length) return undefined;
    frames.push(piece.subarray(at, at + size));
    at += size;
  }
  const sequenced = (frame: Buffer | undefined): boolean =>
    frame !== undefined && ((frame[LENGTH_BYTES + 1] ?? 0) & Flag.SEQ) !== 0;
  const candidates = frames.map((_frame, i) => i).filter((i) => sequenced(frames[i]));
  if (candidates.length === 0) return undefined;
  const at = random.pick(candidates);
  const [first, second] = [frames[at] as Buffer, frames[at + 1]];
  if (fault === 'drop') frames.splice(at, 1);
  else if (fault === 'repeat') frames.splice(at, 0, first);
  else if (second !== undefined && sequenced(second)) frames.splice(at, 2, second, first);
  else return undefined;
  return Buffer.concat(frames);
}
