/**
 * Plain data to bytes, checked and written in one pass: strings, numbers, booleans, null, undefined, Buffers, arrays and
 * plain objects of such; and values that are encoded already. Pure, apart from getters of the value, which run.
 *
 * It gives up on everything else, and on whatever is beyond a limit: `prepare` and msgpackr take it from the start then, and
 * where it can't travel they say why. What is written here is what they would write, byte for byte, which the property
 * tests hold the two to; depth and values are counted the same way.
 */
import { SEQUENCED_HEADER_BYTES } from '../wire/constants.js';
import { Encoded, partsOf } from './encoded.js';
import type { PayloadLimits } from './scan.js';
import { keepPart } from './value-pool.js';

const FIRST_BYTES = 8 * 1024;
/** Memory above this size is let go, so that one huge payload does not hold it for ever. */
const KEPT_BYTES = 1024 * 1024;
/** A payload of this size is worth handing over instead of copying. */
const LARGE_BYTES = 64 * 1024;
/** What is behind a large payload, so that what closes it needs no new memory. */
const SPARE_BYTES = 256;
/** Memory that is handed over may be larger than what is in it by this factor. */
const MOST_WASTE = 1.25;
/** A number with its token. */
const NUMBER_BYTES = 9;
/** Token and length of whatever has a length. */
const HEADER_BYTES = 5;
/** Up to here a string is written letter by letter: calling into the runtime costs more. */
const SHORT_STRING = 48;

/** Memory of the encoder's own. A payload in it begins behind room for a sequenced frame's header. */
let own: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
/** Where the value is written to: `own`, or what a caller has offered. */
let target: Buffer = own;
/** Where the payload begins. */
let start = 0;
let at = 0;
let values = 0;
let maxValues = 0;
let maxDepth = 0;
/** A getter of the value may send, and so encode: that one goes the other way. */
let running = false;

/** Large payloads whose memory nobody has claimed yet. */
const claimable = new WeakSet<Uint8Array>();

/**
 * The memory of a large payload that `encodePlain` has returned, the caller's own from now on: the payload lies in it behind
 * room for a sequenced frame's header. Undefined for any other payload.
 */
export function claimMemory(payload: Uint8Array): Buffer | undefined {
  return claimable.delete(payload) ? Buffer.from(payload.buffer) : undefined;
}

/**
 * Encodes the value, or returns undefined where it is not plain or does not fit the limits.
 *
 * The Buffer returned is a view of memory that the next encode writes over: copy what is to be kept.
 */
export function encodePlain(value: unknown, limits: PayloadLimits): Buffer | undefined {
  return encodePlainInto(value, limits, own, SEQUENCED_HEADER_BYTES) as Buffer | undefined;
}

/**
 * The same, into memory of the caller's from `from` on. Returns how many bytes are there, or where they do not surely fit the Buffer as
 * above. Behind `from` anything may have been written, whatever is returned.
 */
export function encodePlainInto(
  value: unknown,
  limits: PayloadLimits,
  memory: Buffer,
  from: number,
): number | Buffer | undefined {
  if (running) return undefined;
  begin(memory, from, limits);
  try {
    if (values > maxValues || !write(value, 0)) return undefined;
    return target === own ? result() : at - from;
  } catch {
    // A getter threw. It will again, where the error is told.
    return undefined;
  } finally {
    finish();
  }
}

function begin(memory: Buffer, from: number, limits: PayloadLimits): void {
  running = true;
  target = memory;
  start = from;
  at = from;
  values = 1;
  maxValues = limits.maxValues;
  maxDepth = limits.maxDepth;
}

function finish(): void {
  running = false;
  if (own.length > KEPT_BYTES) own = Buffer.allocUnsafeSlow(FIRST_BYTES);
  // Not the caller's: it would be held for ever.
  target = own;
}

export interface PlainKvSet {
  /** The body of a KV_OP: a view, as of `encodePlain`. */
  readonly body: Buffer;
  /** The value's payload inside it, as a copy. */
  readonly value: Buffer;
}

/**
 * The body of a KV_OP that sets the key: what `encodePlain` makes of `[0, key, value's payload, ttlMs ?? null, null]`, with the
 * value encoded in its place. The limits are for the value alone. Undefined where it is not plain or does not fit them.
 */
