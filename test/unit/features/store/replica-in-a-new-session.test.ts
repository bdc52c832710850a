/** The replica around its content: callbacks, being idle, and the way into a new session. */

import { describe, expect, test } from 'vitest';
import { NyotaError } from '../../../../src/errors.js';
import { Replica } from '../../../../src/features/store/replica.js';
import type { Change } from '../../../../src/features/store/writes.js';
import { thrownCode } from '../../../support/session-codes.js';
import { bytes, cas, change, del, set, show } from './helpers.js';

const lost = new NyotaError('NYOTA_SESSION_LOST', 'lost');

describe('callbacks', () => {
  test('see the state after the whole answer', () => {
    const replica = new Replica();
    const seen: unknown[] = [];
    const look = () =>
      seen.push([replica.pending, replica.confirmedRevision('a'), replica.confirmedRevision('b')]);
    replica.submit(set('a', '1'), 1, look);
    replica.submit(set('b', '1'), 2, look);
    replica.whenIdle(look);
    replica.result(2, 2);
    expect(seen).toEqual([
      [0, 1, 2],
      [0, 1, 2],
      [0, 1, 2],
    ]);
  });

  test('may write: the changes stay in order for who passes them on', () => {
    const replica = new Replica();
    const passedOn: Change[] = [];
    replica.submit(set('a', '1'), 1, () => passedOn.push(...replica.submit(set('a', '2'), 2)));
    const { changes } = replica.result(1, 0, { error: lost, current: undefined });
    passedOn.push(...changes);
    expect(show(passedOn)).toEqual(['-a@0', 'a=2@0']);
    expect([replica.get('a')?.bytes.toString(), replica.size, replica.pending]).toEqual(['2', 1, 1]);
  });

  test('may try a compare-and-set again, and are given what the answer changed', () => {
    const replica = new Replica();
    const passedOn: Change[] = [];
    const results: unknown[] = [];
    const again = () => {
      const op = cas('a', replica.confirmedRevision('a'), '2');
      passedOn.push(...replica.submit(op, 2, (result) => results.push(result)));
    };
    replica.submit(cas('a', 0, '1'), 1, again);
    const current = { bytes: bytes('theirs'), revision: 1 };
    passedOn.push(...replica.result(1, 1, { error: lost, current }).changes);
    passedOn.push(...replica.result(2, 2).changes);
    expect(show(passedOn)).toEqual(['a=theirs@1', 'a=2@2']);
    expect(results).toEqual([{ accepted: true, revision: 2 }]);
  });

  test('one that throws keeps none of the others from being called, and loses no change', () => {
    const replica = new Replica();
    const called: string[] = [];
    replica.submit(cas('a', 0, '1'), 1, () => {
      throw new Error('from the callback');
    });
    replica.submit(set('b', '1'), 2, () => called.push('b'));
    replica.whenIdle(() => called.push('idle'));
    expect(() => replica.result(2, 2)).toThrow('from the callback');
    expect(called).toEqual(['b', 'idle']);
    expect(show(replica.submit(set('c', '1'), 3))).toEqual(['a=1@1', 'c=1@0']);
  });
});

describe('whenIdle', () => {
  test('calls at once where nothing is pending', () => {
    let calls = 0;
    new Replica().whenIdle(() => calls++);
    expect(calls).toBe(1);
  });

  test('calls once, after the last answer, also after a refusal', () => {
    const replica = new Replica();
    let calls = 0;
    replica.submit(set('a', '1'), 1);
    replica.submit(del('a'), 2);
    replica.whenIdle(() => calls++);
    replica.result(1, 1);
    expect(calls).toBe(0);
    replica.result(2, 1, { error: lost, current: undefined });
    expect(calls).toBe(1);
    replica.submit(set('a', '1'), 3);
    replica.result(3, 2);
    expect(calls).toBe(1);
  });

  test('goes on waiting where a callback before it wrote', () => {
    const replica = new Replica();
    const calls: string[] = [];
    replica.submit(set('a', '1'), 1, () => replica.submit(set('a', '2'), 2));
    replica.whenIdle(() => {
      calls.push('first');
      replica.submit(set('a', '3'), 3);
    });
    replica.whenIdle(() => calls.push('second'));
    replica.result(1, 1);
    expect(calls).toEqual([]);
    replica.result(2, 2);
    expect(calls).toEqual(['first']);
    replica.result(3, 3);
    expect(calls).toEqual(['first', 'second']);
  });
});

