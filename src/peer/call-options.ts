/**
 * What `with(...)` sets for the calls made on what it returns. Checked here, once.
 */
import { NyotaError } from '../errors.js';
import {
  flag,
  invalidOption,
  isObject,
  isWithin,
  MAX_TIMER_MS,
  type Option,
  readOptions,
  signal,
  type TableOf,
  value,
} from '../options.js';

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

/** With a fraction or without: it is how far away a deadline is. */
function delay(min: number, ...more: readonly unknown[]): Option<number | undefined> {
  const fits = (given: unknown): boolean => isWithin(given, min, MAX_TIMER_MS) || more.includes(given);
  return value<number>(`milliseconds from ${min} to ${MAX_TIMER_MS}`, fits);
}

const CALL_OPTIONS = {
  timeoutMs: delay(0, Number.POSITIVE_INFINITY),
  signal,
  ttlMs: delay(1),
  volatile: flag(false),
} satisfies TableOf<CallOptions>;

/** @throws NyotaError `NYOTA_INVALID_OPTION` */
export function readCallOptions(options: CallOptions): Readonly<CallOptions> {
  if (!isObject(options)) throw invalidOption('with', 'an object', options);
  readOptions(options, CALL_OPTIONS);
  return Object.freeze({ ...options });
}

/** The error of a signal that has been aborted. */
export function abortedError(signal: AbortSignal): NyotaError {
  return new NyotaError('NYOTA_ABORTED', 'the caller aborted', { cause: signal.reason });
}
