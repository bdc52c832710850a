/**
 * A value that was checked and encoded once, to be sent as often as one likes: the encoders copy its bytes into a frame and
 * count its depth and its values, without walking it again. Pure.
 *
 * Nothing can change it: its bytes are a copy, and out of reach except to be read. Encoding is the business of payload.ts,
 * which makes one of a value; here is what holds for bytes, wherever they came from.
 */
import { NyotaError } from '../errors.js';
import {
  DEFAULT_DEPTH,
  DEFAULT_VALUES,
  EXT_UNDEFINED,
  MAX_DEPTH,
  MAX_U32,
  MIN_DEPTH,
  MIN_VALUES,
} from '../wire/constants.js';
import { decodePayload } from './decode.js';
import { measurePayload, type PayloadLimits } from './scan.js';

/** What a value may be; within what the other side accepts it must be in any case, once it is sent. */
export interface EncodedLimits {
  /** How deep containers may nest. Default 64, at most 512. */
  maxDepth?: number;
  /** How many values there may be, keys included. Default 65 536. */
  maxValues?: number;
}

/** What the encoders need of an `Encoded`. */
interface EncodedParts {
  readonly bytes: Buffer;
  readonly depth: number;
  readonly values: number;
}

// Private to the class, and so to this file, which hands them to the codec alone.
let make: (bytes: Buffer, limits: PayloadLimits) => Encoded;
let measure: (encoded: Encoded) => EncodedParts;

/** A value as its bytes. Made by `encode`, or from bytes that came from elsewhere. */
export class Encoded<out T = unknown> {
  readonly #bytes: Buffer;
  readonly #limits: PayloadLimits;
  /** Known once it has been sent: what is only decoded, or kept, is never scanned. */
  #parts: EncodedParts | undefined;

  static {
    make = (bytes, limits) => new Encoded(bytes, limits);
    measure = (encoded) => {
      encoded.#parts ??= {
        bytes: encoded.#bytes,
        ...measurePayload(encoded.#bytes, 0, encoded.#bytes.length, encoded.#limits),
      };
      return encoded.#parts;
    };
  }

  private constructor(bytes: Buffer, limits: PayloadLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  /**
   * Of bytes that came from elsewhere: what `bytes` gave there. They are copied now, and checked when they are decoded or
   * first sent.
   * @throws NyotaError `NYOTA_INVALID_ARGUMENT`, `NYOTA_INVALID_OPTION`
   */
  static from<T = unknown>(bytes: Uint8Array, limits: EncodedLimits = {}): Encoded<T> {
    if (!(bytes instanceof Uint8Array)) {
      throw new NyotaError('NYOTA_INVALID_ARGUMENT', 'Encoded.from takes a Uint8Array');
    }
    return new Encoded<T>(Buffer.from(bytes), readEncodedLimits(limits));
  }

  /** The msgpack of the value, the same memory each time: to be read, never to be written to. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /**
   * The value, made anew by every call.
   * @throws NyotaError `NYOTA_PAYLOAD_REFUSED` for bytes that are no value, or one beyond the limits
   */
  decode(): T {
    return decodePayload(this.#bytes, 0, this.#bytes.length, this.#limits) as T;
  }
}

/** For the codec: of bytes that are its own from here on, and were checked. */
export function encodedOf<T>(bytes: Buffer, limits: PayloadLimits): Encoded<T> {
  return make(bytes, limits) as Encoded<T>;
}

/**
 * For the codec: what it writes and counts in the place of the value.
 * @throws NyotaError `NYOTA_PAYLOAD_REFUSED`
 */
export function partsOf(encoded: Encoded): EncodedParts {
  return measure(encoded);
}

/** Whether it is undefined, encoded or not: to the shared store that is no entry. */
export function isNothing(value: unknown): boolean {
  if (!(value instanceof Encoded)) return value === undefined;
  const { bytes } = value;
  return bytes.length === 3 && bytes[0] === 0xd4 && bytes[1] === EXT_UNDEFINED;
}

const DEFAULTS: PayloadLimits = { maxDepth: DEFAULT_DEPTH, maxValues: DEFAULT_VALUES };

/** @throws NyotaError `NYOTA_INVALID_OPTION` */
export function readEncodedLimits(limits: EncodedLimits): PayloadLimits {
  const { maxDepth, maxValues } = limits;
  if (maxDepth === undefined && maxValues === undefined) return DEFAULTS;
  return {
    maxDepth: whole('maxDepth', maxDepth ?? DEFAULT_DEPTH, MIN_DEPTH, MAX_DEPTH),
    maxValues: whole('maxValues', maxValues ?? DEFAULT_VALUES, MIN_VALUES, MAX_U32),
  };
}

function whole(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new NyotaError(
    'NYOTA_INVALID_OPTION',
    `option '${name}' takes a whole number from ${min} to ${max} (a count)`,
  );
}
