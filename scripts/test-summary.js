/**
 * Prints what a set of test runs came to: each failed test with the start of its error, a line for each run, and the sum
 * alone on the last line. Of a long log often only the end is kept, so what failed is said here once more.
 * Reads the JSON files that vitest wrote into the folder that is given (see vitest.config.ts).
 * Counts what is in them and nothing else: without a file there are no numbers to print, and that is a failure.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {{ status: string, fullName: string, failureMessages: string[] }} TestResult
 * @typedef {{ name: string, status: string, message: string, assertionResults: TestResult[] }} FileResult
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

/** How much of an error is printed: its message and the lines of its stack that are the test's own. */
const ERROR_LINES = 8;

/**
 * @param {FileResult[]} files
 * @returns {string[]} for each failure the test's file and name, and the start of its error
 */
function failures(files) {
  return files
    .filter((file) => file.status === 'failed')
    .flatMap((file) => {
      const failed = file.assertionResults.filter((test) => test.status === 'failed');
      return failed.length === 0
        ? [failure(file.name, '', file.message)]
        : failed.map((test) => failure(file.name, test.fullName, test.failureMessages.join('\n')));
    });
}

/**
 * @param {string} file
 * @param {string} test
 * @param {string} error
 */
function failure(file, test, error) {
  const lines = error.split('\n').slice(0, ERROR_LINES);
  return [`FAILED ${relative('.', file)}${test && `: ${test}`}`, ...lines.map((text) => `    ${text}`)].join(
    '\n',
  );
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

/** @type {string[]} */
const lines = [];
const total = { passed: 0, failed: 0, skipped: 0 };
for (const name of names.sort()) {
  /** @type {FileResult[]} */
  const files = JSON.parse(readFileSync(join(folder, name), 'utf8')).testResults;
  const counts = count(files);
  const run = basename(name, '.json');
  for (const text of failures(files)) console.log(`${run}: ${text}`);
  if (names.length > 1) lines.push(`${run}: ${line(counts)}`);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
for (const text of [...lines, line(total)]) console.log(text);
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
