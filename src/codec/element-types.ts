/**
 * Typed arrays, ArrayBuffer and DataView to raw little-endian bytes and back. Pure.
 */
import { ElementType } from '../wire/constants.js';

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
