/**
 * One socket as a stream of frames: preamble, decoder, writes, and the end of it. Knows nothing of sessions.
 *
 *   start -> preamble -> frames ... -> closing (our last frame is out, we wait for their end) -> closed
 *
 * Every socket has its error listener from the first moment, and after `closed` nothing is called any more.
 */
import type { Duplex } from 'node:stream';
import type { Clock, ClockTimer } from '../clock.js';
import { NyotaError } from '../errors.js';
import { PREAMBLE_BYTES } from '../wire/constants.js';
import { FrameDecoder } from '../wire/frame-decoder.js';
import { encodePreamble, negotiateVersion, parsePreamble } from '../wire/preamble.js';

/** What a socket must have; `net.Socket` and `tls.TLSSocket` have it, and so has a Duplex in a test. */
export type SocketLike = Duplex & {
  readonly remoteAddress?: string | undefined;
  setNoDelay?(noDelay?: boolean): unknown;
  ref?(): unknown;
  unref?(): unknown;
};

/** Who reads a connection at the moment: the handshake first, the session then. */
export interface ConnectionReader {
  /** Bytes have arrived. False drops them: nobody wants them any more. */
  chunkStart?(bytes: number): boolean;
  /** A whole frame, as the decoder shows it; valid during the call. What it throws ends the connection. */
  frame(frame: FrameDecoder): void;
  chunkEnd?(): void;
  /** The socket takes more after it had refused. */
  writable?(): void;
  /** What to tell the other side when this error ends the connection. */
  lastWords?(error: NyotaError): Buffer | undefined;
  /**
   * It is over: nothing goes in or out any more, though the socket may still be flushing our last frame.
   * `error`: what this side or the socket found wrong; undefined for a clean end. Called once.
   */
  closed(error: NyotaError | undefined): void;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly maxFrameBytes: number;
  /** How long a frame may stay partial, or written bytes unread, until `overdue` says so. */
  readonly stallTimeoutMs: number;
}

/** While so many bytes wait in the socket nothing more is written, unless the socket's own high-water mark is higher. */
const WRITE_AHEAD_BYTES = 256 * 1024;
/** How long a closing connection waits for the other side's end before it is cut. */
const LINGER_MS = 1_000;

const NOTHING: Buffer = Buffer.alloc(0);

type Phase = 'preamble' | 'frames' | 'closing' | 'closed';

export class Connection {
  readonly socket: SocketLike;
  readonly decoder: FrameDecoder;
  readonly #options: ConnectionOptions;
  #reader: ConnectionReader;
  /** At least the socket's own high-water mark: a socket emits 'drain' only after it was above that. */
  readonly #writeAheadBytes: number;
  #phase: Phase = 'preamble';
  /** The part of the preamble that has arrived; empty once it is whole. */
  #preamble = NOTHING;
  #bytesRead = 0;
  /** Frames are left in the decoder until `release`. */
  #held = false;
  #reading = true;
  #processing = false;
  #blockedSince = Number.POSITIVE_INFINITY;
  #partialSince = Number.POSITIVE_INFINITY;
  #rest: Buffer | undefined;
  #linger: ClockTimer | undefined;
  #failure: NyotaError | undefined;

