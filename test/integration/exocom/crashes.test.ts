/** Instances that die, connections that are cut, and hubs that are restarted. */
import { afterEach, describe, expect, it } from 'vitest';
import type { ExoCom, ExoComOptions } from '../../../src/exocom/index.js';
import { createFaultProxy } from '../../../src/testing/index.js';
import { deferred, eventually, once } from '../../support/delivery-wait.js';
import { ExoComKit, LOCAL, portOf, warned } from '../../support/exocom-kit.js';

const kit = new ExoComKit();
afterEach(() => kit.close());

describe('An instance that dies before its handler has finished', () => {
  it('the message goes to another instance, flagged `redelivered`, in order', async () => {
    const { hub } = await kit.hub({ instanceGraceMs: 50 });
    const dying = kit.relay(hub, 'jobs');
    const began: unknown[] = [];
    dying.registerHandler('job', async (n) => {
      began.push(n);
      await new Promise(() => undefined);
    });
    await dying.up();
    const web = await kit.relay(hub, 'web').up();
    for (let n = 0; n < 3; n++) web.send('job', n, { activityId: 'a' });
    await eventually(() => began.length === 3, 'it has them');
    const got: [unknown, boolean][] = [];
    const heir = kit.relay(hub, 'jobs');
    heir.registerHandler('job', (n, { redelivered }) => void got.push([n, redelivered]));
    await heir.up();
    dying.destroy();
    await eventually(() => got.length === 3, 'the other has them');
    web.send('job', 3, { activityId: 'a' });
    await eventually(() => got.length === 4, 'and the next');
    expect(got).toEqual([
      [0, true],
      [1, true],
      [2, true],
      [3, false],
    ]);
    await eventually(() => hub.stats().running === 0, 'all are finished');
    expect(hub.stats().roles.jobs?.redelivered).toBe(3);
  });

  it('waits for the next instance where there is no other', async () => {
    const { hub } = await kit.hub({ instanceGraceMs: 50 });
    const dying = kit.relay(hub, 'jobs');
    let began = 0;
    dying.registerHandler('job', async () => {
      began++;
      await new Promise(() => undefined);
    });
    await dying.up();
    const web = await kit.relay(hub, 'web').up();
    const request = web.request('job', 'one');
    await eventually(() => began === 1, 'it runs');
    dying.destroy();
    await eventually(() => hub.config().clients.jobs === undefined, 'it is gone');
    const heir = kit.relay(hub, 'jobs');
    heir.registerHandler(
      'job',
      (payload, { reply, redelivered }) => void reply('done', [payload, redelivered]),
    );
    await heir.up();
    expect((await request).payload).toEqual(['one', true]);
  });

  it('what it had finished does not run again', async () => {
    const { hub } = await kit.hub({ instanceGraceMs: 50 });
    const runs: string[] = [];
    const first = kit.relay(hub, 'jobs');
    first.registerHandler('job', (n) => void runs.push(`first ${n}`));
    await first.up();
    const web = await kit.relay(hub, 'web').up();
    for (let n = 0; n < 5; n++) web.send('job', n);
    await eventually(() => runs.length === 5 && hub.stats().running === 0, 'all are finished');
    first.destroy();
    await eventually(() => hub.config().clients.jobs === undefined, 'it is gone');
    const second = kit.relay(hub, 'jobs');
    second.registerHandler('job', (n) => void runs.push(`second ${n}`));
    await second.up();
    web.send('job', 'new');
    await eventually(() => runs.length === 6, 'only the new one comes');
    expect(runs.at(-1)).toBe('second new');
  });

  it('the old session is invalidated, so that it does not run it later too', async () => {
    const { hub } = await kit.hub({ instanceGraceMs: 50 });
    const proxy = await createFaultProxy({ target: { host: LOCAL, port: portOf(hub) } });
    kit.closes(() => proxy.close());
    const cutOff = kit.relay(proxy.port, 'jobs');
    const runs: string[] = [];
    cutOff.registerHandler('job', (n) => void runs.push(`cut off ${n}`));
    await cutOff.up();
    proxy.refuse();
    proxy.cut();
    await eventually(
      () => hub.config().clients.jobs?.instances[0]?.connected !== true,
      'the hub sees the cut',
    );
    const web = await kit.relay(hub, 'web').up();
    web.send('job', 1);
    const other = kit.relay(hub, 'jobs');
    other.registerHandler('job', (n) => void runs.push(`other ${n}`));
    await other.up();
    await eventually(() => runs.length === 1, 'the other runs it');
    proxy.accept();
    await eventually(() => hub.config().clients.jobs?.instances.length === 2, 'the first is back');
    web.send('job', 2);
    web.send('job', 3);
    await eventually(() => runs.length === 3, 'both work');
    expect(runs).toContain('other 1');
    expect(runs).not.toContain('cut off 1');
  });

  it('No duplicates otherwise: cuts within the grace change nothing', async () => {
    const { hub } = await kit.hub({ instanceGraceMs: 5_000 });
    const proxy = await createFaultProxy({ target: { host: LOCAL, port: portOf(hub) } });
    kit.closes(() => proxy.close());
    const got: [unknown, boolean][] = [];
    const jobs = kit.relay(proxy.port, 'jobs');
    jobs.registerHandler('job', (n, { reply, redelivered }) => {
      got.push([n, redelivered]);
      reply('done', n);
    });
    const web = kit.relay(proxy.port, 'web');
    await Promise.all([jobs.up(), web.up()]);
    const replies: Promise<{ payload: unknown }>[] = [];
    for (let n = 0; n < 60; n++) {
      replies.push(web.request('job', n, { activityId: 'a' }));
      if (n % 10 === 5) {
        await eventually(() => got.length > n - 5, 'some have come');
        proxy.cut();
      }
    }
    expect((await Promise.all(replies)).map(({ payload }) => payload)).toEqual(
      Array.from({ length: 60 }, (_, n) => n),
    );
    expect(got).toEqual(Array.from({ length: 60 }, (_, n) => [n, false]));
  });
});

