/**
 * The shared store's hot frames straight from the wire: a KV_OP with a value, and a KV_DELTA with one. What is read here, is read as
 * the payload reader and the parsers of session-messages.ts would; whatever is not as a peer of this version writes it,
 * is left to them. Pure.
 */

import { type PayloadLimits, scanPayload } from '../../codec/scan.js';
import { isText, textOf } from '../../codec/string-reader.js';
import { keepPart } from '../../codec/value-pool.js';
import { MAX_KEY_BYTES } from '../../wire/constants.js';
import type { KvDeltaMessage, KvOpMessage } from '../../wire/session-messages.js';

/** Where it reads. Module state is safe: nothing here runs foreign code. */
let at = 0;
let valueAt = 0;
let valueEnd = 0;

/** Undefined where it is for the general way. @throws NyotaError `NYOTA_PAYLOAD_REFUSED` for a value that is none */
export function readKvOp(
  source: Buffer,
  start: number,
  end: number,
  limits: PayloadLimits,
): KvOpMessage | undefined {
  const token = source[start + 1] as number;
  const compares = token === 2;
  if (source[start] !== 0x95 || (token !== 0 && !compares)) return undefined;
  at = start + 2;
  const key = readKey(source, end);
  if (key === undefined || !findValue(source, end)) return undefined;
  const ttlMs = source[at] === 0xc0 ? nil() : readUint(source);
  const expectedRevision = source[at] === 0xc0 ? nil() : readUint(source);
  if (at !== end || compares !== (expectedRevision !== undefined)) return undefined;
  if (ttlMs === OTHER || expectedRevision === OTHER) return undefined;
  const bytes = ownValue(source, limits);
  return { kind: compares ? 'compare-and-set' : 'set', key, bytes, ttlMs, expectedRevision };
}

/** The same for a KV_DELTA. */
export function readKvDelta(
  source: Buffer,
  start: number,
  end: number,
  limits: PayloadLimits,
): KvDeltaMessage | undefined {
  if (source[start] !== 0x93) return undefined;
  at = start + 1;
  const key = readKey(source, end);
  if (key === undefined) return undefined;
  const revision = readUint(source);
  if (revision === OTHER || !findValue(source, end) || at !== end) return undefined;
  return { key, revision, bytes: ownValue(source, limits) };
}

/** Each byte that is no UTF-8 becomes a character of 3: up to here none of it makes a key too long. */
const SAFE_KEY_BYTES = Math.floor(MAX_KEY_BYTES / 3);

function readKey(source: Buffer, end: number): string | undefined {
  const token = source[at++] as number;
  let length = token - 0xa0;
  if (token === 0xd9) length = source[at++] as number;
  else if (token < 0xa0 || token >= 0xc0) return undefined;
  const from = at;
  at += length;
  return length > 0 && length <= SAFE_KEY_BYTES && at <= end ? keyText(source, from, length) : undefined;
}

const CACHED_BYTES = 32;
const CACHE_SLOTS = 4096;
/** Keys come again and again, often alike but for a number in them: one that was read before is found by all of its bytes. */
let keyCache: string[] | undefined;

function keyText(source: Buffer, from: number, length: number): string {
  if (length > CACHED_BYTES) return textOf(source, from, length);
  let hash = length;
  for (let i = 0; i < length; i++) hash = (hash * 31 + (source[from + i] as number)) | 0;
  keyCache ??= new Array<string>(CACHE_SLOTS).fill('');
  const slot = (hash ^ (hash >>> 12)) & (CACHE_SLOTS - 1);
  const cached = keyCache[slot] as string;
  if (isText(cached, source, from, length)) return cached;
  const text = source.toString('utf8', from, from + length);
  // Longer in bytes than in letters is not ASCII.
  if (text.length === length) keyCache[slot] = text;
  return text;
}

/** Of at most 65,535 bytes, which all of an honest peer's but the very largest are. False where there is none. */
function findValue(source: Buffer, end: number): boolean {
  const token = source[at++] as number;
  let length = source[at++] as number;
  if (token === 0xc5) length = (length << 8) | (source[at++] as number);
  else if (token !== 0xc4) return false;
  valueAt = at;
  at += length;
  valueEnd = at;
  return at <= end;
}

/** Checked, and copied out of the chunk. */
function ownValue(source: Buffer, limits: PayloadLimits): Buffer {
  const end = valueEnd;
  scanPayload(source, valueAt, end, limits);
  return keepPart(source.subarray(valueAt, end), 0, end - valueAt);
}

/** No unsigned integer of up to 32 bits. */
const OTHER = -1;

function readUint(source: Buffer): number {
  const token = source[at++] as number;
  if (token < 0x80) return token;
  if (token < 0xcc || token > 0xce) return OTHER;
  const bytes = 1 << (token - 0xcc);
  let value = 0;
  for (let i = 0; i < bytes; i++) value = value * 256 + (source[at++] as number);
  return value;
}

function nil(): undefined {
  at++;
}
