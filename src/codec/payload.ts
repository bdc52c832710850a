/**
 * The payload codec: values to msgpack bytes and back, within limits. Pure.
 * Plain data is checked and written in one pass (plain-encoder); anything else is checked first (prepare) and packed
 * then (packer). Decoding checks and reads in one pass (payload-reader); the scan says what is wrong.
 */
import { NyotaError } from '../errors.js';
import { encodePrepared } from './packer.js';
import { readPayload } from './payload-reader.js';
import { encodePlain } from './plain-encoder.js';
import { prepare } from './prepare.js';
import { type PayloadLimits, scanPayload } from './scan.js';

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

/**
 * Decodes the payload `source[start..end)`, all of it checked. The value shares no memory with the source, unless that is its
 * own: then a Buffer that fills most of it is a view.
 *
 * @param own the source holds nothing else, and nobody writes to it any more
 * @throws NyotaError `NYOTA_PAYLOAD_REFUSED`
 */
export function decodePayload(
  source: Buffer,
  start: number,
  end: number,
  limits: PayloadLimits,
  own = false,
): unknown {
  try {
    return readPayload(source, start, end, limits, own);
  } catch (error) {
    // The scan refuses the same, and says what and where.
    scanPayload(source, start, end, limits);
    // Nothing that the scan lets through is known to get here; a caller must not depend on that.
    throw new NyotaError('NYOTA_PAYLOAD_REFUSED', 'the payload could not be decoded', { cause: error });
  }
}
