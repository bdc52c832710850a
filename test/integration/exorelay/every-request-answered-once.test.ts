/**
 * The big one: three services of two instances each, 20 000 requests (4 000 in the short form) through the hub, while instances are killed and
 * connections are cut.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExoRelay } from '../../../src/exorelay/index.js';
import { createFaultProxy, type FaultProxy } from '../../../src/testing/index.js';
import { ExoArena } from '../../support/exo-arena.js';
import { ExoBuild } from '../../support/exo-build.js';
import { serve } from '../../support/exo-storm-service.mjs';
import { inLength } from '../../support/length.js';

const REQUESTS = inLength(20_000, 4_000);
/** Requests of one service that are under way at a time. */
const AT_A_TIME = 50;
const REQUESTS_A_KILL = REQUESTS * 0.11;
const REQUESTS_A_CUT = REQUESTS * 0.03;
const NEXT: Readonly<Record<string, string>> = { red: 'green', green: 'blue', blue: 'red' };

interface Line {
  readonly what: 'begin' | 'end';
  readonly id: string;
  readonly key: string;
  readonly redelivered: boolean;
  readonly instance: string;
  readonly at: number;
}
const now = (): number => performance.timeOrigin + performance.now();

let build: ExoBuild;
let child: string;
const arena = new ExoArena();
let proxy: FaultProxy;
beforeAll(async () => {
  build = new ExoBuild();
  build.take('test/support/exo-storm-service.mjs', 'exo-storm-service.mjs');
  child = build.take('test/support/exo-storm-child.mjs', 'exo-storm-child.mjs');
}, 60_000);
afterAll(async () => {
  arena.stop();
  await proxy?.close();
  await build.remove();
});

/** When which instance was killed. */
const killed = new Map<string, number>();
let born = 0;
const log = (): string => join(build.folder, 'runs.log');

/** The second instance of a service: it can be killed, and another one is there at once. */
interface Victim {
  readonly role: string;
  instance: string;
  kill(): void;
}

async function startProcess(role: string): Promise<Victim> {
  const instance = `${role} process ${++born}`;
  const args = [String(arena.port), role, NEXT[role] ?? '', instance, log()];
  const process = build.start(child, args);
  await new Promise<void>((resolve) => process.on('message', (m) => 'online' in (m as object) && resolve()));
  return { role, instance, kill: () => void process.kill('SIGKILL') };
}

async function startRelay(role: string): Promise<Victim> {
  const instance = `${role} relay ${++born}`;
  const relay = arena.relay(role);
  serve(relay, { role, next: NEXT[role] ?? '', instance, log: log() });
  relay.connect();
  await new Promise((resolve) => relay.once('online', resolve));
  return { role, instance, kill: () => relay.destroy() };
}

async function replace(victim: Victim): Promise<Victim> {
  killed.set(victim.instance, now());
  victim.kill();
  return victim.role === 'red' ? startRelay('red') : startProcess(victim.role);
}

describe(`3 services of 2 instances each exchange ${REQUESTS} requests through the hub`, () => {
  const answers = new Map<string, { at: number; payload: unknown }>();
  let cuts = 0;
  let lines: Line[] = [];

  it('while instances are killed and connections are cut: each request gets its reply', async () => {
    await arena.start({ instanceGraceMs: 1_000 });
    proxy = await createFaultProxy({ target: { port: arena.port } });
    const steady: ExoRelay[] = [];
    for (const role of Object.keys(NEXT)) {
      const relay = arena.relay(role, { exocomPort: proxy.port, requestTimeoutMs: 20_000 });
      serve(relay, { role, next: NEXT[role] ?? '', instance: `${role} steady`, log: log() });
      relay.connect();
      await new Promise((resolve) => relay.once('online', resolve));
      steady.push(relay);
    }
    const victims = [await startRelay('red'), await startProcess('green'), await startProcess('blue')];
    let replacing = Promise.resolve();
    let asked = 0;
    const work = async (relay: ExoRelay): Promise<void> => {
      for (let n = asked++; n < REQUESTS; n = asked++) {
        const key = `${relay.serviceName} ${n}`;
        const { payload } = await relay.request(`${NEXT[relay.serviceName]} work`, key);
        answers.set(key, { at: now(), payload });
        if (answers.size % REQUESTS_A_CUT === 0) cuts += proxy.cut();
        if (answers.size % REQUESTS_A_KILL !== 0) continue;
        const turn = answers.size / REQUESTS_A_KILL;
        replacing = replacing.then(async () => {
          const victim = victims[turn % 3];
          if (victim !== undefined) victims[turn % 3] = await replace(victim);
        });
      }
    };
    await Promise.all(steady.flatMap((relay) => Array.from({ length: AT_A_TIME }, () => work(relay))));
    await replacing;
    expect(answers.size).toBe(REQUESTS);
    for (const [key, { payload }] of answers) expect(payload).toMatchObject({ key });
    lines = readFileSync(log(), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
  }, 90_000);

  it('there were kills of both kinds, and cuts', () => {
    expect([...killed.keys()].filter((instance) => instance.includes('relay')).length).toBeGreaterThan(1);
    expect([...killed.keys()].filter((instance) => instance.includes('process')).length).toBeGreaterThan(3);
    expect(cuts).toBeGreaterThan(50);
  });

  it('what was redelivered says so, and no handler that had finished runs again', () => {
    const runs = new Map<string, Line[]>();
    for (const line of lines) runs.set(line.id, [...(runs.get(line.id) ?? []), line]);
    let reruns = 0;
    for (const [, all] of runs) {
      const begun = all.filter(({ what }) => what === 'begin').sort((a, b) => a.at - b.at);
      for (const [i, run] of begun.entries()) {
        const before = begun[i - 1];
        if (before === undefined) continue;
        reruns++;
        expect(run).toMatchObject({ redelivered: true });
        // Only what an instance took with it when it was killed runs again: nothing that had been answered.
        const killedAt = killed.get(before.instance) ?? Number.POSITIVE_INFINITY;
        const answer = answers.get(run.key);
        expect({
          ...run,
          early: run.at < killedAt,
          answered: answer !== undefined && answer.at < killedAt,
        }).toMatchObject({
          early: false,
          answered: false,
        });
      }
    }
    expect(reruns).toBeGreaterThan(0);
  });
});
