/**
 * The values that msgpack has no type for: which kind a value is, and what dates, typed arrays and errors are as bytes. What both
 * ways of encoding and the reader share. Pure.
 */
import { types } from 'node:util';
import { ElementType } from '../wire/constants.js';

// What an object that is neither a plain object nor a plain array is. Told by brand where the language lets us, so that objects of
// another realm and of subclasses count too.

export type ValueKind =
  | 'buffer'
  | 'date'
  | 'error'
  | 'map'
  | 'set'
  | 'binary'
  | 'boxed'
  | 'array'
  | 'instance'
  /** Nothing that could travel. */
  | 'foreign';

const tagOf = Object.prototype.toString;

export function kindOf(value: object): ValueKind {
  if (Buffer.isBuffer(value)) return 'buffer';
  if (Array.isArray(value)) return 'array';
  if (value instanceof Error) return 'error';
  // Most of what comes here is an instance of somebody's class: out of the way with one call.
  if (tagOf.call(value) === '[object Object]' && !types.isProxy(value)) return 'instance';
  if (types.isDate(value)) return 'date';
  if (types.isMap(value)) return 'map';
  if (types.isSet(value)) return 'set';
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return 'binary';
  if (types.isNativeError(value)) return 'error';
  if (types.isBoxedPrimitive(value)) return 'boxed';
  return isForeign(value) ? 'foreign' : 'instance';
}

function isForeign(value: object): boolean {
  return (
    types.isRegExp(value) ||
    types.isPromise(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    value instanceof WeakRef ||
    types.isGeneratorObject(value) ||
    types.isMapIterator(value) ||
    types.isSetIterator(value) ||
    types.isExternal(value)
  );
}

/** The primitive inside a Number, String, Boolean, BigInt or Symbol object, whatever its valueOf says. */
export function unbox(value: object): unknown {
  if (types.isNumberObject(value)) return Number.prototype.valueOf.call(value);
  if (types.isStringObject(value)) return String.prototype.valueOf.call(value);
  if (types.isBooleanObject(value)) return Boolean.prototype.valueOf.call(value);
  if (types.isBigIntObject(value)) return BigInt.prototype.valueOf.call(value);
  return Symbol.prototype.valueOf.call(value);
}

/** How a message calls the value: its class name, as far as that can be told. */
export function nameOf(value: object): string {
  return tagOf.call(value).slice('[object '.length, -1);
}

// Dates.

const NANOSECONDS_PER_MS = 1_000_000;
const MAX_NANOSECONDS = 999_999_999;
const MAX_DATE_SECONDS = 8_640_000_000_000;
const TWO_POW_32 = 0x1_0000_0000;

/** The Date in `source[from..from + length)`; undefined where there is none. */
export function dateOf(source: Buffer, from: number, length: number): Date | undefined {
  let seconds: number;
  let nanoseconds = 0;
  if (length === 4) {
    seconds = source.readUInt32BE(from);
  } else if (length === 8) {
    const high = source.readUInt32BE(from);
    nanoseconds = high >>> 2;
    seconds = (high & 3) * TWO_POW_32 + source.readUInt32BE(from + 4);
  } else if (length === 12) {
    nanoseconds = source.readUInt32BE(from);
    seconds = source.readInt32BE(from + 4) * TWO_POW_32 + source.readUInt32BE(from + 8);
  } else {
    return undefined;
  }
  if (nanoseconds > MAX_NANOSECONDS || isBeyondDates(seconds, nanoseconds)) return undefined;
  return new Date(seconds * 1000 + Math.floor(nanoseconds / NANOSECONDS_PER_MS));
}

/** More than 100 million days from the epoch, by however little. */
function isBeyondDates(seconds: number, nanoseconds: number): boolean {
  return Math.abs(seconds) > MAX_DATE_SECONDS || (seconds === MAX_DATE_SECONDS && nanoseconds > 0);
}

// Typed arrays.

type Binary =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | ArrayBuffer
  | DataView;

interface Element {
  width: number;
  make: (buffer: ArrayBuffer) => Binary;
}

const ELEMENTS: ReadonlyMap<number, Element> = new Map<number, Element>([
  [ElementType.INT8, { width: 1, make: (b) => new Int8Array(b) }],
  [ElementType.UINT8, { width: 1, make: (b) => new Uint8Array(b) }],
  [ElementType.UINT8_CLAMPED, { width: 1, make: (b) => new Uint8ClampedArray(b) }],
  [ElementType.INT16, { width: 2, make: (b) => new Int16Array(b) }],
  [ElementType.UINT16, { width: 2, make: (b) => new Uint16Array(b) }],
  [ElementType.INT32, { width: 4, make: (b) => new Int32Array(b) }],
  [ElementType.UINT32, { width: 4, make: (b) => new Uint32Array(b) }],
  [ElementType.FLOAT32, { width: 4, make: (b) => new Float32Array(b) }],
  [ElementType.FLOAT64, { width: 8, make: (b) => new Float64Array(b) }],
  [ElementType.BIGINT64, { width: 8, make: (b) => new BigInt64Array(b) }],
  [ElementType.BIGUINT64, { width: 8, make: (b) => new BigUint64Array(b) }],
  [ElementType.ARRAY_BUFFER, { width: 1, make: (b) => b }],
  [ElementType.DATA_VIEW, { width: 1, make: (b) => new DataView(b) }],
]);

/** By the name that `%TypedArray%.prototype[Symbol.toStringTag]` gives, which no subclass changes. */
const BY_NAME: ReadonlyMap<string, number> = new Map([
  ['Int8Array', ElementType.INT8],
  ['Uint8Array', ElementType.UINT8],
  ['Uint8ClampedArray', ElementType.UINT8_CLAMPED],
  ['Int16Array', ElementType.INT16],
  ['Uint16Array', ElementType.UINT16],
  ['Int32Array', ElementType.INT32],
  ['Uint32Array', ElementType.UINT32],
  ['Float32Array', ElementType.FLOAT32],
  ['Float64Array', ElementType.FLOAT64],
  ['BigInt64Array', ElementType.BIGINT64],
  ['BigUint64Array', ElementType.BIGUINT64],
]);

const BIG_ENDIAN_HOST = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0;
const typedArrayTag = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)?.get;

