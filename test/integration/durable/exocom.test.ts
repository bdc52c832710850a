/** A hub with a durable store that is closed or destroyed and started again on it: services keep their sessions, and nothing is lost. */
import { afterEach, describe, expect, it } from 'vitest';
import type { ExoCom, ExoComOptions } from '../../../src/exocom/index.js';
import { deferred, eventually, once, upTo } from '../../support/delivery-wait.js';
import { ExoComKit, portOf, type Said } from '../../support/exocom-kit.js';
import { STORES } from './durable-kit.js';

const kit = new ExoComKit();
afterEach(() => kit.close());

const ENDS = ['close', 'destroy'] as const;
const ROUTES: ExoComOptions = {
  routes: { web: { sends: ['job'], receives: ['done'] }, jobs: { receives: ['job'], sends: ['done'] } },
  development: true,
  instanceGraceMs: 1_000,
};

/** Nothing proves a role here, and each hub says so once; and a connection may break off as a hub ends. */
const EXPECTED: ReadonlySet<string> = new Set(['EXO_UNVERIFIED', 'EXO_REFUSED']);

describe.each(STORES)('a hub with a store on %s', (_name, shelve) => {
  function hubs(options: ExoComOptions = {}) {
    const shelf = shelve();
    const all: Said[] = [];
    const start = async (port = 0): Promise<ExoCom> => {
      const { hub, said } = await kit.hub({ ...ROUTES, ...options, store: shelf.open() }, port);
      all.push(said);
      return hub;
    };
    /** Another process in the place of one that ends so. */
    const restart = async (hub: ExoCom, how: (typeof ENDS)[number]): Promise<ExoCom> => {
      const port = portOf(hub);
      const closed = once(hub, 'close');
      if (how === 'close') await hub.close();
      else hub.destroy();
      await closed;
      return start(port);
    };
    /** What the hubs had to say that is not as it should be. */
    const complaints = (): string[] =>
      all.flatMap(({ warnings, errors }) => [
        ...warnings.filter(({ code }) => !EXPECTED.has(code)).map(({ message }) => message),
        ...errors.map(({ message }) => message),
      ]);
    return { start, restart, complaints };
  }

  it.each(ENDS)('keeps what waits for a service that is away, in order, through a %s', async (how) => {
    const { start, restart, complaints } = hubs();
    const hub = await start();
    const web = await kit.relay(hub, 'web').up();
    for (const n of upTo(20)) web.send('job', n);
    await eventually(() => hub.stats().queues.jobs?.messages === 20, 'they wait');
    const next = await restart(hub, how);
    await eventually(() => next.stats().queues.jobs?.messages === 20, 'they wait there');
    web.send('job', 21);
    const got: unknown[] = [];
    const jobs = kit.relay(next, 'jobs');
    jobs.registerHandler('job', (n) => void got.push(n));
    await jobs.up();
    await eventually(() => got.length >= 21 && next.stats().running === 0, 'all come');
    expect(got).toEqual(upTo(21));
    expect([web.errors, web.rejections, jobs.errors, complaints()]).toEqual([[], [], [], []]);
  });

  it.each(ENDS)(
    'gives every request its one answer through a %s in the midst of them, again and again',
    async (how) => {
      // A reply that had arrived before a restart is sent again, and let go of only when nobody has asked for it so long.
      const { start, restart, complaints } = hubs({ queueTtlMs: 1_000 });
      let hub = await start();
      const runs = new Map<number, boolean[]>();
      const workers = [0, 1].map(() => {
        const jobs = kit.relay(hub, 'jobs');
        jobs.registerHandler('job', async (payload, { reply, redelivered }) => {
          const n = payload as number;
          runs.set(n, [...(runs.get(n) ?? []), redelivered]);
          await new Promise((resolve) => setTimeout(resolve, n % 4));
          reply('done', n);
        });
        return jobs;
      });
      const web = kit.relay(hub, 'web');
      await Promise.all([...workers, web].map((relay) => relay.up()));
      const answers: unknown[] = [];
      const asked = upTo(120).map(async (n) => {
        const { payload } = await web.request('job', n);
        answers.push(payload);
        return payload;
      });
      for (const enough of [10, 40, 80]) {
        await eventually(() => answers.length >= enough, `${enough} answers`);
        hub = await restart(hub, how);
      }
      expect(await Promise.all(asked)).toEqual(upTo(120));
      // None of those who worked has died: nothing was begun twice at all.
      expect([...runs.entries()].filter(([, all]) => all.length !== 1)).toEqual([]);
      await eventually(() => hub.stats().running === 0, 'all are finished');
      const relays = [...workers, web];
      expect(relays.flatMap(({ errors, rejections }) => [...errors, ...rejections])).toEqual([]);
      expect(complaints()).toEqual([]);
    },
  );

  it('a message that goes out as the hub dies arrives once, and its sender is told once', async () => {
    const { start, restart, complaints } = hubs();
    let hub = await start();
    const got: [unknown, boolean][] = [];
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', (n, { redelivered }) => void got.push([n, redelivered]));
    const web = kit.relay(hub, 'web');
    await Promise.all([jobs.up(), web.up()]);
    for (const n of upTo(8)) {
      web.send('job', n);
      // It is on its way, somewhere.
      for (let turn = 0; turn < n; turn++) await new Promise((resolve) => setImmediate(resolve));
      hub = await restart(hub, 'destroy');
    }
    await eventually(() => got.length >= 8 && hub.stats().running === 0, 'all eight');
    await eventually(() => web.stats().unaccepted === 0, 'all are accepted');
    expect(got.map(([n]) => n)).toEqual(upTo(8));
    expect([web.errors, web.rejections, jobs.errors, complaints()]).toEqual([[], [], [], []]);
  });

  it('a handler that was running goes on, and its reply finds who asked', async () => {
    const { start, restart } = hubs();
    const hub = await start();
    const gate = deferred();
    let runs = 0;
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', async (payload, { reply }) => {
      runs++;
      await gate.promise;
      reply('done', payload);
    });
    const web = kit.relay(hub, 'web');
    await Promise.all([jobs.up(), web.up()]);
    const reply = web.request('job', 'zonk');
    await eventually(() => runs === 1, 'it runs');
    const next = await restart(hub, 'destroy');
    await eventually(() => Object.keys(next.config().clients).length === 2, 'they are back');
    gate.resolve();
    expect((await reply).payload).toBe('zonk');
    await eventually(() => next.stats().running === 0, 'all is finished');
    expect(runs).toBe(1);
  });
});
