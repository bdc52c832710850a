/**
 * Reads a payload that the scan has let through. Pure.
 *
 * A reader of our own instead of msgpackr's: that one copies the whole source for every extension that is
 * read from within a read (quadratic for a payload full of Maps), its string extraction doesn't know what
 * is inside extensions, it drops a byte order mark at the start of a long string where its native part is
 * missing, its extension table belongs to the whole process, and it is no faster on frames inside a chunk.
 * It trusts the scan: bounds, depth and keys are not checked again. Decoded values share no memory with
 * the source.
 */
import { EXT_TIMESTAMP, EXT_TYPE, ExtKind } from './constants.js';
import { makeElements } from './element-types.js';
import { makeError } from './error-values.js';

/** Module state is safe: reading runs no foreign code, and every read starts with both set. */
const EMPTY: Buffer = Buffer.alloc(0);
let source: Buffer = EMPTY;
let at = 0;

/** The value of the payload that starts at `start` and has passed the scan. */
export function readPayload(from: Buffer, start: number): unknown {
  source = from;
  at = start;
  try {
    return read();
  } finally {
    source = EMPTY;
  }
}

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
      at += 8;
      return source.readDoubleBE(at - 8);
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
    default: // fixext 1, 2, 4, 8, 16 are 0xd4 to 0xd8
      return readExt(1 << (token - 0xd4));
  }
}

/** An unsigned integer of 1, 2 or 4 bytes. */
function take(bytes: 1 | 2 | 4): number {
  const from = at;
  at += bytes;
  if (bytes === 1) return source[from] as number;
  return bytes === 2 ? source.readUInt16BE(from) : source.readUInt32BE(from);
}

/** The longest that V8 joins flat: from 13 on, a string put together by letters is a tree of pieces. */
const SHORT_STRING = 12;

function readString(length: number): string {
  const from = at;
  at += length;
  if (length > SHORT_STRING) return source.toString('utf8', from, at);
  // Calling into the runtime costs more than a short ASCII string itself.
  let text = '';
  for (let i = from; i < at; i++) {
    const byte = source[i] as number;
    if (byte >= 0x80) return source.toString('utf8', from, at);
    text += String.fromCharCode(byte);
  }
  return text;
}

/** A Buffer of its own: neither of the chunk nor of a shared pool, both of which it would pin. */
function readBytes(length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  source.copy(bytes, 0, at, at + length);
  at += length;
  return bytes;
}

function readArray(length: number): unknown[] {
  const array: unknown[] = [];
  for (let i = 0; i < length; i++) array.push(read());
  return array;
}

function readMap(length: number): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (let i = 0; i < length; i++) {
    // The scan has made sure that it is a string and not `__proto__`.
    const key = readKey();
    object[key] = read();
  }
  return object;
}

const KEY_SLOTS = 2048;
/** Keys repeat: one that was read before is found by its bytes, ready interned. Bounded, ASCII only. */
const keyCache: string[] = new Array<string>(KEY_SLOTS).fill('');

function readKey(): string {
  const token = source[at] as number;
  const length = token - 0xa0;
  if (token < 0xa0 || token >= 0xc0 || length === 0) return read() as string;
  const from = at + 1;
  const last = source[at + length] as number;
  const slot =
    ((source[from] as number) * 31 +
      (source[from + (length >> 1)] as number) * 7 +
      last * 131 +
      length * 17) &
    (KEY_SLOTS - 1);
  const cached = keyCache[slot] as string;
  if (cached.length === length) {
    let i = 0;
    while (i < length && cached.charCodeAt(i) === source[from + i]) i++;
    if (i === length) {
      at = from + length;
      return cached;
    }
  }
  const key = read() as string;
  if (key.length === length) keyCache[slot] = key;
  return key;
}

function readExt(length: number): unknown {
  const type = source[at++] as number;
  const end = at + length;
  if (type === EXT_TIMESTAMP) return readDate(length);
  if (type !== EXT_TYPE) {
    at = end;
    return undefined;
  }
  const kind = source[at++] as number;
  if (kind === ExtKind.TYPED_ARRAY) {
    const value = makeElements(source, at + 1, end, source[at] as number);
    at = end;
    return value;
  }
  const content = read() as unknown[];
  if (kind === ExtKind.SET) return new Set(content);
  if (kind === ExtKind.ERROR) {
    return makeError(content[0] as string, content[1] as string, content[2] as Record<string, unknown>);
  }
  const map = new Map<unknown, unknown>();
  for (let i = 0; i + 1 < content.length; i += 2) map.set(content[i], content[i + 1]);
  return map;
}

const NANOSECONDS_PER_MS = 1_000_000;
const TWO_POW_32 = 0x1_0000_0000;

function readDate(length: number): Date {
  const from = at;
  at += length;
  if (length === 4) return new Date(source.readUInt32BE(from) * 1000);
  if (length === 8) {
    const high = source.readUInt32BE(from);
    const seconds = (high & 3) * TWO_POW_32 + source.readUInt32BE(from + 4);
    return new Date(seconds * 1000 + Math.floor((high >>> 2) / NANOSECONDS_PER_MS));
  }
  const seconds = source.readInt32BE(from + 4) * TWO_POW_32 + source.readUInt32BE(from + 8);
  return new Date(seconds * 1000 + Math.floor(source.readUInt32BE(from) / NANOSECONDS_PER_MS));
}
