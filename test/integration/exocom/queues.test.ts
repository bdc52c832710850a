/** What ExoCom keeps for those who are not there, and for those who are slow. */
import { afterEach, describe, expect, it } from 'vitest';
import { deferred, eventually } from '../../support/delivery-wait.js';
import { ExoComKit, warned } from '../../support/exocom-kit.js';

const kit = new ExoComKit();
afterEach(() => kit.close());

const ROUTES = {
  web: { sends: ['job', 'other'] },
  jobs: { receives: ['job'] },
  others: { receives: ['other'] },
};
const STRICT = { routes: ROUTES, development: true };

describe('A receiving role that has no instance now', () => {
  it('kept, and delivered in order when one comes', async () => {
    const { hub, said } = await kit.hub(STRICT);
    const web = await kit.relay(hub, 'web').up();
    for (let n = 0; n < 100; n++) web.send('job', n);
    await eventually(() => hub.stats().queues.jobs?.messages === 100, 'all wait');
    expect(hub.stats().queues.jobs?.bytes).toBeGreaterThan(0);
    const got: unknown[] = [];
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', (n) => void got.push(n));
    await jobs.up();
    await eventually(() => got.length === 100, 'all are delivered');
    expect(got).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(said.warnings.filter(({ code }) => code !== 'EXO_UNVERIFIED')).toEqual([]);
    await eventually(() => hub.stats().running === 0, 'all are finished');
  });

  it('too old: a warning, and the sender hears `rejected`', async () => {
    const { hub, said } = await kit.hub({ ...STRICT, queueTtlMs: 40 });
    const web = await kit.relay(hub, 'web').up();
    const { id } = web.send('job');
    await eventually(() => web.rejections.length === 1, 'it is rejected');
    const reason = "Message 'job' for 'jobs' waited longer than 40 ms and was dropped";
    await eventually(() => web.rejections.length > 0, 'the sender hears of it');
    expect(web.rejections).toEqual([{ id, name: 'job', code: 'EXO_QUEUE_EXPIRED', reason }]);
    expect((await warned(said, 'EXO_QUEUE_EXPIRED')).message).toBe(reason);
    expect(hub.stats()).toMatchObject({ running: 0, queues: {} });
  });

  it('too many: a warning, and the sender hears `rejected`', async () => {
    const { hub, said } = await kit.hub({ ...STRICT, queueMaxMessages: 3 });
    const web = await kit.relay(hub, 'web').up();
    const sent = [0, 1, 2, 3, 4].map((n) => web.send('job', n).id);
    await eventually(() => web.rejections.length === 2, 'two are rejected');
    expect(web.rejections.map(({ id, code }) => [id, code])).toEqual([
      [sent[3], 'EXO_QUEUE_FULL'],
      [sent[4], 'EXO_QUEUE_FULL'],
    ]);
    await warned(said, 'EXO_QUEUE_FULL');
    const got: unknown[] = [];
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', (n) => void got.push(n));
    await jobs.up();
    await eventually(() => got.length === 3, 'the first three come');
    expect(got).toEqual([0, 1, 2]);
  });

  it('bounds the bytes as well', async () => {
    const { hub } = await kit.hub({ ...STRICT, queueMaxBytes: 100_000 });
    const web = await kit.relay(hub, 'web').up();
    for (let n = 0; n < 4; n++) web.send('job', Buffer.alloc(40_000));
    await eventually(() => web.rejections.length === 2, 'two do not fit');
    expect(hub.stats().queues.jobs?.messages).toBe(2);
  });

  it('In development mode a message without a receiver is kept in the same way', async () => {
    const { hub, said } = await kit.hub();
    const web = await kit.relay(hub, 'web').up();
    for (let n = 0; n < 10; n++) web.send('job', n);
    const got: unknown[] = [];
    await kit.relay(hub, 'somebody else').up();
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', (n) => void got.push(n));
    await jobs.up();
    await eventually(() => got.length === 10, 'all are delivered');
    expect(got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(said.warnings.filter(({ code }) => code !== 'EXO_UNVERIFIED')).toEqual([]);
  });

  it('In development mode too old: a warning, and the sender hears `rejected`', async () => {
    const { hub, said } = await kit.hub({ queueTtlMs: 40 });
    const web = await kit.relay(hub, 'web').up();
    web.send('job');
    await eventually(() => web.rejections.length === 1, 'it is rejected');
    expect(web.rejections[0]?.code).toBe('EXO_QUEUE_EXPIRED');
    expect((await warned(said, 'EXO_QUEUE_EXPIRED')).message).toContain("'job'");
  });

  it('In development mode remembers what a role handled while it is away', async () => {
    const { hub } = await kit.hub();
    const first = kit.relay(hub, 'jobs');
    first.registerHandler('job', () => undefined);
    await first.up();
    await first.close();
    await eventually(() => hub.config().clients.jobs === undefined, 'it is gone');
    const web = await kit.relay(hub, 'web').up();
    web.send('job', 'kept');
    await eventually(() => hub.stats().queues.jobs?.messages === 1, 'it waits');
    const got: unknown[] = [];
    const second = kit.relay(hub, 'jobs');
    second.registerHandler('job', (payload) => void got.push(payload));
    await second.up();
    await eventually(() => got.length === 1, 'it is delivered');
  });
});

describe('One role’s trouble never stops delivery to the others', () => {
  it('when one is away', async () => {
    const { hub } = await kit.hub(STRICT);
    const got: unknown[] = [];
    const others = kit.relay(hub, 'others');
    others.registerHandler('other', (n) => void got.push(n));
    const web = kit.relay(hub, 'web');
    await Promise.all([others.up(), web.up()]);
    for (let n = 0; n < 5; n++) {
      web.send('job', n);
      web.send('other', n);
    }
    await eventually(() => got.length === 5, 'the others get theirs');
    expect(got).toEqual([0, 1, 2, 3, 4]);
  });

  it('when one is slow: it has maxInFlight messages at a time, and the others wait their turn', async () => {
    const { hub } = await kit.hub({ ...STRICT, maxInFlight: 5 });
    const gate = deferred();
    let running = 0;
    let most = 0;
    let done = 0;
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', async () => {
      most = Math.max(most, ++running);
      await gate.promise;
      running--;
      done++;
    });
    const got: unknown[] = [];
    const others = kit.relay(hub, 'others');
    others.registerHandler('other', (n) => void got.push(n));
    const web = kit.relay(hub, 'web');
    await Promise.all([jobs.up(), others.up(), web.up()]);
    for (let n = 0; n < 20; n++) web.send('job', n);
    web.send('other', 'quick');
    await eventually(() => got.length === 1, 'the others get theirs');
    await eventually(() => hub.stats().queues.jobs?.messages === 15, '15 wait for their turn');
    gate.resolve();
    await eventually(() => done === 20, 'all are handled');
    expect(most).toBe(5);
  });

  it('hands replies to an instance that has as many messages as it takes', async () => {
    const { hub } = await kit.hub({ maxInFlight: 1 });
    const back = kit.relay(hub, 'back');
    back.registerHandler('ask', (n, { reply }) => void reply('answer', n));
    const middle = kit.relay(hub, 'middle');
    middle.registerHandler('job', async (n, { request, reply }) => {
      const { payload } = await request('ask', n);
      reply('done', payload);
    });
    const web = kit.relay(hub, 'web');
    await Promise.all([back.up(), middle.up(), web.up()]);
    const replies = await Promise.all([1, 2, 3].map((n) => web.request('job', n)));
    expect(replies.map(({ payload }) => payload)).toEqual([1, 2, 3]);
  });
});

