/**
 * What ExoCom's refusals mean to whoever waits for a reply. Pure.
 */
import { type ErrorCode, NyotaError } from '../index.js';
import type { Rejection, RejectionCode } from './message.js';

const CODES: Readonly<Record<RejectionCode, ErrorCode>> = {
  EXO_NOT_ALLOWED: 'NYOTA_UNAUTHORIZED',
  EXO_NO_RECEIVERS: 'NYOTA_NO_HANDLER',
  EXO_UNKNOWN_REPLY: 'NYOTA_NO_HANDLER',
  EXO_RECEIVER_GONE: 'NYOTA_NO_HANDLER',
  EXO_QUEUE_EXPIRED: 'NYOTA_EXPIRED',
  EXO_QUEUE_FULL: 'NYOTA_SERVER_BUSY',
  EXO_OVERLOADED: 'NYOTA_SERVER_BUSY',
  EXO_BAD_MESSAGE: 'NYOTA_INVALID_ARGUMENT',
  EXO_UNDELIVERABLE: 'NYOTA_FRAME_TOO_LARGE',
};

/** One of several receivers may have taken the message all the same. */
const PARTIAL: ReadonlySet<RejectionCode> = new Set([
  'EXO_RECEIVER_GONE',
  'EXO_QUEUE_EXPIRED',
  'EXO_QUEUE_FULL',
  'EXO_UNDELIVERABLE',
]);

/** Its cause is the rejection. */
export function rejectionError(rejection: Rejection): NyotaError {
  const code = Object.hasOwn(CODES, rejection.code) ? CODES[rejection.code] : 'NYOTA_NO_HANDLER';
  return new NyotaError(code, rejection.reason, { cause: rejection });
}

export function isPartial({ code }: Rejection): boolean {
  return PARTIAL.has(code);
}
