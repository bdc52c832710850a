/** What a replica knows of its keys: where a record is found, in which order, and when it is let go. */

import { describe, expect, test } from 'vitest';
import {
  confirmedRevision,
  type KeyRecord,
  KeyTable,
  newRecord,
  PendingOps,
} from '../../../../src/features/store/replica.js';
import { bytes } from './helpers.js';

const names = (records: Iterable<KeyRecord>): string[] => [...records].map(({ key }) => key);

describe('KeyTable', () => {
  test('a key with a confirmed value is among the confirmed, in the order of confirming', () => {
    const table = new KeyTable();
    const [a, b] = [table.toWrite('a'), table.toWrite('b')];
    // Nothing of theirs shows yet.
    expect(names(table.visible())).toEqual([]);
    a.pending = 1;
    table.confirm(b, bytes('1'), 1);
    table.confirm(a, bytes('1'), 2);
    table.confirm(b, bytes('2'), 3);
    expect([names(table.visible()), table.size]).toEqual([['b', 'a'], 2]);
    expect([table.get('a'), table.toWrite('a')]).toEqual([a, a]);
  });

  test('of the keys that show, those with a confirmed value come first', () => {
    const table = new KeyTable();
    const ops = new PendingOps();
    let seq = 0;
    const write = (key: string, bytes: Buffer | undefined): void => {
      const kind = bytes === undefined ? 'delete' : 'set';
      const record = table.toWrite(key);
      ops.push({ seq: ++seq, record, kind, bytes, ttlMs: undefined, onResult: undefined, next: undefined });
    };
    write('new', bytes('1'));
    table.confirm(newRecord('old'), bytes('1'), 1);
    table.confirm(newRecord('gone'), bytes('1'), 2);
    write('gone', undefined);
    write('old', bytes('2'));
    write('nothing', undefined);
    expect(names(table.visible())).toEqual(['old', 'new']);
  });

  test('a deleted key is kept while a write is pending, with the revision of its deletion', () => {
    const table = new KeyTable();
    const record = newRecord('a');
    table.confirm(record, bytes('1'), 1);
    record.pending = 1;
    table.confirm(record, undefined, 2);
    expect([table.size, table.get('a'), record.revision, confirmedRevision(record)]).toEqual([
      0,
      record,
      2,
      0,
    ]);
    record.pending = 0;
    table.settled(record);
    expect(table.get('a')).toBe(undefined);
  });

  test('a deleted key without a pending write is forgotten, a confirmed one stays when its last is answered', () => {
    const table = new KeyTable();
    const [a, b] = [newRecord('a'), newRecord('b')];
    table.confirm(a, bytes('1'), 1);
    table.confirm(b, bytes('1'), 2);
    table.confirm(a, undefined, 3);
    table.settled(b);
    expect([table.get('a'), table.get('b')]).toEqual([undefined, b]);
  });

  test('counts the UTF-8 bytes of confirmed keys and the bytes of their values', () => {
    const table = new KeyTable();
    const record = table.toWrite('é');
    expect(table.bytes).toBe(0);
    table.confirm(record, bytes('123'), 1);
    expect(table.bytes).toBe(5);
    table.confirm(record, bytes(''), 2);
    expect(table.bytes).toBe(2);
    table.confirm(record, undefined, 3);
    expect(table.bytes).toBe(0);
    table.confirm(record, undefined, 4);
    expect(table.bytes).toBe(0);
  });

  test('__proto__, constructor and prototype are keys like any other', () => {
    const table = new KeyTable();
    expect(table.get('__proto__')).toBe(undefined);
    for (const key of ['__proto__', 'constructor', 'prototype']) table.confirm(newRecord(key), bytes(key), 1);
    expect(names(table.visible())).toEqual(['__proto__', 'constructor', 'prototype']);
  });

  test('clear leaves nothing behind', () => {
    const table = new KeyTable();
    table.toWrite('a');
    table.confirm(table.toWrite('b'), bytes('1'), 1);
    table.clear();
    expect([table.size, table.bytes, table.get('a'), table.get('b')]).toEqual([0, 0, undefined, undefined]);
  });
});
