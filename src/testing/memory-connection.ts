/**
 * One connection of a memory network, with the faults that a test puts on it, and its two ends. An end is a Duplex that behaves,
 * and is typed, like a net.Socket; it opens nothing: a memory network or createLink joins two of them.
 *
 *      connecting ──attach()──▶ open ──▶ ended, finished, as every Duplex ──▶ destroyed
 *          └────────────────────────── destroy() ─────────────────────────────────┘
 */

import type { AddressInfo, Socket, SocketReadyState } from 'node:net';
import { Duplex } from 'node:stream';
import { NyotaError } from '../errors.js';
import { checkCount } from './check.js';
import { type Direction, type OneWay, waysOf } from './direction.js';
import { type LaneReceiver, MemoryLane } from './memory-lane.js';
import { clearTimeout, nextTick, setTimeout } from './real-timers.js';
import { connectionReset, systemError } from './system-error.js';

/** The faults of one memory connection, or of all connections of a network. */
export interface MemoryFaults {
  /** Closes both ends as by a RST: 'error' with `error` (default: ECONNRESET), then 'close'. What was on its way is lost. */
  cut(error?: Error): void;
  /**
   * Keeps the bytes of a direction (default: both) on their way. Neither end sees anything, not even that the
   * other closed; a writer's write() turns false once the link is full. `unstall` delivers all of it.
   */
  stall(direction?: Direction): void;
  /** Lets a stalled direction (default: both) go on. */
  unstall(direction?: Direction): void;
  /** Delivers at most `bytes` at a time, each piece a 'data' event of its own. Infinity: as they come. */
  slice(bytes: number): void;
  /** Half open, for good: bytes and closes vanish, and neither end hears of it. Only `cut` and the ends' own destroy end it. */
  dropLink(): void;
  /** Turns `stall` and `slice` off. */
  heal(): void;
}

export interface MemoryConnection extends MemoryFaults {
  /** The end that dialled. */
  readonly client: MemorySocket;
  /** The end that the server got. */
  readonly server: MemorySocket;
  /** What the client dialled: a port or a path. */
  readonly target: number | string;
}

/** What an end is told once it is connected. */
export interface MemoryAttachment {
  readonly connection: MemoryConnection;
  /** The lane that carries what this end writes. */
  readonly outward: MemoryLane;
  /** The lane that brings what this end reads. */
  readonly inward: MemoryLane;
  readonly localPort: number | undefined;
  readonly remotePort: number | undefined;
}

export interface MemorySocketOptions {
  highWaterMark: number;
  allowHalfOpen: boolean;
}

/** Connections with a path have no addresses, as unix sockets have none. */
const ADDRESS = '127.0.0.1';
const FAMILY = 'IPv4';

/** One end of a connection of a memory network: give it out wherever a net.Socket is taken. */
export class MemorySocket extends Duplex implements Socket, LaneReceiver {
  #attachment: MemoryAttachment | undefined;
  #whenAttached: (() => void) | undefined;
  #bytesRead = 0;
  #bytesAccepted = 0;
  /** The callback of the write that the link has not taken yet. */
  #writing: ((error?: Error | null) => void) | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  /** Set once connected, where the connection is to a port. */
  localAddress?: string;
  localFamily?: string;
  localPort?: number;
  remoteAddress: string | undefined;
  remoteFamily: string | undefined;
  remotePort: number | undefined;
  /** What setTimeout() was given, in milliseconds. */
  timeout?: number;

  constructor({ highWaterMark, allowHalfOpen }: MemorySocketOptions) {
    // emitClose: a socket's 'close' says whether there was an error, a plain Duplex's does not.
    super({ highWaterMark, allowHalfOpen, emitClose: false });
  }

  /** The connection that this end belongs to, with its faults; undefined before it is connected. */
  get connection(): MemoryConnection | undefined {
    return this.#attachment?.connection;
  }

  get connecting(): boolean {
    return this.#attachment === undefined && !this.destroyed;
  }

