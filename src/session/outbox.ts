/**
 * The outbox of one direction of a session: every sequenced frame that the other side has not
 * acknowledged, as the bytes that go on the wire, and one cursor. Pure: knows no socket and no clock.
 *
 * Replay and live sends go the same way (DESIGN.md, rule 1): a new connection rewinds the cursor, and
 * `take` hands out bytes from there on. A second path lost messages in MQTT.js and in SignalR.
 *
 *   first                     cursor                          next
 *     v                         v                               v
 *     [ frame ][ frame ][ frame ][ frame ][ frame ]  …  (append)
 *     `---- sent, not acked ----´`---- not sent ---´
 *
 * Frames lie one after the other in segments, so that what one tick sends leaves as one piece, and so
 * that nothing retained pins a pool that belongs to somebody else. Frame boundaries are read from the
 * length prefixes; there is no object for each frame.
 */
import { NyotaError } from '../errors.js';
import { FrameType, LENGTH_BYTES, SEQUENCED_HEADER_BYTES } from '../protocol/constants.js';
import { writeSequencedHeader } from '../protocol/frame-encoder.js';

const FIRST_SEGMENT_BYTES = 1024;
const MAX_SEGMENT_BYTES = 64 * 1024;
/** A segment of up to this size is kept when all is acknowledged: request and reply in turn would allocate one each. */
const KEPT_SEGMENT_BYTES = 4 * 1024;

interface Segment {
  buffer: Buffer;
  /** Where the oldest retained frame begins. */
  start: number;
  /** Where the next frame would go. */
  end: number;
}

export interface OutboxLimits {
  readonly maxOutboxBytes: number;
  readonly maxOutboxFrames: number;
}

export class Outbox {
  readonly #limits: OutboxLimits;
  /** Oldest first. */
  #segments: Segment[] = [];
  #cursorSegment = 0;
  #cursorOffset = 0;
  #nextSegmentBytes = FIRST_SEGMENT_BYTES;
  #bytes = 0;
  #unsentBytes = 0;
  #firstSeq = 1;
  #nextSeq = 1;
  #cursorSeq = 1;
  #sentSeq = 0;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  /** Bytes retained: not yet acknowledged, sent or not. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Frames retained. */
  get frames(): number {
    return this.#nextSeq - this.#firstSeq;
  }

  /** Bytes behind the cursor: not handed to the current connection yet. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** The highest number ever handed to a connection. */
  get sentSeq(): number {
    return this.#sentSeq;
  }

  /** All numbers up to this one are acknowledged. */
  get ackedSeq(): number {
    return this.#firstSeq - 1;
  }

  /** The highest number given out. */
  get lastSeq(): number {
    return this.#nextSeq - 1;
  }

  /** The highest number that the current connection has been handed. */
  get cursorSeq(): number {
    return this.#cursorSeq - 1;
  }

