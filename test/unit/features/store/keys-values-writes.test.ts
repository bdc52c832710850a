/** What may be a key, a value, a write. */

import { describe, expect, test } from 'vitest';
import {
  checkKey,
  checkOp,
  checkValueSize,
  DEFAULT_STORE_LIMITS,
} from '../../../../src/features/store/writes.js';
import { thrownCode } from '../../../support/session-codes.js';
import { bytes, cas, del, set } from './helpers.js';

describe('checkKey', () => {
  test.each([
    ['a'],
    ['__proto__'],
    ['constructor'],
    ['x'.repeat(256)],
    ['é'.repeat(128)],
    ['😀'.repeat(64)],
    ['sessionid'],
    [' '],
    ['\u0000'],
  ])('takes %j', (key) => {
    expect(thrownCode(() => checkKey(key))).toBe('nothing thrown');
  });

  test.each([[''], ['x'.repeat(257)], [`${'é'.repeat(128)}x`], [undefined], [1], [null], [{}], [['a']]])(
    'refuses %j as no key',
    (key) => {
      expect(thrownCode(() => checkKey(key))).toBe('NYOTA_INVALID_ARGUMENT');
    },
  );

  test('refuses half a surrogate pair: the other side would see another key', () => {
    expect(thrownCode(() => checkKey('a\ud800'))).toBe('NYOTA_INVALID_ARGUMENT');
    expect(thrownCode(() => checkKey('\udc00a'))).toBe('NYOTA_INVALID_ARGUMENT');
  });

  test('refuses sessionID as read only', () => {
    expect(thrownCode(() => checkKey('sessionID'))).toBe('NYOTA_READ_ONLY_KEY');
  });

  test('escapes the key in its message', () => {
    expect(() => checkKey(`\u001b[2J${'x'.repeat(300)}`)).toThrow(/\\u001b\[2Jx+…" has 304$/);
  });
});

describe('checkValueSize', () => {
  test('takes a value at the limit and names key, size and limit of a larger one', () => {
    const limits = { ...DEFAULT_STORE_LIMITS, maxValueBytes: 4 };
    expect(thrownCode(() => checkValueSize('k', bytes('1234'), limits))).toBe('nothing thrown');
    expect(thrownCode(() => checkValueSize('k', bytes('12345'), limits))).toBe('NYOTA_STORE_LIMIT');
    expect(() => checkValueSize('k\n', bytes('12345'), limits)).toThrow(/"k\\n" has 5 bytes, the limit is 4/);
  });
});

describe('checkOp', () => {
  const limits = { ...DEFAULT_STORE_LIMITS, maxKeyBytes: 4, maxValueBytes: 4 };

  test.each([
    ['a key over the limit', set('12345', 'v'), 'NYOTA_STORE_LIMIT'],
    ['the key of a delete over the limit', del('12345'), 'NYOTA_STORE_LIMIT'],
    ['an empty key', del(''), 'NYOTA_INVALID_ARGUMENT'],
    ['a value over the limit', set('k', '12345'), 'NYOTA_STORE_LIMIT'],
    ['a compared value over the limit', cas('k', 0, '12345'), 'NYOTA_STORE_LIMIT'],
    ['no time to live at all', set('k', 'v', 0), 'NYOTA_INVALID_ARGUMENT'],
    ['a negative time to live', set('k', 'v', -1), 'NYOTA_INVALID_ARGUMENT'],
    ['a broken time to live', set('k', 'v', 1.5), 'NYOTA_INVALID_ARGUMENT'],
    ['a time to live that is no number', cas('k', 0, 'v', Number.NaN), 'NYOTA_INVALID_ARGUMENT'],
    ['a time to live of more than 48 bits', set('k', 'v', 2 ** 48), 'NYOTA_INVALID_ARGUMENT'],
    ['a negative expected revision', cas('k', -1, 'v'), 'NYOTA_INVALID_ARGUMENT'],
  ])('refuses %s', (_name, op, code) => {
    expect(thrownCode(() => checkOp(op, limits))).toBe(code);
  });

  test('takes what is at the limits', () => {
    for (const op of [
      set('1234', '1234', 1),
      del('1234'),
      cas('1234', 0, undefined),
      cas('k', 2 ** 48 - 1, ''),
    ]) {
      expect(thrownCode(() => checkOp(op, limits))).toBe('nothing thrown');
    }
  });

  test('refuses sessionID also where keys must be shorter', () => {
    expect(thrownCode(() => checkOp(set('sessionID', 'v'), DEFAULT_STORE_LIMITS))).toBe(
      'NYOTA_READ_ONLY_KEY',
    );
  });
});
