/**
 * Runs the simulation outside of the test suite, any number of seeds on every core:
 *
 *   npm run simulate -- --seeds 20000 --from 1      so many seeds from there on
 *   npm run simulate -- --seed 4711                 one seed, with its trace; shrunk where it fails
 *   npm run simulate -- --mutants                   the table of broken rules, and what catches each
 *   npm run simulate -- --fuzz 60                   the decoder and the server from raw bytes, so many seconds each
 *
 * --jobs N: processes at a time (default: one a core). The TypeScript is compiled into node_modules/.cache first.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'node_modules/.cache/nyota-simulation');

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
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

mkdirSync(out, { recursive: true });
writeFileSync(join(out, 'package.json'), '{ "type": "module" }\n');
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const compiled = spawnSync(process.execPath, [tsc, '-p', join(root, 'scripts/simulate.tsconfig.json')], {
  stdio: 'inherit',
});
if (compiled.status !== 0) process.exit(1);

/**
 * One process of the compiled entry.
 *
 * @param {string} entry
 * @param {ReadonlyArray<string | number>} args
 * @returns {Promise<number>} its exit code
 */
function run(entry, args) {
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', join(out, 'test', entry), ...args.map(String)],
    { stdio: 'inherit' },
  );
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
}

const jobs = Math.max(1, whole('jobs'));
/** @type {number[]} */
let codes;
if (values.seed !== undefined) {
  codes = [await run('simulation/main.js', ['show', whole('seed')])];
} else if (values.mutants || values.pairs) {
  const kind = values.pairs ? 'pairs' : 'mutants';
  codes = await Promise.all(
    Array.from({ length: jobs }, (_, job) => run('simulation/main.js', [kind, whole('seeds'), job, jobs])),
  );
} else if (values.fuzz !== undefined) {
  const seconds = whole('fuzz');
  codes = await Promise.all([
    run('fuzz/main.js', ['decoder', seconds, Date.now() % 1_000_000_007]),
    run('fuzz/main.js', ['session', seconds, Date.now() % 1_000_000_007]),
  ]);
} else {
  const [seeds, from] = [whole('seeds'), whole('from')];
  const started = performance.now();
  const each = Math.ceil(seeds / jobs);
  codes = await Promise.all(
    Array.from({ length: jobs }, (_, job) => {
      const first = from + job * each;
      return run('simulation/main.js', ['seeds', first, Math.max(0, Math.min(each, from + seeds - first))]);
    }),
  );
  const seconds = (performance.now() - started) / 1_000;
  console.log(
    `${seeds} seeds from ${from} in ${seconds.toFixed(1)} s on ${jobs} processes: ${(seeds / seconds).toFixed(0)} a second`,
  );
}
process.exit(codes.some((code) => code !== 0) ? 1 : 0);
