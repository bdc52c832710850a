/** A hundred seeds of the simulation in every test run, three hundred in a long one; `npm run simulate` runs any number. */
import { describe, expect, it } from 'vitest';
import { inLength } from '../support/length.js';
import { makePlan } from './plan.js';
import { report, shrink } from './shrink.js';
import { simulate } from './simulation.js';

const SEEDS = inLength(300, 100);

describe('under simulated disasters', () => {
  it(`keeps its word in ${SEEDS} seeds`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { failure } = await simulate(makePlan(seed));
      if (failure !== undefined) expect.fail(report(seed, await shrink(makePlan(seed))));
    }
  }, 60_000);

  it('does the same again for the same seed, to the same trace hash', async () => {
    for (const seed of [3, 50, 77]) {
      const first = await simulate(makePlan(seed), true);
      const again = await simulate(makePlan(seed));
      expect(again.hash).toBe(first.hash);
      expect(first.trace.length).toBeGreaterThan(20);
    }
  });

  it('does something else for another seed', async () => {
    const [first, second] = [await simulate(makePlan(11)), await simulate(makePlan(12))];
    expect(second.hash).not.toBe(first.hash);
  });
});
