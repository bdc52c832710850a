/**
 * Runs the simulation outside of the test suite, on every core:
 *
 *   npm run simulate -- --seeds 20000 --from 1      so many seeds from there on
 *   npm run simulate -- --seed 4711                 one seed, with its trace; shrunk where it fails
 *   npm run simulate -- --mutants --pairs           the table of broken rules, single and two at a time, and what catches each
 *   npm run simulate -- --fuzz 60                   the decoder and the server from raw bytes, so many seconds each
 *
 * It ends with one line that says what was done, and with another exit code than 0 where anything was found.
 * --within N: seeds in which a broken rule must be noticed (default 1000). --jobs N: processes at a time (default: one a core).
 * The TypeScript is compiled into node_modules/.cache first.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'node_modules/.cache/nyota-simulation');
/** Seeds that a process is given at a time: few enough that none waits long for the others at the end. */
const CHUNK = 250;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    within: { type: 'string', default: '1000' },
    seed: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    mutants: { type: 'boolean', default: false },
    pairs: { type: 'boolean', default: false },
    fuzz: { type: 'string' },
  },
});

/** @param {string} name */
function whole(name) {
  const number = Number(values[/** @type {keyof typeof values} */ (name)]);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  console.error(`--${name} takes a whole number`);
  process.exit(2);
}

function compile() {
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'package.json'), '{ "type": "module" }\n');
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const project = join(root, 'scripts/simulate.tsconfig.json');
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}

/**
 * One process of a compiled entry.
 *
 * @param {string} entry
 * @param {ReadonlyArray<string | number>} args
 * @param {string[]} [flags]
 */
function start(entry, args, flags = []) {
  const child = spawn(process.execPath, [...flags, join(out, 'test', entry), ...args.map(String)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  /** @type {Promise<number>} */
  const exited = new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
  return { child, exited };
}

/**
 * Hands the tasks out, one to each process at a time. Ends this process where one of the others fails.
 *
 * @param {(mutants: string[]) => object[]} list what is to be done, once the names of the broken rules are known
 * @param {(result: any, task: number) => void} each
 * @returns {Promise<{ tasks: number, seconds: number, cpuSeconds: number }>}
 */
async function handOut(list, each) {
  const started = performance.now();
  /** @type {object[] | undefined} */
  let tasks;
  let next = 0;
  let cpuMs = 0;
  const work = async () => {
    const { child, exited } = start('simulation/main.js', ['work']);
    let task = -1;
    child.on('message', (/** @type {any} */ message) => {
      tasks ??= list(message.mutants);
      if (task >= 0) {
        cpuMs += message.cpuMs;
        each(message.result, task);
      }
      task = next++;
      const todo = tasks[task];
      if (todo === undefined) child.disconnect();
      else child.send(todo);
    });
    if ((await exited) !== 0) process.exit(1);
  };
  await Promise.all(Array.from({ length: Math.max(1, whole('jobs')) }, work));
  return {
    tasks: tasks?.length ?? 0,
    seconds: (performance.now() - started) / 1_000,
    cpuSeconds: cpuMs / 1_000,
  };
}

async function runSeeds() {
  const [seeds, from] = [whole('seeds'), whole('from')];
  /** @type {number[]} */
  const failed = [];
  /** @type {Map<string, number>} */
  const totals = new Map();
  const chunks = () =>
    Array.from({ length: Math.ceil(seeds / CHUNK) }, (_, i) => {
      const first = from + i * CHUNK;
      return { kind: 'seeds', from: first, count: Math.min(CHUNK, from + seeds - first) };
    });
  const { seconds, cpuSeconds } = await handOut(chunks, (result) => {
    failed.push(...result.failed);
    for (const [name, count] of Object.entries(result.totals))
      totals.set(name, (totals.get(name) ?? 0) + count);
  });
  const counted = [...totals].map(([name, count]) => `${count} ${name}`).join(', ');
  const rates = `${(seeds / seconds).toFixed(0)} a second, ${(seeds / cpuSeconds).toFixed(0)} in a second of one core`;
  console.log(
    `simulation: ${seeds} seeds from ${from}, ${failed.length} failed, in ${seconds.toFixed(1)} s (${rates}): ${counted}`,
  );
  return failed.length === 0;
}

async function runMutants() {
  const seeds = whole('within');
  /** @type {string[][]} */
  let broken = [];
  /** @type {any[]} */
  const caught = [];
  let printed = 0;
  const list = (/** @type {string[]} */ names) => {
    const singles = values.mutants ? names.map((name) => [name]) : [];
    const pairs = values.pairs
      ? names.flatMap((one, i) => names.slice(i + 1).map((other) => [one, other]))
      : [];
    broken = [...singles, ...pairs];
    return broken.map((rules) => ({ kind: 'mutants', names: rules, seeds }));
  };
  console.log(' seed  runs  broken, and what noticed it');
  const { seconds } = await handOut(list, (result, task) => {
    caught[task] = result;
    // In the order of the list, whoever was done first.
    for (; caught[printed] !== undefined; printed++) {
      const { name, seed, runs, invariant, text } = caught[printed];
      console.log(
        `${String(seed ?? '-').padStart(5)} ${String(runs).padStart(5)}  ${name.padEnd(50)}  ${invariant}: ${text.slice(0, 90)}`,
      );
    }
  });
  const missed = caught.filter(({ seed }) => seed === undefined).map(({ name }) => name);
  const most = caught.reduce((max, { runs }) => Math.max(max, runs), 0);
  const singles = broken.filter((rules) => rules.length === 1).length;
  console.log(
    `mutants: ${singles} single and ${broken.length - singles} pairs in ${seconds.toFixed(1)} s, ` +
      `${missed.length} not caught within ${seeds} seeds${missed.map((name) => `, ${name}`).join('')}; ${most} runs at most`,
  );
  return missed.length === 0;
}

async function fuzz() {
  const seconds = whole('fuzz');
  const seed = Date.now() % 1_000_000_007;
  const outcomes = await Promise.all(
    ['decoder', 'session'].map(async (target) => {
      const { child, exited } = start('fuzz/main.js', [target, seconds, seed]);
      let executions = 0;
      child.on('message', (count) => {
        executions = Number(count);
      });
      const code = await exited;
      // What it said last may come behind its end.
      if (child.connected) await new Promise((resolve) => child.once('disconnect', resolve));
      return { target, executions, good: code === 0 };
    }),
  );
  const [decoder, session] = outcomes;
  const found = outcomes.filter(({ good }) => !good).map(({ target }) => target);
  console.log(
    `fuzzing: 2 x ${seconds} s from seed ${seed}: ${decoder?.executions} inputs of the decoder, ` +
      `${session?.executions} connections; ${found.length === 0 ? 'nothing found' : `found something: ${found.join(', ')}`}`,
  );
  return found.length === 0;
}

compile();
let good;
if (values.seed !== undefined) {
  const { exited } = start('simulation/main.js', ['show', whole('seed')], ['--enable-source-maps']);
  good = (await exited) === 0;
} else if (values.mutants || values.pairs) good = await runMutants();
else if (values.fuzz !== undefined) good = await fuzz();
else good = await runSeeds();
process.exit(good ? 0 : 1);
