/**
 * `npm run test:long`: what takes too long for every `npm test`. Each part runs, also where one before it has failed; the
 * last lines say how long each took and which failed.
 *
 *   npm run test:long                 all of it
 *   npm run test:long -- simulation   the parts that are named
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @type {Record<string, { what: string, args: string[], env?: Record<string, string> }>} */
const PARTS = {
  'node-lines': {
    what: 'the suite in its long form, under Node 20, 22 and 24',
    args: ['scripts/test-node-lines.js'],
    env: { NYOTA_TEST_LONG: '1' },
  },
  simulation: {
    what: '20,000 seeds of the simulation',
    args: ['scripts/simulate.js', '--seeds', '20000'],
  },
  mutants: {
    what: 'every mutant, and every pair of them, is caught by the simulation',
    args: ['scripts/simulate.js', '--mutants', '--pairs'],
  },
  fuzz: {
    what: 'decoder and session from raw bytes, 60 s each',
    args: ['scripts/simulate.js', '--fuzz', '60'],
  },
  kill: {
    what: '200 times kill -9 of a server under load, and of a client',
    args: ['node_modules/vitest/vitest.mjs', 'run', 'test/e2e/kill.test.ts'],
    env: { NYOTA_KILL_CYCLES: '200', NYOTA_TEST_RUN: 'kill' },
  },
  soak: {
    what: '200 clients with churn for 3 minutes',
    args: ['scripts/soak.js'],
  },
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0) {
  console.error(`there is no part ${unknown.join(', ')}: ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}

/** @type {string[]} */
const results = [];
let failed = false;
for (const [name, { what, args, env }] of Object.entries(PARTS)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`\n=== ${name}: ${what} ===`);
  const started = performance.now();
  const { status, signal } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  const seconds = ((performance.now() - started) / 1_000).toFixed(0);
  results.push(`${name}: ${status === 0 ? 'passed' : `FAILED (${signal ?? status})`} in ${seconds} s`);
  failed ||= status !== 0;
}
console.log(`\n=== test:long ===\n${results.join('\n')}`);
process.exit(failed ? 1 : 0);
