/**
 * Errors on their way between a handler and its caller. Pure.
 */
import { isErrorCode, isRetry, NyotaError, printable } from '../errors.js';
import { describeValue } from '../options.js';

export function asError(thrown: unknown): Error {
  return thrown instanceof Error
    ? thrown
    : new Error(typeof thrown === 'string' ? thrown : `the handler threw ${describeValue(thrown)}`);
}

/** The error that stands in for a reply which can't be sent: its name, message and code only. */
export function briefError(error: unknown): Error {
  try {
    const { name, message } = asError(error);
    const brief = new Error(printable(String(message)));
    brief.name = printable(String(name));
    const code: unknown = (error as { code?: unknown } | null | undefined)?.code;
    return typeof code === 'string' ? Object.assign(brief, { code: printable(code) }) : brief;
  } catch {
    return new Error('the handler failed with an error that can not be read');
  }
}

/** An error from the wire; one of nyota's own codes becomes a NyotaError again. */
export function asLocalError(value: unknown): Error {
  if (!(value instanceof Error)) return new Error('the handler failed', { cause: value });
  const { code, retry, retryAfterMs } = value as { code?: unknown; retry?: unknown; retryAfterMs?: unknown };
  if (value.name !== 'NyotaError' || !isErrorCode(code)) return value;
  const error = new NyotaError(code, value.message, {
    ...('cause' in value ? { cause: value.cause } : {}),
    ...(isRetry(retry) ? { retry } : {}),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
  });
  // What the handler's side put on it besides.
  for (const [name, own] of Object.entries(value)) {
    if (!Object.hasOwn(error, name))
      Object.defineProperty(error, name, {
        value: own,
        enumerable: true,
        writable: true,
        configurable: true,
      });
  }
  return error;
}
