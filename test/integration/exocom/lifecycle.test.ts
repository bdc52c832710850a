/** The hub as an object: options, listen, address, close, destroy, the environment. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ExoCom, type ExoComOptions } from '../../../src/exocom/index.js';
import { deferred, eventually, once } from '../../support/delivery-wait.js';
import { ExoComKit, LOCAL, portOf } from '../../support/exocom-kit.js';

const kit = new ExoComKit();
const saved = { ...process.env };
afterEach(async () => {
  await kit.close();
  for (const name of ['EXOCOM_PORT', 'SERVICE_DATA', 'EXOCOM_TOKENS']) {
    const value = saved[name];
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

function make(options?: ExoComOptions): ExoCom {
  const hub = new ExoCom(options);
  kit.closes(() => hub.destroy());
  return hub;
}

function messageOf(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    expect(error).toMatchObject({ name: 'NyotaError', code: 'NYOTA_INVALID_OPTION' });
    return (error as Error).message;
  }
  return 'nothing was thrown';
}

describe('listening', () => {
  it('`listen(port [, host] [, cb])`, `address()`; in the callback `this` is the hub', async () => {
    const hub = make();
    const called = deferred<unknown>();
    expect(
      hub.listen(0, LOCAL, function () {
        called.resolve(this);
      }),
    ).toBe(hub);
    expect(await called.promise).toBe(hub);
    expect(hub.address()).toMatchObject({ address: LOCAL, port: expect.any(Number) });
    const second = make();
    const up = once(second, 'listening');
    second.listen('0', () => undefined);
    await up;
    expect(portOf(second)).toBeGreaterThan(0);
  });

  it('Port: option, `EXOCOM_PORT`, 3010', async () => {
    const { hub } = await kit.hub();
    const port = portOf(hub);
    await hub.close();
    process.env.EXOCOM_PORT = String(port);
    const second = make();
    const up = once(second, 'listening');
    second.listen();
    await up;
    expect(portOf(second)).toBe(port);
    process.env.EXOCOM_PORT = 'zonk';
    expect(messageOf(() => make().listen())).toBe(
      "option 'EXOCOM_PORT' takes a port from 0 to 65535, not 'zonk'",
    );
  });

  it('a port that is taken is an `error` event', async () => {
    const { hub } = await kit.hub();
    const second = make();
    const failed = once<[{ code: string }]>(second, 'error');
    second.listen(portOf(hub), LOCAL);
    const [{ code }] = await failed;
    expect(code).toBe('EADDRINUSE');
  });
});

describe('ending', () => {
  it('`close()` lets running handlers finish; new messages wait for the next hub', async () => {
    const { hub } = await kit.hub();
    const port = portOf(hub);
    const gate = deferred();
    const got: unknown[] = [];
    const jobs = kit.relay(hub, 'jobs');
    jobs.registerHandler('job', async (n, { reply }) => {
      got.push(n);
      if (n === 1) await gate.promise;
      reply('done', n);
    });
    const web = kit.relay(hub, 'web');
    await Promise.all([jobs.up(), web.up()]);
    const first = web.request('job', 1);
    await eventually(() => got.length === 1, 'it runs');
    const closed = hub.close();
    expect(hub.close()).toBe(closed);
    const second = web.request('job', 2);
    gate.resolve();
    await closed;
    expect(hub.address()).toBe(null);
    await kit.hub({ instanceGraceMs: 300 }, port);
    expect((await first).payload).toBe(1);
    expect((await second).payload).toBe(2);
    expect(got.sort()).toEqual([1, 2]);
  });

  it('`destroy()` is abrupt, may be called twice, and after `close`', async () => {
    const { hub } = await kit.hub({ monitorPort: 0 });
    const web = kit.relay(hub, 'web');
    await web.up();
    const gone = once(web, 'disconnect');
    const closed = once(hub, 'close');
    hub.destroy();
    hub.destroy();
    await Promise.all([gone, closed, hub.close()]);
    expect(hub.monitorAddress()).toBe(null);
    expect(() => hub.listen(0)).toThrow();
  });

  it('`close` calls its callback, also where it never listened', async () => {
    const hub = make();
    await new Promise<void>((resolve) => void hub.close(() => resolve()));
    const { hub: second } = await kit.hub();
    await second[Symbol.asyncDispose]();
    expect(second.address()).toBe(null);
  });
});

describe('options', () => {
  it('`new ExoCom()` with nothing works, and is in development mode', () => {
    expect(make().config()).toEqual({ clients: {}, routes: {} });
  });

  it.each<[string, unknown, string]>([
    ['an unknown one', { route: {} }, "there is no option 'route'"],
    ['a time', { queueTtlMs: '5' }, "option 'queueTtlMs' takes a whole number from 1 to 2147483647"],
    [
      'a count',
      { queueMaxMessages: -1 },
      "option 'queueMaxMessages' takes a whole number from 0 to 9007199254740991",
    ],
    ['a switch', { development: 'yes' }, "option 'development' takes true or false"],
    ['a function', { log: true }, "option 'log' takes a function"],
    ['a port', { monitorPort: 70_000 }, "option 'monitorPort' takes a port from 0 to 65535"],
    ['tokens', { tokens: ['a'] }, "option 'tokens' takes an object of tokens by role"],
    [
      'a token',
      { tokens: { web: '' } },
      "option 'tokens.web' takes a token, a string that is not empty, or a list of them",
    ],
    ['a rate', { rateLimit: { perSecond: 0 } }, "option 'rateLimit.perSecond' takes a number above 0"],
    [
      'a role’s rate',
      { rateLimit: { roles: { web: 'x' } } },
      "option 'rateLimit.roles.web' takes a number above 0",
    ],
    ['the rate’s options', { rateLimit: { burst: 1 } }, "there is no option 'rateLimit.burst'"],
    ['a server’s limits', { server: { maxFrameBytes: 1 } }, 'maxFrameBytes'],
    [
      'a token of a role without routes',
      { routes: { web: {} }, tokens: { wbe: 'x' } },
      "option 'tokens' names 'wbe', which has no routes",
    ],
  ])('refuses %s that is no good, by name', (_what, options, text) => {
    expect(messageOf(() => make(options as ExoComOptions))).toContain(text);
  });
});

describe('routes from elsewhere', () => {
  let folder = '';
  const file = (name: string, text: string): string => {
    folder ||= mkdtempSync(join(tmpdir(), 'nyota-exocom-'));
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  afterEach(() => {
    if (folder !== '') rmSync(folder, { recursive: true });
    folder = '';
  });

  const EXPECTED = { web: { receives: [], sends: ['users create'], translations: [] } };

  it('an object, a JSON or YAML file', () => {
    const json = file('routes.json', '{ "web": { "sends": ["users create"] } }');
    const yaml = file('routes.yml', 'web:\n  sends:\n    - users create\n');
    for (const routes of [{ web: { sends: ['users create'] } }, json, yaml]) {
      expect(make({ routes }).config().routes).toEqual(EXPECTED);
    }
  });

  it('`SERVICE_DATA`, where no routes are given', () => {
    process.env.SERVICE_DATA = '{ "web": { "sends": ["users create"] } }';
    expect(make().config().routes).toEqual(EXPECTED);
    expect(make({ routes: { users: {} } }).config().routes).toHaveProperty('users');
    process.env.SERVICE_DATA = '{ "web": { "sends": "users create" } }';
    expect(messageOf(make)).toBe('SERVICE_DATA: web.sends: takes a list of message names, not a string');
  });

  it('tokens from a file, and from EXOCOM_TOKENS', async () => {
    const tokens = file('tokens.json', '{ "web": "w" }');
    const { hub } = await kit.hub({ routes: { web: {} }, tokens });
    await kit.relay(hub, 'web', { token: 'w' }).up();
    process.env.EXOCOM_TOKENS = '{ "web": "e" }';
    const { hub: second } = await kit.hub({ routes: { web: {} } });
    await kit.relay(second, 'web', { token: 'e' }).up();
    process.env.EXOCOM_TOKENS = 'w';
    expect(messageOf(make)).toMatch(/^EXOCOM_TOKENS: /);
  });

  it.each([
    [
      'routes.json',
      '{ "web": { "sends": ["a",] } }',
      /^routes file '.*routes\.json': .*(line 1|position|JSON)/,
    ],
    ['routes.yml', 'web:\n  sends: [a\n', /^routes file '.*routes\.yml': .* at line \d+, column \d+/],
    ['twice.yml', 'web: {}\nweb: {}\n', /^routes file '.*twice\.yml': .*unique.*line 2/i],
    ['list.json', '[]', /^routes file '.*list\.json': takes an object of services by role, not a list$/],
  ])('%s that can’t be read: file, place and reason', (name, text, expected) => {
    const routes = file(name, text);
    expect(messageOf(() => make({ routes }))).toMatch(expected);
  });

  it('a file that is not there', () => {
    expect(messageOf(() => make({ routes: '/nowhere/routes.json' }))).toMatch(
      /^routes file '\/nowhere\/routes\.json': ENOENT/,
    );
  });
});
