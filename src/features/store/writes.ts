/**
 * The forms that the shared store works with: entries, writes, changes, limits; and the checks that both sides make. Pure:
 * imports the errors only.
 */

import { NyotaError, printable } from '../../errors.js';

/** One value of the store. Shared, so never changed: a write makes a new entry. */
export interface StoreEntry {
  /** The encoded payload: a copy that the store owns. Read it, never write to it. */
  readonly bytes: Buffer;
  /** The revision that the server gave it; 0 for a value that nothing was confirmed of yet. */
  readonly revision: number;
}

export interface StoreLimits {
  /** Bytes of one key in UTF-8. Default, and at most, 256. */
  maxKeyBytes: number;
  /** Bytes of one encoded value. Default 64 KiB. */
  maxValueBytes: number;
  /** Entries of one store. Default 10 000. */
  maxKeys: number;
  /** Bytes of all keys and values of one store. Default 16 MiB. */
  maxStoreBytes: number;
}

/** What no `limits` may raise: the wire's promise about a key. */
const LONGEST_KEY_BYTES = 256;

export const DEFAULT_STORE_LIMITS: Readonly<StoreLimits> = {
  maxKeyBytes: LONGEST_KEY_BYTES,
  maxValueBytes: 64 * 1024,
  maxKeys: 10_000,
  maxStoreBytes: 16 * 1024 * 1024,
};

/** The key that reads as the session's id and that nobody writes. */
export const SESSION_ID_KEY = 'sessionID';

/** The longest `ttlMs` and the highest revision: what 48 bits hold. */
const MAX_U48 = 2 ** 48 - 1;

export interface SetOp {
  kind: 'set';
  key: string;
  bytes: Buffer;
  /** The server deletes the entry this many milliseconds after it took the write. Default: never. */
  ttlMs?: number | undefined;
}

export interface DeleteOp {
  kind: 'delete';
  key: string;
}

export interface CompareAndSetOp {
  kind: 'compare-and-set';
  key: string;
  /** undefined: delete the entry. */
  bytes: Buffer | undefined;
  /** The revision that the entry must have for the write to happen; 0: it must not exist. */
  expectedRevision: number;
  /** As for a set. Means nothing where `bytes` is undefined. */
  ttlMs?: number | undefined;
}

export type WriteOp = SetOp | DeleteOp | CompareAndSetOp;

/** What became of a key. */
export interface Change {
  readonly key: string;
  /** undefined: the key was deleted. */
  readonly bytes: Buffer | undefined;
  readonly revision: number;
}

/** A key of at most so many letters is checked letter by letter. */
const SHORT_KEY = 64;

/**
 * True for a key that is short, ASCII and not reserved: it is well-formed, and has as many bytes as letters. False decides
 * nothing.
 */
function isPlainKey(key: unknown, maxBytes: number): boolean {
  if (typeof key !== 'string' || key === SESSION_ID_KEY) return false;
  const { length } = key;
  if (length === 0 || length > SHORT_KEY || length > maxBytes) return false;
  for (let i = 0; i < length; i++) if (key.charCodeAt(i) >= 0x80) return false;
  return true;
}

/** Half of a surrogate pair has no UTF-8: the other side would see another key. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * A key that may be written: well-formed text of 1 to 256 UTF-8 bytes.
 * @throws NyotaError `NYOTA_INVALID_ARGUMENT` for what is no key, `NYOTA_READ_ONLY_KEY` for `sessionID`
 */
export function checkKey(key: unknown): asserts key is string {
  if (isPlainKey(key, LONGEST_KEY_BYTES)) return;
  if (typeof key !== 'string') {
    throw new NyotaError('NYOTA_INVALID_ARGUMENT', `a store key must be a string, not ${typeof key}`);
  }
  const size = Buffer.byteLength(key);
  if (size < 1 || size > LONGEST_KEY_BYTES) {
    throw new NyotaError(
      'NYOTA_INVALID_ARGUMENT',
      `a store key must have 1 to ${LONGEST_KEY_BYTES} bytes: "${printable(key)}" has ${size}`,
    );
  }
  if (LONE_SURROGATE.test(key)) {
    throw new NyotaError(
      'NYOTA_INVALID_ARGUMENT',
      `a store key must be well-formed text: "${printable(key)}"`,
    );
  }
  if (key === SESSION_ID_KEY) {
    throw new NyotaError('NYOTA_READ_ONLY_KEY', `the store key "${SESSION_ID_KEY}" is read only`);
  }
}

/** @throws NyotaError `NYOTA_STORE_LIMIT` when the value is larger than one may be */
export function checkValueSize(key: string, bytes: Buffer, limits: StoreLimits): void {
  if (bytes.length <= limits.maxValueBytes) return;
  throw new NyotaError(
    'NYOTA_STORE_LIMIT',
    `the value of the store key "${printable(key)}" has ${bytes.length} bytes, ` +
      `the limit is ${limits.maxValueBytes} (maxValueBytes)`,
  );
}

/**
 * Everything about a write that can be told without the store's content.
 * @throws NyotaError `NYOTA_STORE_LIMIT` (key or value too large), `NYOTA_READ_ONLY_KEY`, `NYOTA_INVALID_ARGUMENT`
 */
export function checkOp(op: WriteOp, limits: StoreLimits): void {
  checkOpKey(op, limits);
  checkContent(op, limits);
}

export function checkOpKey({ key }: WriteOp, limits: StoreLimits): void {
  if (isPlainKey(key, limits.maxKeyBytes)) return;
  if (typeof key === 'string') checkKeySize(key, limits);
  checkKey(key);
}

/** What `checkOp` looks at besides the key. */
export function checkContent(op: WriteOp, limits: StoreLimits): void {
  if (op.kind === 'delete') return;
  if (op.bytes !== undefined) checkValueSize(op.key, op.bytes, limits);
  if (op.ttlMs !== undefined) checkNumber('ttlMs', op.ttlMs, 1);
  if (op.kind === 'compare-and-set') checkNumber('expectedRevision', op.expectedRevision, 0);
}

/** @throws NyotaError `NYOTA_STORE_LIMIT` when one more key is one too many */
export function checkKeyCount(key: string, size: number, limits: StoreLimits): void {
  if (size < limits.maxKeys) return;
  throw new NyotaError(
    'NYOTA_STORE_LIMIT',
    `no room for the store key "${printable(key)}": the store has ${size} keys, ` +
      `the limit is ${limits.maxKeys} (maxKeys)`,
  );
}

function checkKeySize(key: string, limits: StoreLimits): void {
  const size = Buffer.byteLength(key);
  if (size <= limits.maxKeyBytes) return;
  throw new NyotaError(
    'NYOTA_STORE_LIMIT',
    `the store key "${printable(key)}" has ${size} bytes, the limit is ${limits.maxKeyBytes} (maxKeyBytes)`,
  );
}

function checkNumber(name: string, value: number, lowest: number): void {
  if (Number.isInteger(value) && value >= lowest && value <= MAX_U48) return;
  throw new NyotaError(
    'NYOTA_INVALID_ARGUMENT',
    `${name} must be a whole number from ${lowest} to ${MAX_U48}, not ${String(value)}`,
  );
}
