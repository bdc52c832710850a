/** The client's side of the store: what is visible, and what the server's answers do to it. */

import { describe, expect, test } from 'vitest';
import { NyotaError } from '../../../../src/errors.js';
import { Replica } from '../../../../src/features/store/replica.js';
import { DEFAULT_STORE_LIMITS } from '../../../../src/features/store/writes.js';
import { thrownCode } from '../../../support/session-codes.js';
import { bytes, cas, change, del, set, show } from './helpers.js';

const refused = (current?: { bytes: Buffer; revision: number }) => ({
  error: new NyotaError('NYOTA_STORE_LIMIT', 'full'),
  current,
});

const text = (replica: Replica, key: string) => replica.get(key)?.bytes.toString();

describe('a write', () => {
  test('shows at once, with revision 0 for a new key', () => {
    const replica = new Replica();
    expect(show(replica.submit(set('a', '1'), 1))).toEqual(['a=1@0']);
    expect(replica.get('a')).toEqual({ bytes: bytes('1'), revision: 0 });
    expect([replica.has('a'), replica.size, replica.pending]).toEqual([true, 1, 1]);
    expect([...replica.keys()]).toEqual(['a']);
    expect([replica.confirmed('a'), replica.confirmedRevision('a')]).toEqual([undefined, 0]);
  });

  test('shows with the confirmed revision of its key', () => {
    const replica = new Replica();
    replica.delta(change('a', '1', 7));
    expect(show(replica.submit(set('a', '2'), 1))).toEqual(['a=2@7']);
    expect(show(replica.submit(del('a'), 2))).toEqual(['-a@7']);
    expect([replica.get('a'), replica.size, [...replica.keys()]]).toEqual([undefined, 0, []]);
    expect(replica.confirmed('a')?.bytes.toString()).toBe('1');
  });

  test('is confirmed without another change', () => {
    const replica = new Replica();
    replica.submit(set('a', '1'), 1);
    expect(replica.result(1, 5)).toEqual({ changes: [], conflicts: [] });
    expect(replica.get('a')).toEqual({ bytes: bytes('1'), revision: 5 });
    expect(replica.pending).toBe(0);
  });

  test('that nobody would hear of is not told, and what others change still is', () => {
    const replica = new Replica();
    replica.tellsOwn = false;
    expect(replica.submit(set('a', '1'), 1)).toEqual([]);
    expect(replica.submit(del('b'), 2)).toEqual([]);
    expect([text(replica, 'a'), replica.size]).toEqual(['1', 1]);
    expect(show(replica.delta(change('c', '1', 1)))).toEqual(['c=1@1']);
    replica.tellsOwn = true;
    expect(show(replica.submit(del('a'), 3))).toEqual(['-a@0']);
    expect(replica.size).toBe(1);
  });

  test('a delete of what is not there shows nothing, and still waits for its answer', () => {
    const replica = new Replica();
    expect(replica.submit(del('a'), 1)).toEqual([]);
    expect([replica.pending, replica.size]).toEqual([1, 0]);
  });

  test('a frame number that does not rise is a mistake of the caller, and changes nothing', () => {
    const replica = new Replica();
    replica.submit(set('a', '1'), 2);
    expect(thrownCode(() => replica.submit(set('a', '2'), 2))).toBe('NYOTA_INTERNAL');
    expect([text(replica, 'a'), replica.pending]).toEqual(['1', 1]);
  });
});

