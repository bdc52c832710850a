/**
 * The eight bytes that each side sends first: magic, lowest and highest version spoken.
 * Pure: bytes in, numbers out. What is no preamble of ours is described for the log, escaped.
 */
import { NyotaError, printable } from '../errors.js';
import { MAGIC, PREAMBLE_BYTES, VERSION_MAX, VERSION_MIN } from './constants.js';

/** An inclusive range of protocol versions. */
export interface VersionRange {
  min: number;
  max: number;
}

/** The preamble of a side that speaks versions `min` to `max`. Own allocation, 8 bytes. */
export function encodePreamble(min: number = VERSION_MIN, max: number = VERSION_MAX): Buffer {
  return Buffer.from([...MAGIC, min, max]);
}

/**
 * The versions of a preamble, or undefined while bytes are missing and those present are right.
 * Bytes after the eighth are left alone.
 *
 * @throws NyotaError `NYOTA_BAD_PREAMBLE` at the first byte that is wrong, without waiting for more
 */
export function parsePreamble(bytes: Buffer): VersionRange | undefined {
  const known = Math.min(bytes.length, MAGIC.length);
  for (let i = 0; i < known; i++) {
    if (bytes[i] !== MAGIC[i]) {
      throw new NyotaError(
        'NYOTA_BAD_PREAMBLE',
        `the other side does not speak nyota: ${describeForeign(bytes)}`,
      );
    }
  }
  if (bytes.length < PREAMBLE_BYTES) return undefined;
  const min = bytes.readUInt8(MAGIC.length);
  const max = bytes.readUInt8(MAGIC.length + 1);
  if (min === 0 || min > max) {
    throw new NyotaError('NYOTA_BAD_PREAMBLE', `the preamble names no versions: ${min} to ${max}`);
  }
  return { min, max };
}

const HTTP_STARTS = [
  'GET ',
  'POST ',
  'PUT ',
  'HEAD ',
  'DELETE ',
  'OPTIONS ',
  'PATCH ',
  'CONNECT ',
  'TRACE ',
  'PRI * HTTP/2',
  'HTTP/',
];
/** Fewer bytes than this say nothing about HTTP. */
const HTTP_LEAST_BYTES = 3;
const TLS_HANDSHAKE = 0x16;
const TLS_MAJOR = 0x03;
const SHOWN_BYTES = 16;

/** What bytes that are not ours look like, in words that are safe to log. */
export function describeForeign(bytes: Buffer): string {
  if (bytes.length === 0) return 'it sent nothing';
  const text = bytes.toString('latin1', 0, 80);
  if (text.length >= HTTP_LEAST_BYTES) {
    for (const start of HTTP_STARTS) {
      if (text.startsWith(start) || start.startsWith(text)) {
        return `it looks like HTTP ("${printable(text.split('\r\n', 1)[0] ?? '')}")`;
      }
    }
  }
  if (bytes[0] === TLS_HANDSHAKE && (bytes.length === 1 || bytes[1] === TLS_MAJOR)) {
    return 'it looks like TLS (is one side set up for TLS and the other not?)';
  }
  if (text.startsWith('[')) {
    return `it looks like an original Uhura client ("${printable(text.slice(0, SHOWN_BYTES))}")`;
  }
  const hex = bytes.toString('hex', 0, SHOWN_BYTES).replace(/..(?=.)/g, '$& ');
  return `it starts with ${hex} ("${printable(text.slice(0, SHOWN_BYTES))}")`;
}

/**
 * The highest version that both sides speak.
 *
 * @throws NyotaError `NYOTA_VERSION_MISMATCH` naming both ranges
 */
export function negotiateVersion(
  theirs: VersionRange,
  ours: VersionRange = { min: VERSION_MIN, max: VERSION_MAX },
): number {
  const highest = Math.min(theirs.max, ours.max);
  if (highest < Math.max(theirs.min, ours.min)) {
    throw new NyotaError(
      'NYOTA_VERSION_MISMATCH',
      `no common protocol version: this side speaks ${range(ours)}, the other ${range(theirs)}`,
    );
  }
  return highest;
}

function range({ min, max }: VersionRange): string {
  return min === max ? String(min) : `${min} to ${max}`;
}
