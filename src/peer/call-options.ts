/**
 * What `with(...)` sets for the calls made on what it returns. Checked here, once.
 */
import { NyotaError } from '../errors.js';
import { invalidOption, MAX_TIMER_MS, readBoolean, refuseUnknown } from '../options.js';

export interface CallOptions {
  /** A request's deadline, or how long `sendWithAck` waits; 0 or Infinity: for ever. Default: `requestTimeoutMs` for requests. */
  timeoutMs?: number;
  /** Takes the message back while it is unsent, and stops waiting for it; a request's handler sees its own signal aborted. */
  signal?: AbortSignal;
  /** Dropped where it is still unsent after so many milliseconds. */
  ttlMs?: number;
  /** At most once: sent where it can go out at once, dropped otherwise. */
  volatile?: boolean;
}

const NAMES: ReadonlySet<string> = new Set(['timeoutMs', 'signal', 'ttlMs', 'volatile']);

/** @throws NyotaError `NYOTA_INVALID_OPTION` */
export function readCallOptions(options: CallOptions): Readonly<CallOptions> {
  if (typeof options !== 'object' || options === null) throw invalidOption('with', 'an object', options);
  refuseUnknown(options, NAMES);
  const { timeoutMs, signal, ttlMs } = options;
  if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) checkMs('timeoutMs', timeoutMs, 0);
  if (ttlMs !== undefined) checkMs('ttlMs', ttlMs, 1);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalidOption('signal', 'an AbortSignal', signal);
  readBoolean('volatile', options.volatile, false);
  return Object.freeze({ ...options });
}

/** The error of a signal that has been aborted. */
export function abortedError(signal: AbortSignal): NyotaError {
  return new NyotaError('NYOTA_ABORTED', 'the caller aborted', { cause: signal.reason });
}

function checkMs(name: string, value: unknown, min: number): void {
  if (typeof value === 'number' && value >= min && value <= MAX_TIMER_MS) return;
  throw invalidOption(name, `milliseconds from ${min} to ${MAX_TIMER_MS}`, value);
}
