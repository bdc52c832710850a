/** The limits of both sides: their defaults, and every bad value refused by name. */
import { describe, expect, it } from 'vitest';
import {
  describeValue,
  invalidOption,
  LIMIT_NAMES,
  type LimitOptions,
  MAX_TIMER_MS,
  readBoolean,
  readCount,
  readFunction,
  readLimits,
  readMs,
  refuseUnknown,
} from '../../src/options.js';
import { thrown, thrownCode } from '../support/session-codes.js';

const MIB = 1024 * 1024;

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
    expect([Object.isFrozen(limits), Object.keys(limits)]).toEqual([true, LIMIT_NAMES]);
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

describe('other options', () => {
  it('are milliseconds, counts, booleans or functions', () => {
    const fn = (): void => {};
    expect([readMs('a', undefined, 5), readMs('a', 0, 5, 0), readCount('a', 7, 5)]).toEqual([5, 0, 7]);
    expect([readBoolean('a', undefined, true), readBoolean('a', false, true)]).toEqual([true, false]);
    expect([readFunction('a', undefined), readFunction('a', fn)]).toEqual([undefined, fn]);
    for (const bad of [
      () => readMs('name', 0, 5),
      () => readCount('name', -1, 5),
      () => readBoolean('name', 1, true),
      () => readFunction('name', 'text'),
    ]) {
      const error = thrown(bad);
      expect([error.code, error.message.startsWith("option 'name' takes ")]).toEqual([
        'NYOTA_INVALID_OPTION',
        true,
      ]);
    }
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

describe('a name that no option has', () => {
  const known = new Set(['maxFrameBytes', 'port', 'host', 'tls', 'pingIntervalMs']);

  it.each([
    ['maxFrameByte', 'maxFrameBytes'],
    ['maxframebytes', 'maxFrameBytes'],
    ['maxFramesBytes', 'maxFrameBytes'],
    ['por', 'port'],
    ['hosts', 'host'],
    ['pingInterval', 'pingIntervalMs'],
  ])("'%s' is refused, and '%s' is suggested", (name, meant) => {
    expect(thrown(() => refuseUnknown({ [name]: 1 }, known)).message).toBe(
      `there is no option '${name}'; did you mean '${meant}'?`,
    );
  });

  it('that is like nothing is refused without a suggestion', () => {
    expect(thrown(() => refuseUnknown({ zzzzzz: 1 }, known)).message).toBe("there is no option 'zzzzzz'");
    expect(thrown(() => refuseUnknown({ '\u001b[1m': 1 }, known)).message).toBe(
      "there is no option '\\u001b[1m'",
    );
  });

  it('is refused also where its value is undefined; known ones are let through', () => {
    expect(thrownCode(() => refuseUnknown({ nothing: undefined }, known))).toBe('NYOTA_INVALID_OPTION');
    expect(thrownCode(() => refuseUnknown({ port: 1, tls: undefined }, known))).toBe('nothing thrown');
    expect(thrownCode(() => refuseUnknown({}, known))).toBe('nothing thrown');
  });
});
