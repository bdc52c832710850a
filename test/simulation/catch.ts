/** Which seed catches a broken rule, and by which invariant. */
import { type Mutant, withMutants } from './mutants.js';
import { makePlan } from './plan.js';
import { simulate } from './simulation.js';

export interface Caught {
  readonly name: string;
  /** Undefined: none of the seeds has noticed. */
  readonly seed: number | undefined;
  readonly invariant: string;
  readonly text: string;
}

/** Runs seeds from 1 on until one fails. A seed that fails without the mutants says nothing, and is left out. */
export async function catchMutants(
  mutants: readonly Mutant[],
  seeds: number,
  broken: ReadonlySet<number>,
): Promise<Caught> {
  const name = mutants.map((mutant) => mutant.name).join(' + ');
  for (let seed = 1; seed <= seeds; seed++) {
    if (broken.has(seed)) continue;
    const { failure } = await withMutants(mutants, () => simulate(makePlan(seed)));
    if (failure !== undefined) return { name, seed, ...failure };
  }
  return { name, seed: undefined, invariant: 'NOT CAUGHT', text: '' };
}

export async function catchAll(
  all: ReadonlyArray<readonly Mutant[]>,
  seeds: number,
  each: (caught: Caught) => void = () => {},
): Promise<Caught[]> {
  const broken = await brokenSeeds(seeds);
  const caught: Caught[] = [];
  for (const mutants of all) {
    const outcome = await catchMutants(mutants, seeds, broken);
    caught.push(outcome);
    each(outcome);
  }
  return caught;
}

/** The seeds that fail without any mutant: none, in a product that keeps its word. */
export async function brokenSeeds(seeds: number): Promise<Set<number>> {
  const broken = new Set<number>();
  for (let seed = 1; seed <= seeds; seed++) {
    if ((await simulate(makePlan(seed))).failure !== undefined) broken.add(seed);
  }
  return broken;
}

/** A line of the table as it is printed. */
export function describeCaught({ name, seed, invariant, text }: Caught): string {
  return `${name.padEnd(45)} ${String(seed ?? '-').padStart(4)}  ${invariant}: ${text.slice(0, 90)}`;
}
