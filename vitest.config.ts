/**
 * How the tests run. Nothing is retried, and a forgotten `.only` fails the run. NYOTA_TEST_LONG=1 is the long form of the suite
 * (test/support/length.ts).
 * With NYOTA_TEST_RESULTS set to a folder the results are written there too, as JSON, one file a run
 * (named by NYOTA_TEST_RUN): that is what scripts/test-summary.js counts.
 */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { TestTimes } from './scripts/test-times.js';

const resultsDir = process.env.NYOTA_TEST_RESULTS;
const runName = process.env.NYOTA_TEST_RUN ?? 'test';
const long = process.env.NYOTA_TEST_LONG === '1';

/** Real time goes by in them, which nothing shortens. */
const LONG_FILES = ['test/e2e/kill-link.test.ts', 'test/e2e/kill-stop.test.ts'];

export default defineConfig({
  test: {
    environment: 'node',
    include: ['test/**/*.test.ts'],
    // The types are compiled, by the type check, and not run.
    exclude: ['test/types/**', ...(long ? [] : LONG_FILES)],
    // Processes, not threads: tests look at handles, signals and exit codes of their own process.
    pool: 'forks',
    maxWorkers: 2,
    // A process of its own for each file costs as much again as the short form's tests: there the files share two.
    isolate: long,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    retry: 0,
    allowOnly: false,
    reporters: [
      'default',
      new TestTimes(long),
      ...(resultsDir ? [jsonInto(join(resultsDir, `${runName}.json`))] : []),
    ],
  },
});

function jsonInto(outputFile: string): ['json', { outputFile: string }] {
  return ['json', { outputFile }];
}
