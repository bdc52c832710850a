/** Copies of values: each its own, whatever comes behind it, and none that holds much more memory than it is long. */

import { describe, expect, test } from 'vitest';
import { keepPart } from '../../../src/codec/value-pool.js';

describe('keepPart', () => {
  test('copies the part, and nothing that comes later touches it', () => {
    const kept: Array<{ own: Buffer; expected: Buffer }> = [];
    for (let i = 0; i < 2000; i++) {
      const view = Buffer.alloc(1 + ((i * 37) % 300), i);
      const from = i % 3 === 0 ? 0 : Math.floor(view.length / 4);
      const to = view.length - (i % 5 === 0 ? Math.floor(view.length / 4) : 0);
      const expected = Buffer.from(view.subarray(from, to));
      kept.push({ own: keepPart(view, from, to), expected });
      view.fill(0xee);
    }
    for (const { own, expected } of kept) expect(own.equals(expected)).toBe(true);
  });

  test.each([2048, 2049, 8192, 8193, 100_000])('a view of %i bytes', (length) => {
    const view = Buffer.alloc(length, 7);
    const own = keepPart(view, 3, length - 2);
    view.fill(0);
    expect(own.equals(Buffer.alloc(length - 5, 7))).toBe(true);
    expect(own.buffer.byteLength).toBe(length > 2048 ? length - 5 : 8192);
  });

  test('an empty part is a Buffer like any other', () => {
    expect(keepPart(Buffer.alloc(0), 0, 0)).toEqual(Buffer.alloc(0));
  });
});
