/** The queue of writes without an answer: what it keeps, and that it lets go of it. */

import { describe, expect, test } from 'vitest';
import { type PendingOp, PendingOps } from '../../../src/sync/pending-ops.js';
import type { WriteOp } from '../../../src/sync/types.js';
import { cas, del, set } from './helpers.js';

const pending = (op: WriteOp, seq: number): PendingOp => ({ seq, op, onResult: undefined, next: undefined });

describe('PendingOps', () => {
  test('leaves in the order of coming, and can be filled again', () => {
    const ops = new PendingOps();
    for (let round = 0; round < 2; round++) {
      for (const seq of [1, 2, 3]) ops.push(pending(set('a', '1'), seq), 0);
      expect([ops.head?.seq, ops.tail?.seq, ops.size]).toEqual([1, 3, 3]);
      const left: unknown[] = [];
      for (; ops.head !== undefined; ops.shift()) left.push(ops.head.seq);
      expect(left).toEqual([1, 2, 3]);
      expect([ops.tail, ops.size]).toEqual([undefined, 0]);
      ops.shift();
      expect(ops.size).toBe(0);
    }
  });

  test('a key shows its last set or delete, and is forgotten with its last write', () => {
    const ops = new PendingOps();
    ops.push(pending(cas('a', 0, '1'), 1), 7);
    expect([ops.key('a')?.shown, ops.key('a')?.revision]).toEqual([undefined, 7]);
    ops.push(pending(set('a', '1'), 2), 9);
    ops.push(pending(del('b'), 3), 0);
    ops.push(pending(cas('a', 0, '2'), 4), 9);
    expect([ops.key('a')?.shown?.seq, ops.key('a')?.revision]).toEqual([2, 7]);
    ops.shift();
    expect(ops.key('a')?.shown?.seq).toBe(2);
    ops.shift();
    expect(ops.key('a')).toMatchObject({ count: 1, shown: undefined });
    ops.shift();
    expect([...ops.keys()].map(([key]) => key)).toEqual(['a']);
    ops.shift();
    expect([...ops.keys()]).toEqual([]);
  });
});
