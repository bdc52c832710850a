/** Which keys a watcher's pattern takes. */

import { describe, expect, test } from 'vitest';
import { compilePattern } from '../../../../src/features/store/pattern.js';
import { thrownCode } from '../../../support/session-codes.js';

describe('compilePattern', () => {
  test.each<[string, string[], string[]]>([
    ['cart', ['cart'], ['carts', 'car', 'Cart', '']],
    ['*', ['', 'a', 'a.b\nc'], []],
    ['cart.*', ['cart.', 'cart.1', 'cart.1.2'], ['cart', 'xcart.1']],
    ['*.id', ['.id', 'a.id', 'a.id.id'], ['a.idx', 'id']],
    ['a*a', ['aa', 'aba', 'aaa'], ['a', 'ab', 'ba']],
    ['a*b*c', ['abc', 'a1b2c', 'abbc', 'abcbc'], ['ac', 'acb', 'bc']],
    ['a*bc*c', ['abcc', 'abcbcc'], ['abc']],
    ['**', ['', 'x'], []],
    ['a**b', ['ab', 'axb'], ['a']],
    ['a.b', ['a.b'], ['axb']],
    ['[ab]+?(c)*', ['[ab]+?(c)', '[ab]+?(c)x'], ['ac', 'a']],
  ])('%j', (pattern, yes, no) => {
    const matches = compilePattern(pattern);
    expect(yes.filter((key) => !matches(key))).toEqual([]);
    expect(no.filter(matches)).toEqual([]);
  });

  test('a global or sticky RegExp gives the same answer every time', () => {
    for (const flags of ['g', 'y', 'gy']) {
      const matches = compilePattern(new RegExp('a.', flags));
      expect([matches('ab'), matches('ab'), matches('xx'), matches('ab')]).toEqual([true, true, false, true]);
    }
  });

  test("a RegExp keeps its flags, and the caller's own copy keeps its lastIndex", () => {
    const own = /B/gi;
    own.lastIndex = 7;
    expect(compilePattern(own)('abc')).toBe(true);
    expect(own.lastIndex).toBe(7);
  });

  test('many stars are answered at once', () => {
    const matches = compilePattern(`${'a*'.repeat(100)}b`);
    // A search that tries every split would not come back within the test's time.
    expect(matches('a'.repeat(256))).toBe(false);
  });

  test('refuses what is neither', () => {
    const untyped: (pattern: unknown) => unknown = compilePattern as (pattern: unknown) => unknown;
    expect(thrownCode(() => untyped(7))).toBe('NYOTA_INVALID_ARGUMENT');
  });
});
