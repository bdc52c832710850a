/**
 * Reads a payload from the wire and checks it in the same pass: strict msgpack, bounded depth and count, string keys that
 * are never `__proto__`, known extensions only, exact length. Pure.
 *
 * What is refused, and how it is told, is scan.ts's business: it lets through exactly what is read here, which the property
 * and fuzz tests hold the two to. Nothing is handed out before the whole payload has passed, and what is built on the
 * way is never more than a payload within the limits may hold. Recursion is bounded by `maxDepth`.
 *
 * A reader of our own instead of msgpackr's: that one copies the whole source for every extension that is
 * read from within a read (quadratic for a payload full of Maps), its string extraction doesn't know what
 * is inside extensions, it drops a byte order mark at the start of a long string where its native part is
 * missing, its extension table belongs to the whole process, and it is no faster on frames inside a chunk.
 * Decoded values share no memory with the source.
 */
import { NyotaError } from '../errors.js';
import { EXT_TIMESTAMP, EXT_TYPE, EXT_UNDEFINED, ExtKind } from '../wire/constants.js';
import { type PayloadLimits, scanPayload } from './scan.js';
import { dateOf, elementBytes, makeElements, makeError } from './values.js';

/** Thrown for whatever the scan refuses. No Error: it is caught one call further up. */
const REFUSED: unique symbol = Symbol('refused');

/** Module state is safe: reading runs no foreign code, and every read starts with all of it set. */
const EMPTY: Buffer = Buffer.alloc(0);
let source: Buffer = EMPTY;
let at = 0;
let end = 0;
/** Containers that the next value is inside of. */
let depth = 0;
let values = 0;
let maxDepth = 0;
let maxValues = 0;
/** Nobody else uses the source: a Buffer that fills most of it is a view. */
let own = false;

/**
 * Decodes the payload `from[start..to)`, all of it checked. The value shares no memory with the source, unless that is its
 * own: then a Buffer that fills most of it is a view.
 *
 * @param ownSource the source holds nothing else, and nobody writes to it any more
 * @throws NyotaError `NYOTA_PAYLOAD_REFUSED`
 */
export function decodePayload(
  from: Buffer,
  start: number,
  to: number,
  limits: PayloadLimits,
  ownSource = false,
): unknown {
  try {
    return readPayload(from, start, to, limits, ownSource);
  } catch (error) {
    // The scan refuses the same, and says what and where.
    scanPayload(from, start, to, limits);
    // Nothing that the scan lets through is known to get here; a caller must not depend on that.
    throw new NyotaError('NYOTA_PAYLOAD_REFUSED', 'the payload could not be decoded', { cause: error });
  }
}

/**
 * The value of the payload `from[start..to)`.
 * @throws `REFUSED`, or whatever reading behind the end of a Buffer brings, for what the scan refuses
 */
export function readPayload(
  from: Buffer,
  start: number,
  to: number,
  limits: PayloadLimits,
  ownSource = false,
): unknown {
  source = from;
  at = start;
  end = to;
  depth = 0;
  values = 1;
  maxDepth = limits.maxDepth;
  maxValues = limits.maxValues;
  own = ownSource;
  try {
    if (values > maxValues || at >= end) throw REFUSED;
    const value = read();
    // `at` only rises, so this finds every read behind the end as well.
    if (at !== end) throw REFUSED;
    return value;
  } finally {
    source = EMPTY;
  }
}

/**
 * Numbers are read without asking where the payload ends: whoever reads behind it, within the chunk, is found out at the last.
 * What takes memory (strings, bytes, containers) asks first.
 */