describe('a hub that is restarted', () => {
  async function restart(
    hub: ExoCom,
    how: 'close' | 'destroy',
    options: ExoComOptions = {},
  ): Promise<ExoCom> {
    const port = portOf(hub);
    if (how === 'close') await hub.close();
    else {
      hub.destroy();
      await hub.close();
    }
    return (await kit.hub({ instanceGraceMs: 400, ...options }, port)).hub;
  }

  it.each(['close', 'destroy'] as const)(
    'nothing is lost while its relays come back one by one (%s)',
    async (how) => {
      const { hub } = await kit.hub();
      const got: unknown[] = [];
      const jobs = kit.relay(hub, 'jobs');
      jobs.registerHandler('job', (n, { reply }) => {
        got.push(n);
        reply('done', n);
      });
      const web = kit.relay(hub, 'web');
      await Promise.all([jobs.up(), web.up()]);
      expect((await web.request('job', 0)).payload).toBe(0);
      const gone = once(web, 'disconnect');
      const back = restart(hub, how);
      await gone;
      const replies = [1, 2, 3].map((n) => web.request('job', n));
      await back;
      expect((await Promise.all(replies)).map(({ payload }) => payload)).toEqual([1, 2, 3]);
      expect(got).toEqual([0, 1, 2, 3]);
    },
  );

  it('a queue of the old one is filled again by those who sent', async () => {
    const routes = { web: { sends: ['job'] }, jobs: { receives: ['job'] } };
    const { hub } = await kit.hub({ routes, development: true });
    const web = await kit.relay(hub, 'web').up();
    for (let n = 0; n < 20; n++) web.send('job', n);
    await eventually(() => hub.stats().queues.jobs?.messages === 20, 'they wait');
    const next = await restart(hub, 'destroy', { routes, development: true });
    await eventually(() => next.stats().queues.jobs?.messages === 20, 'they wait there');
    const got: unknown[] = [];
    const jobs = kit.relay(next, 'jobs');
    jobs.registerHandler('job', (n) => void got.push(n));
    await jobs.up();
    await eventually(() => got.length === 20, 'all come');
    expect(got).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  it('a handler that was running goes on, its reply arrives, and no other instance runs it', async () => {
    const { hub } = await kit.hub();
    const gate = deferred();
    const runs: number[] = [];
    await Promise.all(
      [0, 1, 2].map((n) => {
        const relay = kit.relay(hub, 'jobs');
        relay.registerHandler('job', async (payload, { reply }) => {
          runs.push(n);
          await gate.promise;
          reply('done', payload);
        });
        return relay.up();
      }),
    );
    const web = await kit.relay(hub, 'web').up();
    const replies = [1, 2, 3, 4, 5, 6].map((n) => web.request('job', n));
    await eventually(() => runs.length === 6, 'all run');
    const next = await restart(hub, 'destroy', { instanceGraceMs: 1_500 });
    await eventually(() => Object.keys(next.config().clients).length === 2, 'they are back');
    gate.resolve();
    expect((await Promise.all(replies)).map(({ payload }) => payload)).toEqual([1, 2, 3, 4, 5, 6]);
    await eventually(() => next.stats().running === 0, 'all are finished');
    expect(runs).toHaveLength(6);
  });

  it('asks who had a message, and sends it there again', async () => {
    const { hub } = await kit.hub({ instanceGraceMs: 300 });
    const one = kit.stub(hub, 'jobs', { instance: '1', handles: ['job'], before: 'another hub' });
    const two = kit.stub(hub, 'jobs', { instance: '2', handles: ['job'], before: 'another hub' });
    const web = kit.stub(hub, 'web', { before: 'another hub' });
    two.known = [{ sender: 'web', id: 'old' }];
    await eventually(() => one.registered + two.registered + web.registered === 3, 'all are there');
    web.send('job', { id: 'old', redelivered: true });
    web.send('job', { id: 'new' });
    await eventually(() => one.delivered.length + two.delivered.length === 2, 'both are delivered');
    expect(two.delivered[0]).toMatchObject({ id: 'old', redelivered: true });
    expect(one.asked).toEqual([{ sender: 'web', id: 'old' }]);
  });

  it('keeps a reply to what it has not heard of until who asked is back', async () => {
    const { hub } = await kit.hub();
    const jobs = kit.stub(hub, 'jobs', { before: 'another hub' });
    await eventually(() => jobs.registered === 1, 'it is registered');
    const early = jobs.send('done', { responseTo: 'asked before', payload: 1 });
    const awaiting = [{ id: 'asked before', name: 'job', activityId: 'a' }];
    const web = kit.stub(hub, 'web', { awaiting, before: 'another hub' });
    await web.got(1);
    expect(web.delivered[0]).toMatchObject({
      id: early,
      name: 'done',
      responseTo: 'asked before',
      payload: 1,
    });
    expect(jobs.rejected).toEqual([]);
  });

  it('refuses such a reply once nobody has come back for it, and at once from a relay that is new', async () => {
    const { hub, said } = await kit.hub({ queueTtlMs: 40 });
    const jobs = kit.stub(hub, 'jobs', { before: 'another hub' });
    const fresh = kit.stub(hub, 'fresh');
    await eventually(() => jobs.registered + fresh.registered === 2, 'both are registered');
    const early = jobs.send('done', { responseTo: 'asked before' });
    await jobs.settled(early);
    await fresh.settled(fresh.send('done', { responseTo: 'asked before' }));
    expect([...jobs.rejected, ...fresh.rejected].map(({ code }) => code)).toEqual([
      'EXO_UNKNOWN_REPLY',
      'EXO_UNKNOWN_REPLY',
    ]);
    await warned(said, 'EXO_UNKNOWN_REPLY');
  });
});

describe('what is sent again', () => {
  it('is answered again, and not passed on twice', async () => {
    const { hub } = await kit.hub();
    const jobs = kit.stub(hub, 'jobs', { handles: ['job'] });
    const web = kit.stub(hub, 'web');
    await eventually(() => jobs.registered + web.registered === 2, 'both are registered');
    const id = web.send('job');
    web.send('job', { id });
    const [first] = await jobs.got(1);
    if (first !== undefined) jobs.handled(first);
    await web.settled(id);
    web.send('job', { id, redelivered: true });
    await eventually(() => web.accepted.length === 2, 'it is accepted again');
    expect(jobs.delivered).toHaveLength(1);
  });

  it('of two services with the same id, the second is refused: its replies would be the first one’s', async () => {
    const { hub } = await kit.hub();
    const jobs = kit.stub(hub, 'jobs', { handles: ['job'] });
    const [web, thief] = [kit.stub(hub, 'web'), kit.stub(hub, 'thief')];
    await eventually(() => jobs.registered + web.registered + thief.registered === 3, 'all are registered');
    web.send('job', { id: 'the same' });
    await jobs.got(1);
    thief.send('job', { id: 'the same' });
    await thief.settled('the same');
    expect(thief.rejected[0]?.code).toBe('EXO_BAD_MESSAGE');
    jobs.send('done', { responseTo: 'the same', payload: 'for web' });
    await web.got(1);
    expect(thief.delivered).toEqual([]);
  });
});
