/** The names of all generations, the environment, the defaults. */
import { describe, expect, it } from 'vitest';
import { type ExoRelayOptions, readRelayOptions } from '../../../src/exorelay/options.js';

const read = (options: ExoRelayOptions = {}, env: Record<string, string> = {}) => {
  const { client, serviceName, listenPort } = readRelayOptions(options, env);
  return { host: client.host, port: client.port, auth: client.auth, serviceName, listenPort };
};

describe('where ExoCom is', () => {
  it('exocomHost and exocomPort', () => {
    expect(read({ exocomHost: 'hub', exocomPort: 1 })).toMatchObject({ host: 'hub', port: 1 });
  });
  it('exocommPort, the name of the second generation', () => {
    expect(read({ exocommPort: '4100' })).toMatchObject({ port: 4100 });
  });
  it('exocomPort wins over exocommPort', () => {
    expect(read({ exocomPort: 1, exocommPort: 2 })).toMatchObject({ port: 1 });
  });
  it('then EXOCOM_HOST and EXOCOM_PORT', () => {
    expect(read({}, { EXOCOM_HOST: 'hub', EXOCOM_PORT: '7' })).toMatchObject({ host: 'hub', port: 7 });
    expect(read({ exocomPort: 8 }, { EXOCOM_PORT: '7' })).toMatchObject({ port: 8 });
  });
  it('then localhost and 3010, also where a variable is set to nothing', () => {
    expect(read()).toMatchObject({ host: 'localhost', port: 3010 });
    expect(read({}, { EXOCOM_HOST: '', EXOCOM_PORT: '' })).toMatchObject({ host: 'localhost', port: 3010 });
  });
});

describe('who this is', () => {
  it('serviceName, then role, then SERVICE_NAME', () => {
    const env = { SERVICE_NAME: 'c' };
    expect(read({ serviceName: 'a', role: 'b' }, env).serviceName).toBe('a');
    expect(read({ role: 'b' }, env).serviceName).toBe('b');
    expect(read({}, env).serviceName).toBe('c');
  });
  it("then the package's name, as npm says or in the nearest package.json", () => {
    expect(read({}, { npm_package_name: 'todo' }).serviceName).toBe('todo');
    expect(read().serviceName).toBe('nyota');
  });
  it('token, then EXOCOM_TOKEN, goes along as credentials', () => {
    expect(read({ role: 'a', token: 't' }).auth).toEqual({ role: 'a', token: 't' });
    expect(read({ role: 'a' }, { EXOCOM_TOKEN: 'e' }).auth).toEqual({ role: 'a', token: 'e' });
    expect(read({ role: 'a' }).auth).toEqual({ role: 'a' });
  });
  it('EXORELAY_PORT is where listen() listens', () => {
    expect(read({}, { EXORELAY_PORT: '4005' }).listenPort).toBe('4005');
  });
});

describe('the connection to ExoCom', () => {
  const client = (options: ExoRelayOptions) => readRelayOptions(options, {}).client;

  it('comes back within a second, or as it is told', () => {
    const defaults = { minDelayMs: 50, maxDelayMs: 1_000, factor: 2, jitter: 'full' };
    expect(client({}).reconnect).toEqual(defaults);
    expect(client({ reconnect: { minDelayMs: 5_000 } }).reconnect).toEqual({
      ...defaults,
      minDelayMs: 5_000,
      maxDelayMs: 5_000,
    });
  });

  it('has the limits of the own port', () => {
    const { client: own, limits } = readRelayOptions({ maxFrameBytes: 4096, pingIntervalMs: 7 }, {});
    expect(limits).toEqual({ maxFrameBytes: 4096, pingIntervalMs: 7, pingTimeoutMs: 10_000 });
    expect(own).toMatchObject(limits);
  });

  it('has TLS, and a function of the user’s, only where they are given', () => {
    expect(Object.keys(client({ tls: false }))).not.toContain('tls');
    expect(client({ tls: true, createConnection: Math.random as never })).toMatchObject({
      tls: {},
      createConnection: Math.random,
    });
  });
});

describe('a bad option throws at once and names the option', () => {
  const bad: [what: string, options: unknown, text: RegExp][] = [
    ['an unknown name', { exocomPrt: 1 }, /no option 'exocomPrt'; did you mean 'exocomPort'/],
    ['a port that is none', { exocomPort: 'zonk' }, /'exocomPort' takes a port from 1 to 65535, not 'zonk'/],
    ['port 0, where nobody can listen', { exocomPort: 0 }, /'exocomPort' takes a port/],
    ['the second generation port', { exocommPort: 70_000 }, /'exocommPort' takes a port/],
    ['a service name that is no string', { serviceName: 5 }, /'serviceName' takes a name of 1 to 256/],
    ['a role that is no name', { role: 'a\nb' }, /'role' takes a name of 1 to 256/],
    ['a host that is none', { exocomHost: '' }, /'exocomHost' takes a host name or an IP address, not ''/],
    ['a token, which is not shown', { token: 123_456 }, /'token' takes a string that is not empty$/],
    ['TLS to ExoCom', { tls: 'yes' }, /'tls' takes true, or options of tls\.connect/],
    ['TLS of the own port', { listenTls: true }, /'listenTls' takes options of tls\.createServer/],
    ['a back-off', { reconnect: { factor: 0 } }, /'reconnect\.factor' takes a number from 1/],
    ['no back-off', { reconnect: false }, /'reconnect' takes an object, not false/],
    ['a limit of nyota', { maxFrameBytes: 1 }, /'maxFrameBytes' takes a whole number from/],
    ['a function', { createConnection: {} }, /'createConnection' takes a function/],
    ['a clock', { clock: {} }, /'clock' takes an object with now/],
    ["ExoCom's own name", { role: 'exocom' }, /can't be 'exocom'/],
    ['a time below 1', { replyIdleMs: 0 }, /'replyIdleMs' takes a whole number from 1/],
    ['a count that is no number', { maxRunningHandlers: '5' }, /'maxRunningHandlers' takes a whole number/],
    ['no object', 5, /takes an object/],
  ];
  it.each(bad)('%s', (_, options, text) => {
    expect(() => read(options as ExoRelayOptions)).toThrow(
      expect.objectContaining({ code: 'NYOTA_INVALID_OPTION', message: expect.stringMatching(text) }),
    );
  });
  it('a variable of the environment is named too', () => {
    expect(() => read({}, { EXOCOM_PORT: 'zonk' })).toThrow(/'EXOCOM_PORT' takes a port from 1 to 65535/);
    expect(() => read({}, { SERVICE_NAME: 'a\nb' })).toThrow(/'SERVICE_NAME' takes a name of 1 to 256/);
    expect(read({ exocomPort: 1, role: 'a' }, { EXOCOM_PORT: 'zonk', SERVICE_NAME: 'a\nb' }).port).toBe(1);
  });
});
