/**
 * Checks that a value can travel before anything of it is encoded, and replaces what msgpackr can't carry.
 * Pure, apart from the getters and toJSON methods of the value, which run.
 *
 * One pass that allocates nothing for plain data. Where it fails, the path is put together while the
 * calls return (each adds its step), and a cycle, which always ends at a limit, shows as an object
 * that is its own ancestor. Depth and values are counted exactly as the scan of the other side will.
 */
import { type ErrorCode, NyotaError, printable, textOf } from '../errors.js';
import { ExtKind } from '../wire/constants.js';
import { Encoded } from './encoded.js';
import { ExtBytes, packExtension } from './packer.js';
import type { PayloadLimits } from './scan.js';
import { copyElements, elementTypeOf, errorProperties, kindOf, nameOf, unbox } from './values.js';

const MIN_INT64 = -(2n ** 63n);
const MAX_UINT64 = 2n ** 64n - 1n;
/** A Map, Set or Error is an extension with an array in it: two levels, one value more. */
const EXTENSION_DEPTH = 2;
const ERROR_ITEMS = 3;

/** The state of the call at hand. A getter or toJSON may start another, so every call restores it. */
let values = 0;
let maxValues = 0;
let maxDepth = 0;
let failure: EncodeFailure | undefined;

/**
 * Returns the value if it can travel as it is, or else a copy in which what needs it is replaced: Map, Set,
 * Error, typed arrays, ArrayBuffer, DataView, class instances (as plain objects of their own enumerable
 * string-keyed properties), objects with toJSON (Date, Buffer and Error excepted), boxed primitives.
 * What it returns is for `encodePrepared` alone.
 *
 * What changes on the way: -0 arrives as 0, holes in arrays as undefined, unpaired surrogates in strings as
 * U+FFFD; symbol keys and stacks of errors stay behind.
 *
 * @param root what the value is called in messages, such as `args`
 * @param aroundDepth how many containers the caller will put around the value
 * @param aroundValues how many values besides this one the caller will encode, those containers included
 * @throws NyotaError `NYOTA_UNSERIALIZABLE` naming the path of what can't travel (with what a getter or
 *   toJSON threw as its cause), `NYOTA_PAYLOAD_TOO_COMPLEX` naming the limit
 */
export function prepare(
  value: unknown,
  limits: PayloadLimits,
  root: string,
  aroundDepth = 0,
  aroundValues = 0,
): unknown {
  const outerValues = values;
  const outerMaxValues = maxValues;
  const outerMaxDepth = maxDepth;
  values = aroundValues + 1;
  maxValues = limits.maxValues;
  maxDepth = limits.maxDepth;
  try {
    const prepared = values > maxValues ? tooMany(value) : walk(value, aroundDepth);
    if (prepared !== FAILED) return prepared;
  } catch (error) {
    throw new NyotaError('NYOTA_UNSERIALIZABLE', `${root} could not be read`, { cause: error });
  } finally {
    values = outerValues;
    maxValues = outerMaxValues;
    maxDepth = outerMaxDepth;
  }
  throw takeFailure(root);
}

function takeFailure(root: string): NyotaError {
  const error = failure?.toError(root);
  failure = undefined;
  return error ?? new NyotaError('NYOTA_UNSERIALIZABLE', `${root} can't be sent`);
}

function fail(what: string, value: unknown): typeof FAILED {
  failure = new EncodeFailure('NYOTA_UNSERIALIZABLE', what, value);
  return FAILED;
}

function tooDeep(value: unknown): typeof FAILED {
  failure = new EncodeFailure('NYOTA_PAYLOAD_TOO_COMPLEX', `nests deeper than ${maxDepth} (maxDepth)`, value);
  return FAILED;
}

function tooMany(value: unknown): typeof FAILED {
  const what = `brings the payload above ${maxValues} values (maxValues)`;
  failure = new EncodeFailure('NYOTA_PAYLOAD_TOO_COMPLEX', what, value);
  return FAILED;
}

function failedAt(container: object, step: string): typeof FAILED {
  failure?.addStep(container, step);
  return FAILED;
}

/** `depth` is how many containers the value is inside of. The value itself has been counted. */
function walk(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'undefined':
      return value;
    case 'object': {
      if (value === null) return value;
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype === Object.prototype || prototype === null) return walkObject(value, depth);
      if (prototype === Array.prototype && Array.isArray(value)) return walkArray(value, depth);
      return walkSpecial(value, depth);
    }
    case 'bigint':
      if (value >= MIN_INT64 && value <= MAX_UINT64) return value;
      return fail('is a bigint of more than 64 bits', value);
    default:
      return fail(`is a ${typeof value}`, value);
  }
}

