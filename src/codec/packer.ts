/**
 * The only file that knows msgpackr: prepared values to bytes. Pure.
 *
 * Its encode buffer belongs to the whole process (every Packr of it writes there), so we never hand in one
 * of ours to write at its start: RESET_BUFFER_MODE gives back what a call used, and what others hold
 * slices of stays as it is.
 */
import { addExtension, Packr, RESET_BUFFER_MODE } from 'msgpackr';
import { NyotaError } from '../errors.js';
import { EXT_TYPE } from '../wire/constants.js';

/** An extension of ours, encoded: what `prepare` puts in the place of a value that msgpackr can't carry. */
export class ExtBytes {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

addExtension({
  Class: ExtBytes,
  type: EXT_TYPE,
  pack: (value: ExtBytes) => value.bytes,
  unpack: () => {
    throw new TypeError('extensions of nyota are read by nyota');
  },
});

const packr = new Packr({
  useRecords: false,
  structuredClone: false,
  variableMapSize: true,
  mapsAsObjects: true,
  copyBuffers: true,
  useToJSON: false,
});

/** An encode buffer above this size is let go, so that one huge payload does not hold its memory for ever. */
const KEPT_BUFFER_BYTES = 1024 * 1024;
const FRESH_BUFFER_BYTES = 8 * 1024;

/** Calls under way: a getter of the value may send, and so encode, while msgpackr reads it. */
let running = 0;

/**
 * Encodes what `prepare` returned.
 *
 * The Buffer returned is a view of memory that the next encode writes over: copy what is to be kept.
 *
 * @throws NyotaError `NYOTA_UNSERIALIZABLE` where msgpackr fails after all (a getter that threw)
 */
export function encodePrepared(value: unknown): Buffer {
  running++;
  let letGo = true;
  try {
    const bytes = packr.pack(value, RESET_BUFFER_MODE);
    letGo = bytes.buffer.byteLength > KEPT_BUFFER_BYTES;
    return bytes;
  } catch (error) {
    throw new NyotaError('NYOTA_UNSERIALIZABLE', 'the value could not be encoded', { cause: error });
  } finally {
    running--;
    // Not below an outer call: that one is still writing.
    if (letGo && running === 0) packr.useBuffer(Buffer.allocUnsafeSlow(FRESH_BUFFER_BYTES));
  }
}

/** The extension of this kind around an array of prepared values. */
export function packExtension(kind: number, items: readonly unknown[]): ExtBytes {
  const content = encodePrepared(items);
  const bytes = Buffer.allocUnsafeSlow(1 + content.length);
  bytes[0] = kind;
  content.copy(bytes, 1);
  return new ExtBytes(bytes);
}
