/**
 * Prints what a set of test runs came to: a line for each run, and the sum alone on the last line.
 * Reads the JSON files that vitest wrote into the folder that is given (see vitest.config.ts).
 * Counts what is in them and nothing else: without a file there are no numbers to print, and that is a failure.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {{ status: string, assertionResults: { status: string }[] }} FileResult
 */

/**
 * A file that failed without a failed test in it (it did not load, or a hook threw) counts as one failure.
 * @param {FileResult[]} files
 * @returns {Counts}
 */
function count(files) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) {
    const statuses = file.assertionResults.map((test) => test.status);
    const failed = statuses.filter((status) => status === 'failed').length;
    counts.passed += statuses.filter((status) => status === 'passed').length;
    counts.failed += failed === 0 && file.status === 'failed' ? 1 : failed;
    counts.skipped += statuses.filter((status) => status !== 'passed' && status !== 'failed').length;
  }
  return counts;
}

/** @param {Counts} counts */
function line({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

const folder = process.argv[2];
if (folder === undefined) {
  console.error('usage: node scripts/test-summary.js <folder of vitest JSON results>');
  process.exit(2);
}
const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
if (names.length === 0) {
  console.error('no test results: nothing got as far as the tests');
  process.exit(1);
}

const total = { passed: 0, failed: 0, skipped: 0 };
for (const name of names.sort()) {
  const counts = count(JSON.parse(readFileSync(join(folder, name), 'utf8')).testResults);
  if (names.length > 1) console.log(`${basename(name, '.json')}: ${line(counts)}`);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
console.log(line(total));
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
