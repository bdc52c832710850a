/**
 * The payload codec: values to msgpack bytes and back, within limits. Pure.
 * Plain data is checked and written in one pass (plain-encoder); anything else is checked first (prepare) and packed
 * then (packer). Decoding checks and reads in one pass (decode); the scan says what is wrong.
 */
import { type Encoded, type EncodedLimits, encodedOf, readEncodedLimits } from './encoded.js';
import { encodePrepared } from './packer.js';
import { encodePlain } from './plain-encoder.js';
import { prepare } from './prepare.js';
import type { PayloadLimits } from './scan.js';
import { keepPart } from './value-pool.js';

export { decodePayload } from './decode.js';
export { encodePrepared } from './packer.js';
export { encodePlain } from './plain-encoder.js';
export { prepare } from './prepare.js';
export type { PayloadLimits } from './scan.js';

/**
 * Encodes a value that may be anything a user handed in; see `prepare` for what travels, and how.
 *
 * The Buffer returned is a view of memory that the next encode writes over: copy what is to be kept.
 *
 * @param root what the value is called in messages, such as `args`
 * @throws NyotaError `NYOTA_UNSERIALIZABLE` or `NYOTA_PAYLOAD_TOO_COMPLEX`, naming the path
 */
export function encodePayload(value: unknown, limits: PayloadLimits, root: string): Buffer {
  return encodePlain(value, limits) ?? encodePrepared(prepare(value, limits, root));
}

export interface EncodeOptions extends EncodedLimits {
  /** What the value is called in errors. Default `value`. */
  name?: string;
}

/**
 * Checks and encodes a value once. What is returned goes wherever the value could: `send`, `request`, `server.send`, a reply,
 * the shared store, also deep inside other values. There its bytes are copied, and the other side gets the plain value.
 *
 * @throws NyotaError `NYOTA_UNSERIALIZABLE` naming the path of what can't travel, `NYOTA_PAYLOAD_TOO_COMPLEX`,
 *   `NYOTA_INVALID_OPTION`
 */
export function encode<T>(value: T | Encoded<T>, options: EncodeOptions = {}): Encoded<T> {
  const limits = readEncodedLimits(options);
  const bytes = encodePayload(value, limits, options.name ?? 'value');
  return encodedOf(keepPart(bytes, 0, bytes.length), limits);
}
