/**
 * Looks through a payload without building anything: strict msgpack, bounded depth and count, string keys that are never
 * `__proto__`, known extensions only, exact length. Pure. For payloads that are passed on undecoded, and to say what is
 * wrong with one that decode.ts has refused: the two agree on every input.
 *
 * Iterative, so that no input can overflow the stack, and one pass. Values are counted where a container
 * declares them, so a count bomb ends at its header. What passes here decodes without an error.
 */
import { NyotaError } from '../errors.js';
import { EXT_TIMESTAMP, EXT_TYPE, EXT_UNDEFINED, ExtKind } from '../wire/constants.js';
import { elementBytes } from './values.js';

export interface PayloadLimits {
  /** How deep containers may nest: arrays, maps, and the extensions Map, Set and Error with their array. */
  maxDepth: number;
  /** How many msgpack items a payload may hold, keys and extensions included. */
  maxValues: number;
}

/**
 * The open containers. Module state is safe here: a scan runs no foreign code and always ends before the
 * next one starts. What one scan leaves behind is overwritten, not read, by the next.
 */
const remainingItems: number[] = [];
const inMap: boolean[] = [];
/** Where the extension around an array ends; -1 for a container that is none. */
const extEnds: number[] = [];

let origin = 0;
/** What the last scan that passed has found. */
let deepest = 0;
let counted = 0;

/** Milliseconds that a Date holds at most, in seconds: 100 million days. */
const MAX_DATE_SECONDS = 8_640_000_000_000;
const MAX_NANOSECONDS = 999_999_999;

/**
 * Checks the payload `source[start..end)`.
 *
 * @throws NyotaError `NYOTA_PAYLOAD_REFUSED` naming what is wrong and the offset within the payload
 */
export function scanPayload(source: Buffer, start: number, end: number, limits: PayloadLimits): void {
  const { maxDepth, maxValues } = limits;
  origin = start;
  let at = start;
  let values = 1;
  /** Containers that the next item is inside of, and the most that any was. */
  let depth = 0;
  let most = 0;
  /** The top of the stacks; -1 outside of all containers. */
  let top = -1;
  /** Items that the innermost container still lacks; in a map a key is due while this is even. */
  let remaining = 1;
  let isMap = false;
  if (values > maxValues) refuse(`more than ${maxValues} values (maxValues)`, at);

  for (;;) {
    if (at >= end) refuse('the payload is cut short', at);
    const itemAt = at;
    const token = source[at++] as number;
    /** Set by a container: how many items it holds. */
    let count = -1;
    let countIsMap = false;
    let extEnd = -1;

    if (isMap && (remaining & 1) === 0) {
      at = endOfKey(source, token, at, end);
    } else if (token < 0x80 || token >= 0xe0) {
      // a small integer
    } else if (token >= 0xa0 && token < 0xc0) {
      at += token - 0xa0;
    } else if (token < 0x90) {
      count = (token - 0x80) * 2;
      countIsMap = true;
    } else if (token < 0xa0) {
      count = token - 0x90;
    } else {
      switch (token) {
        case 0xc0: // nil
        case 0xc2: // false
        case 0xc3: // true
          break;
        case 0xc4: // bin 8
        case 0xd9: // str 8
          at += 1 + lengthOf(source, at, 1, end);
          break;
        case 0xc5: // bin 16
        case 0xda: // str 16
          at += 2 + lengthOf(source, at, 2, end);
          break;
        case 0xc6: // bin 32
        case 0xdb: // str 32
          at += 4 + lengthOf(source, at, 4, end);
          break;
        case 0xcc: // uint 8
        case 0xd0: // int 8
          at += 1;
          break;
        case 0xcd: // uint 16
        case 0xd1: // int 16
          at += 2;
          break;
        case 0xce: // uint 32
        case 0xd2: // int 32
        case 0xca: // float 32
          at += 4;
          break;
        case 0xcf: // uint 64
        case 0xd3: // int 64
        case 0xcb: // float 64
          at += 8;
          break;
        case 0xdc: // array 16
          count = lengthOf(source, at, 2, end);
          at += 2;
          break;
        case 0xdd: // array 32
          count = lengthOf(source, at, 4, end);
          at += 4;
          break;
        case 0xde: // map 16
          count = lengthOf(source, at, 2, end) * 2;
          countIsMap = true;
          at += 2;
          break;
        case 0xdf: // map 32
          count = lengthOf(source, at, 4, end) * 2;
          countIsMap = true;
          at += 4;
          break;
        case 0xc1:
          refuse('the byte 0xc1, which msgpack never uses', itemAt);
          break;
        default: {
          // ext 8, 16, 32 and fixext 1, 2, 4, 8, 16
          const dataBytes = extLength(source, token, at, end);
          const typeAt = at + (token === 0xc7 ? 1 : token === 0xc8 ? 2 : token === 0xc9 ? 4 : 0);
          const dataAt = typeAt + 1;
          if (dataAt + dataBytes > end) refuse('an extension that is cut short', itemAt);
          if (isContainer(source, typeAt, dataAt, dataBytes, itemAt)) {
            extEnd = dataAt + dataBytes;
            const arrayAt = dataAt + 1;
            count = arrayCount(source, arrayAt, extEnd, itemAt);
            at = arrayAt + arrayHeaderBytes(source[arrayAt] as number);
            checkContents(source, dataAt, at, extEnd, count, itemAt);
            // The array inside is a value and a container of its own.
            values++;
            depth++;
          } else {
            at = dataAt + dataBytes;
          }
        }
      }
    }
    if (at > end) refuse('the payload is cut short', itemAt);

    if (count >= 0) {
      if (count > end - at) refuse(`a container of ${count} items in ${end - at} bytes`, itemAt);
      values += count;
      if (values > maxValues) refuse(`more than ${maxValues} values (maxValues)`, itemAt);
      depth++;
      if (depth > maxDepth) refuse(`nesting deeper than ${maxDepth} (maxDepth)`, itemAt);
      if (depth > most) most = depth;
      remaining--;
      top++;
      remainingItems[top] = remaining;
      inMap[top] = isMap;
      extEnds[top] = extEnd;
      remaining = count;
      isMap = countIsMap;
    } else {
      remaining--;
    }
    // Close every container that is complete now.
    while (remaining === 0 && top >= 0) {
      const around = extEnds[top] as number;
      depth--;
      if (around >= 0) {
        if (at !== around) refuse('an extension whose content is not as long as it says', at);
        depth--;
      }
      remaining = remainingItems[top] as number;
      isMap = inMap[top] as boolean;
      top--;
    }
    if (remaining === 0) break;
  }
  if (at !== end) refuse(`${end - at} bytes after the payload`, at);
  deepest = most;
  counted = values;
}

