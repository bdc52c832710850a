/** What the testing tools check of their callers' arguments. May import errors only. */

import { NyotaError } from '../errors.js';

/** Refuses a number outside of `min`..`max`. Infinity is a number here: it is how a limit is turned off. */
export function checkNumber(
  what: string,
  value: number,
  min: number,
  max = Number.POSITIVE_INFINITY,
): number {
  if (typeof value === 'number' && value >= min && value <= max) return value;
  const range = max === Number.POSITIVE_INFINITY ? `at least ${min}` : `from ${min} to ${max}`;
  throw new NyotaError('NYOTA_INVALID_ARGUMENT', `${what} takes a number ${range}, not ${String(value)}`);
}

/** Refuses what is not a whole number from `min` to `max`; Infinity passes where there is no `max`. */
export function checkCount(what: string, value: number, min: number, max = Number.POSITIVE_INFINITY): number {
  if (Number.isInteger(value) || value === Number.POSITIVE_INFINITY)
    return checkNumber(what, value, min, max);
  throw new NyotaError('NYOTA_INVALID_ARGUMENT', `${what} takes a whole number, not ${String(value)}`);
}
