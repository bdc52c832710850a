/**
 * Bytes to frames: a cursor over the chunks of one connection. Pure; knows nothing of what a frame means.
 *
 * A frame inside one chunk is not copied and no object is made for it: `next()` moves on and the fields
 * tell what is there. Only the bytes of a frame that is not whole yet are kept: large chunks as they are, everything else in
 * a buffer that grows by doubling with what has really arrived. So a peer that claims a large frame and sends
 * little makes us hold little, and tiny chunks (each a Buffer of its own, some 200 bytes of heap) are not held at all.
 */
import { NyotaError } from '../errors.js';
import { Flag, LENGTH_BYTES, SEQ_BYTES } from './constants.js';
import { readSeq } from './frame-encoder.js';

/** Type and flags. */
const LEAST_LENGTH = 2;
/** The first size of the buffer for a partial frame; most frames are smaller. */
const FIRST_KEPT_BYTES = 512;
/** A chunk with so much of a partial frame is kept itself, and copied once: when the frame is whole. */
const LARGE_CHUNK_BYTES = 16 * 1024;
const NOTHING = Buffer.alloc(0);

/**
 * ```ts
 * decoder.push(chunk);
 * while (decoder.next()) handle(decoder.type, decoder.source, decoder.start, decoder.end);
 * ```
 */
export class FrameDecoder {
  /** What `length` may be at most, in bytes. May be set between frames; holds from the next frame on. */
  maxFrameBytes: number;
  /** The current frame, valid after `next()` said true until it is called again. */
  type = 0;
  flags = 0;
  /** The sequence number; 0 if the frame has none. */
  seq = 0;
  /** The cumulative ack; -1 if the frame has none. */
  ack = -1;
  /** The body is `source[start..end)`. Memory of the chunk: copy what is to be kept. */
  source: Buffer = NOTHING;
  start = 0;
  end = 0;
  /** The frame was put together in memory that nothing else is in, and nobody writes to any more: a view may be kept. */
  own = false;