describe('a change from the server', () => {
  test('shows, and goes when it is deleted', () => {
    const replica = new Replica();
    expect(show(replica.delta(change('a', '1', 1)))).toEqual(['a=1@1']);
    expect(show(replica.delta(change('a', undefined, 2)))).toEqual(['-a@2']);
    expect(replica.delta(change('a', undefined, 3))).toEqual([]);
    expect([replica.size, replica.confirmedRevision('a')]).toEqual([0, 0]);
  });

  test('is hidden by a pending write, which then stands on top of it', () => {
    const replica = new Replica();
    replica.submit(set('a', 'mine'), 1);
    expect(replica.delta(change('a', 'theirs', 1))).toEqual([]);
    expect(replica.get('a')).toEqual({ bytes: bytes('mine'), revision: 1 });
    expect(replica.confirmed('a')?.bytes.toString()).toBe('theirs');
    expect(replica.result(1, 2).changes).toEqual([]);
    expect(replica.get('a')).toEqual({ bytes: bytes('mine'), revision: 2 });
  });

  test('one that is older than what is known is ignored', () => {
    const replica = new Replica();
    replica.delta(change('a', '2', 2));
    expect(replica.delta(change('a', '1', 1))).toEqual([]);
    expect(replica.delta(change('a', '2b', 2))).toEqual([]);
    expect(text(replica, 'a')).toBe('2');
  });

  test('a deleted key stays deleted', () => {
    const replica = new Replica();
    replica.delta(change('a', '1', 1));
    replica.delta(change('a', undefined, 2));
    expect(replica.delta(change('a', '1', 1))).toEqual([]);
    replica.submit(cas('a', 0, '3'), 1);
    expect(replica.delta(change('a', '1', 1))).toEqual([]);
    replica.delta(change('a', undefined, 4));
    // The answer to a write that was decided before that deletion, and came after it.
    expect(replica.result(1, 3)).toEqual({ changes: [], conflicts: [] });
    expect(replica.has('a')).toBe(false);
    expect(show(replica.delta(change('a', '5', 5)))).toEqual(['a=5@5']);
  });

  test('a key that this side deleted stays deleted as well', () => {
    const replica = new Replica();
    replica.delta(change('a', '1', 1));
    replica.submit(del('a'), 1);
    replica.result(1, 2);
    expect(replica.delta(change('a', '1', 1))).toEqual([]);
    expect(replica.has('a')).toBe(false);
  });

  test('a later one that came before the answer stands, and shows once the write is answered', () => {
    const replica = new Replica();
    replica.submit(set('a', 'mine'), 1);
    replica.delta(change('a', 'theirs', 2));
    expect(show(replica.result(1, 1).changes)).toEqual(['a=theirs@2']);
    replica.submit(set('b', 'mine'), 2);
    replica.delta(change('b', undefined, 4));
    expect(show(replica.result(2, 3).changes)).toEqual(['-b@4']);
    expect(replica.size).toBe(1);
  });
});

