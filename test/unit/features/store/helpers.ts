/**
 * Short ways to say what the store tests say often. Imports the store's types only.
 */

import type { Change, WriteOp } from '../../../../src/features/store/writes.js';

export const bytes = (text: string): Buffer => Buffer.from(text);

export const set = (key: string, text: string, ttlMs?: number): WriteOp & { kind: 'set' } => ({
  kind: 'set',
  key,
  bytes: bytes(text),
  ...(ttlMs === undefined ? {} : { ttlMs }),
});

export const del = (key: string): WriteOp & { kind: 'delete' } => ({ kind: 'delete', key });

export const cas = (
  key: string,
  expectedRevision: number,
  text: string | undefined,
  ttlMs?: number,
): WriteOp => ({
  kind: 'compare-and-set',
  key,
  bytes: text === undefined ? undefined : bytes(text),
  expectedRevision,
  ...(ttlMs === undefined ? {} : { ttlMs }),
});

export const change = (key: string, text: string | undefined, revision: number): Change => ({
  key,
  bytes: text === undefined ? undefined : bytes(text),
  revision,
});

/** `key=text@revision`, `-key@revision` for a deletion: changes that fit on a line of a failed test. */
export const show = (changes: Iterable<Change>): string[] =>
  [...changes].map(({ key, bytes, revision }) =>
    bytes === undefined ? `-${key}@${revision}` : `${key}=${bytes.toString()}@${revision}`,
  );
