/** Which seed catches a broken rule, and by which invariant. */
import { type Mutant, withMutants } from './mutants.js';
import { makePlan, type World } from './plan.js';
import { simulate } from './simulation.js';

export interface Caught {
  readonly name: string;
  /** Undefined: none of the seeds has noticed. */
  readonly seed: number | undefined;
  /** So many seeds were run. */
  readonly runs: number;
  readonly invariant: string;
  readonly text: string;
}

/**
 * Runs seeds from 1 on until one fails, at most so many; those whose world has nothing of what the rules are about are left
 * out. All of them pass where nothing is broken.
 */
export async function catchMutants(mutants: readonly Mutant[], seeds: number): Promise<Caught> {
  const name = mutants.map((mutant) => mutant.name).join(' + ');
  const fits = (world: World): boolean => mutants.some(({ needs }) => needs === undefined || needs(world));
  let runs = 0;
  for (let seed = 1; runs < seeds; seed++) {
    const plan = makePlan(seed);
    if (!fits(plan.world)) continue;
    runs++;
    const { failure } = await withMutants(mutants, () => simulate(plan));
    if (failure !== undefined) return { name, seed, runs, ...failure };
  }
  return { name, seed: undefined, runs, invariant: 'NOT CAUGHT', text: '' };
}
