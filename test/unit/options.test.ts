/** The reader of options: each kind with what it takes and refuses, names that no table has, and the options that several parts share. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.js';
import {
  anything,
  bytes,
  clientTls,
  clock,
  count,
  describeValue,
  flag,
  fn,
  host,
  invalidOption,
  LIMITS,
  type LimitOptions,
  MAX_TIMER_MS,
  ms,
  type Option,
  option,
  port,
  type ReconnectOptions,
  readBackOff,
  readLimits,
  readOptions,
  readWithOthers,
  secret,
  serverTls,
  signal,
  toPort,
  value,
  variable,
} from '../../src/options.js';
import { thrown } from '../support/session-codes.js';

const MIB = 1024 * 1024;
const call = (): void => {};
const given = {};

describe('a kind of option', () => {
  const { signal: aborted } = new AbortController();
  const fakeClock = { now: () => 0, setTimeout: () => ({}), clearTimeout: call };
  const even = option('an even number, or its half as text', (v) =>
    typeof v === 'string' ? Number(v) * 2 : v === 2 ? 2 : undefined,
  );

  it.each<[what: string, kind: Option<unknown>, fallback: unknown, good: [unknown, unknown?][]]>([
    ['ms', ms(50), 50, [[1], [MAX_TIMER_MS]]],
    ['ms from 0', ms(50, 0), 50, [[0]]],
    ['ms without a default', ms(undefined), undefined, [[7]]],
    ['bytes', bytes(9, 5, 10), 9, [[5], [10]]],
    ['bytes without an end', bytes(9, 5), 9, [[Number.MAX_SAFE_INTEGER]]],
    ['count', count(3), 3, [[1], [2 ** 32 - 1]]],
    ['count within bounds', count(3, 0, 4), 3, [[0], [4]]],
    ['port', port(3010), 3010, [[0], [65_535], ['80', 80], [' 80 ', 80]]],
    ['port without a default', port(), undefined, [[80]]],
    ['flag', flag(true), true, [[true], [false]]],
    ['flag without a default', flag(), undefined, [[false]]],
    ['host', host('localhost'), 'localhost', [['h'], ['::1']]],
    ['fn', fn(), undefined, [[call]]],
    ['fn with a default', fn(Math.random), Math.random, [[call]]],
    ['value', value('5', (v) => v === 5), undefined, [[5]]],
    ['option', even, undefined, [[2], ['1', 2]]],
    ['anything', anything(), undefined, [[null], [0], [given]]],
    ['secret', secret('s', (v) => v !== 5), undefined, [['x']]],
    ['clock', clock, systemClock, [[fakeClock]]],
    ['signal', signal, undefined, [[aborted]]],
    ['tls of clients', clientTls(), undefined, [[true, {}], [false, undefined], [given]]],
    ['tls of servers', serverTls(), undefined, [[given]]],
  ])('%s: its default, and what it takes', (_, kind, fallback, good) => {
    expect(kind(undefined, 'name')).toBe(fallback);
    for (const [taken, ...read] of good) {
      expect(kind(taken, 'name')).toEqual(read.length === 0 ? taken : read[0]);
    }
  });

  it.each<[kind: Option<unknown>, takes: string, bad: unknown[]]>([
    [ms(5), 'a whole number from 1 to 2147483647 (milliseconds)', [0, 1.5, '5', null, 2 ** 31, Number.NaN]],
    [bytes(9, 5, 10), 'a whole number from 5 to 10 (bytes)', [4, 11, 5n, true]],
    [count(3), 'a whole number from 1 to 4294967295 (a count)', [0, 2 ** 32, Number.POSITIVE_INFINITY]],
    [port(), 'a port from 0 to 65535', [-1, 65_536, 'http', '', '0x50', '1.5', 80.5, null]],
    [port(undefined, 1), 'a port from 1 to 65535', [0, '0']],
    [flag(), 'true or false', [0, 'true', null]],
    [host(), 'a host name or an IP address', ['', 5, null]],
    [fn(), 'a function', [{}, 'f', null]],
    [value('5', (v) => v === 5), '5', [6, null]],
    [even, 'an even number, or its half as text', [3, null]],
    [clock, 'an object with now, setTimeout and clearTimeout', [null, 5, { now: call }, {}]],
    [signal, 'an AbortSignal', [{}, null, new AbortController()]],
    [clientTls(), 'true, or options of tls.connect', [5, null, 'yes', []]],
    [serverTls(), 'options of tls.createServer', [true, false, null, []]],
  ])('refuses with its name, what it takes, and what it got (%#)', (kind, takes, bad) => {
    for (const got of bad) {
      const { code, retry, message } = thrown(() => kind(got, 'name'));
      expect([code, retry]).toEqual(['NYOTA_INVALID_OPTION', 'never']);
      expect(message).toBe(`option 'name' takes ${takes}, not ${describeValue(got)}`);
    }
  });

  it('that is a secret does not show what it got', () => {
    const error = thrown(() => secret('a string', (v) => v === 'ok')(123_456, 'token'));
    expect(error).toMatchObject({ code: 'NYOTA_INVALID_OPTION', message: "option 'token' takes a string" });
  });

  it.each([
    ['text', "'text'"],
    ['a\nb', "'a\\nb'"],
    [() => {}, 'a function'],
    [[], 'an array'],
    [{}, 'an object'],
    [Object.create(null), 'an object'],
    [null, 'null'],
    [undefined, 'undefined'],
    [Symbol('x'), 'a symbol'],
    [5n, '5n'],
    [-0.5, '-0.5'],
    [true, 'true'],
  ])('show %s as %s', (value, text) => {
    expect(describeValue(value)).toBe(text);
    expect(invalidOption('o', 'nothing', value).message).toBe(`option 'o' takes nothing, not ${text}`);
  });
});

describe('the options of a table', () => {
  const table = {
    port: port(80),
    maxFrameBytes: bytes(MIB, 1),
    pingIntervalMs: ms(5),
    host: host(),
    tls: clientTls(),
  };

  it('are read, each once, and can not be changed', () => {
    let reads = 0;
    const options = {
      get port() {
        reads++;
        return '8080';
      },
    };
    const read = readOptions(options, table);
    expect(read).toEqual({
      port: 8080,
      maxFrameBytes: MIB,
      pingIntervalMs: 5,
      host: undefined,
      tls: undefined,
    });
    expect([reads, Object.isFrozen(read)]).toEqual([1, true]);
  });

  it.each([[null], [undefined], [5], ['text'], [call], [[]]])(
    'are in an object, and not in %o',
    (options) => {
      const got = describeValue(options);
      expect(thrown(() => readOptions(options, table)).message).toBe(
        `option 'options' takes an object, not ${got}`,
      );
      expect(thrown(() => readOptions(options, table, 'inner')).message).toBe(
        `option 'inner' takes an object, not ${got}`,
      );
    },
  );

  it('within another option are named with it', () => {
    expect(thrown(() => readOptions({ port: -1 }, table, 'inner')).message).toMatch(
      /^option 'inner\.port' takes/,
    );
    expect(thrown(() => readOptions({ prt: 1 }, table, 'inner')).message).toBe(
      "there is no option 'inner.prt'; did you mean 'inner.port'?",
    );
  });

  it.each([
    ['maxFrameByte', 'maxFrameBytes'],
    ['maxframebytes', 'maxFrameBytes'],
    ['maxFramesBytes', 'maxFrameBytes'],
    ['por', 'port'],
    ['hosts', 'host'],
    ['pingInterval', 'pingIntervalMs'],
  ])("'%s' is none of them, and '%s' was meant", (name, meant) => {
    const error = thrown(() => readOptions({ [name]: 1 }, table));
    expect([error.code, error.message]).toEqual([
      'NYOTA_INVALID_OPTION',
      `there is no option '${name}'; did you mean '${meant}'?`,
    ]);
  });

  it.each([
    ['zzzzzz', 'zzzzzz'],
    ['\u001b[1m', '\\u001b[1m'],
    ['constructor', 'constructor'],
    ['', ''],
  ])('%j is none of them, and like none', (name, shown) => {
    expect(thrown(() => readOptions({ [name]: undefined }, table)).message).toBe(
      `there is no option '${shown}'`,
    );
  });
});

describe('options beside those that go on to Node', () => {
  const own = { createServer: fn(), store: anything() };
  const node = { noDelay: anything(), family: value('0, 4 or 6', (v) => v === 0 || v === 4 || v === 6) };
  const read = (options: unknown) => readWithOthers(options, own, node, 'createServer');

  it('are limits and own ones; what goes on is as it was given', () => {
    const { limits, own: read1, others } = read({ store: given, noDelay: 1, family: 4, maxDepth: 5 });
    expect([read1, others, limits.maxDepth]).toEqual([
      { createServer: undefined, store: given },
      { noDelay: 1, family: 4 },
      5,
    ]);
    expect(Object.isFrozen(others)).toBe(true);
  });

  it('all go on, known or not, where a function stands in for Node', () => {
    expect(read({ createServer: call, folder: '/x' }).others).toEqual({ folder: '/x' });
    expect(thrown(() => read({ folder: '/x' })).message).toBe("there is no option 'folder'");
    expect(thrown(() => read({ nodelay: 1 })).message).toContain("did you mean 'noDelay'");
  });

  it.each([
    [{ family: 5 }, /'family' takes 0, 4 or 6, not 5/],
    [{ createServer: 5, folder: '/x' }, /'createServer' takes a function, not 5/],
    [{ maxDepth: 0 }, /'maxDepth' takes/],
    [null, /'options' takes an object, not null/],
    [[], /'options' takes an object, not an array/],
  ])('are checked: %o', (options, text) => {
    expect(thrown(() => read(options)).message).toMatch(text);
  });
});

it('a variable of the environment that is set to nothing is not set', () => {
  const env = { A: 'a', B: '' };
  expect(['A', 'B', 'C'].map((name) => variable(env, name))).toEqual(['a', undefined, undefined]);
});

it('a port is a number or its digits', () => {
  expect(['1', ' 1 ', 1, 0, '0'].map((v) => toPort(v))).toEqual([1, 1, 1, 0, 0]);
  expect(['', ' ', '1a', '-1', 1.5, 65_536, null, [1], true].map((v) => toPort(v))).toEqual(
    Array(9).fill(undefined),
  );
});

describe('a back-off', () => {
  const base: ReconnectOptions = { minDelayMs: 200, maxDelayMs: 5_000, factor: 3, jitter: 'none' };

  it.each([
    [{}, {}],
    [{ minDelayMs: undefined, maxDelayMs: undefined }, {}],
    [{ minDelayMs: 50 }, { minDelayMs: 50 }],
    [
      { maxDelayMs: 300, factor: 1.5 },
      { maxDelayMs: 300, factor: 1.5 },
    ],
    [{ jitter: 'full' }, { jitter: 'full' }],
    [{ minDelayMs: 9_000 }, { minDelayMs: 9_000, maxDelayMs: 9_000 }],
  ])('is what is given, and what was there: %o', (options, changed) => {
    expect(readBackOff(options, base)).toEqual({ ...base, ...changed });
  });

  it.each([
    [{ minDelayMs: 500, maxDelayMs: 400 }, /'maxDelayMs' takes at least minDelayMs \(500\), not 400/],
    [{ maxDelayMs: 100 }, /'maxDelayMs' takes at least minDelayMs \(200\), not 100/],
    [{ minDelayMs: 0 }, /'minDelayMs' takes a whole number from 1/],
    [{ factor: 0.5 }, /'factor' takes a number from 1 to 100, not 0\.5/],
    [{ factor: Number.NaN }, /'factor'/],
    [{ jitter: 'half' }, /'jitter' takes 'full' or 'none', not 'half'/],
    [{ min: 5 }, /no option 'min'/],
    [true, /takes an object, not true/],
  ])('is not the wrong way round, nor anything else: %o', (options, text) => {
    expect(thrown(() => readBackOff(options, base)).message).toMatch(text);
    expect(thrown(() => readBackOff(options, base, 'reconnect')).message).toContain("'reconnect");
  });
});

describe('the limits', () => {
  it('have the defaults of docs/api.md, and can not be changed', () => {
    const limits = readLimits({});
    expect(limits).toEqual({
      maxFrameBytes: MIB,
      maxOutboxBytes: 16 * MIB,
      maxOutboxFrames: 65_536,
      highWaterBytes: MIB,
      handshakeTimeoutMs: 10_000,
      pingIntervalMs: 15_000,
      pingTimeoutMs: 10_000,
      requestTimeoutMs: 30_000,
      maxRunningHandlers: 1_024,
      settleTimeoutMs: 30_000,
      drainTimeoutMs: 10_000,
      maxDepth: 64,
      maxValues: 65_536,
      stallTimeoutMs: 30_000,
    });
    expect([Object.isFrozen(limits), Object.keys(limits)]).toEqual([true, Object.keys(LIMITS)]);
  });

  it('take what is given, at both ends of what they take', () => {
    expect(readLimits({ maxFrameBytes: 16 * MIB, drainTimeoutMs: 0, pingIntervalMs: 1 })).toMatchObject({
      maxFrameBytes: 16 * MIB,
      drainTimeoutMs: 0,
      pingIntervalMs: 1,
    });
    expect(readLimits({ requestTimeoutMs: MAX_TIMER_MS }).requestTimeoutMs).toBe(MAX_TIMER_MS);
    expect(readLimits({ maxFrameBytes: undefined } as unknown as LimitOptions).maxFrameBytes).toBe(MIB);
  });

  it.each([
    [
      { maxFrameBytes: 16 * MIB + 1 },
      /'maxFrameBytes' takes a whole number from \d+ to 16777216 \(bytes\), not 16777217/,
    ],
    [{ maxFrameBytes: 1 }, /'maxFrameBytes'/],
    [
      { pingIntervalMs: 0 },
      /'pingIntervalMs' takes a whole number from 1 to 2147483647 \(milliseconds\), not 0/,
    ],
    [{ pingTimeoutMs: 2 ** 31 }, /'pingTimeoutMs'/],
    [
      { maxRunningHandlers: 0 },
      /'maxRunningHandlers' takes a whole number from 1 to 4294967295 \(a count\), not 0/,
    ],
    [{ maxOutboxFrames: 1.5 }, /'maxOutboxFrames'.*not 1\.5/],
    [{ highWaterBytes: '1000' }, /'highWaterBytes'.*not '1000'/],
    [{ maxValues: Number.NaN }, /'maxValues'.*not NaN/],
    [{ maxDepth: 513 }, /'maxDepth'.*to 512/],
    [{ stallTimeoutMs: null }, /'stallTimeoutMs'.*not null/],
    [{ settleTimeoutMs: Number.POSITIVE_INFINITY }, /'settleTimeoutMs'.*not Infinity/],
    [{ requestTimeoutMs: -5 }, /'requestTimeoutMs'.*not -5/],
    [{ maxOutboxBytes: 5n }, /'maxOutboxBytes'.*not 5n/],
  ] as Array<[LimitOptions, RegExp]>)('refuse %o', (options, text) => {
    const error = thrown(() => readLimits(options));
    expect([error.code, error.retry]).toEqual(['NYOTA_INVALID_OPTION', 'never']);
    expect(error.message).toMatch(text);
  });
});
