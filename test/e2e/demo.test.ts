/**
 * `nyota demo`, in small, with the server killed on the way: what it says when all is well, and that it fails when something is
 * not. In the short form it runs well twice, and fails in each of three ways: by a fault, by a death, by a signal.
 */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { DemoResult } from '../../src/cli/demo-result.js';
import { CliProcess, MAIN_FILE, nyota } from '../support/cli-process.js';
import { itLong, rows } from '../support/length.js';

const SMALL = ['--events', '300', '--cuts', '4', '--seed', '7'];

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The processes that it says it has started. */
async function workersOf(demo: CliProcess): Promise<number[]> {
  const [, ...pids] = await demo.prints(/server (\d+), client A (\d+), client B (\d+)/);
  return pids.map(Number);
}

describe('the demo', () => {
  it('gets every event through the cuts once and in order, and exits 0', async () => {
    const { code, stdout, stderr } = await nyota(['demo', ...SMALL, '--json']);
    expect(code, stderr).toBe(0);
    const result = JSON.parse(stdout) as DemoResult;
    expect(result).toMatchObject({
      ok: true,
      seed: 7,
      problems: [],
      sessionStore: 'lmdb',
      kills: { planned: 2, made: 2 },
    });
    expect(result.cuts.planned).toBe(4);
    expect(result.cuts.made).toBeGreaterThanOrEqual(4);
    expect(result.directions.map(({ from, to }) => `${from} > ${to}`)).toEqual([
      'client A > server',
      'server > client A',
      'client B > server',
      'server > client B',
    ]);
    for (const direction of result.directions) {
      const flawless = { lost: 0, duplicates: 0, outOfOrder: 0, unknown: 0 };
      const { redelivered, requests } = direction;
      expect(direction).toMatchObject({ sent: 300, handled: 300 + redelivered, ...flawless });
      expect(requests).toMatchObject({ sent: 15, failed: 0, handled: 15 + requests.redelivered });
      expect(requests.answered + requests.interrupted).toBe(15);
      // Clients are not killed: they handle nothing again, and hear every answer.
      if (direction.from === 'server') expect(redelivered + requests.redelivered).toBe(0);
      else expect(requests.interrupted).toBe(0);
      expect(direction.requests.p99Ms).toBeGreaterThanOrEqual(direction.requests.p50Ms ?? Infinity);
      expect(direction.eventsPerSecond).toBeGreaterThan(0);
      expect(direction.reconnects).toBeGreaterThan(0);
    }
    for (const store of result.stores) {
      expect(store).toMatchObject({ equal: true, writes: 60, steps: 12, counter: 12 });
    }
  });

  it('prints a table, and plain lines while it runs where there is no terminal', async () => {
    const { code, stdout, stderr } = await nyota(['demo', ...SMALL, '--kills', '0']);
    expect(code, stderr).toBe(0);
    for (const name of [
      'sent',
      'handled',
      'lost',
      'duplicates',
      'redelivered',
      'out of order',
      'reconnects',
      'events/s',
      'p50',
      'p99',
    ])
      expect(stdout).toContain(name);
    expect(stdout).toMatch(/client A → server\W+300\W+300\W+0\W+0\W+0\W+0/);
    expect(stdout).toContain('requests  60 sent, 60 answered, 0 failed');
    expect(stdout).toContain('both sides equal: yes');
    expect(stdout).toContain('--seed 7');
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(
      /^1200 of 1200 events handled, \d+ of 4 cuts, 0 of 0 kills$/,
    );
    expect(`${stdout}${stderr}`).not.toMatch(/[^\P{Cc}\n]/u);
  });

  itLong('says when it kills the server, and keeps nothing in the temporary folder', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nyota-test-'));
    try {
      const { code, stdout, stderr } = await nyota(['demo', ...SMALL], { env: { TMPDIR: folder } });
      expect(code, stderr).toBe(0);
      const pids = [
        ...stderr.matchAll(/^Killed the server (\d+) with SIGKILL; started it again as (\d+)\.$/gm),
      ];
      expect(pids).toHaveLength(2);
      expect(pids[1]?.[1]).toBe(pids[0]?.[2]);
      expect(stdout).toContain('kills     2 of the server by SIGKILL; its sessions are in a folder');
      expect(readdirSync(folder)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  itLong(
    'comes to its end where starting a process takes longer than all its traffic was planned to',
    async () => {
      const env = slowStart(1_000);
      const { code, stdout, stderr } = await nyota(['demo', ...SMALL, '--json'], env);
      expect(code, stderr).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ ok: true, kills: { planned: 2, made: 2 } });
    },
  );

  itLong('runs in memory and without kills where lmdb is not installed, and says so', async () => {
    const hooks = `export const resolve = (name, context, next) => {
      if (name === 'lmdb') throw Object.assign(new Error('not found'), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(name, context);
    };`;
    const source = `import { register } from 'node:module';
      register('data:text/javascript,${encodeURIComponent(hooks).replaceAll("'", '%27')}');`;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(source)}` };
    const { code, stdout, stderr } = await nyota(['demo', ...SMALL, '--json'], { env });
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('The package lmdb is not installed: the server keeps its sessions in memory');
    const result = JSON.parse(stdout) as DemoResult;
    expect(result).toMatchObject({ ok: true, sessionStore: 'memory', kills: { planned: 0, made: 0 } });
    for (const { redelivered, requests } of result.directions) {
      expect(redelivered + requests.redelivered + requests.interrupted).toBe(0);
    }
  });

  itLong('runs without cuts too', async () => {
    const { code, stdout, stderr } = await nyota(['demo', '--events', '1', '--cuts', '0', '--json']);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, cuts: { planned: 0, made: 0 } });
  });
});

/** Code that runs first in every process of the demo, with `Peer` at hand. */
function broken(code: string): { env: Record<string, string> } {
  const index = pathToFileURL(join(MAIN_FILE, '../../index.js')).href;
  const source = `import { Peer } from ${JSON.stringify(index)};\n${code}`;
  return { env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(source)}` } };
}

/** Every process stands still for a while before it does anything. */
function slowStart(ms: number): { env: Record<string, string> } {
  return broken(`Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${ms});`);
}

/** nyota made to call the listeners of the numbered events in another way. */
function brokenDispatch(call: string): { env: Record<string, string> } {
  return broken(`
    const { on } = Peer.prototype;
    Peer.prototype.on = function (event, fn) {
      return on.call(this, event, event === 'tick' ? (n) => { ${call} } : fn);
    };`);
}

/** What goes wrong, how, and what the demo says of it. */
const FAULTS: readonly (readonly [string, { env: Record<string, string> }, string])[] = [
  ['loses an event', brokenDispatch('if (n !== 7) fn(n);'), 'client A to server: 1 lost'],
  ['repeats an event', brokenDispatch('fn(n); if (n === 7) fn(n);'), 'client A to server: 1 handled again'],
  [
    'swaps two events',
    brokenDispatch('if (n !== 7) fn(n); if (n === 8) fn(7);'),
    'client A to server: 1 out of order',
  ],
  [
    'runs a handler twice',
    broken(`
        const { handle } = Peer.prototype;
        Peer.prototype.handle = function (event, fn) {
          return handle.call(this, event, (n, context) => { if (n === 2) fn(n, context); return fn(n, context); });
        };`),
    '5 requests handled 6 times',
  ],
  [
    'shows different stores to the two sides',
    broken(`
        const { get } = Peer.prototype;
        Peer.prototype.get = function () { return { ...get.call(this), who: process.pid }; };`),
    'store A: its two sides differ',
  ],
  [
    'does not flag what it delivers again after a kill',
    broken(`
        const { on } = Peer.prototype;
        let handled = 0;
        Peer.prototype.on = function (event, fn) {
          if (event !== 'tick') return on.call(this, event, fn);
          Object.defineProperty(this, 'delivery', { value: undefined });
          return on.call(this, event, async (n) => { fn(n); await new Promise((resolve) => setTimeout(resolve, 300)); });
        };`),
    'handled again',
  ],
];

describe('the demo exits 1 and says so', () => {
  it.each(rows(FAULTS, 1))('where nyota %s', async (_what, options, problem) => {
    const args = [
      'demo',
      '--events',
      '100',
      '--cuts',
      '2',
      '--kills',
      problem === 'handled again' ? '1' : '0',
      '--json',
    ];
    const { code, stdout, stderr } = await nyota(args, options);
    expect(code, stderr).toBe(1);
    const last = stderr.trimEnd().split('\n').at(-1);
    expect(last).toContain('nyota: the demo found ');
    expect(last).toContain(problem);
    expect((JSON.parse(stdout) as DemoResult).ok).toBe(false);
  });

  it.each(
    rows(
      [
        ['the server', 0, 'server'],
        ['a client', 2, 'client B'],
      ] as const,
      1,
    ),
  )('where %s dies, and leaves no process behind', async (_what, index, name) => {
    const demo = new CliProcess(['demo']);
    const pids = await workersOf(demo);
    process.kill(pids[index] ?? Number.NaN, 'SIGKILL');
    const { code, stdout, stderr } = await demo.ended;
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(`nyota: the ${name} process died: signal SIGKILL`);
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it('where it is interrupted, and leaves no process behind', async () => {
    const demo = new CliProcess(['demo']);
    const pids = await workersOf(demo);
    demo.signal('SIGINT');
    const { code, stdout } = await demo.ended;
    expect(code).toBe(130);
    expect(stdout).toBe('');
    expect(pids.filter(isRunning)).toEqual([]);
  });
});