describe('an answer', () => {
  test('to several writes gives them consecutive revisions that end in the one it names', () => {
    const replica = new Replica();
    const results: unknown[] = [];
    for (const [index, key] of ['a', 'b', 'a'].entries()) {
      replica.submit(set(key, String(index)), 10 + index * 3, (result) => results.push(result));
    }
    replica.result(16, 9);
    expect(results).toEqual([7, 8, 9].map((revision) => ({ accepted: true, revision })));
    expect([replica.confirmedRevision('a'), replica.confirmedRevision('b')]).toEqual([9, 8]);
  });

  test('to a part of them leaves the rest pending', () => {
    const replica = new Replica();
    replica.submit(set('a', '1'), 1);
    replica.submit(set('a', '2'), 2);
    expect(replica.result(1, 1).changes).toEqual([]);
    expect(replica.get('a')).toEqual({ bytes: bytes('2'), revision: 1 });
    expect([replica.pending, replica.confirmed('a')?.bytes.toString()]).toEqual([1, '1']);
  });

  test('that refuses a set takes it back, and reports the conflict', () => {
    const replica = new Replica();
    replica.delta(change('a', '1', 1));
    replica.submit(set('a', '2'), 1);
    const refusal = refused({ bytes: bytes('1'), revision: 1 });
    const { changes, conflicts } = replica.result(1, 1, refusal);
    expect(show(changes)).toEqual(['a=1@1']);
    expect(conflicts).toEqual([
      { key: 'a', attempted: bytes('2'), current: refusal.current, error: refusal.error },
    ]);
  });

  test('that refuses a delete brings the entry back', () => {
    const replica = new Replica();
    replica.delta(change('a', '1', 1));
    replica.submit(del('a'), 1);
    const { changes, conflicts } = replica.result(1, 1, refused({ bytes: bytes('1'), revision: 1 }));
    expect(show(changes)).toEqual(['a=1@1']);
    expect(conflicts.map((conflict) => conflict.attempted)).toEqual([undefined]);
  });

  test('that refuses a new key takes it away', () => {
    const replica = new Replica();
    replica.submit(set('a', '1'), 1);
    expect(show(replica.result(1, 0, refused()).changes)).toEqual(['-a@0']);
    expect([replica.size, replica.pending]).toEqual([0, 0]);
  });

  test('that refuses the last of several accepts those before it', () => {
    const replica = new Replica();
    replica.submit(set('a', '1'), 1);
    replica.submit(set('b', '1'), 2);
    const { changes, conflicts } = replica.result(2, 4, refused());
    expect(show(changes)).toEqual(['-b@0']);
    expect(conflicts.map(({ key }) => key)).toEqual(['b']);
    expect(replica.get('a')?.revision).toBe(4);
  });

  test('that refuses a write under a later one changes nothing visible', () => {
    const replica = new Replica();
    replica.submit(set('a', '1'), 1);
    replica.submit(set('a', '2'), 2);
    const { changes, conflicts } = replica.result(1, 0, refused());
    expect([changes, conflicts.length, text(replica, 'a')]).toEqual([[], 1, '2']);
  });

  test('does not bring back what is older than what is known', () => {
    const replica = new Replica();
    replica.submit(set('a', 'mine'), 1);
    replica.delta(change('a', 'newer', 3));
    expect(show(replica.result(1, 0, refused({ bytes: bytes('older'), revision: 2 })).changes)).toEqual([
      'a=newer@3',
    ]);
    replica.submit(set('a', 'mine'), 2);
    replica.delta(change('a', undefined, 5));
    expect(show(replica.result(2, 0, refused({ bytes: bytes('older'), revision: 4 })).changes)).toEqual([
      '-a@5',
    ]);
  });

  test('hands its current entry over as a copy: the frame it came in may be used again', () => {
    const replica = new Replica();
    const frame = bytes('theirs');
    replica.submit(set('a', 'mine'), 1);
    const { conflicts } = replica.result(1, 0, refused({ bytes: frame, revision: 3 }));
    frame.fill(0);
    expect([text(replica, 'a'), conflicts[0]?.current?.bytes.toString()]).toEqual(['theirs', 'theirs']);
  });

  test('brings the current entry along, where it is newer than what is known', () => {
    const replica = new Replica();
    replica.submit(cas('a', 0, 'mine'), 1);
    const { changes, conflicts } = replica.result(1, 0, refused({ bytes: bytes('theirs'), revision: 3 }));
    expect([show(changes), conflicts]).toEqual([['a=theirs@3'], []]);
  });
});

describe('compare-and-set', () => {
  test('shows once it is accepted', () => {
    const replica = new Replica();
    expect(replica.submit(cas('a', 0, '1'), 1)).toEqual([]);
    expect(replica.has('a')).toBe(false);
    expect(show(replica.result(1, 1).changes)).toEqual(['a=1@1']);
    replica.submit(cas('a', 1, undefined), 2);
    expect(show(replica.result(2, 2).changes)).toEqual(['-a@2']);
  });

  test('is told to its caller only when it is refused', () => {
    const replica = new Replica();
    const results: unknown[] = [];
    const error = new NyotaError('NYOTA_STORE_CONFLICT', 'there');
    replica.submit(cas('a', 0, '1'), 1, (result) => results.push(result));
    expect(replica.result(1, 0, { error, current: undefined })).toEqual({ changes: [], conflicts: [] });
    expect(results).toEqual([{ accepted: false, error }]);
  });

  test('stays hidden under a later pending set', () => {
    const replica = new Replica();
    replica.submit(cas('a', 0, '1'), 1);
    replica.submit(set('a', '2'), 2);
    expect(replica.result(1, 1).changes).toEqual([]);
    expect(replica.get('a')).toEqual({ bytes: bytes('2'), revision: 1 });
  });
});