function read(): unknown {
  const token = source[at++] as number;
  if (token < 0x80) return token;
  if (token < 0x90) return readMap(token - 0x80);
  if (token < 0xa0) return readArray(token - 0x90);
  if (token < 0xc0) return readString(token - 0xa0);
  if (token >= 0xe0) return token - 0x100;
  switch (token) {
    case 0xc0:
      return null;
    case 0xc2:
      return false;
    case 0xc3:
      return true;
    case 0xc4:
      return readBytes(take(1));
    case 0xc5:
      return readBytes(take(2));
    case 0xc6:
      return readBytes(take(4));
    case 0xca:
      at += 4;
      return source.readFloatBE(at - 4);
    case 0xcb:
      return readDouble();
    case 0xcc:
      return take(1);
    case 0xcd:
      return take(2);
    case 0xce:
      return take(4);
    case 0xcf:
      at += 8;
      return source.readBigUInt64BE(at - 8);
    case 0xd0:
      return (take(1) << 24) >> 24;
    case 0xd1:
      return (take(2) << 16) >> 16;
    case 0xd2:
      return take(4) | 0;
    case 0xd3:
      at += 8;
      return source.readBigInt64BE(at - 8);
    case 0xd9:
      return readString(take(1));
    case 0xda:
      return readString(take(2));
    case 0xdb:
      return readString(take(4));
    case 0xdc:
      return readArray(take(2));
    case 0xdd:
      return readArray(take(4));
    case 0xde:
      return readMap(take(2));
    case 0xdf:
      return readMap(take(4));
    case 0xc7:
      return readExt(take(1));
    case 0xc8:
      return readExt(take(2));
    case 0xc9:
      return readExt(take(4));
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
      return readExt(1 << (token - 0xd4));
    default: // 0xc1, or behind the end of the Buffer
      throw REFUSED;
  }
}

const doubles = new Float64Array(1);
const doubleBytes = new Uint8Array(doubles.buffer);

