/**
 * What this side sends and the other has not acknowledged: the frames' bytes, in order, and one cursor between what the
 * connection at hand has been given and what it has not. Knows no socket and no clock, and never looks at what frames say.
 *
 * Replay and live sends go the same way (docs/design.md, rule 1): a new connection rewinds the cursor, and `take` hands out
 * bytes from there on. A second path lost messages in MQTT.js and in SignalR.
 *
 *   first                     cursor                          next
 *     v                         v                               v
 *     [ frame ][ frame ][ frame ][ frame ][ frame ]  …  (append)
 *     `---- sent, not acked ----´`---- not sent ---´
 *
 * Frames lie one after the other in segments, so that what one tick sends leaves as one piece, and so that nothing retained
 * pins a pool that belongs to somebody else. Frame boundaries are read from the length prefixes; there is no object for each
 * frame. Below the class: segments, the memory of large frames that is used again, which frames a durable store has not been
 * handed, and how much may be held.
 */
import { claimMemory, encodePlain, encodePlainInto } from '../codec/plain-encoder.js';
import type { PayloadLimits } from '../codec/scan.js';
import { NyotaError } from '../errors.js';
import { FrameType, LENGTH_BYTES, SEQUENCED_HEADER_BYTES } from '../wire/constants.js';
import { encodeFrame, writeSequencedHeader } from '../wire/frame-encoder.js';
import type { StoredFrame } from './persisted.js';

/** Small, since every idle session that has ever sent something keeps one. */
const FIRST_SEGMENT_BYTES = 256;
const MAX_SEGMENT_BYTES = 64 * 1024;
/**
 * A segment of up to this size is kept when all is acknowledged: otherwise requests and replies in turn would allocate one
 * each.
 */
const KEPT_SEGMENT_BYTES = 4 * 1024;
/** Spare memory: as much as a sender of large messages keeps under way, and no more. */
const MOST_SPARE_BYTES = 4 * 1024 * 1024;

export interface OutboxLimits {
  readonly maxOutboxBytes: number;
  readonly maxOutboxFrames: number;
}

interface Segment {
  buffer: Buffer;
  /** Where the oldest retained frame begins. */
  start: number;
  /** Where the next frame would go. */
  end: number;
  /** A connection before the current one may hold its bytes. */
  lent?: true;
  /** A payload is being encoded behind its end: nothing else is put there. */
  draft?: boolean | undefined;
}

/** A payload for a frame: its bytes, or how many there are if they are in their place already. */
export type Body = Uint8Array | number;

export function bytesOf(body: Body): number {
  return typeof body === 'number' ? body : body.length;
}

export class Outbox {
  readonly #room: OutboxRoom;
  /** Oldest first. */
  readonly #segments: Segment[] = [];
  #cursorSegment = 0;
  #cursorOffset = 0;
  #nextSegmentBytes = FIRST_SEGMENT_BYTES;
  #bytes = 0;
  #unsentBytes = 0;
  #firstSeq = 1;
  #nextSeq = 1;
  #cursorSeq = 1;
  #sentSeq = 0;
  /** Frames with higher numbers are not handed out: with a durable store they are not committed yet. */
  #releasedSeq = Number.POSITIVE_INFINITY;
  /** While the outbox is shut: up to which number `open` will release it. */
  #shutAt: number | undefined;
  readonly #uncommitted = new Uncommitted();
  /** Made when first needed: most sessions send nothing large. */
  #spare: SpareMemory | undefined;

  constructor(limits: OutboxLimits) {
    this.#room = new OutboxRoom(limits);
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
    this.#room.assert(this.frames, this.#bytes, SEQUENCED_HEADER_BYTES + payloadBytes);
  }

  /**
   * True once frames that may not be refused have gone over the limits by half: the other side takes nothing (docs/design.md,
   * rule 66).
   */
  get overflowing(): boolean {
    return this.#room.isOver(this.frames, this.#bytes);
  }

  /** What is in it now came from the session before. It may be more than the limits allow, which is no sign of overflowing. */
  markStart(): void {
    this.#room.started(this.frames, this.#bytes);
  }

