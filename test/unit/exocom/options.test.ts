/** The hub's options: defaults, the environment, and every bad value by name. Files of routes and tokens: integration/exocom/lifecycle. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.js';
import { type ExoComOptions, readExoComOptions, resolvePort } from '../../../src/exocom/options.js';
import { thrown } from '../../support/session-codes.js';

const read = (options: unknown = {}, env: Record<string, string> = {}) =>
  readExoComOptions(options as ExoComOptions, env);
const ROUTES = { web: { sends: ['a'] } };

describe('the hub’s options', () => {
  it('have defaults', () => {
    const { routing, ...options } = read();
    expect(options).toEqual({
      tokens: {},
      tls: undefined,
      development: true,
      store: undefined,
      security: undefined,
      securityTimeoutMs: 5_000,
      queueTtlMs: 60_000,
      queueMaxMessages: 10_000,
      queueMaxBytes: 67_108_864,
      instanceGraceMs: 2_000,
      maxInFlight: 1_000,
      activityIdleMs: 300_000,
      rateLimit: { perSecond: 10_000, roles: {}, throttle: false },
      monitorPort: undefined,
      monitorHost: '127.0.0.1',
      log: undefined,
      server: {},
      clock: systemClock,
    });
    expect(routing.strict).toBe(false);
  });

  it('are not in development where there are routes, unless it is said', () => {
    expect(read({ routes: ROUTES }).development).toBe(false);
    expect(read({}, { SERVICE_DATA: JSON.stringify(ROUTES) })).toMatchObject({ development: false });
    expect(read({ routes: ROUTES, development: true }).development).toBe(true);
    expect(read({ development: false }).development).toBe(false);
  });

  it('take what is given, at both ends of what they take', () => {
    const given = {
      queueMaxMessages: 0,
      queueMaxBytes: 0,
      instanceGraceMs: 0,
      monitorPort: '0',
      security: false,
    };
    expect(read(given)).toMatchObject({ ...given, monitorPort: 0 });
    expect(read({ queueMaxMessages: Number.MAX_SAFE_INTEGER }).queueMaxMessages).toBe(2 ** 53 - 1);
  });

  it('have a rate for each role that is given one', () => {
    const rateLimit = { perSecond: 0.5, roles: { web: 3, users: undefined }, throttle: true };
    expect(read({ rateLimit }).rateLimit).toEqual({ perSecond: 0.5, roles: { web: 3 }, throttle: true });
  });

  it('have tokens from the options, then from EXOCOM_TOKENS', () => {
    const env = { EXOCOM_TOKENS: '{ "web": ["old", "new"] }' };
    expect(read({}, env).tokens).toEqual({ web: ['old', 'new'] });
    expect(read({ tokens: { web: 'w' } }, env).tokens).toEqual({ web: 'w' });
    expect(read({}, { EXOCOM_TOKENS: '' }).tokens).toEqual({});
  });

  it('keep tokens as they were', () => {
    const web = ['w'];
    const { tokens } = read({ tokens: { web } });
    web.push('x');
    expect(tokens).toEqual({ web: ['w'] });
  });

  it.each([
    [{ route: {} }, "there is no option 'route'; did you mean 'routes'?"],
    [{ rateLimit: { burst: 1 } }, "there is no option 'rateLimit.burst'"],
    [
      { queueTtlMs: '5' },
      "option 'queueTtlMs' takes a whole number from 1 to 2147483647 (milliseconds), not '5'",
    ],
    [
      { queueMaxBytes: -1 },
      "option 'queueMaxBytes' takes a whole number from 0 to 9007199254740991 (bytes), not -1",
    ],
    [
      { maxInFlight: 0 },
      "option 'maxInFlight' takes a whole number from 1 to 9007199254740991 (a count), not 0",
    ],
    [{ security: 'yes' }, "option 'security' takes true or false, not 'yes'"],
    [{ log: true }, "option 'log' takes a function, not true"],
    [{ monitorPort: 70_000 }, "option 'monitorPort' takes a port from 0 to 65535, not 70000"],
    [{ monitorHost: 5 }, "option 'monitorHost' takes a host name or an IP address, not 5"],
    [{ tls: true }, "option 'tls' takes options of tls.createServer, not true"],
    [{ server: 5 }, "option 'server' takes an object, not 5"],
    [{ clock: {} }, "option 'clock' takes an object with now, setTimeout and clearTimeout, not an object"],
    [{ rateLimit: 5 }, "option 'rateLimit' takes an object, not 5"],
    [
      { rateLimit: { perSecond: Number.NaN } },
      "option 'rateLimit.perSecond' takes a number above 0, not NaN",
    ],
    [
      { rateLimit: { roles: [] } },
      "option 'rateLimit.roles' takes an object of numbers by role, not an array",
    ],
    [{ rateLimit: { roles: { web: 0 } } }, "option 'rateLimit.roles.web' takes a number above 0, not 0"],
    [{ rateLimit: { throttle: 1 } }, "option 'rateLimit.throttle' takes true or false, not 1"],
    [{ tokens: { '': 'w' } }, "option 'tokens' takes roles of 1 to 256 characters, not ''"],
    [{ tokens: { w: 'w' }, routes: ROUTES }, "option 'tokens' names 'w', which has no routes"],
    [null, "option 'options' takes an object, not null"],
  ])('refuse %o', (options, text) => {
    const error = thrown(() => read(options));
    expect([error.code, error.message]).toEqual(['NYOTA_INVALID_OPTION', text]);
  });

  it.each([[''], [5], [123_456], [[]], [['w', '']], [null], [undefined]])(
    'refuse the token %o, and do not show it',
    (token) => {
      const text = "option 'tokens.web' takes a token, a string that is not empty, or a list of them";
      expect(thrown(() => read({ tokens: { web: token } })).message).toBe(text);
    },
  );

  it.each<[where: string, tokens: unknown, env?: Record<string, string>]>([
    ['the options', 123_456],
    ['the options, in a list', ['a']],
    ['EXOCOM_TOKENS, as text', undefined, { EXOCOM_TOKENS: '"hush"' }],
    ['EXOCOM_TOKENS, as a number', undefined, { EXOCOM_TOKENS: '123456' }],
  ])('refuse a token that is in place of the roles, and do not show it: %s', (_where, tokens, env) => {
    const text = "option 'tokens' takes an object of tokens by role";
    expect(thrown(() => read({ tokens }, env)).message).toBe(text);
  });
});

describe('the port', () => {
  it('is what is given, then EXOCOM_PORT, then 3010', () => {
    expect(resolvePort('80', { EXOCOM_PORT: 'zonk' })).toBe(80);
    expect(resolvePort(undefined, { EXOCOM_PORT: '80' })).toBe(80);
    expect([resolvePort(undefined, {}), resolvePort(undefined, { EXOCOM_PORT: '' })]).toEqual([3010, 3010]);
  });

  it('that is none is refused by where it comes from', () => {
    const takes = 'takes a port from 0 to 65535';
    expect(thrown(() => resolvePort(-1, {})).message).toBe(`option 'port' ${takes}, not -1`);
    expect(thrown(() => resolvePort(undefined, { EXOCOM_PORT: 'zonk' })).message).toBe(
      `option 'EXOCOM_PORT' ${takes}, not 'zonk'`,
    );
  });
});