describe('an answer that no honest server gives is an error, and changes nothing', () => {
  test.each<[string, number, number, boolean]>([
    ['a frame that carried no write', 3, 5, false],
    ['a frame that is yet to come', 9, 5, false],
    ['a frame before the first pending one', 1, 5, false],
    ['a revision that is none', 4, Number.NaN, false],
    ['a broken revision', 4, 5.5, false],
    ['fewer revisions than writes', 4, 1, false],
    ['a revision of 0', 2, 0, false],
    ['a refusal with too few revisions for those before it', 4, 0, true],
  ])('%s', (_name, upToSeq, revision, isRefused) => {
    const replica = new Replica();
    replica.submit(set('a', '1'), 2);
    replica.submit(set('b', '1'), 4);
    const refusal = isRefused ? refused() : undefined;
    expect(thrownCode(() => replica.result(upToSeq, revision, refusal))).toBe('NYOTA_PROTOCOL_ERROR');
    expect([replica.pending, replica.size, replica.confirmed('a')]).toEqual([2, 2, undefined]);
    replica.result(4, 2);
    expect(replica.pending).toBe(0);
  });

  test('a revision that an earlier answer used up', () => {
    const replica = new Replica();
    replica.submit(set('a', '1'), 1);
    replica.result(1, 5);
    replica.submit(set('b', '1'), 2);
    expect(thrownCode(() => replica.result(2, 5))).toBe('NYOTA_PROTOCOL_ERROR');
    expect(thrownCode(() => replica.result(1, 6))).toBe('NYOTA_PROTOCOL_ERROR');
  });

  test('an answer to nothing', () => {
    expect(thrownCode(() => new Replica().result(0, 1))).toBe('NYOTA_PROTOCOL_ERROR');
  });
});

describe('check', () => {
  test('refuses keys and values over the limits, whatever the kind of write', () => {
    const replica = new Replica({ ...DEFAULT_STORE_LIMITS, maxKeyBytes: 2, maxValueBytes: 2 });
    for (const op of [set('abc', '1'), del('abc'), set('a', '123'), cas('a', 0, '123')]) {
      expect(thrownCode(() => replica.check(op))).toBe('NYOTA_STORE_LIMIT');
    }
    for (const op of [set('ab', '12'), del('ab'), cas('ab', 0, undefined)]) replica.check(op);
    expect(thrownCode(() => replica.check(set('sessionID', '1')))).toBe('NYOTA_STORE_LIMIT');
    expect(thrownCode(() => new Replica().check(set('sessionID', '1')))).toBe('NYOTA_READ_ONLY_KEY');
  });

  test('refuses a new key while as many as may be are visible', () => {
    const replica = new Replica({ ...DEFAULT_STORE_LIMITS, maxKeys: 2 });
    replica.delta(change('a', '1', 1));
    replica.submit(set('b', '1'), 1);
    expect(thrownCode(() => replica.check(set('c', '1')))).toBe('NYOTA_STORE_LIMIT');
    expect(thrownCode(() => replica.check(cas('c', 0, '1')))).toBe('NYOTA_STORE_LIMIT');
    for (const op of [set('a', '2'), set('b', '2'), del('c'), cas('c', 0, undefined)]) replica.check(op);
    replica.submit(del('a'), 2);
    replica.check(set('c', '1'));
  });
});
