/** The security role: asked about every message, and everything that is not a clear yes is a no. */
import { afterEach, describe, expect, it } from 'vitest';
import type { ExoCom } from '../../../src/exocom/index.js';
import { eventually } from '../../support/delivery-wait.js';
import { ExoComKit, type Said, type TestRelay, warned } from '../../support/exocom-kit.js';

const kit = new ExoComKit();
afterEach(() => kit.close());

/** A users service, and what it was given. */
async function users(hub: ExoCom): Promise<unknown[]> {
  const got: unknown[] = [];
  const relay = kit.relay(hub, 'users');
  relay.registerHandler('create user', (payload, { reply }) => {
    got.push(payload);
    reply('user created', payload);
  });
  await relay.up();
  return got;
}

/** A security service that decides by the message. */
async function guard(
  hub: ExoCom,
  decides: (
    message: { name: string; payload: unknown; sender: string },
    relay: TestRelay,
  ) => boolean | Promise<boolean>,
): Promise<TestRelay> {
  const relay = kit.relay(hub, 'security');
  relay.registerHandler('authorize message', async (message, { reply }) => {
    const yes = await decides(message as { name: string; payload: unknown; sender: string }, relay);
    reply(yes ? 'message authorized' : 'message unauthorized');
  });
  return await relay.up();
}

const unauthorized = (said: Said): string[] =>
  said.warnings.filter(({ code }) => code === 'EXO_UNAUTHORIZED').map(({ message }) => message);

