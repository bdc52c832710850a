/**
 * The two lengths of the suite. `npm test` runs the short one, in less than two minutes on two cores: what takes real processes or
 * many rounds is there in few of them. `npm run test:long` sets NYOTA_TEST_LONG, and all of it runs.
 */
import { it } from 'vitest';

export const LONG = process.env.NYOTA_TEST_LONG === '1';

/** So many rounds, seeds or bytes. */
export function inLength(long: number, short: number): number {
  return LONG ? long : short;
}

/** What a property is tried with: a third of it in the short form. */
export function runs(numRuns: number): { numRuns: number } {
  return { numRuns: inLength(numRuns, Math.ceil(numRuns / 3)) };
}

/** A test of the long form alone. */
export const itLong: (name: string, fn: () => Promise<void> | void, timeoutMs?: number) => void = (
  name,
  fn,
  timeoutMs,
) => {
  if (LONG) it(name, fn, timeoutMs);
};

/** The rows of a table: the short form has the first of them. */
export function rows<T>(all: readonly T[], short: number): readonly T[] {
  return LONG ? all : all.slice(0, short);
}
