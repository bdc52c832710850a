/** The queue of writes without an answer: what it keeps, and that it lets go of it. */

import { describe, expect, test } from 'vitest';
import {
  type KeyRecord,
  newRecord,
  type PendingOp,
  PendingOps,
} from '../../../../src/features/store/replica.js';

const pending = (record: KeyRecord, seq: number, kind: PendingOp['kind'] = 'set'): PendingOp => ({
  seq,
  record,
  kind,
  bytes: kind === 'delete' ? undefined : Buffer.from(`${seq}`),
  ttlMs: undefined,
  onResult: undefined,
  next: undefined,
});

describe('PendingOps', () => {
  test('leaves in the order of coming, and can be filled again', () => {
    const ops = new PendingOps();
    const record = newRecord('a');
    for (let round = 0; round < 2; round++) {
      for (const seq of [1, 2, 3]) ops.push(pending(record, seq));
      expect([ops.head?.seq, ops.tail?.seq, ops.size, record.pending]).toEqual([1, 3, 3, 3]);
      const left: unknown[] = [];
      for (; ops.head !== undefined; ops.shift()) left.push(ops.head.seq);
      expect(left).toEqual([1, 2, 3]);
      expect([ops.tail, ops.size, record.pending]).toEqual([undefined, 0, 0]);
      ops.shift();
      expect(ops.size).toBe(0);
    }
  });

  test('a key shows its last set or delete while that is pending', () => {
    const ops = new PendingOps();
    const [a, b] = [newRecord('a'), newRecord('b')];
    ops.push(pending(a, 1, 'compare-and-set'));
    expect(a.shown).toBe(undefined);
    ops.push(pending(a, 2));
    ops.push(pending(b, 3, 'delete'));
    ops.push(pending(a, 4, 'compare-and-set'));
    expect([a.shown?.seq, b.shown?.seq]).toEqual([2, 3]);
    ops.shift();
    expect(a.shown?.seq).toBe(2);
    ops.shift();
    expect([a.shown, a.pending]).toEqual([undefined, 1]);
  });

  test('one that is taken out of the middle lets the one before it show again', () => {
    const ops = new PendingOps();
    const record = newRecord('a');
    const all = [1, 2, 3].map((seq) => pending(record, seq));
    for (const op of all) ops.push(op);
    ops.remove(all[2] as PendingOp);
    expect([record.shown?.seq, record.pending, ops.tail?.seq]).toEqual([2, 2, 2]);
    ops.remove(all[0] as PendingOp);
    expect([record.shown?.seq, record.pending, ops.head?.seq, ops.size]).toEqual([2, 1, 2, 1]);
    expect([ops.find(2)?.seq, ops.find(3)]).toEqual([2, undefined]);
  });

  test('one that has left leads to none that came after it', () => {
    const ops = new PendingOps();
    const first = pending(newRecord('a'), 1);
    ops.push(first);
    ops.push(pending(newRecord('b'), 2));
    ops.shift();
    expect(first.next).toBe(undefined);
  });
});
