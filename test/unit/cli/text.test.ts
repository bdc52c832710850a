/** What is printed of the wire's texts and values can't do anything to a terminal. */
import { describe, expect, it } from 'vitest';
import { escapeText, toJson, toShortJson } from '../../../src/cli/text.js';

describe('text from the wire', () => {
  it.each([
    ['a colour', '\u001b[31mred', '\\u001b[31mred'],
    ['line breaks', 'one\r\ntwo', 'one\\r\\ntwo'],
    ['a bell, a delete and an 8 bit escape', '\u0007\u007f\u009b', '\\u0007\\u007f\\u009b'],
    ['line separators', '\u2028\u2029', '\\u2028\\u2029'],
    ['what turns the reading direction around', '\u202egpj.exe\u2066', '\\u202egpj.exe\\u2066'],
    ['half a surrogate pair', 'x\ud800y', 'x\\ud800y'],
  ])('is shown with %s escaped', (_what, text, shown) => {
    expect(escapeText(text)).toBe(shown);
  });

  it('is left as it is otherwise', () => {
    expect(escapeText('naïve 日本語 👩‍👧 "quoted" \\')).toBe('naïve 日本語 👩‍👧 "quoted" \\');
  });
});

describe('values from the wire', () => {
  it('are JSON on one line that reads back as the same', () => {
    const value = {
      text: 'a\nb\u001b\u007f\u2028\u202e',
      list: [1, null, true, -0.5],
      deep: { '\u0085': '' },
    };
    const json = toJson(value);
    expect(json).not.toMatch(/[\p{Cc}\p{Zl}\u202e]/u);
    expect(JSON.parse(json)).toEqual(value);
  });

  it.each([
    ['undefined', undefined, 'null'],
    ['a bigint', 12345678901234567890n, '"12345678901234567890"'],
    ['a Date', new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ['a Map', new Map([['a', new Set([1])]]), '[["a",[1]]]'],
    ['bytes', Buffer.from('hi'), '"aGk="'],
    ['a part of a buffer', new Uint8Array([1, 2, 3, 4]).subarray(1, 3), '"AgM="'],
    ['an ArrayBuffer', new Uint8Array([1]).buffer, '"AQ=="'],
    [
      'an Error',
      Object.assign(new TypeError('no'), { code: 'E1' }),
      '{"code":"E1","name":"TypeError","message":"no"}',
    ],
    ['values within', { at: [new Date(0), 1n, undefined] }, '{"at":["1970-01-01T00:00:00.000Z","1",null]}'],
  ])('have a form for %s', (_what, value, json) => {
    expect(toJson(value)).toBe(json);
  });

  it('are cut for a screen, saying so', () => {
    expect(toShortJson('x'.repeat(100), 10)).toBe('"xxxxxxxxx… (102 characters)');
    expect(toShortJson('short', 10)).toBe('"short"');
  });
});