/** As Buffer.readDoubleBE, without its checks; right on a little-endian machine only, where it is used. */
function readDouble(): number {
  at += 8;
  if (!LITTLE_ENDIAN || at > end) return source.readDoubleBE(at - 8);
  doubleBytes[7] = source[at - 8] as number;
  doubleBytes[6] = source[at - 7] as number;
  doubleBytes[5] = source[at - 6] as number;
  doubleBytes[4] = source[at - 5] as number;
  doubleBytes[3] = source[at - 4] as number;
  doubleBytes[2] = source[at - 3] as number;
  doubleBytes[1] = source[at - 2] as number;
  doubleBytes[0] = source[at - 1] as number;
  return doubles[0] as number;
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** An unsigned integer of 1, 2 or 4 bytes. */
function take(bytes: 1 | 2 | 4): number {
  const from = at;
  at += bytes;
  const first = source[from] as number;
  if (bytes === 1) return first;
  const second = source[from + 1] as number;
  if (bytes === 2) return (first << 8) | second;
  const third = source[from + 2] as number;
  return ((first << 24) | (second << 16) | (third << 8) | (source[from + 3] as number)) >>> 0;
}

function readString(length: number): string {
  const from = at;
  at += length;
  if (at > end) throw REFUSED;
  return textOf(source, from, length);
}

/** As a share of the source, from which on a view wastes less than a copy costs. */
const MOST = 0.75;

/** A Buffer of its own: neither of the chunk nor of a shared pool, both of which it would pin. */
function readBytes(length: number): Buffer {
  if (at + length > end) throw REFUSED;
  const from = at;
  at += length;
  if (own && length >= MOST * source.buffer.byteLength) return source.subarray(from, at);
  const bytes = Buffer.allocUnsafeSlow(length);
  source.copy(bytes, 0, from, at);
  return bytes;
}

/** Counts the items of a container before the first of them is read. */
function enter(items: number): void {
  values += items;
  depth++;
  if (items > end - at || values > maxValues || depth > maxDepth) throw REFUSED;
}

function readArray(length: number): unknown[] {
  enter(length);
  let array: unknown[];
  // Most are this short, and an array that grows by push takes room for 17.
  if (length === 1) array = [read()];
  else if (length === 2) array = [read(), read()];
  else {
    array = new Array<unknown>(length);
    for (let i = 0; i < length; i++) array[i] = read();
  }
  depth--;
  return array;
}

function readMap(length: number): Record<string, unknown> {
  enter(2 * length);
  const object: Record<string, unknown> = {};
  fill(object, length);
  depth--;
  return object;
}

/**
 * Reads so many entries into an object. Each line that stores one keeps to one key where objects of that size are alike, and V8
 * makes it as fast as a store by name; in one line for all keys it looks each up.
 */
function fill(object: Record<string, unknown>, length: number): void {
  switch (length) {
    case 1:
      object[readKey()] = read();
      break;
    case 2:
      object[readKey()] = read();
      object[readKey()] = read();
      break;
    case 3:
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      break;
    case 4:
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      break;
    case 5:
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      break;
    case 6:
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      break;
    case 7:
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      object[readKey()] = read();
      break;
    default:
      for (let i = 0; i < length; i++) object[readKey()] = read();
  }
}

function readKey(): string {
  const token = source[at++] as number;
  let length: number;
  if (token >= 0xa0 && token < 0xc0) length = token - 0xa0;
  else if (token === 0xd9) length = take(1);
  else if (token === 0xda) length = take(2);
  else if (token === 0xdb) length = take(4);
  else throw REFUSED;
  const from = at;
  at += length;
  if (at > end) throw REFUSED;
  const key = keyOf(source, from, length);
  if (key === '__proto__') throw REFUSED;
  return key;
}

function readExt(length: number): unknown {
  const type = source[at++] as number;
  const start = at;
  const extEnd = start + length;
  if (extEnd > end) throw REFUSED;
  if (type === EXT_TIMESTAMP) return readDate(length);
  if (type === EXT_UNDEFINED) {
    // One form only: fixext 1.
    if (length !== 1 || source[start - 2] !== 0xd4 || source[start] !== 0) throw REFUSED;
    at = extEnd;
    return undefined;
  }
  if (type !== EXT_TYPE || length < 2) throw REFUSED;
  const kind = source[at++] as number;
  if (kind === ExtKind.TYPED_ARRAY) {
    const element = source[at] as number;
    const width = elementBytes(element);
    if (width === 0 || (length - 2) % width !== 0) throw REFUSED;
    at = extEnd;
    return makeElements(source, start + 2, extEnd, element);
  }
  const token = source[at] as number;
  if (!((token >= 0x90 && token < 0xa0) || token === 0xdc || token === 0xdd)) throw REFUSED;
  // The array inside is a value and a container of its own.
  values++;
  depth++;
  const outerEnd = end;
  end = extEnd;
  const content = read() as unknown[];
  if (at !== extEnd) throw REFUSED;
  end = outerEnd;
  depth--;
  if (kind === ExtKind.SET) return new Set(content);
  if (kind === ExtKind.MAP) return toMap(content);
  if (kind === ExtKind.ERROR) return toError(content);
  throw REFUSED;
}

function toMap(content: readonly unknown[]): Map<unknown, unknown> {
  if (content.length % 2 !== 0) throw REFUSED;
  const map = new Map<unknown, unknown>();
  for (let i = 0; i < content.length; i += 2) map.set(content[i], content[i + 1]);
  return map;
}

function toError(content: readonly unknown[]): Error {
  const [name, message, props] = content;
  if (typeof name !== 'string' || typeof message !== 'string') throw REFUSED;
  // Of all that is read, only a msgpack map has this prototype.
  if (typeof props !== 'object' || props === null || Object.getPrototypeOf(props) !== Object.prototype)
    throw REFUSED;
  return makeError(name, message, props as Record<string, unknown>);
}

function readDate(length: number): Date {
  const date = dateOf(source, at, length);
  if (date === undefined) throw REFUSED;
  at += length;
  return date;
}

// Strings: fast for the short ASCII ones that messages are full of. The caller has checked the bounds.

/** Up to here a string is made from its letters: calling into the runtime costs more than such a string itself. */
const SPELLED_BYTES = 8;
/** Up to here it is looked for among those read before; these are the lengths of a fixstr. */
const CACHED_BYTES = 31;

const CACHE_SLOTS = 2048;
/**
 * Strings repeat: one that was read before is found by its bytes, made already. Bounded, ASCII only. Values have a cache of
 * their own, so that they don't drive out the keys.
 */
const keyCache: string[] = new Array<string>(CACHE_SLOTS).fill('');
const textCache: string[] = new Array<string>(CACHE_SLOTS).fill('');
/** The keys that are interned: 1 in their slot. */
const interned = new Uint8Array(CACHE_SLOTS);

/** @param length 1 to `CACHED_BYTES` */
function slotOf(source: Buffer, from: number, length: number): number {
  return (
    ((source[from] as number) * 31 +
      (source[from + (length >> 1)] as number) * 7 +
      (source[from + length - 1] as number) * 131 +
      length * 17) &
    (CACHE_SLOTS - 1)
  );
}

/** Whether the text, of ASCII, is what lies there. */
export function isText(text: string, source: Buffer, from: number, length: number): boolean {
  if (text.length !== length) return false;
  let i = 0;
  while (i < length && text.charCodeAt(i) === source[from + i]) i++;
  return i === length;
}

function cachedText(source: Buffer, from: number, length: number): string {
  const slot = slotOf(source, from, length);
  const cached = textCache[slot] as string;
  if (isText(cached, source, from, length)) return cached;
  const text = source.toString('utf8', from, from + length);
  // Longer in bytes than in letters is not ASCII.
  if (text.length === length) textCache[slot] = text;
  return text;
}

function cachedKey(source: Buffer, from: number, length: number): string {
  const slot = slotOf(source, from, length);
  const cached = keyCache[slot] as string;
  if (isText(cached, source, from, length)) return interned[slot] === 1 ? cached : intern(slot, cached);
  const key = source.toString('utf8', from, from + length);
  if (key.length === length) {
    keyCache[slot] = key;
    interned[slot] = 0;
  }
  return key;
}

/**
 * A key that comes again: from here on it is the very string that V8 has objects' keys in, which makes a store by it a fifth
 * faster. Not at its first time: one that does not come again would cost twice.
 */
function intern(slot: number, key: string): string {
  const object: Record<string, true> = Object.create(null);
  object[key] = true;
  const same = Object.keys(object)[0] as string;
  keyCache[slot] = same;
  interned[slot] = 1;
  return same;
}

/** A value. */
export function textOf(source: Buffer, from: number, length: number): string {
  if (length > CACHED_BYTES) return source.toString('utf8', from, from + length);
  if (length > SPELLED_BYTES) return cachedText(source, from, length);
  const end = from + length;
  for (let i = from; i < end; i++) {
    if ((source[i] as number) >= 0x80) return source.toString('utf8', from, end);
  }
  return spell(source, from, length);
}

/** A key of a map. */
function keyOf(source: Buffer, from: number, length: number): string {
  if (length === 0 || length > CACHED_BYTES) return source.toString('utf8', from, from + length);
  return cachedKey(source, from, length);
}

/** ASCII of at most `SPELLED_BYTES`. */
function spell(s: Buffer, f: number, length: number): string {
  const { fromCharCode } = String;
  switch (length) {
    case 0:
      return '';
    case 1:
      return fromCharCode(s[f] as number);
    case 2:
      return fromCharCode(s[f] as number, s[f + 1] as number);
    case 3:
      return fromCharCode(s[f] as number, s[f + 1] as number, s[f + 2] as number);
    case 4:
      return fromCharCode(s[f] as number, s[f + 1] as number, s[f + 2] as number, s[f + 3] as number);
    case 5:
      return fromCharCode(
        s[f] as number,
        s[f + 1] as number,
        s[f + 2] as number,
        s[f + 3] as number,
        s[f + 4] as number,
      );
    case 6:
      return fromCharCode(
        s[f] as number,
        s[f + 1] as number,
        s[f + 2] as number,
        s[f + 3] as number,
        s[f + 4] as number,
        s[f + 5] as number,
      );
    case 7:
      return fromCharCode(
        s[f] as number,
        s[f + 1] as number,
        s[f + 2] as number,
        s[f + 3] as number,
        s[f + 4] as number,
        s[f + 5] as number,
        s[f + 6] as number,
      );
    default:
      return fromCharCode(
        s[f] as number,
        s[f + 1] as number,
        s[f + 2] as number,
        s[f + 3] as number,
        s[f + 4] as number,
        s[f + 5] as number,
        s[f + 6] as number,
        s[f + 7] as number,
      );
  }
}
