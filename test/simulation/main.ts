/** The entry of `npm run simulate` in one process: seeds, one seed's trace, or the mutants' table. */
import { catchAll, describeCaught } from './catch.js';
import { MUTANTS, type Mutant } from './mutants.js';
import { makePlan } from './plan.js';
import { report, shrink } from './shrink.js';
import { simulate } from './simulation.js';

Error.stackTraceLimit = 6;
/** More failing seeds than this say no more. */
const MAX_REPORTED = 3;

async function runSeeds(from: number, count: number): Promise<boolean> {
  const totals = {
    events: 0,
    messages: 0,
    faults: 0,
    crashes: 0,
    connects: 0,
    resumes: 0,
    redeliveries: 0,
    gaps: 0,
  };
  const failed: number[] = [];
  const started = performance.now();
  for (let seed = from; seed < from + count; seed++) {
    const { events, messages, counts, failure } = await simulate(makePlan(seed));
    totals.events += events;
    totals.messages += messages;
    for (const name of ['faults', 'crashes', 'connects', 'resumes', 'redeliveries', 'gaps'] as const) {
      totals[name] += counts[name];
    }
    if (failure === undefined) continue;
    failed.push(seed);
    if (failed.length <= MAX_REPORTED) console.log(report(seed, await shrink(makePlan(seed))));
    else console.log(`seed ${seed}: ${failure.invariant}: ${failure.text}`);
  }
  const seconds = (performance.now() - started) / 1_000;
  const what = Object.entries(totals)
    .map(([name, total]) => `${total} ${name}`)
    .join(', ');
  console.log(
    `seeds ${from} to ${from + count - 1}: ${failed.length} failed; ${(count / seconds).toFixed(0)} seeds a second; ${what}`,
  );
  return failed.length === 0;
}

async function show(seed: number): Promise<boolean> {
  const first = await simulate(makePlan(seed), true);
  const again = await simulate(makePlan(seed));
  for (const line of first.trace) console.log(line);
  console.log(`seed ${seed}: trace hash ${first.hash}, and ${again.hash} when it ran again`);
  if (first.failure !== undefined) console.log(report(seed, await shrink(makePlan(seed))));
  return first.failure === undefined && first.hash === again.hash;
}

async function table(
  all: ReadonlyArray<readonly Mutant[]>,
  seeds: number,
  job: number,
  jobs: number,
): Promise<boolean> {
  const mine = all.filter((_, i) => i % jobs === job);
  const caught = await catchAll(mine, seeds, (one) => console.log(describeCaught(one)));
  return caught.every(({ seed }) => seed !== undefined);
}

function pairs(): Array<readonly Mutant[]> {
  return MUTANTS.flatMap((first, i) => MUTANTS.slice(i + 1).map((second) => [first, second] as const));
}

const [kind, ...numbers] = process.argv.slice(2);
const [a = 0, b = 0, c = 1] = numbers.map(Number);
let good = false;
if (kind === 'seeds') good = await runSeeds(a, b);
else if (kind === 'show') good = await show(a);
else if (kind === 'mutants')
  good = await table(
    MUTANTS.map((mutant) => [mutant]),
    a,
    b,
    c,
  );
else if (kind === 'pairs') good = await table(pairs(), a, b, c);
process.exit(good ? 0 : 1);
