/** What ExoCom tells of the traffic: counts, console lines, events, and its pages. */
import { afterEach, describe, expect, it } from 'vitest';
import type { ExoCom, ExoComOptions } from '../../../src/exocom/index.js';
import { eventually } from '../../support/delivery-wait.js';
import { ExoComKit } from '../../support/exocom-kit.js';

const kit = new ExoComKit();
afterEach(() => kit.close());

const ROUTES = {
  web: { receives: ['users created'], sends: ['users create'] },
  users: {
    receives: ['mongo create'],
    sends: ['mongo created'],
    translations: [
      { public: 'users create', internal: 'mongo create' },
      { public: 'users created', internal: 'mongo created' },
    ],
  },
};

async function page(
  hub: ExoCom,
  path: string,
  method = 'GET',
): Promise<{ status: number; type: string; text: string }> {
  const response = await fetch(`http://127.0.0.1:${hub.monitorAddress()?.port}${path}`, { method });
  return {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    text: await response.text(),
  };
}

/** A hub with one user created, and one handler that failed. */
async function busy(options: ExoComOptions = {}) {
  const { hub, said } = await kit.hub({ routes: ROUTES, development: true, monitorPort: 0, ...options });
  const users = kit.relay(hub, 'users');
  users.registerHandler('mongo create', (payload, { reply }) => {
    if (payload === 'bad') throw new Error('no room');
    reply('mongo created', payload);
  });
  const web = kit.relay(hub, 'web');
  await Promise.all([users.up(), web.up()]);
  await web.request('users create', 1);
  web.send('users create', 'bad');
  await eventually(() => hub.stats().roles.users?.errors === 1, 'the handler has failed');
  await eventually(() => hub.stats().running === 0, 'all is finished');
  return { hub, said, web };
}

describe('Traffic is monitored', () => {
  it('per role and route counts, rates, errors, response times, queue lengths', async () => {
    const { hub, web } = await busy();
    const { roles, routes, queues, running } = hub.stats();
    expect(roles.web).toMatchObject({ sent: 2, received: 1, errors: 0, redelivered: 0, refused: {} });
    expect(roles.users).toMatchObject({ sent: 1, received: 2, errors: 1, responses: { count: 1 } });
    expect(roles.users?.rate).toBeTypeOf('number');
    expect(roles.users?.responses.maxMs).toBeGreaterThanOrEqual(0);
    expect(routes).toEqual([
      { sender: 'web', name: 'users create', receiver: 'users', messages: 2, errors: 1 },
      { sender: 'users', name: 'users created', receiver: 'web', messages: 1, errors: 0 },
    ]);
    expect(queues).toMatchObject({ users: { messages: 0 }, web: { messages: 0 } });
    expect(running).toBe(0);
    await web.close();
  });

  it('emits `message` for each that was passed on, without its payload', async () => {
    const { hub, web } = await busy();
    const reports: object[] = [];
    hub.on('message', (report) => reports.push(report));
    await web.request('users create', 'secret');
    expect(reports).toMatchObject([
      { name: 'users create', sender: 'web', receivers: ['users'], redelivered: false, isSecurity: false },
      { name: 'users created', sender: 'users', receivers: ['web'], responseTime: expect.any(Number) },
    ]);
    expect(JSON.stringify(reports)).not.toContain('secret');
  });

  it('Console lines like `web  --[ users create ]-[ mongo create ]->  users`', async () => {
    const { said } = await busy();
    expect(said.lines).toEqual([
      'web  --[ users create ]-[ mongo create ]->  users',
      'users  --[ mongo created ]-[ users created ]->  web',
      'web  --[ users create ]-[ mongo create ]->  users',
    ]);
  });

  it('with one name where it is the same for both', async () => {
    const { hub, said } = await kit.hub();
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', () => undefined);
    await jobs.up();
    const web = await kit.relay(hub, 'web').up();
    web.send('job');
    await eventually(() => said.lines.length === 1, 'it is shown');
    expect(said.lines).toEqual(['web  --[ job ]->  jobs']);
  });

  it('a listener that throws stops nothing', async () => {
    const { hub, said } = await kit.hub();
    for (const event of ['message', 'registered', 'warning'] as const) {
      hub.on(event, () => {
        throw new Error(`a bad listener of ${event}`);
      });
    }
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', (_payload, { reply }) => void reply('done'));
    const web = kit.relay(hub, 'web');
    await Promise.all([jobs.up(), web.up()]);
    expect((await web.request('job')).outcome).toBe('done');
    expect(said.errors.map(({ message }) => message)).toContain('a bad listener of message');
  });
});

