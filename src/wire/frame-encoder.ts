/**
 * Frames to bytes: `u32 length | u8 type | u8 flags | [seq] [ack] | body`.
 * Pure. Callers have checked sizes and numbers; nothing here looks into a body.
 */
import { Flag, HEADER_BYTES, LENGTH_BYTES, SEQ_BYTES, SEQUENCED_HEADER_BYTES } from './constants.js';

export interface FrameFields {
  /** Flags besides SEQ and ACK, which follow from the two below. */
  flags?: number;
  /** Sequence number, 48 bits. */
  seq?: number;
  /** Cumulative ack, 48 bits. */
  ack?: number;
}

const TWO_POW_32 = 0x1_0000_0000;

/** One whole frame in memory of its own (not of a shared pool), so that it can be kept for long. */
export function encodeFrame(type: number, options: FrameFields = {}, payload?: Uint8Array): Buffer {
  const { seq, ack } = options;
  let flags = options.flags ?? 0;
  let total = HEADER_BYTES + (payload?.length ?? 0);
  if (seq !== undefined) {
    flags |= Flag.SEQ;
    total += SEQ_BYTES;
  }
  if (ack !== undefined) {
    flags |= Flag.ACK;
    total += SEQ_BYTES;
  }
  const frame = Buffer.allocUnsafeSlow(total);
  frame.writeUInt32BE(total - LENGTH_BYTES, 0);
  frame[LENGTH_BYTES] = type;
  frame[LENGTH_BYTES + 1] = flags;
  let at = HEADER_BYTES;
  if (seq !== undefined) {
    writeSeq(frame, at, seq);
    at += SEQ_BYTES;
  }
  if (ack !== undefined) {
    writeSeq(frame, at, ack);
    at += SEQ_BYTES;
  }
  if (payload !== undefined) frame.set(payload, at);
  return frame;
}

/**
 * Writes the `SEQUENCED_HEADER_BYTES` before a payload of `payloadBytes` that the caller puts behind them.
 * The hot path of every event: no allocation. The SEQ flag is set by itself; `flags` must not hold ACK.
 */
export function writeSequencedHeader(
  target: Buffer,
  offset: number,
  payloadBytes: number,
  type: number,
  flags: number,
  seq: number,
): void {
  const length = SEQUENCED_HEADER_BYTES - LENGTH_BYTES + payloadBytes;
  target[offset] = length >>> 24;
  target[offset + 1] = length >>> 16;
  target[offset + 2] = length >>> 8;
  target[offset + 3] = length;
  target[offset + 4] = type;
  target[offset + 5] = flags | Flag.SEQ;
  writeSeq(target, offset + HEADER_BYTES, seq);
}

/** Writes a number of 48 bits, big endian, into 6 bytes. */
export function writeSeq(target: Buffer, offset: number, seq: number): void {
  const high = Math.floor(seq / TWO_POW_32);
  const low = seq >>> 0;
  target[offset] = high >>> 8;
  target[offset + 1] = high;
  target[offset + 2] = low >>> 24;
  target[offset + 3] = low >>> 16;
  target[offset + 4] = low >>> 8;
  target[offset + 5] = low;
}

/** Reads a number of 48 bits, big endian, from 6 bytes that the caller knows to be there. */
export function readSeq(source: Buffer, offset: number): number {
  return source.readUInt16BE(offset) * TWO_POW_32 + source.readUInt32BE(offset + 2);
}