  constructor(socket: SocketLike, reader: ConnectionReader, options: ConnectionOptions) {
    this.socket = socket;
    this.#reader = reader;
    this.#options = options;
    this.#writeAheadBytes = Math.max(WRITE_AHEAD_BYTES, socket.writableHighWaterMark);
    this.decoder = new FrameDecoder(options.maxFrameBytes);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    socket.on('data', this.#onData);
    socket.setNoDelay?.(true);
    // Written at once: a socket that is still connecting keeps it.
    socket.write(encodePreamble());
  }

  get closed(): boolean {
    return this.#phase === 'closed';
  }

  /** Alive: frames go in and out. */
  get open(): boolean {
    return this.#phase === 'preamble' || this.#phase === 'frames';
  }

  /** All that has been read so far. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** True while another `write` is welcome. */
  get canWrite(): boolean {
    return this.open && this.#rest === undefined && this.socket.writableLength < this.#writeAheadBytes;
  }

  /** Hands the connection over: what arrives from now on goes to this reader. */
  read(reader: ConnectionReader): void {
    this.#reader = reader;
  }

  /** Stops reading, and keeps the frames that have arrived: the handshake has to decide first. */
  hold(): void {
    this.#held = true;
    this.socket.pause();
  }

  /** Goes on where `hold` stopped. */
  release(): void {
    this.#held = false;
    if (this.#reading) this.socket.resume();
    this.#process();
  }

  /** Stops or starts reading; TCP's window does the rest. */
  setReading(reading: boolean): void {
    this.#reading = reading;
    // A frame that stays partial while we do not read is no stall.
    this.#partialSince = Number.POSITIVE_INFINITY;
    if (reading) this.#notePartial(true);
    if (reading && !this.#held) this.socket.resume();
    else this.socket.pause();
  }

  /** Writes a piece. A large one goes in slices, so that a reader who is slow but reads can be told from a dead one. */
  write(piece: Buffer): void {
    if (!this.open) return;
    if (piece.length <= this.#writeAheadBytes) this.socket.write(piece);
    else this.#writeSlices(piece);
    if (!this.canWrite && this.#blockedSince === Number.POSITIVE_INFINITY) {
      this.#blockedSince = this.#options.clock.now();
    }
  }

  #writeSlices(piece: Buffer): void {
    let rest = piece;
    while (rest.length > 0) {
      const slice = rest.subarray(0, this.#writeAheadBytes);
      rest = rest.subarray(slice.length);
      // True: the system has taken all of it at once, and no 'drain' will follow.
      if (!this.socket.write(slice)) break;
    }
    if (rest.length > 0) this.#rest = rest;
  }

  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
  }

  /** Resolves once the socket is closed. */
  whenClosed(): Promise<void> {
    if (this.socket.closed) return Promise.resolve();
    return new Promise((resolve) => this.socket.once('close', () => resolve()));
  }

  /** When `overdue` may become true by time alone; Infinity if nothing hangs. */
  get nextDeadline(): number {
    return Math.min(this.#blockedSince, this.#partialSince) + this.#options.stallTimeoutMs;
  }

  /** What has hung for too long: a frame that stays partial, or bytes that the other side doesn't read. */
  overdue(now: number, peerPaused: boolean): NyotaError | undefined {
    const { stallTimeoutMs } = this.#options;
    if (now >= this.#partialSince + stallTimeoutMs) {
      return new NyotaError('NYOTA_STALLED', `a frame stayed partial for ${stallTimeoutMs} ms`);
    }
    if (now < this.#blockedSince + stallTimeoutMs) return undefined;
    if (!peerPaused)
      return new NyotaError('NYOTA_STALLED', `the other side read nothing for ${stallTimeoutMs} ms`);
    this.#blockedSince = now;
    return undefined;
  }

  /** Writes `last` and ends: what was written goes out, then the socket closes. The reader's `closed` is called at once. */
  end(last: Buffer | undefined, error?: NyotaError): void {
    if (!this.open) return;
    if (this.#rest !== undefined) {
      // A frame is half written, so no other frame can follow it.
      this.destroy(error);
      return;
    }
    this.#phase = 'closing';
    if (last !== undefined) this.socket.write(last);
    this.socket.end();
    // Their bytes are read and thrown away: unread ones would turn our end into a reset, and our last frame might be lost.
    this.socket.resume();
    this.#linger = this.#options.clock.setTimeout(() => this.socket.destroy(), LINGER_MS);
    this.#linger.unref?.();
    this.#reader.closed(error);
  }

  /** Cuts the connection. `closed` is called at once. */
  destroy(error?: NyotaError): void {
    this.socket.destroy();
    this.#gone(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytesRead += chunk.length;
    if (this.#phase === 'preamble') this.#takePreamble(chunk);
    else if (this.#phase === 'frames') this.#takeChunk(chunk);
  };

  #takePreamble(chunk: Buffer): void {
    const bytes = this.#preamble.length === 0 ? chunk : Buffer.concat([this.#preamble, chunk]);
    try {
      const theirs = parsePreamble(bytes);
      if (theirs === undefined) {
        this.#preamble = bytes;
        return;
      }
      negotiateVersion(theirs);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#phase = 'frames';
    this.#preamble = NOTHING;
    if (bytes.length > PREAMBLE_BYTES) this.#takeChunk(bytes.subarray(PREAMBLE_BYTES));
  }

  #takeChunk(chunk: Buffer): void {
    if (this.#reader.chunkStart?.(chunk.length) === false) return;
    this.decoder.push(chunk);
    this.#process();
  }

  #process(): void {
    // A reader may call `release` or `hold` while it has a frame: the loop that is running sees it.
    if (this.#processing) return;
    this.#processing = true;
    let frames = 0;
    try {
      while (!this.#held && this.#phase === 'frames' && this.decoder.next()) {
        frames++;
        this.#reader.frame(this.decoder);
      }
      this.#notePartial(frames > 0);
      if (this.open) this.#reader.chunkEnd?.();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#processing = false;
    }
  }

  #notePartial(progress: boolean): void {
    if (this.decoder.partialBytes === 0 || !this.#reading) this.#partialSince = Number.POSITIVE_INFINITY;
    else if (progress || this.#partialSince === Number.POSITIVE_INFINITY) {
      this.#partialSince = this.#options.clock.now();
    }
  }

  readonly #onDrain = (): void => {
    this.#blockedSince = Number.POSITIVE_INFINITY;
    const rest = this.#rest;
    if (rest !== undefined) {
      this.#rest = undefined;
      this.write(rest);
    }
    if (this.canWrite) this.#reader.writable?.();
  };

  /** The other side is done writing. Sessions need both directions, so this side is done as well. */
  readonly #onEnd = (): void => {
    if (this.open) this.destroy();
    else if (this.#phase === 'closing') this.socket.destroy();
  };

  readonly #onError = (error: Error): void => {
    this.#failure = new NyotaError('NYOTA_CONNECTION_LOST', `the connection broke: ${error.message}`, {
      cause: error,
    });
  };

  readonly #onClose = (): void => this.#gone(this.#failure);

  /** The other side did something that ends the connection: it is told what. */
  #fail(error: unknown): void {
    const known =
      error instanceof NyotaError
        ? error
        : new NyotaError('NYOTA_INTERNAL', 'reading the connection failed', { cause: error });
    this.end(this.#reader.lastWords?.(known), known);
  }

  #gone(error: NyotaError | undefined): void {
    if (this.#linger !== undefined) this.#options.clock.clearTimeout(this.#linger);
    this.#linger = undefined;
    const wasOpen = this.open;
    this.#phase = 'closed';
    if (wasOpen) this.#reader.closed(error);
  }
}
