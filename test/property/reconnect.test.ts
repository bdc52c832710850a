/** How long a client waits between attempts: within its bounds, longer and longer, spread where it should be. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reconnectDelay } from '../../src/client/connect.js';
import type { ReconnectOptions } from '../../src/options.js';

const options: fc.Arbitrary<ReconnectOptions> = fc
  .record({
    minDelayMs: fc.integer({ min: 1, max: 60_000 }),
    more: fc.integer({ min: 0, max: 10_000_000 }),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
    jitter: fc.constantFrom<ReconnectOptions['jitter'][]>('full', 'none'),
  })
  .map(({ minDelayMs, more, factor, jitter }) => ({
    minDelayMs,
    maxDelayMs: minDelayMs + more,
    factor,
    jitter,
  }));
/** As Math.random: below 1. */
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
/** Failures go on for ever: the power overflows to Infinity after a while. */
const failures = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1e6 }));

describe('the delay before the next attempt', () => {
  it('is a whole number from 0 to maxDelayMs', () => {
    fc.assert(
      fc.property(options, failures, random, (chosen, count, drawn) => {
        const delay = reconnectDelay(count, chosen, () => drawn);
        expect(Number.isInteger(delay)).toBe(true);
        expect(delay).toBeGreaterThanOrEqual(0);
        expect(delay).toBeLessThanOrEqual(chosen.maxDelayMs);
      }),
    );
  });

  it('never becomes shorter with more failures, for the same random number', () => {
    fc.assert(
      fc.property(options, failures, random, (chosen, count, drawn) => {
        const [now, next] = [count, count + 1].map((n) => reconnectDelay(n, chosen, () => drawn));
        expect(next).toBeGreaterThanOrEqual(now as number);
      }),
    );
  });

  it('without jitter begins with minDelayMs, grows by the factor, and stays at maxDelayMs', () => {
    fc.assert(
      fc.property(options, failures, random, (chosen, count, drawn) => {
        const plain = { ...chosen, jitter: 'none' as const };
        expect(reconnectDelay(1, plain, () => drawn)).toBe(chosen.minDelayMs);
        const exact = Math.min(chosen.maxDelayMs, chosen.minDelayMs * chosen.factor ** (count - 1));
        expect(reconnectDelay(count, plain, () => drawn)).toBe(Math.round(exact));
      }),
    );
  });

  it('with full jitter is spread evenly below the ceiling', () => {
    fc.assert(
      fc.property(options, failures, random, (chosen, count, drawn) => {
        const ceiling = reconnectDelay(count, { ...chosen, jitter: 'none' }, () => drawn);
        const delay = reconnectDelay(count, { ...chosen, jitter: 'full' }, () => drawn);
        expect(Math.abs(delay - drawn * ceiling)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