  #chunk: Buffer = NOTHING;
  #at = 0;
  /** Chunks pushed before the one at hand was used up; used from `#waitingAt` on. */
  #waiting: Buffer[] = [];
  #waitingAt = 0;
  /** What was kept before `#kept`, in order; each is full. */
  #parts: Buffer[] | undefined;
  #kept: Buffer = NOTHING;
  /** How much of `#kept` is in use. */
  #used = 0;
  /** All of the partial frame that is here. */
  #keptBytes = 0;
  /** Bytes of the whole partial frame with its length field; 0 while that is not known. */
  #neededBytes = 0;
  #failure: NyotaError | undefined;

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes;
  }

  /** Bytes kept of a frame that is not whole yet (after `next()` said false, that is all that is held). */
  get partialBytes(): number {
    return this.#keptBytes;
  }

  /** Hands in the next bytes of the stream. Nothing is looked at before `next()`; the chunk is not copied. */
  push(chunk: Buffer): void {
    if (this.#failure !== undefined || chunk.length === 0) return;
    if (this.#at === this.#chunk.length) {
      this.#chunk = chunk;
      this.#at = 0;
    } else {
      this.#waiting.push(chunk);
    }
  }

  /**
   * Moves to the next whole frame; false when there is none yet.
   *
   * @throws NyotaError `NYOTA_PROTOCOL_ERROR` for a length above `maxFrameBytes` or too small for its flags;
   *   from then on every call throws the same error
   */
  next(): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    for (;;) {
      const chunk = this.#chunk;
      const available = chunk.length - this.#at;
      if (available === 0) {
        if (!this.#nextChunk()) return false;
      } else if (this.#keptBytes > 0) {
        if (this.#completeKept(available)) return true;
      } else {
        if (available >= LENGTH_BYTES) {
          const needed = LENGTH_BYTES + this.#checkedLength(chunk, this.#at);
          if (available >= needed) {
            const from = this.#at;
            this.#at += needed;
            this.#readFrame(chunk, from, from + needed);
            return true;
          }
          this.#neededBytes = needed;
        }
        this.#keep(available);
      }
    }
  }

  #nextChunk(): boolean {
    const chunk = this.#waiting[this.#waitingAt];
    // Nothing may hold on to a chunk that is used up: an idle connection would keep up to 64 KiB.
    if (chunk === undefined) {
      this.#chunk = NOTHING;
      this.#at = 0;
      this.source = NOTHING;
      this.start = 0;
      this.end = 0;
      return false;
    }
    this.#waitingAt++;
    if (this.#waitingAt === this.#waiting.length) {
      this.#waiting = [];
      this.#waitingAt = 0;
    }
    this.#chunk = chunk;
    this.#at = 0;
    return true;
  }

  /** Adds to the partial frame what it lacks; true when that makes it whole. */
  #completeKept(available: number): boolean {
    if (this.#neededBytes === 0) {
      this.#keep(Math.min(available, LENGTH_BYTES - this.#keptBytes));
      if (this.#keptBytes < LENGTH_BYTES) return false;
      this.#neededBytes = LENGTH_BYTES + this.#checkedLength(this.#kept, 0);
      return false;
    }
    this.#keep(Math.min(available, this.#neededBytes - this.#keptBytes));
    if (this.#keptBytes < this.#neededBytes) return false;
    const frame = this.#wholeFrame();
    const bytes = this.#neededBytes;
    this.#parts = undefined;
    this.#kept = NOTHING;
    this.#used = 0;
    this.#keptBytes = 0;
    this.#neededBytes = 0;
    this.#readFrame(frame, 0, bytes);
    this.own = true;
    return true;
  }

  #wholeFrame(): Buffer {
    if (this.#parts === undefined) return this.#kept;
    const frame = Buffer.allocUnsafeSlow(this.#neededBytes);
    let at = 0;
    for (const part of this.#parts) at += part.copy(frame, at);
    this.#kept.copy(frame, at, 0, this.#used);
    return frame;
  }

  /** Moves `bytes` of a partial frame from the chunk to what is kept. */
  #keep(bytes: number): void {
    // The length at the front is read from `#kept`.
    if (bytes >= LARGE_CHUNK_BYTES && this.#neededBytes > 0) this.#keepChunk(bytes);
    else this.#copy(bytes);
    this.#keptBytes += bytes;
    this.#at += bytes;
  }

  #keepChunk(bytes: number): void {
    this.#parts ??= [];
    if (this.#used > 0) this.#parts.push(this.#kept.subarray(0, this.#used));
    this.#kept = NOTHING;
    this.#used = 0;
    this.#parts.push(this.#chunk.subarray(this.#at, this.#at + bytes));
  }

  #copy(bytes: number): void {
    const total = this.#used + bytes;
    if (total > this.#kept.length) {
      const lacking = this.#neededBytes - this.#keptBytes + this.#used;
      let size = Math.max(FIRST_KEPT_BYTES, 2 * this.#kept.length, total);
      if (this.#neededBytes > 0 && 2 * size > lacking) size = Math.max(lacking, total);
      const grown = Buffer.allocUnsafeSlow(size);
      this.#kept.copy(grown, 0, 0, this.#used);
      this.#kept = grown;
    }
    this.#chunk.copy(this.#kept, this.#used, this.#at, this.#at + bytes);
    this.#used = total;
  }

  #checkedLength(source: Buffer, offset: number): number {
    const length = source.readUInt32BE(offset);
    if (length > this.maxFrameBytes) {
      this.#fail(`a frame of ${length} bytes, above the limit of ${this.maxFrameBytes} (maxFrameBytes)`);
    }
    if (length < LEAST_LENGTH) this.#fail(`a frame of ${length} bytes, too short for its type and flags`);
    return length;
  }

  #readFrame(source: Buffer, from: number, end: number): void {
    const flags = source[from + LENGTH_BYTES + 1] as number;
    let at = from + LENGTH_BYTES + LEAST_LENGTH;
    let seq = 0;
    let ack = -1;
    const headerEnd =
      at + ((flags & Flag.SEQ) !== 0 ? SEQ_BYTES : 0) + ((flags & Flag.ACK) !== 0 ? SEQ_BYTES : 0);
    if (headerEnd > end) {
      this.#fail(
        `a frame of ${end - from - LENGTH_BYTES} bytes, too short for its flags 0x${flags.toString(16)}`,
      );
    }
    if ((flags & Flag.SEQ) !== 0) {
      seq = readSeq(source, at);
      at += SEQ_BYTES;
    }
    if ((flags & Flag.ACK) !== 0) ack = readSeq(source, at);
    this.type = source[from + LENGTH_BYTES] as number;
    this.flags = flags;
    this.seq = seq;
    this.ack = ack;
    this.source = source;
    this.start = headerEnd;
    this.end = end;
    this.own = false;
  }

  /** The stream can't be read on: lets go of everything and remembers why. */
  #fail(text: string): never {
    this.#failure = new NyotaError('NYOTA_PROTOCOL_ERROR', text);
    this.#chunk = NOTHING;
    this.#at = 0;
    this.#waiting = [];
    this.#waitingAt = 0;
    this.#parts = undefined;
    this.#kept = NOTHING;
    this.#used = 0;
    this.#keptBytes = 0;
    this.source = NOTHING;
    this.start = 0;
    this.end = 0;
    throw this.#failure;
  }
}
