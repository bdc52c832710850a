/** The server's side of the store: revisions, compare-and-set, limits, time to live. */

import { describe, expect, test } from 'vitest';
import { Sequencer } from '../../../../src/features/store/sequencer.js';
import { DEFAULT_STORE_LIMITS, type StoreLimits } from '../../../../src/features/store/writes.js';
import { thrownCode } from '../../../support/session-codes.js';
import { cas, del, set, show } from './helpers.js';

function create(limits: Partial<StoreLimits> = {}) {
  const clock = { now: 1000 };
  return { clock, store: new Sequencer(() => clock.now, { ...DEFAULT_STORE_LIMITS, ...limits }) };
}

/** `accepted@revision`, or the code of the refusal and the current revision. */
function apply(store: Sequencer, op: Parameters<Sequencer['apply']>[0]): string {
  const result = store.apply(op);
  return result.accepted
    ? `accepted@${result.change.revision}`
    : `${result.error.code} ${result.current?.revision ?? 'none'}`;
}

describe('revisions', () => {
  test('start at 1 and rise by one with every accepted write of either side', () => {
    const { store } = create();
    expect(store.revision).toBe(0);
    expect(store.write(set('a', '1')).revision).toBe(1);
    expect(apply(store, set('b', '1'))).toBe('accepted@2');
    expect(store.write(del('a')).revision).toBe(3);
    expect(store.revision).toBe(3);
  });

  test('a delete of what is not there uses one, a refused write uses none', () => {
    const { store } = create();
    expect(show([store.write(del('a'))])).toEqual(['-a@1']);
    expect(store.write(cas('a', 7, '1'))).toBe(undefined);
    expect(apply(store, cas('a', 7, '1'))).toBe('NYOTA_STORE_CONFLICT none');
    expect(store.revision).toBe(1);
  });
});

describe('keys', () => {
  test('come in the order in which they were first set', () => {
    const { store } = create();
    for (const key of ['b', 'a', 'c', 'b']) store.write(set(key, '1'));
    store.write(del('a'));
    store.write(set('a', '1'));
    expect([...store.keys()]).toEqual(['b', 'c', 'a']);
    expect([store.size, store.bytes, store.has('a'), store.has('x')]).toEqual([3, 6, true, false]);
  });
});

describe('compare-and-set', () => {
  test('0 means: must not exist', () => {
    const { store } = create();
    expect(apply(store, cas('a', 0, '1'))).toBe('accepted@1');
    expect(apply(store, cas('a', 0, '2'))).toBe('NYOTA_STORE_CONFLICT 1');
    store.write(del('a'));
    expect(apply(store, cas('a', 1, '2'))).toBe('NYOTA_STORE_CONFLICT none');
    expect(apply(store, cas('a', 0, '2'))).toBe('accepted@3');
  });

  test('takes the exact revision only, and can delete', () => {
    const { store } = create();
    store.write(set('a', '1'));
    store.write(set('a', '2'));
    expect(apply(store, cas('a', 1, '3'))).toBe('NYOTA_STORE_CONFLICT 2');
    expect(apply(store, cas('a', 3, '3'))).toBe('NYOTA_STORE_CONFLICT 2');
    expect(apply(store, cas('a', 2, undefined))).toBe('accepted@3');
    expect(store.has('a')).toBe(false);
  });

  test("the server's own returns the change or undefined", () => {
    const { store } = create();
    expect(show([store.write(cas('a', 0, '1'))].filter((c) => c !== undefined))).toEqual(['a=1@1']);
    expect(store.write(cas('a', 0, '1'))).toBe(undefined);
  });

  test('the refusal carries the entry that stands', () => {
    const { store } = create();
    store.write(set('a', '1'));
    const result = store.apply(cas('a', 0, '2'));
    expect(result.accepted).toBe(false);
    if (!result.accepted) expect(result.current?.bytes.toString()).toBe('1');
  });
});