function walkArray(array: readonly unknown[], depth: number): unknown {
  const { length } = array;
  if (depth >= maxDepth) return tooDeep(array);
  values += length;
  if (values > maxValues) return tooMany(array);
  let copy: unknown[] | undefined;
  for (let i = 0; i < length; i++) {
    const item = array[i];
    const prepared = walk(item, depth + 1);
    if (prepared === item) continue;
    if (prepared === FAILED) return failedAt(array, `[${i}]`);
    // NaN is not itself.
    if (typeof item === 'number') continue;
    copy ??= array.slice();
    copy[i] = prepared;
  }
  return copy ?? array;
}

function walkObject(object: object, depth: number): unknown {
  if (depth >= maxDepth) return tooDeep(object);
  const source = object as Record<string, unknown>;
  const valuesBefore = values;
  let copy: Record<string, unknown> | undefined;
  // Not Object.keys: that is an array for every object.
  for (const key in source) {
    if (!Object.hasOwn(source, key)) continue;
    values += 2;
    if (values > maxValues) return tooMany(object);
    const item = source[key];
    if (typeof item === 'function' && key === 'toJSON') {
      values = valuesBefore;
      return walkJson(object, item, depth);
    }
    if (key === '__proto__') {
      fail('is a key that can not travel', item);
      return failedAt(object, propertyStep(key));
    }
    const prepared = walk(item, depth + 1);
    if (prepared === item) continue;
    if (prepared === FAILED) return failedAt(object, propertyStep(key));
    if (typeof item === 'number') continue;
    copy ??= { ...source };
    copy[key] = prepared;
  }
  return copy ?? object;
}

/** As JSON.stringify does it: what toJSON returns stands for the object, and its own toJSON is not asked. */
function walkJson(object: object, toJson: unknown, depth: number): unknown {
  const json: unknown = Reflect.apply(toJson as () => unknown, object, ['']);
  const isObject = typeof json === 'object' && json !== null;
  const prepared = isObject && hasOwnShape(json) ? walkInstance(json, depth) : walk(json, depth);
  return prepared === FAILED ? failedAt(object, '') : prepared;
}

function hasOwnShape(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return true;
  return kindOf(value) === 'instance' && !(value instanceof Encoded);
}

/** A copy as a plain object, so that no class and no toJSON plays a part any more. Getters run once. */
function walkInstance(object: object, depth: number): unknown {
  const copy: Record<string, unknown> = { ...object };
  if (typeof copy.toJSON === 'function') delete copy.toJSON;
  const prepared = walkObject(copy, depth);
  return prepared === FAILED ? failedAt(object, '') : prepared;
}

/** Everything that is neither a plain object nor a plain array. */
function walkSpecial(value: object, depth: number): unknown {
  if (value instanceof ExtBytes) return value;
  if (value instanceof Encoded) return walkEncoded(value, depth);
  const kind = kindOf(value);
  if (kind === 'buffer') return value;
  if (kind === 'date') return walkDate(value);
  if (kind === 'error') return walkError(value as Error, depth);
  if (kind === 'foreign') return fail(`is a ${nameOf(value)}`, value);
  const toJson: unknown = Reflect.get(value, 'toJSON');
  if (typeof toJson === 'function') return walkJson(value, toJson, depth);
  switch (kind) {
    case 'map':
      return walkMap(value as Map<unknown, unknown>, depth);
    case 'set':
      return walkSet(value as Set<unknown>, depth);
    case 'binary':
      return packBinary(value as ArrayBufferView | ArrayBuffer);
    case 'boxed':
      return walk(unbox(value), depth);
    case 'array': {
      const prepared = walkArray(Array.from(value as unknown[]), depth);
      return prepared === FAILED ? failedAt(value, '') : prepared;
    }
    default:
      return walkInstance(value, depth);
  }
}

/** msgpackr can't copy bytes into what it writes: here it is the value again. */
function walkEncoded(encoded: Encoded, depth: number): unknown {
  let value: unknown;
  try {
    value = encoded.decode();
  } catch (error) {
    return fail(`is an Encoded that can't be read: ${textOf(error)}`, encoded);
  }
  const prepared = walk(value, depth);
  return prepared === FAILED ? failedAt(encoded, '') : prepared;
}

function walkDate(value: object): unknown {
  const time = Date.prototype.getTime.call(value);
  if (Number.isNaN(time)) return fail('is an invalid Date', value);
  return Object.getPrototypeOf(value) === Date.prototype ? value : new Date(time);
}