/** The same, and how deep the payload nests and how many values it holds, counted as the limits are. */
export function measurePayload(
  source: Buffer,
  start: number,
  end: number,
  limits: PayloadLimits,
): { depth: number; values: number } {
  scanPayload(source, start, end, limits);
  return { depth: deepest, values: counted };
}

function refuse(what: string, at: number): never {
  throw new NyotaError('NYOTA_PAYLOAD_REFUSED', `the payload holds ${what}, at offset ${at - origin}`);
}

/** An unsigned length of 1, 2 or 4 bytes. */
function lengthOf(source: Buffer, at: number, bytes: 1 | 2 | 4, end: number): number {
  if (at + bytes > end) refuse('a length that is cut short', at - 1);
  if (bytes === 1) return source[at] as number;
  return bytes === 2 ? source.readUInt16BE(at) : source.readUInt32BE(at);
}

const PROTO = Buffer.from('__proto__');

/** Where the map key with this token ends. */
function endOfKey(source: Buffer, token: number, at: number, end: number): number {
  let length: number;
  let from = at;
  if (token >= 0xa0 && token < 0xc0) {
    length = token - 0xa0;
  } else if (token === 0xd9) {
    length = lengthOf(source, at, 1, end);
    from = at + 1;
  } else if (token === 0xda) {
    length = lengthOf(source, at, 2, end);
    from = at + 2;
  } else if (token === 0xdb) {
    length = lengthOf(source, at, 4, end);
    from = at + 4;
  } else {
    refuse(`a map key that is no string (0x${token.toString(16)})`, at - 1);
  }
  const keyEnd = from + length;
  if (keyEnd > end) refuse('a map key that is cut short', at - 1);
  if (
    length === PROTO.length &&
    source[from] === PROTO[0] &&
    source.compare(PROTO, 0, length, from, keyEnd) === 0
  ) {
    refuse('the map key "__proto__"', at - 1);
  }
  return keyEnd;
}

/** Bytes of data of an extension with this token, without its type. */
function extLength(source: Buffer, token: number, at: number, end: number): number {
  switch (token) {
    case 0xc7:
      return lengthOf(source, at, 1, end);
    case 0xc8:
      return lengthOf(source, at, 2, end);
    case 0xc9:
      return lengthOf(source, at, 4, end);
    default: // fixext 1, 2, 4, 8, 16 are 0xd4 to 0xd8
      return 1 << (token - 0xd4);
  }
}

