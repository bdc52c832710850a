/**
 * The memory of an outbox: frames one after the other in segments. Boundaries are read from the frames' length prefixes, so
 * that there is no object for each frame. Pure.
 */

import { encodePlain, encodePlainInto } from '../codec/plain-encoder.js';
import type { PayloadLimits } from '../codec/scan.js';
import { LENGTH_BYTES, SEQUENCED_HEADER_BYTES } from '../wire/constants.js';

export interface Segment {
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

/** A payload for a frame: its bytes, or how many of them are in their place already. */
export type Body = Uint8Array | number;

export function bytesOf(body: Body): number {
  return typeof body === 'number' ? body : body.length;
}

/**
 * Encodes plain data behind the last frame and room for a header, and tells how many bytes it has; or the bytes, where they do not fit
 * there. Undefined where it is not plain. Changes nothing that counts: what is behind the end is nobody's.
 */
export function encodeBehind(
  segments: readonly Segment[],
  value: unknown,
  limits: PayloadLimits,
): Body | undefined {
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
  // Where not, a getter of the value has changed the outbox.
  return inPlace ? body : Buffer.from(buffer.subarray(from, from + body));
}

/** The bytes of the frame that begins there, its length prefix included. */
export function frameSize(buffer: Buffer, offset: number): number {
  return LENGTH_BYTES + buffer.readUInt32BE(offset);
}

/** How many frames a piece of whole frames holds. */
export function countFrames(piece: Buffer): number {
  let frames = 0;
  for (let offset = 0; offset < piece.length; offset += frameSize(piece, offset)) frames++;
  return frames;
}

/** Where a frame lies, the oldest retained one being `firstSeq`. */
export function findFrame(
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
export function visitFrames(
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
