/** The simulation notices broken rules: some of them here, all of them with `npm run simulate -- --mutants`. */
import { describe, expect, it } from 'vitest';
import { catchMutants } from './catch.js';
import { MUTANTS, withMutants } from './mutants.js';
import { makePlan } from './plan.js';
import { shrink } from './shrink.js';
import { simulate } from './simulation.js';

const SEEDS = 1_000;

/** Quick to be caught: the rest takes longer than a test run may. */
const QUICK = [
  'settled out of order is forgotten',
  'the cursor is not rewound',
  'drain is never told',
  'a stale close is accepted',
];

describe('a broken rule', () => {
  for (const name of QUICK) {
    it(`is noticed: ${name}`, async () => {
      const mutant = MUTANTS.find((candidate) => candidate.name === name);
      expect(mutant).toBeDefined();
      const caught = await catchMutants(mutant === undefined ? [] : [mutant], SEEDS);
      expect(caught.seed).toBeDefined();
    });
  }

  it('shrinks to a plan that fails in the same way, and fails again to the same hash', async () => {
    const mutant = MUTANTS.find((candidate) => candidate.name === 'drain is never told');
    const broken = mutant === undefined ? [] : [mutant];
    const run: typeof simulate = (plan, keep) => withMutants(broken, () => simulate(plan, keep));
    const { seed } = await catchMutants(broken, SEEDS);
    const plan = makePlan(seed ?? 1);
    const small = await shrink(plan, run);
    expect(small.plan.steps.length).toBeLessThan(plan.steps.length);
    expect(small.result.failure?.invariant).toBe((await run(plan)).failure?.invariant);
    expect((await run(small.plan)).hash).toBe(small.result.hash);
  });
});
