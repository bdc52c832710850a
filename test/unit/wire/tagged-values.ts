/**
 * The notation of wire-vectors.json: JSON, with an object of one `$…` key for what JSON has no word for.
 * Test code only.
 */

type Tagged = null | boolean | number | string | Tagged[] | { [key: string]: Tagged };

const BINARY = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
} as const;

/** The value that a tagged JSON value stands for. */
export function fromTagged(tagged: unknown): unknown {
  if (Array.isArray(tagged)) return tagged.map(fromTagged);
  if (typeof tagged !== 'object' || tagged === null) return tagged;
  const object = tagged as Record<string, unknown>;
  const [tag] = Object.keys(object);
  const content = tag === undefined ? undefined : object[tag];
  switch (tag) {
    case '$undefined':
      return undefined;
    case '$number':
      return Number(content);
    case '$bigint':
      return BigInt(content as string);
    case '$bin':
      return Buffer.from(content as string, 'hex');
    case '$date':
      return new Date(content as string);
    case '$map':
      return new Map((content as [unknown, unknown][]).map(([k, v]) => [fromTagged(k), fromTagged(v)]));
    case '$set':
      return new Set((content as unknown[]).map(fromTagged));
    case '$error':
      return errorOf(content as { name: string; message: string; props: Record<string, unknown> });
    case '$binary':
      return binaryOf(content as { type: string; hex: string });
    default:
      return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, fromTagged(value)]));
  }
}

/** A value in the notation; two values are the same for the wire exactly if their notation is. */
export function toTagged(value: unknown): Tagged {
  if (value === undefined) return { $undefined: true };
  if (typeof value === 'number') {
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { $number: Object.is(value, -0) ? '-0' : String(value) };
  }
  if (typeof value === 'bigint') return { $bigint: String(value) };
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (Buffer.isBuffer(value)) return { $bin: value.toString('hex') };
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Map) return { $map: [...value].map(([k, v]) => [toTagged(k), toTagged(v)]) };
  if (value instanceof Set) return { $set: [...value].map(toTagged) };
  if (value instanceof Error) {
    const props: Record<string, Tagged> = {};
    for (const key of Object.getOwnPropertyNames(value)) {
      if (!['name', 'message', 'stack'].includes(key)) props[key] = toTagged(Reflect.get(value, key));
    }
    return { $error: { name: value.name, message: value.message, props } };
  }
  if (value instanceof ArrayBuffer) {
    return { $binary: { type: 'ArrayBuffer', hex: Buffer.from(value).toString('hex') } };
  }
  if (ArrayBuffer.isView(value)) {
    const hex = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
    return { $binary: { type: value.constructor.name, hex } };
  }
  if (Array.isArray(value)) return Array.from(value, toTagged);
  return Object.fromEntries(Object.entries(value as object).map(([key, item]) => [key, toTagged(item)]));
}

function errorOf({
  name,
  message,
  props,
}: {
  name: string;
  message: string;
  props: Record<string, unknown>;
}): Error {
  const standard: Record<string, new (message: string) => Error> = { TypeError, RangeError, SyntaxError };
  const error = new (standard[name] ?? Error)(message);
  if (error.name !== name) Object.defineProperty(error, 'name', { value: name, enumerable: false });
  for (const [key, value] of Object.entries(props)) {
    Object.defineProperty(error, key, { value: fromTagged(value), enumerable: key !== 'cause' });
  }
  return error;
}

function binaryOf({ type, hex }: { type: string; hex: string }): unknown {
  const buffer = Uint8Array.from(Buffer.from(hex, 'hex')).buffer;
  if (type === 'ArrayBuffer') return buffer;
  const Class = BINARY[type as keyof typeof BINARY] as new (memory: ArrayBuffer) => unknown;
  return new Class(buffer);
}