  /**
   * Throws `NYOTA_OUTBOX_FULL` where a frame with such a payload would go over a limit. Asked before anything
   * is changed, so that a refused message leaves nothing behind.
   */
  assertRoom(payloadBytes: number): void {
    const bytes = this.#bytes + SEQUENCED_HEADER_BYTES + payloadBytes;
    if (this.frames < this.#limits.maxOutboxFrames && bytes <= this.#limits.maxOutboxBytes) return;
    throw new NyotaError(
      'NYOTA_OUTBOX_FULL',
      `the outbox holds ${this.frames} messages and ${this.#bytes} bytes that the other side has not acknowledged ` +
        `(limits: ${this.#limits.maxOutboxFrames} and ${this.#limits.maxOutboxBytes}); wait for 'drain' when send returns false`,
    );
  }

  /** True once frames that may not be refused have gone over the limits by half: the other side takes nothing. */
  get overflowing(): boolean {
    return (
      this.frames > this.#limits.maxOutboxFrames * 1.5 || this.#bytes > this.#limits.maxOutboxBytes * 1.5
    );
  }

  /**
   * Adds a frame and returns its number. The payload is copied. Limits are the caller's business (`assertRoom`):
   * replies and store results must go out even where a user's message would be refused.
   */
  append(type: FrameType, flags: number, payload: Uint8Array): number {
    const seq = this.#nextSeq++;
    const size = SEQUENCED_HEADER_BYTES + payload.length;
    const segment = this.#room(size);
    writeSequencedHeader(segment.buffer, segment.end, payload.length, type, flags, seq);
    segment.buffer.set(payload, segment.end + SEQUENCED_HEADER_BYTES);
    segment.end += size;
    this.#bytes += size;
    this.#unsentBytes += size;
    return seq;
  }

  /** The next piece for the connection, whole frames only; undefined when all has been handed out. */
  take(): Buffer | undefined {
    let segment = this.#segments[this.#cursorSegment];
    while (segment !== undefined && this.#cursorOffset === segment.end) {
      if (this.#cursorSegment === this.#segments.length - 1) return undefined;
      segment = this.#segments[++this.#cursorSegment];
      this.#cursorOffset = segment?.start ?? 0;
    }
    if (segment === undefined) return undefined;
    const piece = segment.buffer.subarray(this.#cursorOffset, segment.end);
    this.#cursorOffset = segment.end;
    this.#unsentBytes -= piece.length;
    this.#cursorSeq = this.#unsentBytes === 0 ? this.#nextSeq : this.#cursorSeq + countFrames(piece);
    if (this.#cursorSeq - 1 > this.#sentSeq) this.#sentSeq = this.#cursorSeq - 1;
    return piece;
  }

  /** Forgets all frames up to `seq`. The caller has checked that `seq` was sent. Returns how many were forgotten. */
  acknowledge(seq: number): number {
    let left = seq - this.ackedSeq;
    if (left <= 0) return 0;
    const forgotten = left;
    if (seq === this.lastSeq && this.#unsentBytes === 0) {
      this.#reset();
      return forgotten;
    }
    let index = 0;
    for (; left > 0; index++) {
      const segment = this.#segments[index];
      if (segment === undefined) break;
      while (left > 0 && segment.start < segment.end) {
        const size = frameSize(segment.buffer, segment.start);
        segment.start += size;
        this.#bytes -= size;
        left--;
      }
      if (segment.start < segment.end) break;
    }
    this.#firstSeq = seq + 1;
    // Whole segments go at once, so a long queue costs one shift for 64 KiB, not one for each frame.
    if (index > 0) {
      this.#segments.splice(0, index);
      this.#cursorSegment -= index;
      if (this.#cursorSegment < 0) {
        this.#cursorSegment = 0;
        this.#cursorOffset = this.#segments[0]?.start ?? 0;
      }
    }
    return forgotten;
  }

  /** Moves the cursor so that the frame after `seq` is the next one. For a new connection. */
  rewind(seq: number): void {
    this.#cursorSegment = 0;
    this.#cursorOffset = this.#segments[0]?.start ?? 0;
    this.#unsentBytes = this.#bytes;
    this.#cursorSeq = this.#firstSeq;
    while (this.#cursorSeq <= seq && this.#cursorSeq < this.#nextSeq) {
      const segment = this.#segments[this.#cursorSegment];
      if (segment === undefined) break;
      if (this.#cursorOffset === segment.end) {
        this.#cursorSegment++;
        this.#cursorOffset = this.#segments[this.#cursorSegment]?.start ?? 0;
        continue;
      }
      const size = frameSize(segment.buffer, this.#cursorOffset);
      this.#cursorOffset += size;
      this.#unsentBytes -= size;
      this.#cursorSeq++;
    }
  }

  /**
   * Takes the content out of a frame that no connection has seen; its number goes out as an empty SKIP, so
   * that the other side finds no gap. False where it has been sent already.
   */
  withdraw(seq: number): boolean {
    if (seq <= this.#sentSeq || seq > this.lastSeq) return false;
    const found = this.#find(seq);
    if (found === undefined) return false;
    const { segment, offset } = found;
    const size = frameSize(segment.buffer, offset);
    const freed = size - SEQUENCED_HEADER_BYTES;
    writeSequencedHeader(segment.buffer, offset, 0, FrameType.SKIP, 0, seq);
    // Frames behind it in the same segment move up; they are unsent as well, and no connection holds their bytes.
    segment.buffer.copyWithin(offset + SEQUENCED_HEADER_BYTES, offset + size, segment.end);
    segment.end -= freed;
    if (freed > MAX_SEGMENT_BYTES) segment.buffer = Buffer.from(segment.buffer.subarray(0, segment.end));
    this.#bytes -= freed;
    this.#unsentBytes -= freed;
    return true;
  }

  /** Each retained frame, whole, oldest first. The views are valid until the outbox is changed. */
  forEach(visit: (seq: number, frame: Buffer) => void): void {
    let seq = this.#firstSeq;
    for (const segment of [...this.#segments]) {
      for (let offset = segment.start; offset < segment.end; seq++) {
        const size = frameSize(segment.buffer, offset);
        visit(seq, segment.buffer.subarray(offset, offset + size));
        offset += size;
      }
    }
  }

  /** The same, of those that no connection has seen. */
  forEachUnsent(visit: (seq: number, frame: Buffer) => void): void {
    this.forEach((seq, frame) => {
      if (seq > this.#sentSeq) visit(seq, frame);
    });
  }

  /** Empties it and begins at number 1 again, for a new session. */
  clear(): void {
    // Not kept: an old connection may still hold the bytes.
    this.#segments = [];
    this.#nextSeq = 1;
    this.#sentSeq = 0;
    this.#reset();
  }

  #room(size: number): Segment {
    const last = this.#segments[this.#segments.length - 1];
    if (last !== undefined && last.buffer.length - last.end >= size) return last;
    const segment: Segment = {
      buffer: Buffer.allocUnsafeSlow(Math.max(size, this.#nextSegmentBytes)),
      start: 0,
      end: 0,
    };
    this.#nextSegmentBytes = Math.min(this.#nextSegmentBytes * 2, MAX_SEGMENT_BYTES);
    this.#segments.push(segment);
    return segment;
  }

  #find(seq: number): { segment: Segment; offset: number } | undefined {
    let at = this.#firstSeq;
    for (const segment of this.#segments) {
      for (let offset = segment.start; offset < segment.end; at++) {
        if (at === seq) return { segment, offset };
        offset += frameSize(segment.buffer, offset);
      }
    }
    return undefined;
  }

  /** Nothing is retained any more. An idle session keeps a small segment at most. */
  #reset(): void {
    const last = this.#segments[this.#segments.length - 1];
    if (last !== undefined && last.buffer.length <= KEPT_SEGMENT_BYTES) {
      last.start = 0;
      last.end = 0;
      this.#segments = [last];
    } else {
      this.#segments = [];
    }
    this.#cursorSegment = 0;
    this.#cursorOffset = 0;
    this.#nextSegmentBytes = Math.max(FIRST_SEGMENT_BYTES, this.#nextSegmentBytes / 2);
    this.#bytes = 0;
    this.#unsentBytes = 0;
    this.#firstSeq = this.#nextSeq;
    this.#cursorSeq = this.#nextSeq;
  }
}

function frameSize(buffer: Buffer, offset: number): number {
  return LENGTH_BYTES + buffer.readUInt32BE(offset);
}

function countFrames(piece: Buffer): number {
  let frames = 0;
  for (let offset = 0; offset < piece.length; offset += frameSize(piece, offset)) frames++;
  return frames;
}
