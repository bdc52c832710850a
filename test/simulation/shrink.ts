/** Makes a failing plan smaller: fewer steps, a simpler world, as long as the same invariant fails. */
import { isFault, type Plan, type World } from './plan.js';
import { type RunResult, simulate } from './simulation.js';

export interface Shrunk {
  readonly plan: Plan;
  readonly result: RunResult;
  /** Plans that were tried. */
  readonly tried: number;
}

const MAX_TRIES = 600;

/** Runs of the plan must fail; `run` is `simulate`, or the same with rules broken. */
export async function shrink(plan: Plan, run: typeof simulate = simulate): Promise<Shrunk> {
  let best = plan;
  let result = await run(plan);
  const invariant = result.failure?.invariant;
  let tried = 1;
  const attempt = async (candidate: Plan): Promise<boolean> => {
    if (tried >= MAX_TRIES) return false;
    tried++;
    const outcome = await run(candidate);
    if (outcome.failure?.invariant !== invariant) return false;
    best = candidate;
    result = outcome;
    return true;
  };
  if (invariant === undefined) return { plan, result, tried };
  for (let size = Math.ceil(best.steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.steps.length; ) {
      const steps = [...best.steps.slice(0, at), ...best.steps.slice(at + size)];
      if (!(await attempt({ ...best, steps }))) at += size;
    }
  }
  for (const simpler of simplerWorlds(best.world))
    await attempt({ ...best, world: { ...best.world, ...simpler } });
  // One message says as much as forty.
  for (let at = 0; at < best.steps.length; at++) {
    const step = best.steps[at];
    if (step?.do !== 'send' || step.count === 1) continue;
    await attempt({ ...best, steps: best.steps.with(at, { ...step, count: 1 }) });
  }
  return { plan: best, result: await run(best, true), tried };
}

function simplerWorlds(world: World): Array<Partial<World>> {
  return [
    { slicing: 0 },
    { replaysMore: false },
    { spoils: false },
    { clientStores: false },
    { servers: 1 },
    { clients: 1 },
    { serverDiskMs: [0, 0] },
    { clientDiskMs: [0, 0] },
    { latencyMs: [1, 1] },
    { maxRunningHandlers: 1_024 },
    { windowBytes: 65_536, maxOutboxFrames: 65_536, maxOutboxBytes: 1_048_576, highWaterBytes: 65_536 },
    { resumeWindowMs: Math.max(20_000, world.resumeWindowMs) },
  ];
}

/** A failure as it is printed: the seed, what failed, and the shortest way there. */
export function report(seed: number, { plan, result, tried }: Shrunk): string {
  const faults = plan.steps.filter(isFault).length;
  return [
    `seed ${seed}: ${result.failure?.invariant}: ${result.failure?.text}`,
    `  shrunk in ${tried} runs to ${plan.steps.length} steps with ${faults} faults, trace hash ${result.hash}`,
    `  world ${JSON.stringify(plan.world)}`,
    ...plan.steps.map((step) => `  step ${JSON.stringify(step)}`),
    ...result.trace.slice(-60).map((line) => `    ${line}`),
    `  again: npm run simulate -- --seed ${seed}`,
  ].join('\n');
}