function walkMap(map: Map<unknown, unknown>, depth: number): unknown {
  if (depth + EXTENSION_DEPTH > maxDepth) return tooDeep(map);
  values += 1 + 2 * map.size;
  if (values > maxValues) return tooMany(map);
  const items: unknown[] = [];
  // The entries as the language sees them, whatever a subclass makes of its iterator.
  for (const [key, value] of Map.prototype.entries.call(map)) {
    const preparedKey = walk(key, depth + EXTENSION_DEPTH);
    if (preparedKey === FAILED) return failedAt(map, `.keys()[${items.length / 2}]`);
    const prepared = walk(value, depth + EXTENSION_DEPTH);
    if (prepared === FAILED) return failedAt(map, entryStep(key));
    items.push(preparedKey, prepared);
  }
  return packExtension(ExtKind.MAP, items);
}

function walkSet(set: Set<unknown>, depth: number): unknown {
  if (depth + EXTENSION_DEPTH > maxDepth) return tooDeep(set);
  values += 1 + set.size;
  if (values > maxValues) return tooMany(set);
  const items: unknown[] = [];
  for (const value of Set.prototype.values.call(set)) {
    const prepared = walk(value, depth + EXTENSION_DEPTH);
    if (prepared === FAILED) return failedAt(set, `.values()[${items.length}]`);
    items.push(prepared);
  }
  return packExtension(ExtKind.SET, items);
}

function walkError(error: Error, depth: number): unknown {
  if (depth + EXTENSION_DEPTH > maxDepth) return tooDeep(error);
  values += 1 + ERROR_ITEMS;
  if (values > maxValues) return tooMany(error);
  const props = walkObject(errorProperties(error), depth + EXTENSION_DEPTH);
  if (props === FAILED) return failedAt(error, '');
  return packExtension(ExtKind.ERROR, [String(error.name), String(error.message), props]);
}

function packBinary(value: ArrayBufferView | ArrayBuffer): unknown {
  const elementType = elementTypeOf(value);
  if (elementType === undefined) return fail(`is a ${nameOf(value)}`, value);
  const bytes = Buffer.allocUnsafeSlow(2 + value.byteLength);
  bytes[0] = ExtKind.TYPED_ARRAY;
  bytes[1] = elementType;
  copyElements(value, elementType, bytes, 2);
  return new ExtBytes(bytes);
}

// How a value that can't travel is reported: where it is, and what is wrong with it. Made when something has failed already.

/** What a walk returns instead of a value when it has failed. */
const FAILED: unique symbol = Symbol('failed');

const MAX_PATH = 160;
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** Collects the steps from the place of the failure up to the root, as the calls return. */
class EncodeFailure {
  readonly #code: ErrorCode;
  readonly #what: string;
  /** From the inside out: `#steps[i]` leads from `#nodes[i + 1]` to `#nodes[i]`. */
  readonly #nodes: unknown[];
  readonly #steps: string[] = [];

  constructor(code: ErrorCode, what: string, value: unknown) {
    this.#code = code;
    this.#what = what;
    this.#nodes = [value];
  }

  addStep(container: object, step: string): void {
    this.#nodes.push(container);
    this.#steps.push(step);
  }

  /** The error to throw. A limit that was hit inside a cycle is reported as the cycle. */
  toError(root: string): NyotaError {
    const nodes = this.#nodes.toReversed();
    const steps = this.#steps.toReversed();
    const path = (length: number): string => cut(root + steps.slice(0, length).join(''));
    if (this.#code === 'NYOTA_PAYLOAD_TOO_COMPLEX') {
      const firstAt = new Map<unknown, number>();
      for (const [at, node] of nodes.entries()) {
        const first = firstAt.get(node);
        if (first !== undefined && typeof node === 'object' && node !== null) {
          return new NyotaError('NYOTA_UNSERIALIZABLE', `${path(at)} refers back to ${path(first)}`);
        }
        firstAt.set(node, at);
      }
    }
    return new NyotaError(this.#code, `${path(steps.length)} ${this.#what}`);
  }
}

/** The step to a property: `.name`, or `["a name"]` where it is no identifier. */
function propertyStep(key: string): string {
  return IDENTIFIER.test(key) ? `.${key}` : `["${printable(key)}"]`;
}

/** The step to a Map's value: `.get("key")`. */
function entryStep(key: unknown): string {
  if (typeof key === 'string') return `.get("${printable(key)}")`;
  const shown = typeof key === 'object' && key !== null ? '…' : String(key);
  return `.get(${shown})`;
}

function cut(path: string): string {
  return path.length > MAX_PATH ? `${path.slice(0, MAX_PATH)}…` : path;
}