describe('Security role `security`', () => {
  it('receives `authorize message` with the whole message as payload, in an activity of its own', async () => {
    const { hub } = await kit.hub();
    const seen: { message: unknown; activityId: string; sender: string }[] = [];
    const relay = kit.relay(hub, 'security');
    relay.registerHandler('authorize message', (message, { reply, activityId, sender }) => {
      seen.push({ message, activityId, sender: sender as string });
      reply('message authorized');
    });
    await relay.up();
    const got = await users(hub);
    const web = await kit.relay(hub, 'web').up();
    const { id } = web.send('create user', { name: 'Kirk' }, { activityId: '333', auth: 'session 7' });
    await eventually(() => got.length === 1 && seen.length === 2, 'message and reply are authorized');
    expect(got).toEqual([{ name: 'Kirk' }]);
    expect(seen[0]).toMatchObject({
      sender: 'exocom',
      message: {
        ...{ id, name: 'create user', payload: { name: 'Kirk' }, sender: 'web' },
        ...{ activityId: '333', auth: 'session 7' },
      },
    });
    expect(seen[0]?.activityId).not.toBe('333');
    expect(seen[1]).toMatchObject({ message: { name: 'user created', sender: 'users', responseTo: id } });
    expect(seen[1]?.activityId).not.toBe(seen[0]?.activityId);
  });

  it('Unauthorized: not delivered, a warning with the text, and the sender gets `message unauthorized`', async () => {
    const { hub, said } = await kit.hub();
    await guard(hub, ({ sender }) => sender !== 'web');
    const got = await users(hub);
    const web = await kit.relay(hub, 'web').up();
    const outcomes: unknown[] = [];
    web.send('create user', {}, { activityId: '333' }, (payload: unknown, { outcome, activityId }) => {
      outcomes.push([outcome, activityId, payload]);
    });
    await eventually(() => outcomes.length === 1, 'the sender is answered');
    expect(outcomes).toMatchObject([['message unauthorized', '333', { name: 'create user' }]]);
    expect(unauthorized(said)).toEqual([
      "Unauthorized message 'create user' from 'web' with activityId '333'",
    ]);
    expect(got).toEqual([]);
    expect(hub.stats().roles.web?.refused).toEqual({ EXO_UNAUTHORIZED: 1 });
    const admin = await kit.relay(hub, 'admin').up();
    expect((await admin.request('create user', 1)).outcome).toBe('user created');
  });

  it('No answer in `securityTimeoutMs`: denied', async () => {
    const { hub, said } = await kit.hub({ securityTimeoutMs: 40 });
    const relay = kit.relay(hub, 'security');
    relay.registerHandler('authorize message', () => undefined);
    await relay.up();
    const got = await users(hub);
    const web = await kit.relay(hub, 'web').up();
    expect((await web.request('create user')).outcome).toBe('message unauthorized');
    expect(got).toEqual([]);
    expect(unauthorized(said)).toHaveLength(1);
  });

  it('no security instance: denied, once there was one', async () => {
    const { hub } = await kit.hub();
    const got = await users(hub);
    const web = await kit.relay(hub, 'web').up();
    expect((await web.request('create user')).outcome).toBe('user created');
    const security = await guard(hub, () => true);
    await security.close();
    await eventually(() => hub.config().clients.security === undefined, 'it is gone');
    expect((await web.request('create user')).outcome).toBe('message unauthorized');
    expect(got).toHaveLength(1);
    await guard(hub, () => true);
    expect((await web.request('create user')).outcome).toBe('user created');
  });

  it.each([
    [
      'the routes name it',
      { routes: { web: { sends: ['create user'] }, users: { receives: ['create user'] }, security: {} } },
    ],
    ['the option says so', { security: true }],
  ])('no security instance: denied from the start where %s', async (_why, options) => {
    const { hub, said } = await kit.hub({ ...options, development: true });
    const got = await users(hub);
    const web = await kit.relay(hub, 'web').up();
    expect((await web.request('create user')).outcome).toBe('message unauthorized');
    expect(got).toEqual([]);
    await warned(said, 'EXO_UNAUTHORIZED');
  });

  it('a security handler that fails denies at once', async () => {
    const { hub } = await kit.hub();
    await guard(hub, () => {
      throw new Error('no database');
    });
    const got = await users(hub);
    const web = await kit.relay(hub, 'web').up();
    expect((await web.request('create user')).outcome).toBe('message unauthorized');
    expect(got).toEqual([]);
  });

  it('keeps the order of what one sender sent, while later messages are decided first', async () => {
    const { hub } = await kit.hub();
    const waiting: (() => void)[] = [];
    await guard(hub, ({ payload }) => {
      if (payload !== 0) return true;
      return new Promise((resolve) => waiting.push(() => resolve(true)));
    });
    const relay = kit.relay(hub, 'jobs');
    const got: unknown[] = [];
    relay.registerHandler('job', (n) => void got.push(n));
    await relay.up();
    const web = await kit.relay(hub, 'web').up();
    const other = await kit.relay(hub, 'other').up();
    for (let n = 0; n < 5; n++) web.send('job', n);
    other.send('job', 'other');
    await eventually(() => got.length === 1 && waiting.length === 1, 'the other sender is not held up');
    waiting[0]?.();
    await eventually(() => got.length === 6, 'all are delivered');
    expect(got).toEqual(['other', 0, 1, 2, 3, 4]);
  });

  it('`security request` → that service, flagged `isSecurity`; its answer comes back as `security response`', async () => {
    const { hub, said } = await kit.hub();
    const flags: unknown[] = [];
    const roles = kit.relay(hub, 'roles');
    roles.registerHandler('role of', (payload, { reply, isSecurity, sender }) => {
      flags.push(isSecurity, sender);
      reply('role is', payload === 'web' ? 'admin' : 'nobody');
    });
    await roles.up();
    await guard(hub, async ({ sender }, relay) => {
      const { outcome, payload } = await relay.request('security request', {
        name: 'role of',
        payload: sender,
      });
      expect(outcome).toBe('security response');
      expect(payload).toMatchObject({ name: 'role is', sender: 'roles' });
      return (payload as { payload: unknown }).payload === 'admin';
    });
    const got = await users(hub);
    // The reply of users is decided over as well, and users is nobody.
    const web = await kit.relay(hub, 'web').up();
    web.send('create user', 1);
    await eventually(() => got.length === 1, 'web may');
    const other = await kit.relay(hub, 'other').up();
    expect((await other.request('create user', 2)).outcome).toBe('message unauthorized');
    expect(got).toEqual([1]);
    expect(flags.slice(0, 2)).toEqual([true, 'security']);
    await eventually(() => unauthorized(said).length === 2, 'the reply of users was denied');
  });

  it('the answer to the security role does not wait behind the message that waits for it', async () => {
    const { hub } = await kit.hub({ securityTimeoutMs: 1_000 });
    await guard(hub, async ({ name }, relay) => {
      if (name !== 'log') return true;
      const { payload } = await relay.request('security request', { name: 'may I' });
      return (payload as { payload: unknown }).payload === 'yes';
    });
    const service = kit.relay(hub, 'service');
    service.registerHandler('may I', (_payload, { reply }) => void reply('you may', 'yes'));
    const log = kit.relay(hub, 'log');
    const got: unknown[] = [];
    log.registerHandler('log', (payload) => void got.push(payload));
    await Promise.all([service.up(), log.up()]);
    service.send('log', 'mine');
    await eventually(() => got.length === 1, 'it is delivered');
  });

  it('`isSecurity` from any other service opens nothing', async () => {
    const { hub } = await kit.hub();
    await guard(hub, () => false);
    const jobs = kit.stub(hub, 'jobs', { handles: ['job'] });
    const web = kit.stub(hub, 'web');
    await eventually(() => jobs.registered + web.registered === 2, 'both are registered');
    await web.settled(web.send('job', { isSecurity: true, sender: 'security' }));
    expect(jobs.delivered).toEqual([]);
  });

  it('nobody else can decide, ask in its name, or be asked', async () => {
    const { hub, said } = await kit.hub({ security: true, securityTimeoutMs: 200 });
    const web = kit.stub(hub, 'web', {
      handles: ['authorize message', 'security response', 'job'],
    });
    const security = kit.stub(hub, 'security', { handles: ['authorize message'] });
    await eventually(() => web.registered + security.registered === 2, 'both are registered');
    const job = web.send('job');
    await security.got(1);
    const { id } = security.delivered[0] as { id: string };
    for (const name of [
      'message authorized',
      'message unauthorized',
      'security request',
      'authorize message',
      'security response',
    ]) {
      const forged = web.send(name, { responseTo: id, payload: { name: 'job' } });
      await web.settled(forged);
      expect(web.rejected.at(-1)).toMatchObject({ id: forged, code: 'EXO_NOT_ALLOWED' });
    }
    await web.settled(job);
    expect(web.delivered.map(({ name, sender }) => [name, sender])).toEqual([
      ['message unauthorized', 'exocom'],
    ]);
    expect(said.warnings.map(({ message }) => message)).toContain(
      "Service 'web' is not allowed to broadcast the message 'message authorized'",
    );
  });

  it('refuses the security role’s answers to nothing, and questions that are none', async () => {
    const { hub, said } = await kit.hub();
    const security = kit.stub(hub, 'security');
    await eventually(() => security.registered === 1, 'it is registered');
    await security.settled(security.send('message authorized', { responseTo: 'nothing' }));
    await security.settled(security.send('security request', { payload: 'job' }));
    expect(security.rejected.map(({ code }) => code)).toEqual(['EXO_UNKNOWN_REPLY', 'EXO_BAD_MESSAGE']);
    await warned(said, 'EXO_UNKNOWN_REPLY');
  });

  it('a payload that is none is denied without being asked about; where nobody decides it is passed on unread', async () => {
    const { hub, said } = await kit.hub();
    const web = kit.stub(hub, 'web');
    const broken = { payload: Buffer.from([0xc1]) };
    const errors: Error[] = [];
    const got: unknown[] = [];
    const jobs = kit.relay(hub, 'jobs');
    jobs.on('error', (error) => errors.push(error));
    jobs.registerHandler('job', (payload) => void got.push(payload));
    await jobs.up();
    await eventually(() => web.registered === 1, 'it is registered');
    await web.settled(web.sendAsIs('job', broken));
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^the message 'job' can't be read: the payload holds the byte 0xc1/),
    ]);
    const asked: unknown[] = [];
    await guard(hub, ({ payload }) => asked.push(payload) > 0);
    await web.settled(web.sendAsIs('job', broken));
    await web.settled(web.send('job', { payload: 'good' }));
    expect(asked).toEqual(['good']);
    expect(got).toEqual(['good']);
    expect(unauthorized(said)).toHaveLength(1);
  });

  it('a question, or an answer, whose payload is none is refused', async () => {
    const { hub } = await kit.hub();
    const security = kit.stub(hub, 'security');
    const roles = kit.stub(hub, 'roles', { handles: ['role of'] });
    await eventually(() => security.registered + roles.registered === 2, 'both are registered');
    const broken = { payload: Buffer.from([0xc1]) };
    await security.settled(security.sendAsIs('security request', broken));
    expect(security.rejected.map(({ code }) => code)).toEqual(['EXO_BAD_MESSAGE']);
    const id = security.send('security request', { payload: { name: 'role of' } });
    await roles.got(1);
    await roles.settled(roles.sendAsIs('role is', { ...broken, responseTo: id }));
    expect(roles.rejected.map(({ code, reason }) => [code, reason])).toEqual([
      ['EXO_BAD_MESSAGE', "Reply 'role is' from 'roles' has a payload that is none"],
    ]);
    roles.send('role is', { payload: 'admin', responseTo: id });
    await security.got(1);
    expect(security.delivered[0]?.payload).toEqual({ name: 'role is', payload: 'admin', sender: 'roles' });
  });
});
