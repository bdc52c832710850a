/**
 * The entry of `npm run simulate` in one process: one seed with its trace, or what the script hands out piece by piece to as
 * many processes as there are cores.
 */
import { catchMutants } from './catch.js';
import { MUTANTS } from './mutants.js';
import { makePlan } from './plan.js';
import { report, shrink } from './shrink.js';
import { simulate } from './simulation.js';

/** Of a failure that is shown. Of all the errors that are only passed on, stacks would be a good part of the time. */
const STACK_FRAMES = 6;
Error.stackTraceLimit = 0;
/** More failing seeds than this are not shrunk. */
const MAX_SHRUNK = 3;

/** What the script asks for. */
export type Task =
  | { readonly kind: 'seeds'; readonly from: number; readonly count: number }
  | { readonly kind: 'mutants'; readonly names: readonly string[]; readonly seeds: number };

const COUNTED = ['faults', 'crashes', 'connects', 'resumes', 'redeliveries', 'gaps'] as const;
let shrunk = 0;

async function runSeeds(from: number, count: number) {
  const totals: Record<string, number> = { events: 0, messages: 0 };
  const failed: number[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const { events, messages, counts, failure } = await simulate(makePlan(seed));
    totals.events = (totals.events ?? 0) + events;
    totals.messages = (totals.messages ?? 0) + messages;
    for (const name of COUNTED) totals[name] = (totals[name] ?? 0) + counts[name];
    if (failure === undefined) continue;
    failed.push(seed);
    if (shrunk++ < MAX_SHRUNK)
      console.log(await withStacks(async () => report(seed, await shrink(makePlan(seed)))));
    else console.log(`seed ${seed}: ${failure.invariant}: ${failure.text}`);
  }
  return { failed, totals };
}

async function runTask(task: Task) {
  if (task.kind === 'seeds') return runSeeds(task.from, task.count);
  const mutants = task.names.map((name) => MUTANTS.find((mutant) => mutant.name === name));
  return catchMutants(
    mutants.filter((mutant) => mutant !== undefined),
    task.seeds,
  );
}

async function withStacks<T>(run: () => Promise<T>): Promise<T> {
  Error.stackTraceLimit = STACK_FRAMES;
  try {
    return await run();
  } finally {
    Error.stackTraceLimit = 0;
  }
}

async function show(seed: number): Promise<boolean> {
  const first = await simulate(makePlan(seed), true);
  const again = await simulate(makePlan(seed));
  for (const line of first.trace) console.log(line);
  console.log(`seed ${seed}: trace hash ${first.hash}, and ${again.hash} when it ran again`);
  if (first.failure !== undefined) console.log(report(seed, await shrink(makePlan(seed))));
  return first.failure === undefined && first.hash === again.hash;
}

const [kind, seed] = process.argv.slice(2);
if (kind === 'show') {
  process.exit((await withStacks(() => show(Number(seed)))) ? 0 : 1);
} else {
  process.on('message', (task: Task) => {
    const { user, system } = process.cpuUsage();
    runTask(task).then(
      (result) => {
        const used = process.cpuUsage({ user, system });
        process.send?.({ result, cpuMs: (used.user + used.system) / 1_000 });
      },
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
  process.send?.({ mutants: MUTANTS.map(({ name }) => name) });
}