/** Checks an extension's type and data; true for one that holds an array of values (Map, Set, Error). */
function isContainer(
  source: Buffer,
  typeAt: number,
  dataAt: number,
  dataBytes: number,
  itemAt: number,
): boolean {
  const type = source[typeAt] as number;
  if (type === EXT_UNDEFINED) {
    if (dataBytes !== 1 || typeAt !== itemAt + 1 || source[dataAt] !== 0) {
      refuse('an extension of type 0 that is not undefined', itemAt);
    }
    return false;
  }
  if (type === EXT_TIMESTAMP) {
    checkTimestamp(source, dataAt, dataBytes, itemAt);
    return false;
  }
  if (type !== EXT_TYPE) refuse(`an extension of the unknown type ${type > 127 ? type - 256 : type}`, itemAt);
  if (dataBytes < 2) refuse('an extension of nyota that is cut short', itemAt);
  const kind = source[dataAt] as number;
  if (kind === ExtKind.TYPED_ARRAY) {
    const element = source[dataAt + 1] as number;
    const width = elementBytes(element);
    if (width === 0) refuse(`a typed array of the unknown element type ${element}`, itemAt);
    if ((dataBytes - 2) % width !== 0) refuse('a typed array with half an element', itemAt);
    return false;
  }
  if (kind !== ExtKind.MAP && kind !== ExtKind.SET && kind !== ExtKind.ERROR) {
    refuse(`an extension of nyota of the unknown kind ${kind}`, itemAt);
  }
  return true;
}

/** A timestamp that a Date can hold, in 4, 8 or 12 bytes. */
function checkTimestamp(source: Buffer, at: number, bytes: number, itemAt: number): void {
  if (bytes === 4) return;
  if (bytes === 8) {
    if (source.readUInt32BE(at) >>> 2 > MAX_NANOSECONDS)
      refuse('a timestamp of too many nanoseconds', itemAt);
  } else if (bytes === 12) {
    if (source.readUInt32BE(at) > MAX_NANOSECONDS) refuse('a timestamp of too many nanoseconds', itemAt);
    const seconds = source.readInt32BE(at + 4) * 0x1_0000_0000 + source.readUInt32BE(at + 8);
    const tooLate = seconds === MAX_DATE_SECONDS && source.readUInt32BE(at) > 0;
    if (Math.abs(seconds) > MAX_DATE_SECONDS || tooLate) refuse('a timestamp that no Date can hold', itemAt);
  } else {
    refuse(`a timestamp of ${bytes} bytes`, itemAt);
  }
}

/** How many elements the array that fills an extension declares. */
function arrayCount(source: Buffer, at: number, end: number, itemAt: number): number {
  const token = source[at] as number;
  if (token >= 0x90 && token < 0xa0) return token - 0x90;
  if (token === 0xdc) return lengthOf(source, at + 1, 2, end);
  if (token === 0xdd) return lengthOf(source, at + 1, 4, end);
  return refuse('an extension of nyota without an array in it', itemAt);
}

function arrayHeaderBytes(token: number): number {
  return token === 0xdc ? 3 : token === 0xdd ? 5 : 1;
}

/** A Map has pairs; an Error has two strings (name, message) and a map first. The scan goes on at `at`. */
function checkContents(
  source: Buffer,
  kindAt: number,
  at: number,
  end: number,
  count: number,
  itemAt: number,
): void {
  const kind = source[kindAt] as number;
  if (kind === ExtKind.MAP && (count & 1) === 1) refuse('a Map with a key and no value', itemAt);
  if (kind !== ExtKind.ERROR) return;
  if (count < 3) refuse('an Error without name, message and properties', itemAt);
  const messageAt = endOfString(source, at, end, itemAt);
  const propsAt = endOfString(source, messageAt, end, itemAt);
  const token = propsAt < end ? (source[propsAt] as number) : 0;
  const isMap = (token >= 0x80 && token < 0x90) || token === 0xde || token === 0xdf;
  if (!isMap) refuse('an Error whose properties are no map', itemAt);
}

function endOfString(source: Buffer, at: number, end: number, itemAt: number): number {
  const token = at < end ? (source[at] as number) : 0;
  if (token >= 0xa0 && token < 0xc0) return at + 1 + token - 0xa0;
  if (token === 0xd9) return at + 2 + lengthOf(source, at + 1, 1, end);
  if (token === 0xda) return at + 3 + lengthOf(source, at + 1, 2, end);
  if (token === 0xdb) return at + 5 + lengthOf(source, at + 1, 4, end);
  return refuse(`an Error whose name or message is no string (0x${token.toString(16)})`, itemAt);
}