  get pending(): boolean {
    return this.#attachment === undefined;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes written, those that wait in this end's own buffer included, as a net.Socket counts them. */
  get bytesWritten(): number {
    return this.#bytesAccepted + this.writableLength;
  }

  get bufferSize(): number {
    return this.writableLength;
  }

  get readyState(): SocketReadyState {
    if (this.connecting) return 'opening';
    if (this.readable && this.writable) return 'open';
    if (this.readable) return 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  get autoSelectFamilyAttemptedAddresses(): string[] {
    return [];
  }

  address(): AddressInfo | Record<string, never> {
    return this.localPort === undefined ? {} : { address: ADDRESS, family: FAMILY, port: this.localPort };
  }

  /** Not for memory sockets: throws `NYOTA_INVALID_ARGUMENT`. `network.createConnection` makes a new one. */
  connect(): this {
    throw new NyotaError(
      'NYOTA_INVALID_ARGUMENT',
      'a memory socket can not connect again: network.createConnection() makes a new one',
    );
  }

  /** Ends, and destroys once everything written is on its way. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Destroys as by a RST: the other end gets ECONNRESET, and what was on its way to it is lost. */
  resetAndDestroy(): this {
    if (!this.destroyed) this.#attachment?.outward.reset();
    return this.destroy();
  }

  /** Emits 'timeout' after `timeoutMs` milliseconds without a byte in or out; 0 turns it off. Real time. */
  setTimeout(timeoutMs: number, callback?: () => void): this {
    this.timeout = timeoutMs;
    if (callback !== undefined) {
      if (timeoutMs > 0) this.once('timeout', callback);
      else this.removeListener('timeout', callback);
    }
    this.#touch();
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  /** Nothing to hold: memory keeps no process alive. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** For the network: the connection is there. 'connect' is emitted by whoever calls this. */
  attach(attachment: MemoryAttachment): void {
    this.#attachment = attachment;
    const { localPort, remotePort } = attachment;
    if (localPort !== undefined)
      Object.assign(this, { localAddress: ADDRESS, localFamily: FAMILY, localPort });
    if (remotePort !== undefined)
      Object.assign(this, { remoteAddress: ADDRESS, remoteFamily: FAMILY, remotePort });
    this.#touch();
    const resume = this.#whenAttached;
    this.#whenAttached = undefined;
    resume?.();
  }

  receive(bytes: Buffer): boolean {
    this.#bytesRead += bytes.length;
    this.#touch();
    return this.push(bytes);
  }

  receiveEnd(): void {
    this.push(null);
    // Where nothing is left to read, the reader must be asked once more to see the end, as a net.Socket does it.
    if (this.readableLength === 0) this.read(0);
  }

  receiveReset(): void {
    this.destroy(connectionReset());
  }

  override _read(): void {
    this.#attachment?.inward.want();
  }

  override _write(
    chunk: Uint8Array,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#writing = callback;
    this.#attached((outward) => {
      this.#touch();
      outward.write(chunk, () => {
        this.#writing = undefined;
        this.#bytesAccepted += chunk.length;
        callback();
      });
    });
  }

  override _final(callback: () => void): void {
    this.#attached((outward) => {
      outward.finish();
      callback();
    });
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearTimeout(this.#idleTimer);
    this.#whenAttached = undefined;
    this.#attachment?.outward.finish();
    this.#attachment?.inward.want(); // what is still on its way here has to find out that nobody is
    const writing = this.#writing;
    this.#writing = undefined;
    writing?.(error ?? systemError('ECANCELED', { syscall: 'write' }));
    callback(error);
    nextTick(() => this.emit('close', error !== null));
  }

  /** Now, or once the connection is there. */
  #attached(fn: (outward: MemoryLane) => void): void {
    const attachment = this.#attachment;
    if (attachment !== undefined) fn(attachment.outward);
    else this.#whenAttached = () => this.#attached(fn);
  }

  #touch(): void {
    clearTimeout(this.#idleTimer);
    if (!this.timeout || this.destroyed) return;
    this.#idleTimer = setTimeout(() => this.emit('timeout'), this.timeout);
    this.#idleTimer.unref();
  }
}

/** Where a connection goes, and how much each direction of it holds. */
export interface JoinOptions {
  readonly target: number | string;
  readonly clientPort: number | undefined;
  readonly capacityBytes: number;
}

/** Makes a connection of two ends that have none. The 'connect' events are the caller's to emit. */
export function joinSockets(
  client: MemorySocket,
  server: MemorySocket,
  { target, clientPort, capacityBytes }: JoinOptions,
): MemoryConnection {
  const lanes: Record<OneWay, MemoryLane> = {
    up: new MemoryLane(server, capacityBytes, () => lanes.down.reset()),
    down: new MemoryLane(client, capacityBytes, () => lanes.up.reset()),
  };
  const lanesOf = (direction: Direction) => waysOf(direction).map((way) => lanes[way]);

  const connection: MemoryConnection = {
    client,
    server,
    target,
    cut(error) {
      for (const end of [client, server]) end.destroy(error ?? connectionReset());
    },
    stall(direction = 'both') {
      for (const lane of lanesOf(direction)) lane.stall();
    },
    unstall(direction = 'both') {
      for (const lane of lanesOf(direction)) lane.unstall();
    },
    slice(bytes) {
      checkCount('slice', bytes, 1);
      for (const lane of lanesOf('both')) lane.slice(bytes);
    },
    dropLink() {
      for (const lane of lanesOf('both')) lane.drop();
    },
    heal() {
      connection.unstall();
      connection.slice(Number.POSITIVE_INFINITY);
    },
  };

  const serverPort = typeof target === 'number' ? target : undefined;
  const clientSide = { localPort: clientPort, remotePort: serverPort };
  const serverSide = { localPort: serverPort, remotePort: clientPort };
  client.attach({ connection, outward: lanes.up, inward: lanes.down, ...clientSide });
  server.attach({ connection, outward: lanes.down, inward: lanes.up, ...serverSide });
  return connection;
}
