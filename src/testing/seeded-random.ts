/** Random numbers that come again with the same seed. May import check only. */

import { checkCount } from './check.js';

/** A seed is an unsigned 32-bit number. */
export const MAX_SEED = 2 ** 32 - 1;

/**
 * Makes a function that gives numbers from 0 up to, and without, 1, as `Math.random` does: the same ones for the
 * same seed, on every machine. The generator is Tommy Ettinger's mulberry32, with 32 bits of state: for tests, never for secrets.
 *
 * @param seed a whole number from 0 to 4 294 967 295
 * @throws NyotaError `NYOTA_INVALID_ARGUMENT`
 */
export function seededRandom(seed: number): () => number {
  let state = checkCount('seed', seed, 0, MAX_SEED);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