describe('carry', () => {
  test('rebuilds the visible content, and only the time to live of pending sets', () => {
    const replica = new Replica();
    replica.submit(set('own', '1', 50), 1);
    replica.result(1, 1);
    replica.delta(change('theirs', '1', 2));
    replica.delta(change('gone', '1', 3));
    replica.delta(change('changed', '1', 4));
    replica.submit(del('gone'), 2);
    replica.submit(set('changed', '2', 70), 3);
    replica.submit(set('new', '1', 60), 4);
    replica.submit(cas('created', 0, '1'), 5);
    replica.submit(cas('theirs', 2, '2'), 6);
    expect(replica.carry()).toEqual([
      set('own', '1'),
      set('theirs', '1'),
      set('changed', '2', 70),
      set('new', '1', 60),
    ]);
  });

  test('leads to the same visible content in a new session', () => {
    const replica = new Replica();
    const results: unknown[] = [];
    replica.delta(change('a', '1', 1));
    replica.submit(set('b', '1'), 1, (result) => results.push(result));
    const ops = replica.carry();
    replica.abandon(lost);
    expect(results).toEqual([{ accepted: false, error: lost }]);
    replica.clear();
    for (const [index, op] of ops.entries()) replica.submit(op, index + 1);
    expect([...replica.keys()].map((key) => replica.get(key)?.bytes.toString())).toEqual(['1', '1']);
    replica.result(2, 2);
    expect([replica.confirmedRevision('a'), replica.confirmedRevision('b'), replica.size]).toEqual([1, 2, 2]);
    expect(results.length).toBe(1);
  });
});

describe('abandon and clear', () => {
  test('abandon answers each write once and leaves what is visible', () => {
    const replica = new Replica();
    const codes: string[] = [];
    replica.submit(set('a', '1'), 1, (result) =>
      codes.push(result.accepted ? 'accepted' : result.error.code),
    );
    replica.abandon(lost);
    replica.abandon(new NyotaError('NYOTA_CLOSED', 'closed'));
    expect([codes, replica.get('a')?.bytes.toString(), replica.pending]).toEqual([
      ['NYOTA_SESSION_LOST'],
      '1',
      1,
    ]);
  });

  test('clear deletes what is visible, and lets nobody wait for ever', () => {
    const replica = new Replica();
    const told: string[] = [];
    replica.delta(change('a', '1', 4));
    replica.delta(change('b', '1', 5));
    replica.submit(del('b'), 1);
    replica.submit(set('c', '1'), 2, (result) => told.push(result.accepted ? 'accepted' : result.error.code));
    replica.whenIdle(() => told.push(`idle ${replica.size}`));
    expect(show(replica.clear())).toEqual(['-a@4', '-c@0']);
    expect(told).toEqual(['NYOTA_SESSION_LOST', 'idle 0']);
    expect([replica.size, replica.pending, [...replica.keys()]]).toEqual([0, 0, []]);
  });

  test('revisions and frame numbers start anew after clear', () => {
    const replica = new Replica();
    replica.submit(set('a', '1'), 8);
    replica.result(8, 8);
    replica.submit(del('a'), 9);
    replica.result(9, 9);
    replica.clear();
    expect(show(replica.delta(change('a', '1', 1)))).toEqual(['a=1@1']);
    replica.submit(set('a', '2'), 1);
    expect(thrownCode(() => replica.result(1, 2))).toBe('nothing thrown');
  });

  test('a great many pending writes are answered at the cost of one each', () => {
    const replica = new Replica();
    let called = 0;
    for (let seq = 1; seq <= 60_000; seq++) replica.submit(set('a', 'x'), seq, () => called++);
    replica.result(60_000, 60_000);
    expect([called, replica.pending, replica.confirmedRevision('a')]).toEqual([60_000, 0, 60_000]);
  });
});
