/**
 * How the tests run. Nothing is retried, and a forgotten `.only` fails the run.
 * With NYOTA_TEST_RESULTS set to a folder the results are written there too, as JSON, one file a run
 * (named by NYOTA_TEST_RUN): that is what scripts/test-summary.js counts.
 */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

const resultsDir = process.env.NYOTA_TEST_RESULTS;
const runName = process.env.NYOTA_TEST_RUN ?? 'test';

export default defineConfig({
  test: {
    environment: 'node',
    include: ['test/**/*.test.ts'],
    // These are compiled, by the type check, and not run.
    exclude: ['test/types/**'],
    // Processes, not threads: tests look at handles, signals and exit codes of their own process.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    retry: 0,
    allowOnly: false,
    reporters: resultsDir
      ? ['default', ['json', { outputFile: join(resultsDir, `${runName}.json`) }]]
      : ['default'],
  },
});
