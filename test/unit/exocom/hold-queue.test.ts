/** What waits for somebody who is not there. */
import { describe, expect, it } from 'vitest';
import { HoldQueue } from '../../../src/exocom/hold-queue.js';

describe('a queue for who is not there', () => {
  const limits = { ttlMs: 100, maxMessages: 3, maxBytes: 100 };

  it('keeps the order, by key', () => {
    const queue = new HoldQueue<number>(limits);
    expect([queue.push('a', 1, 10, 0), queue.push('b', 2, 10, 0), queue.push('a', 3, 10, 5)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(queue.take((key) => key === 'a')).toEqual([1, 3]);
    expect([queue.length, queue.bytes, queue.nextExpiry]).toEqual([1, 10, 100]);
  });

  it('is bounded in messages and bytes, and lets go of what is too old', () => {
    const queue = new HoldQueue<number>(limits);
    expect(queue.push('a', 1, 101, 0)).toBe(false);
    for (const n of [1, 2, 3]) expect(queue.push('a', n, 20, n)).toBe(true);
    expect(queue.push('a', 4, 1, 3)).toBe(false);
    expect(queue.expire(100)).toEqual([]);
    expect(queue.expire(102)).toEqual([1, 2]);
    expect([queue.length, queue.bytes]).toEqual([1, 20]);
    expect(new HoldQueue(limits).nextExpiry).toBe(undefined);
  });
});