export function encodePlainKvSet(
  key: string,
  value: unknown,
  ttlMs: number | undefined,
  limits: PayloadLimits,
): PlainKvSet | undefined {
  if (running) return undefined;
  begin(own, SEQUENCED_HEADER_BYTES, limits);
  try {
    reserve(2);
    target[at++] = 0x95;
    target[at++] = 0;
    writeString(key);
    reserve(2);
    const binAt = at;
    at += 2;
    if (values > maxValues || !write(value, 0)) return undefined;
    const valueAt = writeBinHeader(binAt);
    const valueEnd = at;
    reserve(NUMBER_BYTES + 2);
    if (ttlMs === undefined) target[at++] = 0xc0;
    else writeNumber(ttlMs);
    target[at++] = 0xc0;
    const body = result();
    return {
      body,
      value: keepPart(body, valueAt - SEQUENCED_HEADER_BYTES, valueEnd - SEQUENCED_HEADER_BYTES),
    };
  } catch {
    return undefined;
  } finally {
    finish();
  }
}

/** The token and length, at `binAt`, of all that was written behind their 2 bytes; it moves where they take more. Returns where it begins. */
function writeBinHeader(binAt: number): number {
  const length = at - binAt - 2;
  if (length < 0x100) {
    target[binAt] = 0xc4;
    target[binAt + 1] = length;
    return binAt + 2;
  }
  const more = length < 0x10000 ? 1 : 3;
  reserve(more);
  target.copyWithin(binAt + 2 + more, binAt + 2, at);
  const end = at + more;
  at = binAt;
  writeHeader(0xc5, length);
  at = end;
  return binAt + 2 + more;
}

function result(): Buffer {
  const payload = own.subarray(SEQUENCED_HEADER_BYTES, at);
  if (payload.length >= LARGE_BYTES && own.length <= MOST_WASTE * payload.length) {
    claimable.add(payload);
    own = Buffer.allocUnsafeSlow(FIRST_BYTES);
  }
  return payload;
}

/** Makes room for so many bytes more. */
function reserve(bytes: number): void {
  if (at + bytes > target.length) moveOn(bytes);
}

/** To memory of the encoder's own, or more of it. */
function moveOn(bytes: number): void {
  const end = SEQUENCED_HEADER_BYTES + at - start;
  const before = target;
  if (before === own || end + bytes > own.length) {
    own = Buffer.allocUnsafeSlow(Math.max(2 * own.length, end + bytes + SPARE_BYTES));
  }
  before.copy(own, SEQUENCED_HEADER_BYTES, start, at);
  target = own;
  start = SEQUENCED_HEADER_BYTES;
  at = end;
}

/** `depth` is how many containers the value is inside of. The value itself has been counted. False where it is not plain. */
function write(value: unknown, depth: number): boolean {
  // Not by a switch: for that V8 makes the name of the type, where a comparison only looks at the value.
  if (typeof value === 'string') {
    writeString(value);
    return true;
  }
  if (typeof value === 'number') {
    writeNumber(value);
    return true;
  }
  if (typeof value === 'object') return writeNullOrObject(value, depth);
  if (typeof value === 'boolean') {
    reserve(1);
    target[at++] = value ? 0xc3 : 0xc2;
    return true;
  }
  if (value !== undefined) return false;
  reserve(3);
  target[at++] = 0xd4;
  target[at++] = 0;
  target[at++] = 0;
  return true;
}