describe('cancellation and leaving', () => {
  it('takes back what waits, when its sender waits no longer, and says nothing', async () => {
    const { hub, said } = await kit.hub(STRICT);
    const web = kit.stub(hub, 'web');
    await eventually(() => web.registered === 1, 'it is registered');
    const id = web.send('job');
    await eventually(() => hub.stats().queues.jobs?.messages === 1, 'it waits');
    web.client.send('exo.cancel', { id });
    await web.settled(id);
    expect(web.rejected).toEqual([]);
    expect(hub.stats()).toMatchObject({ running: 0, queues: {} });
    expect(said.warnings.filter(({ code }) => code !== 'EXO_UNVERIFIED')).toEqual([]);
  });

  it('tells the instance that has the message, and only for the sender’s own', async () => {
    const { hub } = await kit.hub(STRICT);
    const jobs = kit.stub(hub, 'jobs');
    const web = kit.stub(hub, 'web');
    const other = kit.stub(hub, 'web', { instance: 'web 2' });
    await eventually(() => jobs.registered + web.registered + other.registered === 3, 'all are registered');
    const id = web.send('job');
    await jobs.got(1);
    other.client.send('exo.cancel', { id });
    const second = other.send('job');
    await jobs.got(2);
    other.client.send('exo.cancel', { id: second });
    await eventually(() => jobs.cancelled.length === 1, 'it is told of its own');
    web.client.send('exo.cancel', { id });
    await eventually(() => jobs.cancelled.length === 2, 'and of the other');
    expect(jobs.cancelled).toEqual([
      { sender: 'web', id: second },
      { sender: 'web', id },
    ]);
  });

  it('keeps no replies for an instance that has ended by itself', async () => {
    const { hub } = await kit.hub();
    const jobs = kit.relay(hub, 'jobs');
    let answer: (() => void) | undefined;
    jobs.registerHandler('job', (_payload, { reply }) => {
      answer = () => void reply('done');
    });
    const web = kit.relay(hub, 'web');
    await Promise.all([jobs.up(), web.up()]);
    web.send('job');
    await eventually(() => answer !== undefined && hub.stats().running === 0, 'it is handled');
    await web.close();
    answer?.();
    await eventually(() => jobs.rejections.length === 1, 'nobody waits for the reply');
    expect(jobs.rejections[0]).toMatchObject({ name: 'done', code: 'EXO_RECEIVER_GONE' });
    expect(hub.stats().running).toBe(0);
  });

  it('gives a leaving instance no new messages, and lets it finish', async () => {
    const { hub } = await kit.hub(STRICT);
    const [first, second] = [
      kit.stub(hub, 'jobs', { instance: '1' }),
      kit.stub(hub, 'jobs', { instance: '2' }),
    ];
    await eventually(() => first.registered + second.registered === 2, 'both are registered');
    const web = await kit.relay(hub, 'web').up();
    web.send('job', 'a', { activityId: 'a' });
    await eventually(() => first.delivered.length + second.delivered.length === 1, 'one has it');
    const [busy, idle] = first.delivered.length === 1 ? [first, second] : [second, first];
    busy.client.send('exo.leave');
    busy.client.send('exo.register', busy.registration);
    await eventually(() => busy.registered === 2, 'the hub has heard it');
    web.send('job', 'b', { activityId: 'a' });
    await idle.got(1);
    expect(busy.delivered).toHaveLength(1);
    expect(hub.stats().running).toBe(2);
  });
});
