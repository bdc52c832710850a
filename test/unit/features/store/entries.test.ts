/** Entries: bytes that add up, and keys that expire in order. */

import { describe, expect, test } from 'vitest';
import { Entries, ExpiryQueue } from '../../../../src/features/store/sequencer.js';
import { bytes } from './helpers.js';

const entry = (text: string) => ({ bytes: bytes(text), revision: 1 });

describe('Entries', () => {
  test('counts the UTF-8 bytes of keys and the bytes of values', () => {
    const entries = new Entries();
    entries.set('é', entry('123'));
    expect(entries.bytes).toBe(5);
    entries.set('é', entry('1'));
    expect(entries.bytes).toBe(3);
    entries.set('b', entry(''));
    expect(entries.bytes).toBe(4);
    entries.delete('é');
    entries.delete('é');
    expect(entries.bytes).toBe(1);
    entries.delete('b');
    expect([entries.bytes, entries.size]).toEqual([0, 0]);
  });

  test('tells what the bytes would be with another value', () => {
    const entries = new Entries();
    expect(entries.bytesWith('ab', 10)).toBe(12);
    entries.set('ab', entry('12345'));
    expect(entries.bytesWith('ab', 10)).toBe(12);
    expect(entries.bytes).toBe(7);
  });

  test('an empty one answers everything', () => {
    const entries = new Entries();
    expect([...entries.keys()]).toEqual([]);
    expect([entries.size, entries.bytes, entries.has('a'), entries.get('a')]).toEqual([
      0,
      0,
      false,
      undefined,
    ]);
    expect([entries.nextExpiry(), entries.expired(Number.MAX_VALUE)]).toEqual([
      Number.POSITIVE_INFINITY,
      undefined,
    ]);
  });

  test('__proto__, constructor and prototype are keys like any other', () => {
    const entries = new Entries();
    expect(entries.has('__proto__')).toBe(false);
    for (const key of ['__proto__', 'constructor', 'prototype']) entries.set(key, entry(key));
    expect([...entries.keys()]).toEqual(['__proto__', 'constructor', 'prototype']);
    expect(entries.get('constructor')?.bytes.toString()).toBe('constructor');
  });

  test('a set without a time clears the time, a delete takes it along', () => {
    const entries = new Entries();
    entries.set('a', entry('1'), 10);
    entries.set('b', entry('1'), 20);
    entries.set('a', entry('2'));
    expect(entries.nextExpiry()).toBe(20);
    entries.delete('b');
    expect(entries.nextExpiry()).toBe(Number.POSITIVE_INFINITY);
  });

  test('clear leaves nothing behind', () => {
    const entries = new Entries();
    entries.set('a', entry('1'), 10);
    entries.clear();
    expect([entries.size, entries.bytes, entries.nextExpiry(), entries.has('a')]).toEqual([
      0,
      0,
      Number.POSITIVE_INFINITY,
      false,
    ]);
  });
});

describe('ExpiryQueue', () => {
  const drain = (queue: ExpiryQueue, now: number): string[] => {
    const keys: string[] = [];
    for (let key = queue.due(now); key !== undefined; key = queue.due(now)) {
      keys.push(key);
      queue.remove(key);
    }
    return keys;
  };

  test('gives what is due and no more, the earliest first, equals in the order of adding', () => {
    const queue = new ExpiryQueue();
    for (const [key, at] of [
      ['e', 50],
      ['b1', 20],
      ['a', 10],
      ['b2', 20],
      ['d', 40],
      ['b3', 20],
    ] as const) {
      queue.set(key, at);
    }
    expect(queue.due(9)).toBe(undefined);
    expect(drain(queue, 20)).toEqual(['a', 'b1', 'b2', 'b3']);
    expect(queue.next()).toBe(40);
    expect(drain(queue, 1000)).toEqual(['d', 'e']);
  });

  test('a key that is written over and over takes one place', () => {
    const queue = new ExpiryQueue();
    for (let at = 0; at < 1000; at++) queue.set('a', at);
    expect([queue.size, queue.next()]).toEqual([1, 999]);
  });

  test('agrees with sorting through any mix of adding, moving and removing', () => {
    const queue = new ExpiryQueue();
    const reference = new Map<string, number>();
    // A fixed sequence that looks like chance: every run does the same.
    let state = 12345;
    const random = (below: number) => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((state / 2 ** 31) * below);
    };
    for (let i = 0; i < 3000; i++) {
      const key = `k${random(60)}`;
      if (random(3) === 0) {
        queue.remove(key);
        reference.delete(key);
      } else {
        // Times that never repeat, so that the order is the times' alone.
        const at = random(1000) * 10_000 + i;
        queue.set(key, at);
        reference.set(key, at);
      }
      expect(queue.size).toBe(reference.size);
      expect(queue.next()).toBe(Math.min(...reference.values(), Number.POSITIVE_INFINITY));
    }
    const sorted = [...reference].sort((a, b) => a[1] - b[1]).map(([key]) => key);
    expect(drain(queue, Number.POSITIVE_INFINITY)).toEqual(sorted);
  });
});
