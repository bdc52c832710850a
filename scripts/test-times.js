/**
 * A reporter for vitest: how long the tests took, by the folders of test/ and for the slowest files, once a run of many files
 * is over. Seconds that a file took in its worker, loading included; two run at a time.
 *
 * @typedef {import('vitest/node').TestModule} TestModule
 */

const SLOWEST = 10;
/** A run of fewer files tells enough by itself. */
const MANY = 20;

/** @param {number} ms */
const seconds = (ms) => `${(ms / 1000).toFixed(1).padStart(6)} s`;

/** @param {TestModule} module */
function timeOf(module) {
  const { collectDuration, prepareDuration, setupDuration, duration } = module.diagnostic();
  return collectDuration + prepareDuration + setupDuration + duration;
}

export class TestTimes {
  #long;
  #startedAt = 0;

  /** @param {boolean} long */
  constructor(long) {
    this.#long = long;
  }

  onTestRunStart() {
    this.#startedAt = performance.now();
  }

  /** @param {readonly TestModule[]} modules */
  onTestRunEnd(modules) {
    if (modules.length < MANY) return;
    const files = modules.map((module) => ({ name: module.relativeModuleId, ms: timeOf(module) }));
    /** @type {Map<string, number>} */
    const folders = new Map();
    for (const { name, ms } of files) {
      const folder = name.split('/').slice(0, -1).slice(0, 3).join('/');
      folders.set(folder, (folders.get(folder) ?? 0) + ms);
    }
    const slowest = files.sort((a, b) => b.ms - a.ms).slice(0, SLOWEST);
    const lines = [
      'Time by folder:',
      ...[...folders].sort(([, a], [, b]) => b - a).map(([name, ms]) => `${seconds(ms)}  ${name}`),
      'The slowest files:',
      ...slowest.map(({ name, ms }) => `${seconds(ms)}  ${name}`),
      `All of it in ${((performance.now() - this.#startedAt) / 1000).toFixed(1)} s: ${files.length} files, ${
        this.#long ? 'in the long form' : 'in the short form (npm run test:long has the long one)'
      }`,
    ];
    console.log(`\n${lines.join('\n')}`);
  }
}
