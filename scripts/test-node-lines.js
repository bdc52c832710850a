/**
 * Runs the whole test suite under each line of Node that nyota supports, against the installed node_modules.
 * The line that runs this script is used as it is; the others are fetched with npx. Fails if any of them fails,
 * after all have run. Arguments are handed on to vitest.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const LINES = [20, 22, 24];

const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const current = Number.parseInt(process.versions.node, 10);
/** @type {string[]} */
const failures = [];

for (const line of LINES) {
  const command = line === current ? process.execPath : 'npx';
  const before = line === current ? [] : ['-y', `node@${line}`];
  /** @type {(args: string[], stdout: 'pipe' | 'inherit') => import('node:child_process').SpawnSyncReturns<string>} */
  const node = (args, stdout) =>
    spawnSync(command, [...before, ...args], {
      stdio: ['inherit', stdout, 'inherit'],
      env: { ...process.env, NYOTA_TEST_RUN: `node-${line}` },
      encoding: 'utf8',
      shell: command === 'npx' && process.platform === 'win32',
    });

  const version = node(['--version'], 'pipe').stdout?.trim();
  if (!version?.startsWith(`v${line}.`)) {
    console.error(`Node ${line}: could not be started (it answered ${version ? `"${version}"` : 'nothing'})`);
    failures.push(`${line}`);
    continue;
  }
  console.log(`\n=== Node ${version} ===`);
  const { status, signal } = node([vitest, 'run', ...process.argv.slice(2)], 'inherit');
  console.log(
    `=== Node ${version}: ${status === 0 ? 'passed' : `failed (${signal ?? `exit code ${status}`})`} ===`,
  );
  if (status !== 0) failures.push(version);
}

if (failures.length > 0) console.error(`The suite failed under Node ${failures.join(', ')}`);
process.exit(failures.length > 0 ? 1 : 0);