describe('the monitor port', () => {
  it('`GET /config.json` (clients with instances, routes)', async () => {
    const { hub } = await busy({ tokens: { other: 'secret token' }, routes: { ...ROUTES, other: {} } });
    const { status, type, text } = await page(hub, '/config.json');
    expect([status, type]).toEqual([200, 'application/json; charset=utf-8']);
    const config = JSON.parse(text);
    expect(config).toEqual({
      clients: {
        users: {
          instances: [
            { id: expect.any(String), connected: true, since: expect.any(String), handles: ['mongo create'] },
          ],
        },
        web: {
          instances: [{ id: expect.any(String), connected: true, since: expect.any(String), handles: [] }],
        },
      },
      routes: {
        ...ROUTES,
        web: { ...ROUTES.web, translations: [] },
        other: { receives: [], sends: [], translations: [] },
      },
    });
    expect(text).not.toContain('secret');
    expect(Date.parse(config.clients.web.instances[0].since)).toBeGreaterThan(Date.now() - 60_000);
  });

  it('`/metrics` in Prometheus’ text format', async () => {
    const { hub } = await busy();
    const { status, type, text } = await page(hub, '/metrics');
    expect(status).toBe(200);
    expect(type).toContain('text/plain; version=0.0.4');
    const lines = text.split('\n');
    for (const line of [
      'exocom_messages_total{sender="web",message="users create",receiver="users"} 2',
      'exocom_route_errors_total{sender="web",message="users create",receiver="users"} 1',
      'exocom_sent_total{role="web"} 2',
      'exocom_received_total{role="users"} 2',
      'exocom_handler_errors_total{role="users"} 1',
      'exocom_instances{role="users"} 1',
      'exocom_queue_messages{role="users"} 0',
      'exocom_response_seconds_count{asker="web",replier="users"} 1',
    ]) {
      expect(lines).toContain(line);
    }
    // Asked again, nothing is counted twice.
    expect((await page(hub, '/metrics')).text).toContain('exocom_sent_total{role="web"} 2');
  });

  it('`/healthz` and `/readyz`', async () => {
    const { hub } = await kit.hub({ monitorPort: 0 });
    expect(await page(hub, '/healthz')).toMatchObject({ status: 200, text: 'ok\n' });
    expect(await page(hub, '/readyz')).toMatchObject({ status: 200, text: 'ready\n' });
  });

  it('answers a HEAD without a body, and refuses what it does not have', async () => {
    const { hub } = await kit.hub({ monitorPort: 0 });
    expect(await page(hub, '/healthz', 'HEAD')).toMatchObject({ status: 200, text: '' });
    expect(await page(hub, '/healthz?verbose=1')).toMatchObject({ status: 200 });
    expect((await page(hub, '/nothing')).status).toBe(404);
    expect((await page(hub, '/config.json', 'POST')).status).toBe(405);
  });

  it('listens on loopback only, unless it is told otherwise, and is not there without a port', async () => {
    const { hub } = await kit.hub({ monitorPort: 0 });
    expect(hub.monitorAddress()?.address).toBe('127.0.0.1');
    const { hub: without } = await kit.hub();
    expect(without.monitorAddress()).toBe(null);
  });

  it('a monitor port that is taken is an `error`, and the hub does not say that it is up', async () => {
    const { hub } = await kit.hub({ monitorPort: 0 });
    const { ExoCom: Hub } = await import('../../../src/exocom/index.js');
    const second = new Hub({ monitorPort: hub.monitorAddress()?.port as number });
    kit.closes(() => second.destroy());
    const errors: NodeJS.ErrnoException[] = [];
    second.on('error', (error) => errors.push(error));
    let up = false;
    second.listen(0, '127.0.0.1', () => {
      up = true;
    });
    await eventually(() => errors.length > 0, 'it fails');
    expect([errors[0]?.code, errors.length, up]).toEqual(['EADDRINUSE', 1, false]);
  });
});