function writeNullOrObject(value: object | null, depth: number): boolean {
  if (value === null) {
    reserve(1);
    target[at++] = 0xc0;
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return writeObject(value, depth);
  if (prototype === Array.prototype) return Array.isArray(value) && writeArray(value, depth);
  if (prototype === Encoded.prototype) return writeEncoded(value as Encoded, depth);
  return prototype === Buffer.prototype && Buffer.isBuffer(value) && writeBytes(value);
}

/** The bytes as they are. Throws where they are no payload; `prepare` says so. */
function writeEncoded(encoded: Encoded, depth: number): boolean {
  const parts = partsOf(encoded);
  values += parts.values - 1;
  if (depth + parts.depth > maxDepth || values > maxValues) return false;
  const { length } = parts.bytes;
  reserve(length);
  target.set(parts.bytes, at);
  at += length;
  return true;
}

/** A token, and a length behind it in 2 or 4 bytes; one that has no form of 1 byte. */
function writeHeader(token16: number, length: number): void {
  if (length < 0x10000) {
    target[at++] = token16;
  } else {
    target[at++] = token16 + 1;
    target[at++] = length >>> 24;
    target[at++] = length >>> 16;
  }
  target[at++] = length >>> 8;
  target[at++] = length;
}

function writeArray(array: readonly unknown[], depth: number): boolean {
  const { length } = array;
  values += length;
  if (depth >= maxDepth || values > maxValues) return false;
  reserve(HEADER_BYTES);
  if (length < 16) target[at++] = 0x90 | length;
  else writeHeader(0xdc, length);
  for (let i = 0; i < length; i++) if (!write(array[i], depth + 1)) return false;
  return true;
}

// Within for-in, V8 answers this one from the map of the object; Object.hasOwn it calls.
const hasOwn = Object.prototype.hasOwnProperty;

function writeObject(object: object, depth: number): boolean {
  if (depth >= maxDepth) return false;
  const source = object as Record<string, unknown>;
  reserve(1);
  // From the start, as what is written may move meanwhile.
  const header = at++ - start;
  let count = 0;
  // Not Object.keys: that is an array for every object.
  for (const key in source) {
    if (!hasOwn.call(source, key)) continue;
    values += 2;
    if (values > maxValues || key === '__proto__') return false;
    writeString(key);
    if (!write(source[key], depth + 1)) return false;
    count++;
  }
  if (count < 16) target[start + header] = 0x80 | count;
  else widenHeader(header, count);
  return true;
}

/** The object has more entries than were reckoned with: its content makes room for a longer header. */
function widenHeader(header: number, count: number): void {
  const more = count < 0x10000 ? 2 : 4;
  reserve(more);
  const headerAt = start + header;
  target.copyWithin(headerAt + 1 + more, headerAt + 1, at);
  const end = at + more;
  at = headerAt;
  writeHeader(0xde, count);
  at = end;
}

function writeBytes(bytes: Buffer): boolean {
  const { length } = bytes;
  reserve(HEADER_BYTES + length);
  if (length < 0x100) {
    target[at++] = 0xc4;
    target[at++] = length;
  } else {
    writeHeader(0xc5, length);
  }
  target.set(bytes, at);
  at += length;
  return true;
}

function writeString(text: string): void {
  const { length } = text;
  if (length > SHORT_STRING) {
    writeLong(text);
    return;
  }
  reserve(2 + length);
  const bytes = target;
  let to = at;
  if (length < 32) bytes[to++] = 0xa0 | length;
  else {
    bytes[to++] = 0xd9;
    bytes[to++] = length;
  }
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) {
      writeLong(text);
      return;
    }
    bytes[to++] = code;
  }
  at = to;
}

/** Any string, by way of the runtime; half surrogate pairs become U+FFFD. */
function writeLong(text: string): void {
  const length = Buffer.byteLength(text);
  reserve(HEADER_BYTES + length);
  if (length < 32) target[at++] = 0xa0 | length;
  else if (length < 0x100) {
    target[at++] = 0xd9;
    target[at++] = length;
  } else {
    writeHeader(0xda, length);
  }
  at += target.write(text, at);
}

const doubles = new Float64Array(1);
const doubleBytes = new Uint8Array(doubles.buffer);
const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** What fits 32 bits as the shortest integer, -0 as 0; everything else as a double. */
function writeNumber(value: number): void {
  reserve(NUMBER_BYTES);
  if (value >>> 0 === value) {
    if (value < 0x80) target[at++] = value;
    else if (value < 0x100) {
      target[at++] = 0xcc;
      target[at++] = value;
    } else {
      writeHeader(0xcd, value);
    }
  } else if ((value | 0) === value) {
    if (value >= -0x20) target[at++] = value;
    else if (value >= -0x80) {
      target[at++] = 0xd0;
      target[at++] = value;
    } else {
      writeNegative(value);
    }
  } else {
    writeDouble(value);
  }
}

function writeNegative(value: number): void {
  if (value >= -0x8000) {
    target[at++] = 0xd1;
  } else {
    target[at++] = 0xd2;
    target[at++] = value >>> 24;
    target[at++] = value >>> 16;
  }
  target[at++] = value >>> 8;
  target[at++] = value;
}

function writeDouble(value: number): void {
  target[at++] = 0xcb;
  if (!LITTLE_ENDIAN) {
    at = target.writeDoubleBE(value, at);
    return;
  }
  doubles[0] = value;
  for (let i = 7; i >= 0; i--) target[at++] = doubleBytes[i] as number;
}