  /** Encodes plain data for `append`, called next, which makes a frame of it; see `encodeBehind`. */
  encode(value: unknown, limits: PayloadLimits): Body | undefined {
    return encodeBehind(this.#segments, value, limits);
  }

  /**
   * Adds a frame and returns its number. The payload is copied, or where it is large its memory taken over, or it is in its
   * place already. The caller checks the limits (`assertRoom`): replies and store results must go out even where a user's
   * message would be refused.
   */
  append(type: number, flags: number, payload: Body): number {
    const seq = this.#nextSeq++;
    const length = bytesOf(payload);
    const size = SEQUENCED_HEADER_BYTES + length;
    const segment = this.#segmentOf(payload, size);
    writeSequencedHeader(segment.buffer, segment.end, length, type, flags, seq);
    segment.end += size;
    this.#bytes += size;
    this.#unsentBytes += size;
    if (size > MAX_SEGMENT_BYTES) this.#prepareLarge();
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
    const end = this.#releasedSeq >= this.lastSeq ? segment.end : this.#releasedEnd(segment);
    if (end === this.#cursorOffset) return undefined;
    const piece = segment.buffer.subarray(this.#cursorOffset, end);
    this.#cursorOffset = end;
    this.#unsentBytes -= piece.length;
    this.#cursorSeq = this.#unsentBytes === 0 ? this.#nextSeq : this.#cursorSeq + countFrames(piece);
    if (this.#cursorSeq - 1 > this.#sentSeq) this.#sentSeq = this.#cursorSeq - 1;
    return piece;
  }

  /** Forgets all frames up to `seq`. The caller has checked that `seq` was sent. Returns how many were forgotten. */
  acknowledge(seq: number): number {
    let left = seq - this.ackedSeq;
    if (left <= 0) return 0;
    this.#room.acknowledged(left);
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
      const gone = this.#segments.splice(0, index);
      this.#spare?.keep(gone, MAX_SEGMENT_BYTES);
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
    this.#room.attached(this.frames, this.#bytes);
    // The socket of the connection before this one may still hold these bytes: nothing is written over them.
    for (const segment of this.#segments) segment.lent = true;
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
   * that the other side finds no gap. False if it has been sent already.
   */
  withdraw(seq: number): boolean {
    if (seq <= this.#sentSeq || seq > this.lastSeq) return false;
    const found = findFrame(this.#segments, this.#firstSeq, seq);
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
    this.#uncommitted.withdrawn(seq, segment, freed);
    return true;
  }

  /** Hands nothing out any more that is not released: for a session that is kept in a durable store. */
  holdBack(): void {
    this.#releasedSeq = 0;
  }

  /** All up to `seq` may be handed out. */
  release(seq: number): void {
    if (this.#shutAt === undefined) this.#releasedSeq = Math.max(this.#releasedSeq, seq);
    else this.#shutAt = Math.max(this.#shutAt, seq);
  }

  /** Hands out nothing at all until `open`, whatever is released meanwhile. */
  shut(): void {
    this.#shutAt ??= this.#releasedSeq;
    this.#releasedSeq = 0;
  }

  open(): void {
    if (this.#shutAt !== undefined) this.#releasedSeq = this.#shutAt;
    this.#shutAt = undefined;
  }

  /** Frames that were taken in and that no store has: they are lost with their process (docs/design.md, rule 24). */
  get unstored(): number {
    return Math.max(0, this.lastSeq - this.#releasedSeq);
  }

  /** Bytes behind the cursor that may be handed out now. */
  get ready(): boolean {
    return this.#unsentBytes > 0 && this.#cursorSeq <= this.#releasedSeq;
  }

  /** True if `takeUncommitted` has something. */
  get hasUncommitted(): boolean {
    return this.#uncommitted.has(this.lastSeq);
  }

  /** The frames, as copies, that were added or withdrawn since the last call: for a durable store. */
  takeUncommitted(): StoredFrame[] {
    return this.#uncommitted.take(this.#segments, this.ackedSeq);
  }

  /**
   * Takes over what a store has kept: the frames after `acked`, rising and without a hole, up to `lastSeq`.
   * All of them may have been sent by the process before.
   */
  restore(acked: number, lastSeq: number, frames: Iterable<Uint8Array>): void {
    this.#firstSeq = acked + 1;
    this.#cursorSeq = acked + 1;
    for (const frame of frames) {
      const segment = this.#segmentFor(frame.length);
      segment.buffer.set(frame, segment.end);
      segment.end += frame.length;
      this.#bytes += frame.length;
      this.#unsentBytes += frame.length;
    }
    this.#nextSeq = lastSeq + 1;
    this.#sentSeq = lastSeq;
    this.#releasedSeq = lastSeq;
    const last = this.#segments[this.#segments.length - 1];
    this.#uncommitted.startAt(lastSeq + 1, last, last?.end ?? 0);
  }

  /** Each retained frame, whole, oldest first. The views are valid until the outbox is changed. */
  forEach(visit: (seq: number, frame: Buffer) => void): void {
    visitFrames(this.#segments, this.#firstSeq, visit);
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
    this.#segments.length = 0;
    this.#nextSeq = 1;
    this.#sentSeq = 0;
    this.#room.started(0, 0);
    this.#uncommitted.startAt(1, undefined, 0);
    this.open();
    if (this.#releasedSeq !== Number.POSITIVE_INFINITY) this.#releasedSeq = 0;
    this.#reset();
  }

  #releasedEnd(segment: Segment): number {
    let end = this.#cursorOffset;
    for (let seq = this.#cursorSeq; end < segment.end && seq <= this.#releasedSeq; seq++) {
      end += frameSize(segment.buffer, end);
    }
    return end;
  }

  /** The segment that has the payload of a frame of that size in place: behind its end and room for the header. */
  #segmentOf(payload: Body, size: number): Segment {
    if (typeof payload === 'number') return this.#segments[this.#segments.length - 1] as Segment;
    const memory = payload.length > MAX_SEGMENT_BYTES ? claimMemory(payload) : undefined;
    if (memory !== undefined) {
      const segment: Segment = { buffer: memory, start: 0, end: 0 };
      this.#segments.push(segment);
      return segment;
    }
    const segment = this.#segmentFor(size);
    segment.buffer.set(payload, segment.end + SEQUENCED_HEADER_BYTES);
    return segment;
  }

  #segmentFor(size: number): Segment {
    const last = this.#segments[this.#segments.length - 1];
    if (last !== undefined && last.draft !== true && last.buffer.length - last.end >= size) return last;
    const segment: Segment = {
      buffer: Buffer.allocUnsafeSlow(Math.max(size, this.#nextSegmentBytes)),
      start: 0,
      end: 0,
    };
    this.#nextSegmentBytes = Math.min(this.#nextSegmentBytes * 2, MAX_SEGMENT_BYTES);
    this.#segments.push(segment);
    return segment;
  }

  /** After a large frame another may follow: provides memory that was used before for it. */
  #prepareLarge(): void {
    this.#spare ??= new SpareMemory();
    const last = this.#segments[this.#segments.length - 1] as Segment;
    if (last.buffer.length - last.end > MAX_SEGMENT_BYTES) return;
    const buffer = this.#spare.take();
    if (buffer !== undefined) this.#segments.push({ buffer, start: 0, end: 0 });
  }

  /** Nothing is retained any more. An idle session keeps a small segment at most. */
  #reset(): void {
    const last = this.#segments[this.#segments.length - 1];
    if (last !== undefined && last.buffer.length <= KEPT_SEGMENT_BYTES && last.lent !== true) {
      last.start = 0;
      last.end = 0;
      this.#segments.splice(0, this.#segments.length - 1);
    } else {
      this.#segments.length = 0;
    }
    this.#spare = undefined;
    this.#cursorSegment = 0;
    this.#cursorOffset = 0;
    this.#uncommitted.emptied(this.#segments[0]);
    this.#nextSegmentBytes = Math.max(FIRST_SEGMENT_BYTES, this.#nextSegmentBytes / 2);
    this.#bytes = 0;
    this.#unsentBytes = 0;
    this.#firstSeq = this.#nextSeq;
    this.#cursorSeq = this.#nextSeq;
  }
}

/**
 * Encodes plain data behind the last frame and room for a header, and tells how many bytes it has; or the bytes, where they
 * do not fit there. Undefined if it is not plain. Changes nothing that counts: bytes behind the end belong to no frame.
 */
function encodeBehind(segments: readonly Segment[], value: unknown, limits: PayloadLimits): Body | undefined {
  const segment = segments[segments.length - 1];
  if (segment === undefined) return encodePlain(value, limits);
  const { buffer, end, draft } = segment;
  const from = end + SEQUENCED_HEADER_BYTES;
  segment.draft = true;
  const body = encodePlainInto(value, limits, buffer, from);
  segment.draft = draft;
  if (typeof body !== 'number') return body;
  const inPlace =
    segment === segments[segments.length - 1] && segment.end === end && segment.buffer === buffer;
  // If not, a getter of the value has changed the outbox.
  return inPlace ? body : Buffer.from(buffer.subarray(from, from + body));
}

/** The bytes of the frame that begins there, its length prefix included. */
function frameSize(buffer: Buffer, offset: number): number {
  return LENGTH_BYTES + buffer.readUInt32BE(offset);
}

/** How many frames a piece of whole frames holds. */
function countFrames(piece: Buffer): number {
  let frames = 0;
  for (let offset = 0; offset < piece.length; offset += frameSize(piece, offset)) frames++;
  return frames;
}

/** Where a frame lies, the oldest retained one being `firstSeq`. */
function findFrame(
  segments: readonly Segment[],
  firstSeq: number,
  seq: number,
): { segment: Segment; offset: number } | undefined {
  let at = firstSeq;
  for (const segment of segments) {
    for (let offset = segment.start; offset < segment.end; at++) {
      if (at === seq) return { segment, offset };
      offset += frameSize(segment.buffer, offset);
    }
  }
  return undefined;
}

/** Each retained frame, whole, oldest first, of the segments that are there at the call. */
function visitFrames(
  segments: readonly Segment[],
  firstSeq: number,
  visit: (seq: number, frame: Buffer) => void,
): void {
  let seq = firstSeq;
  for (const segment of [...segments]) {
    for (let offset = segment.start; offset < segment.end; seq++) {
      const size = frameSize(segment.buffer, offset);
      visit(seq, segment.buffer.subarray(offset, offset + size));
      offset += size;
    }
  }
}

/**
 * The memory of large frames that the other side has acknowledged, for the large frames that come: new memory for each costs
 * a sixth of the bytes a second (page faults; docs/performance.md, "What was tried").
 *
 * Each outbox has its own. A peer that acknowledges what it has not read is sent what was written there since, and that may
 * only be what it is sent anyway (docs/design.md, rule 52).
 */
class SpareMemory {
  readonly #memory: Buffer[] = [];
  #bytes = 0;

  /** Takes the memory of large segments that are gone, except what a connection before the current one may hold. */
  keep(gone: readonly Segment[], largerThan: number): void {
    for (const { buffer, lent } of gone) {
      if (lent === true || buffer.length <= largerThan) continue;
      this.#memory.push(buffer);
      this.#bytes += buffer.length;
    }
    // The oldest goes: what is too small for today's messages must not keep others out for ever.
    while (this.#bytes > MOST_SPARE_BYTES) this.#bytes -= this.#memory.shift()?.length ?? this.#bytes;
  }

  /** The memory that came last: it is the most likely to be in a cache of the processor. */
  take(): Buffer | undefined {
    const memory = this.#memory.pop();
    if (memory !== undefined) this.#bytes -= memory.length;
    return memory;
  }
}

/** Which frames a durable store has not been handed: all from one place on, and those before it that were withdrawn since. */
class Uncommitted {
  /** Where the frame `#seq` begins, or will. */
  #segment: Segment | undefined;
  #offset = 0;
  #seq = 1;
  /** Frames before that place that were withdrawn since. */
  #rewritten: number[] = [];

  /** True if `take` has something of the frames up to `lastSeq`. */
  has(lastSeq: number): boolean {
    return this.#seq <= lastSeq || this.#rewritten.length > 0;
  }

  /** Copies of the frames, of which those up to `ackedSeq` are gone. */
  take(segments: readonly Segment[], ackedSeq: number): StoredFrame[] {
    const frames: StoredFrame[] = [];
    for (const seq of this.#rewritten) {
      if (seq > ackedSeq) frames.push({ seq, frame: encodeFrame(FrameType.SKIP, { seq }) });
    }
    this.#rewritten = [];
    let index = this.#segment === undefined ? 0 : segments.indexOf(this.#segment);
    let offset = this.#offset;
    if (index < 0 || this.#segment === undefined) {
      index = Math.max(index, 0);
      offset = segments[index]?.start ?? 0;
    }
    for (; index < segments.length; index++) {
      const segment = segments[index] as Segment;
      for (; offset < segment.end; this.#seq++) {
        const size = frameSize(segment.buffer, offset);
        frames.push({ seq: this.#seq, frame: Buffer.from(segment.buffer.subarray(offset, offset + size)) });
        offset += size;
      }
      this.#segment = segment;
      this.#offset = offset;
      offset = segments[index + 1]?.start ?? 0;
    }
    return frames;
  }

  /** A frame was withdrawn, and what is behind it in its segment has moved up by `freed` bytes. */
  withdrawn(seq: number, segment: Segment, freed: number): void {
    if (seq >= this.#seq) return;
    this.#rewritten.push(seq);
    if (segment === this.#segment) this.#offset -= freed;
  }

  /** All frames before `seq` are in the store, or belong to a session that is over. */
  startAt(seq: number, segment: Segment | undefined, offset: number): void {
    this.#seq = seq;
    this.#segment = segment;
    this.#offset = offset;
    this.#rewritten = [];
  }

  /** The outbox is empty. Everything that was in it is committed, so the next frame is the first that is not. */
  emptied(segment: Segment | undefined): void {
    this.#segment = segment;
    this.#offset = 0;
  }
}

/**
 * What is refused to a user (docs/design.md, rule 7), and when the other side takes so little that its connection is given
 * up.
 */
class OutboxRoom {
  readonly #limits: OutboxLimits;
  /** How much of what came from the session before may still be here. */
  #startFrames = 0;
  #startBytes = 0;
  /** What was in it when the current connection began: its acks may be on their way. */
  #attachFrames = 0;
  #attachBytes = 0;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  /**
   * @param size of the frame that would come to the `frames` and `bytes` that are there
   * @throws NyotaError `NYOTA_OUTBOX_FULL`
   */
  assert(frames: number, bytes: number, size: number): void {
    const { maxOutboxFrames, maxOutboxBytes } = this.#limits;
    if (frames < maxOutboxFrames && bytes + size <= maxOutboxBytes) return;
    throw new NyotaError(
      'NYOTA_OUTBOX_FULL',
      `the outbox holds ${frames} messages and ${bytes} bytes that the other side has not acknowledged ` +
        `(limits: ${maxOutboxFrames} and ${maxOutboxBytes}); wait for 'drain' when send returns false`,
    );
  }

  isOver(frames: number, bytes: number): boolean {
    const { maxOutboxFrames, maxOutboxBytes } = this.#limits;
    return (
      frames > bound(Math.max(maxOutboxFrames, this.#startFrames), this.#attachFrames) ||
      bytes > bound(Math.max(maxOutboxBytes, this.#startBytes), this.#attachBytes)
    );
  }

  /** What is there now came from the session before. */
  started(frames: number, bytes: number): void {
    this.#startFrames = frames;
    this.#startBytes = bytes;
  }

  /** A connection has begun. */
  attached(frames: number, bytes: number): void {
    this.#attachFrames = frames;
    this.#attachBytes = bytes;
  }

  /** So many frames have gone. */
  acknowledged(frames: number): void {
    this.#startFrames = Math.max(0, this.#startFrames - frames);
    if (this.#startFrames === 0) this.#startBytes = 0;
  }
}

/**
 * How much may be held before a connection on which nothing is acknowledged is given up: half above the limit, or a quarter
 * of the limit above what was there when it began; never four times the limit, however often the other side comes back.
 */
function bound(limit: number, atAttach: number): number {
  return Math.min(4 * limit, Math.max(1.5 * limit, atAttach + limit / 4));
}

/** From here on a message is large: so few of them are enough to keep both sides busy, and fill the default high-water mark. */
const LARGE_MESSAGE_BYTES = 256 * 1024;
const FEW_MESSAGES = 4;

/**
 * True if a sender that waits for room may go on: half of the high-water mark is free, or all but a few large messages are
 * gone. Where they are larger than the mark, waiting for the last of them would leave the connection idle until the next ones
 * come.
 */
export function hasDrained(frames: number, bytes: number, highWaterBytes: number): boolean {
  return bytes <= highWaterBytes / 2 || (frames <= FEW_MESSAGES && bytes >= frames * LARGE_MESSAGE_BYTES);
}

/** The error for a message that would wait for a 'drain' that may never come. */
export function largerThanOutbox(bytes: number, limit: number): NyotaError {
  const text = `the message takes ${bytes} bytes, and the outbox holds ${limit} at most (maxOutboxBytes)`;
  return new NyotaError('NYOTA_FRAME_TOO_LARGE', text);
}
