/**
 * A copy of a payload, for a message that is kept until it is accepted: what the user changes after `send` returned
 * must not travel when it is sent again. Pure, apart from the getters and toJSON methods of the value, which run.
 *
 * Follows what nyota's own codec takes and refuses, so that a bad payload is refused at `send`, connected or not.
 */
import { types } from 'node:util';
import { NyotaError } from '../index.js';

export interface Snapshot {
  readonly value: unknown;
  /** About how much it weighs, on the wire and in memory. */
  readonly bytes: number;
}

/** The most that a nyota peer can be configured to take. */
const MAX_DEPTH = 512;
const MIN_INT64 = -(2n ** 63n);
const MAX_UINT64 = 2n ** 64n - 1n;

/**
 * @param root what the value is called in messages
 * @throws NyotaError `NYOTA_UNSERIALIZABLE` naming the path of what can't travel, `NYOTA_PAYLOAD_TOO_COMPLEX`
 */
export function snapshot(value: unknown, root = 'payload'): Snapshot {
  const copier = new Copier(root);
  try {
    const copy = copier.copy(value);
    return { value: copy, bytes: copier.bytes };
  } catch (error) {
    if (error instanceof NyotaError) throw error;
    throw new NyotaError('NYOTA_UNSERIALIZABLE', `${copier.path} could not be read`, { cause: error });
  }
}

class Copier {
  bytes = 0;
  readonly #root: string;
  readonly #steps: string[] = [];
  readonly #ancestors: object[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  get path(): string {
    return `${this.#root}${this.#steps.join('')}`;
  }

  copy(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
        this.bytes += value.length + 2;
        return value;
      case 'number':
      case 'boolean':
      case 'undefined':
        this.bytes += 9;
        return value;
      case 'bigint':
        this.bytes += 9;
        if (value >= MIN_INT64 && value <= MAX_UINT64) return value;
        return this.#refuse('is a bigint of more than 64 bits');
      case 'object':
        this.bytes += 1;
        return value === null ? null : this.#copyObject(value);
      default:
        return this.#refuse(`is a ${typeof value}`);
    }
  }

  #copyObject(value: object): unknown {
    if (this.#ancestors.length >= MAX_DEPTH) {
      if (this.#ancestors.includes(value)) return this.#refuse('contains itself');
      throw new NyotaError('NYOTA_PAYLOAD_TOO_COMPLEX', `${this.#root} nests deeper than ${MAX_DEPTH}`);
    }
    this.#ancestors.push(value);
    const copy = this.#copyKind(value);
    this.#ancestors.pop();
    return copy;
  }

  #copyKind(value: object): unknown {
    if (Array.isArray(value)) return Array.from(value, (item, i) => this.#at(`[${i}]`, item));
    if (Buffer.isBuffer(value)) return this.#weighed(Buffer.from(value));
    if (types.isDate(value)) return new Date(Date.prototype.getTime.call(value));
    if (value instanceof Error || types.isNativeError(value)) return this.#copyError(value as Error);
    const toJson: unknown = Reflect.get(value, 'toJSON');
    if (typeof toJson === 'function') return this.copy(Reflect.apply(toJson, value, ['']));
    if (types.isMap(value)) {
      return new Map(
        Array.from(value, ([key, item], i) => [this.#at(`.keys()[${i}]`, key), this.#at(`.get(${i})`, item)]),
      );
    }
    if (types.isSet(value)) return new Set(Array.from(value, (item, i) => this.#at(`.values()[${i}]`, item)));
    if (types.isAnyArrayBuffer(value)) return this.#weighed(value.slice(0));
    if (ArrayBuffer.isView(value)) return this.#weighed(copyView(value));
    if (types.isBoxedPrimitive(value)) return this.copy(value.valueOf());
    if (isForeign(value)) return this.#refuse(`is a ${value.constructor?.name ?? 'foreign object'}`);
    return this.#copyProperties(value, {});
  }

  /** Own enumerable properties with string keys. */
  #copyProperties(value: object, copy: Record<string, unknown>): Record<string, unknown> {
    for (const [key, item] of Object.entries(value)) {
      if (key === '__proto__') return this.#refuse("has a key '__proto__', which can not travel");
      this.bytes += key.length + 2;
      copy[key] = this.#at(`.${key}`, item);
    }
    return copy;
  }

  #copyError(error: Error): Error {
    const { name, message } = error;
    const copy = new Error(String(message));
    this.bytes += name.length + message.length;
    Object.defineProperty(copy, 'name', { value: String(name), configurable: true, writable: true });
    const {
      name: _name,
      message: _message,
      stack: _stack,
      ...props
    } = error as Error & Record<string, unknown>;
    const code: unknown = Reflect.get(error, 'code');
    const all = {
      ...props,
      ...(code !== undefined && { code }),
      ...('cause' in error && { cause: error.cause }),
    };
    return Object.assign(copy, this.#copyProperties(all, {}));
  }

  #at(step: string, value: unknown): unknown {
    this.#steps.push(step);
    const copy = this.copy(value);
    this.#steps.pop();
    return copy;
  }

  #weighed<T extends { byteLength: number }>(copy: T): T {
    this.bytes += copy.byteLength;
    return copy;
  }

  #refuse(what: string): never {
    throw new NyotaError('NYOTA_UNSERIALIZABLE', `${this.path} ${what}`);
  }
}

function copyView(view: ArrayBufferView): ArrayBufferView {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
  if (view instanceof DataView) return new DataView(bytes.buffer);
  return (view as Uint8Array).slice();
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
    types.isSetIterator(value)
  );
}