describe('limits', () => {
  test.each<[string, Partial<StoreLimits>, Parameters<Sequencer['apply']>[0]]>([
    ['a key too long', { maxKeyBytes: 1 }, set('ab', '')],
    ['a value too large', { maxValueBytes: 1 }, set('b', '12')],
    ['a key too many', { maxKeys: 1 }, set('b', '')],
    ['a created key too many', { maxKeys: 1 }, cas('b', 0, '')],
    ['a store too large', { maxStoreBytes: 4 }, set('b', '12')],
    ['a store too large by a longer value', { maxStoreBytes: 4 }, set('a', '1234')],
  ])('%s: thrown at the server, refused to the client, nothing changed', (_name, limits, op) => {
    const { store } = create(limits);
    store.write(set('a', '1'));
    if (op.kind === 'set') expect(thrownCode(() => store.write(op))).toBe('NYOTA_STORE_LIMIT');
    expect(apply(store, op)).toBe(`NYOTA_STORE_LIMIT ${op.key === 'a' ? 1 : 'none'}`);
    expect([store.revision, store.size, store.bytes]).toEqual([1, 1, 2]);
  });

  test('a full store takes new values of its keys, deletes, and then a new key', () => {
    const { store } = create({ maxKeys: 2, maxStoreBytes: 4 });
    store.write(set('a', '1'));
    store.write(set('b', '1'));
    expect(apply(store, set('a', '2'))).toBe('accepted@3');
    expect(apply(store, set('c', '1'))).toBe('NYOTA_STORE_LIMIT none');
    expect(apply(store, del('b'))).toBe('accepted@4');
    expect(apply(store, set('c', '1'))).toBe('accepted@5');
    expect(store.bytes).toBe(4);
  });

  test('a client that writes the read-only key or no key at all is refused, not an error here', () => {
    const { store } = create();
    expect(apply(store, set('sessionID', '1'))).toBe('NYOTA_READ_ONLY_KEY none');
    expect(apply(store, set('', '1'))).toBe('NYOTA_INVALID_ARGUMENT none');
    expect(apply(store, set('a', '1', 0))).toBe('NYOTA_INVALID_ARGUMENT none');
    expect(thrownCode(() => store.write(set('sessionID', '1')))).toBe('NYOTA_READ_ONLY_KEY');
  });
});

describe('time to live', () => {
  test('an entry goes with a revision of its own when expire is called after its time', () => {
    const { clock, store } = create();
    store.write(set('a', '1', 50));
    expect(store.nextExpiry()).toBe(1050);
    clock.now = 1049;
    expect(store.expire(clock.now)).toEqual([]);
    clock.now = 1050;
    expect(store.has('a')).toBe(true);
    expect(show(store.expire(clock.now))).toEqual(['-a@2']);
    expect([store.has('a'), store.bytes, store.nextExpiry()]).toEqual([false, 0, Number.POSITIVE_INFINITY]);
  });

  test('several go in the order of their times', () => {
    const { store } = create();
    store.write(set('a', '1', 30));
    store.write(set('b', '1', 10));
    expect(apply(store, set('c', '1', 20))).toBe('accepted@3');
    store.write(set('d', '1', 40));
    expect(show(store.expire(1030))).toEqual(['-b@5', '-c@6', '-a@7']);
  });

  test.each([
    ['a later set without one clears it', set('a', '2'), Number.POSITIVE_INFINITY],
    ['a later compare-and-set without one clears it', cas('a', 1, '2'), Number.POSITIVE_INFINITY],
    ['a later set starts it anew', set('a', '2', 50), 1070],
    ['a delete ends it', del('a'), Number.POSITIVE_INFINITY],
    ['a refused write leaves it', cas('a', 9, '2'), 1050],
  ])('%s', (_name, op, expected) => {
    const { clock, store } = create();
    store.write(set('a', '1', 50));
    clock.now = 1020;
    store.apply(op);
    expect(store.nextExpiry()).toBe(expected);
  });
});
