/**
 * What an object that is neither a plain object nor a plain array is, as far as encoding goes. Pure.
 * Told by brand where the language lets us, so that objects of another realm and of subclasses count too.
 */
import { types } from 'node:util';

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
