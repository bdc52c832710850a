/** Seeded mutations of bytes: what a fuzzer does to an input that means something. */
import { HEADER_BYTES, LENGTH_BYTES } from '../../src/wire/constants.js';
import type { Random } from '../simulation/random.js';

/** Bytes at the borders of msgpack's formats, of lengths, and of nyota's own types. */
const INTERESTING = [
  0x00, 0x01, 0x04, 0x4e, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xca,
  0xcb, 0xcc, 0xcf, 0xd3, 0xd4, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff,
];
const INTERESTING_U32 = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff, 0x1_0000, 64, 65_536];

/** A changed copy. `others`: what pieces may be taken from. */
export function mutate(input: Buffer, others: readonly Buffer[], random: Random, maxBytes: number): Buffer {
  let bytes: Buffer = Buffer.from(input);
  for (let i = random.pick([1, 1, 1, 2, 3, 6]); i > 0; i--) bytes = mutateOnce(bytes, others, random);
  return bytes.length > maxBytes ? bytes.subarray(0, maxBytes) : bytes;
}

function mutateOnce(bytes: Buffer, others: readonly Buffer[], random: Random): Buffer {
  const at = random.int(bytes.length + 1);
  const size = random.pick([1, 1, 2, 4, 8, 30]);
  switch (random.int(9)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.int(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.pick(INTERESTING);
      return bytes;
    case 2:
      if (at + 4 <= bytes.length) bytes.writeUInt32BE(random.pick(INTERESTING_U32), at);
      return bytes;
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + size))]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(size), bytes.subarray(at)]);
    case 5: {
      const piece = bytes.subarray(at, at + size);
      const copies = Array.from({ length: random.pick([1, 1, 2, 40]) }, () => piece);
      return Buffer.concat([bytes.subarray(0, at), ...copies, bytes.subarray(at)]);
    }
    case 6: {
      const other = random.pick(others);
      const from = random.int(other.length + 1);
      return Buffer.concat([
        bytes.subarray(0, at),
        other.subarray(from, from + size * 4),
        bytes.subarray(at),
      ]);
    }
    case 7:
      return bytes.subarray(0, at);
    default:
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.from([random.pick(INTERESTING)]),
        bytes.subarray(at),
      ]);
  }
}

/**
 * A changed copy of whole frames: as bytes, or frame by frame, with a length that fits again, so that the change gets
 * behind the decoder.
 */
export function mutateFrames(frames: readonly Buffer[], others: readonly Buffer[], random: Random): Buffer {
  const copy: Buffer[] = frames.map((frame) => Buffer.from(frame));
  for (let i = random.pick([1, 1, 2, 4]); i > 0; i--) {
    const at = random.int(copy.length);
    const frame = copy[at];
    if (frame === undefined) break;
    switch (random.int(8)) {
      case 0:
        copy.splice(at, 1);
        break;
      case 1:
        for (let n = random.pick([1, 1, 3, 150]); n > 0; n--) copy.splice(at, 0, frame);
        break;
      case 2:
        copy.splice(random.int(copy.length), 0, ...copy.splice(at, 1));
        break;
      case 3:
        if (frame.length > LENGTH_BYTES)
          frame[LENGTH_BYTES] = random.pick([1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 18, 19, 20, 21, 32, 33, 34, 99]);
        break;
      case 4:
        if (frame.length > LENGTH_BYTES + 1)
          frame[LENGTH_BYTES + 1] = (frame[LENGTH_BYTES + 1] ?? 0) ^ random.pick([1, 2, 4, 0x40, 0x80]);
        break;
      case 5:
        if (frame.length >= HEADER_BYTES + 6) frame[HEADER_BYTES + 5] = random.int(256);
        break;
      default: {
        const head = frame.subarray(0, Math.min(HEADER_BYTES, frame.length));
        const rest = mutate(frame.subarray(head.length), others, random, 64 * 1024);
        const changed = Buffer.concat([head, rest]);
        if (changed.length >= LENGTH_BYTES) changed.writeUInt32BE(changed.length - LENGTH_BYTES, 0);
        copy[at] = changed;
      }
    }
  }
  const bytes = Buffer.concat(copy);
  return random.chance(0.2) ? mutate(bytes, others, random, 256 * 1024) : bytes;
}