/** Bytes of one element of this type; 0 for a type that is not known. */
export function elementBytes(elementType: number): number {
  return ELEMENTS.get(elementType)?.width ?? 0;
}

/** The element type of a view or buffer; undefined for one that the wire has no number for. */
export function elementTypeOf(value: ArrayBufferView | ArrayBufferLike): number | undefined {
  if (!ArrayBuffer.isView(value)) return ElementType.ARRAY_BUFFER;
  const name: unknown = typedArrayTag?.call(value);
  return typeof name === 'string' ? BY_NAME.get(name) : ElementType.DATA_VIEW;
}

/** Copies the raw bytes of a view or buffer, little endian, into `target`, which has the room. */
export function copyElements(
  value: ArrayBufferView | ArrayBufferLike,
  elementType: number,
  target: Buffer,
  offset: number,
): void {
  const raw = ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
  target.set(raw, offset);
  swapOnBigEndian(target.subarray(offset, offset + raw.length), elementType);
}

/** The value whose raw little-endian bytes are `source[start..end)`. Own memory. */
export function makeElements(source: Buffer, start: number, end: number, elementType: number): Binary {
  const element = ELEMENTS.get(elementType);
  if (element === undefined) throw new TypeError(`no element type ${elementType}`);
  const bytes = new Uint8Array(end - start);
  bytes.set(source.subarray(start, end));
  swapOnBigEndian(Buffer.from(bytes.buffer), elementType);
  return element.make(bytes.buffer);
}

function swapOnBigEndian(bytes: Buffer, elementType: number): void {
  if (!BIG_ENDIAN_HOST) return;
  const width = elementBytes(elementType);
  if (width === 2) bytes.swap16();
  else if (width === 4) bytes.swap32();
  else if (width === 8) bytes.swap64();
}

// Errors.

type ErrorClass = new (message: string) => Error;

const STANDARD: ReadonlyMap<string, ErrorClass> = new Map<string, ErrorClass>([
  ['Error', Error],
  ['TypeError', TypeError],
  ['RangeError', RangeError],
  ['SyntaxError', SyntaxError],
  ['ReferenceError', ReferenceError],
  ['EvalError', EvalError],
  ['URIError', URIError],
]);

/** Travel as fields of their own, or not at all. */
const NOT_PROPERTIES: ReadonlySet<string> = new Set(['name', 'message', 'stack']);

/** A real Error from what came over the wire. Properties are defined, never assigned: no setter runs. */
export function makeError(name: string, message: string, props: Record<string, unknown>): Error {
  const Class = STANDARD.get(name);
  const error = new (Class ?? Error)(message);
  if (Class === undefined) define(error, 'name', name, false);
  // The stack of this function would only mislead.
  define(error, 'stack', `${name}: ${message}`, false);
  for (const key of Object.keys(props)) {
    if (!NOT_PROPERTIES.has(key) && key !== '__proto__') define(error, key, props[key], key !== 'cause');
  }
  return error;
}

/** The properties of an error that travel with it, as a plain object. Runs the error's getters. */
export function errorProperties(error: Error): Record<string, unknown> {
  const props: Record<string, unknown> = {};
  for (const key of Object.keys(error)) {
    if (!NOT_PROPERTIES.has(key)) define(props, key, Reflect.get(error, key), true);
  }
  const code: unknown = Reflect.get(error, 'code');
  if (code !== undefined && !Object.hasOwn(props, 'code')) props.code = code;
  if (Object.hasOwn(error, 'cause') && !Object.hasOwn(props, 'cause')) props.cause = error.cause;
  return props;
}

function define(target: object, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(target, key, { value, enumerable, writable: true, configurable: true });
}
