/** Who is who: tokens, certificates, development mode; and services that misbehave. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Certificates, makeCertificates } from '../../support/api-certificates.js';
import { eventually, once } from '../../support/delivery-wait.js';
import { ExoComKit, type StubRelay, warned } from '../../support/exocom-kit.js';

const kit = new ExoComKit();
afterEach(() => kit.close());

const ROUTES = { web: { sends: ['job'] }, jobs: { receives: ['job'] } };

async function refusal(stub: StubRelay): Promise<string> {
  const [error] = await once<[{ code: string }]>(stub.client, 'error');
  return error.code;
}

describe('verified senders', () => {
  it('a token for each role proves it; several while one is being changed', async () => {
    const { hub, said } = await kit.hub({ routes: ROUTES, tokens: { web: ['old', 'new'], jobs: 'j' } });
    for (const token of ['old', 'new']) await kit.relay(hub, 'web', { token }).up();
    await kit.relay(hub, 'jobs', { token: 'j' }).up();
    expect(said.warnings).toEqual([]);
    expect(hub.config().clients.web?.instances).toHaveLength(2);
  });

  it.each([
    ['a wrong token', 'web', 'wrong', "a wrong token, or none, for 'web'"],
    ["another role's token", 'web', 'secret j', "a wrong token, or none, for 'web'"],
    ['no token', 'web', undefined, "a wrong token, or none, for 'web'"],
    [
      'a role that the routes don’t name',
      'stranger',
      'secret w',
      "there is no service 'stranger' in the routes",
    ],
    ['the hub’s own name', 'exocom', 'secret w', 'no role, or one that no service can have'],
  ])('refuses %s, for good, and tells the operator alone why', async (_what, role, token, reason) => {
    const { hub, said } = await kit.hub({ routes: ROUTES, tokens: { web: 'secret w', jobs: 'secret j' } });
    const stub = kit.stub(hub, role, token === undefined ? {} : { token });
    const [error] = await once<[{ code: string; message: string }]>(stub.client, 'error');
    expect(error.code).toBe('NYOTA_UNAUTHORIZED');
    expect(error.message).not.toContain(reason);
    expect(said.warnings).toEqual([
      { message: `A connection from 127.0.0.1 was refused: ${reason}`, code: 'EXO_REFUSED' },
    ]);
    expect(hub.config().clients).toEqual({});
  });

  it('with routes and neither tokens nor certificates every service is refused, and the hub says so at its start', async () => {
    const { hub, said } = await kit.hub({ routes: ROUTES });
    expect(said.warnings.map(({ code }) => code)).toEqual(['EXO_NO_CREDENTIALS']);
    expect(await refusal(kit.stub(hub, 'web'))).toBe('NYOTA_UNAUTHORIZED');
  });

  it('in development mode too, a role that has a token must prove itself', async () => {
    const { hub } = await kit.hub({ tokens: { web: 'w' } });
    expect(await refusal(kit.stub(hub, 'web'))).toBe('NYOTA_UNAUTHORIZED');
    await kit.relay(hub, 'web', { token: 'w' }).up();
    await kit.relay(hub, 'jobs').up();
  });

  it('The sender is who authenticated on that connection, never what a message claims', async () => {
    const { hub, said } = await kit.hub({ routes: ROUTES, tokens: { web: 'w', jobs: 'j' } });
    const got: unknown[] = [];
    const receiver = kit.relay(hub, 'jobs', { token: 'j' });
    receiver.registerHandler('job', (_payload, { sender }) => void got.push(sender));
    await receiver.up();
    const web = kit.stub(hub, 'web', { token: 'w' });
    const jobs = kit.stub(hub, 'jobs', { token: 'j', instance: 'jobs 2' });
    await eventually(() => web.registered + jobs.registered === 2, 'both are registered');
    await web.settled(web.send('job', { sender: 'security' }));
    await jobs.settled(jobs.send('job', { sender: 'web' }));
    expect(got).toEqual(['web']);
    expect((await warned(said, 'EXO_NOT_ALLOWED')).message).toBe(
      "Service 'jobs' is not allowed to broadcast the message 'job'",
    );
  });

  it('an instance id of another role opens nothing', async () => {
    const { hub } = await kit.hub();
    const web = kit.stub(hub, 'web', { instance: 'the same' });
    const thief = kit.stub(hub, 'thief', { instance: 'the same' });
    await eventually(() => web.registered + thief.registered === 2, 'both are registered');
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', (_payload, { reply }) => void reply('done'));
    await jobs.up();
    web.send('job');
    await web.got(1);
    expect(thief.delivered).toEqual([]);
  });
});

describe('client certificates', () => {
  let certificates: Certificates;
  beforeAll(async () => {
    certificates = await makeCertificates();
  });

  const tlsHub = () => {
    const { server, ca } = certificates;
    const tls = { ...server, ca, requestCert: true, rejectUnauthorized: false };
    return kit.hub({
      routes: { 'web-1': { sends: ['job'] }, jobs: { receives: ['job'] } },
      tls,
      tokens: { jobs: 'j' },
    });
  };
  const dial = (pair?: { key: string; cert: string }) => {
    return { tls: { ca: certificates.ca, servername: 'localhost', ...pair } };
  };

  it('whose common name is the role proves it; a token does for those who have none', async () => {
    const { hub, said } = await tlsHub();
    const web = kit.stub(hub, 'web-1', { client: dial(certificates.client) });
    const jobs = kit.stub(hub, 'jobs', { client: dial(), token: 'j' });
    await eventually(() => web.registered + jobs.registered === 2, 'both are let in');
    expect(said.warnings).toEqual([]);
  });

  it.each([
    ['of an authority that nobody trusts', 'web-1', () => certificates.stranger],
    ['of another role', 'jobs', () => certificates.client],
    ['that is not there', 'web-1', () => undefined],
  ])('one %s does not', async (_what, role, pair) => {
    const { hub } = await tlsHub();
    expect(await refusal(kit.stub(hub, role, { client: dial(pair()) }))).toBe('NYOTA_UNAUTHORIZED');
  });
});

describe('a relay that misbehaves is refused, counted, and the others are unharmed', () => {
  it.each([
    ['nothing', undefined],
    ['a text', 'job'],
    ['no id', { name: 'job' }],
    ['an id that is a number', { id: 1, name: 'job' }],
    ['no name', { id: 'x' }],
    ['a payload that is not encoded', { id: 'x', name: 'job', payload: 'hello' }],
    ['an auth that is not encoded', { id: 'x', name: 'job', auth: { token: 1 } }],
    ['a name that is too long', { id: 'x', name: 'j'.repeat(257) }],
    ['a name with control characters', { id: 'x', name: 'job\n\u001b[31m' }],
  ])('a message that is %s', async (_what, message) => {
    const { hub, said } = await kit.hub();
    const web = kit.stub(hub, 'web');
    const jobs = kit.stub(hub, 'jobs', { handles: ['job'] });
    await eventually(() => web.registered + jobs.registered === 2, 'both are registered');
    web.client.send('exo.message', message as never);
    expect((await warned(said, 'EXO_BAD_MESSAGE')).role).toBe('web');
    expect(hub.stats().roles.web?.refused).toEqual({ EXO_BAD_MESSAGE: 1 });
    web.send('job');
    await jobs.got(1);
    expect(said.warnings.every(({ message: text }) => !/\p{Cc}/u.test(text))).toBe(true);
  });

  it('a registration that is none, or that changes who it is', async () => {
    const { hub, said } = await kit.hub();
    const web = kit.stub(hub, 'web');
    await eventually(() => web.registered === 1, 'it is registered');
    web.client.send('exo.register', { instance: 7 } as never);
    web.client.send('exo.register', { instance: 'somebody else', handles: [] });
    web.client.send('exo.awaiting', 'nothing' as never);
    web.client.send('exo.handled', { id: 'x' } as never);
    web.client.send('exo.cancel', undefined as never);
    await eventually(
      () => said.warnings.filter(({ code }) => code === 'EXO_BAD_REGISTRATION').length === 2,
      'both',
    );
    expect(web.registered).toBe(1);
    expect(hub.config().clients.web?.instances.map(({ id }) => id)).toEqual(['web 1']);
  });

  it('messages before it registers are not taken: it sends them again afterwards', async () => {
    const { hub } = await kit.hub();
    const jobs = kit.stub(hub, 'jobs', { handles: ['job'] });
    await eventually(() => jobs.registered === 1, 'it is registered');
    const web = kit.stub(hub, 'web');
    const id = web.send('job');
    await eventually(() => web.registered === 1, 'it is registered');
    web.send('job', { id });
    await jobs.got(1);
    expect(jobs.delivered).toHaveLength(1);
  });

  it('`handled` of what it never had does nothing', async () => {
    const { hub } = await kit.hub();
    const [web, jobs, other] = [
      kit.stub(hub, 'web'),
      kit.stub(hub, 'jobs', { handles: ['job'] }),
      kit.stub(hub, 'other'),
    ];
    await eventually(() => web.registered + jobs.registered + other.registered === 3, 'all are registered');
    const id = web.send('job');
    await jobs.got(1);
    other.client.send('exo.handled', { sender: 'web', id });
    // Its next message tells that the hub has heard that.
    other.send('job');
    await jobs.got(2);
    expect(web.accepted).toEqual([]);
    expect(hub.stats().running).toBe(2);
  });

  it('an unknown event changes nothing', async () => {
    const { hub } = await kit.hub();
    const web = kit.stub(hub, 'web', { handles: ['job'] });
    await eventually(() => web.registered === 1, 'it is registered');
    (web.client as unknown as { send(name: string, ...args: unknown[]): void }).send('exo.shutdown', 1);
    web.send('job');
    await web.got(1);
  });

  it('one that floods is slowed down where the hub is told to, and loses nothing', async () => {
    const { hub } = await kit.hub({ rateLimit: { perSecond: 100_000, roles: { web: 200 }, throttle: true } });
    const alarms: unknown[] = [];
    hub.on('alarm', (alarm) => alarms.push(alarm));
    let got = 0;
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', () => void got++);
    const [web, other] = [kit.relay(hub, 'web'), kit.relay(hub, 'other')];
    await Promise.all([jobs.up(), web.up(), other.up()]);
    const began = performance.now();
    for (let n = 0; n < 300; n++) web.send('job');
    other.send('job');
    await eventually(() => got === 301, 'all are delivered');
    // 200 at once, and 100 at 200 a second.
    expect(performance.now() - began).toBeGreaterThan(300);
    expect(alarms).toEqual([
      {
        ...{ code: 'EXO_RATE', role: 'web', limit: 200, throttled: true },
        message: "Service 'web' sends more than 200 messages a second",
      },
    ]);
    expect(hub.stats().roles.web?.alarms).toBe(1);
  });

  it('a sender over its rate raises an `alarm` event, and is not slowed down unless so configured', async () => {
    const { hub } = await kit.hub({ rateLimit: { perSecond: 10 } });
    const alarms: unknown[] = [];
    hub.on('alarm', (alarm) => alarms.push(alarm));
    let got = 0;
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', () => void got++);
    const web = kit.relay(hub, 'web');
    await Promise.all([jobs.up(), web.up()]);
    for (let n = 0; n < 500; n++) web.send('job');
    await eventually(() => got === 500, 'all are delivered');
    expect(alarms).toHaveLength(1);
  });

  it('one that sends more than may wait for a decision', async () => {
    const { hub, said } = await kit.hub({ security: true, queueMaxMessages: 5, securityTimeoutMs: 100 });
    const security = kit.stub(hub, 'security');
    const web = kit.stub(hub, 'web');
    await eventually(() => security.registered + web.registered === 2, 'both are registered');
    const ids = Array.from({ length: 8 }, () => web.send('job'));
    await eventually(() => web.accepted.length === 8, 'all are answered');
    expect(web.rejected.map(({ id, code }) => [id, code])).toEqual(
      ids.slice(5).map((id) => [id, 'EXO_OVERLOADED']),
    );
    await warned(said, 'EXO_OVERLOADED');
  });
});
