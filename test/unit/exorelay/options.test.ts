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

describe('a bad option throws at once and names the option', () => {
  const bad: [what: string, options: unknown, text: RegExp][] = [
    ['an unknown name', { exocomPrt: 1 }, /no option 'exocomPrt'/],
    ['a port that is none', { exocomPort: 'zonk' }, /'exocomPort' takes a port/],
    ['port 0, where nobody can listen', { exocomPort: 0 }, /'exocomPort' takes a port/],
    ['the second generation port', { exocommPort: 70_000 }, /'exocommPort' takes a port/],
    ['a service name that is no string', { serviceName: 5 }, /'serviceName' takes a string/],
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
    expect(() => read({}, { EXOCOM_PORT: 'zonk' })).toThrow(/EXOCOM_PORT takes a port/);
  });
});
