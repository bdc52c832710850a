/**
 * What the two sides tell each other as a connection ends: this side's error as a CLOSE, and the other's CLOSE as an error.
 * Touches nothing but its arguments.
 */
import { NyotaError } from '../errors.js';
import { FrameType } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import { type CloseMessage, encodeClose } from '../wire/messages.js';

/** The frame that tells the other side why a connection ends. */
export function closeFrame(error: NyotaError): Buffer {
  const { code, message, retry, retryAfterMs } = error;
  return encodeFrame(FrameType.CLOSE, {}, encodeClose({ code, message, retry, retryAfterMs }));
}

/** What the other side said of the end, as an error of this side's. */
export function closeError(message: CloseMessage): NyotaError {
  const { code, retry, retryAfterMs } = message;
  return new NyotaError(code, message.message, {
    retry,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
