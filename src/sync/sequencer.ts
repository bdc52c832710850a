/**
 * The server's side of a shared store: decides every write and gives each accepted one the next revision.
 * Pure: the clock is handed in, and what it decides is sent by the caller.
 *
 * The client works out its writes' revisions by counting (KV_RESULT: consecutive, ending in `revision`). So a
 * result that stands for several writes must end where a revision was used for anything else: a local
 * write, an expiry.
 */

import { NyotaError, printable } from '../errors.js';
import { Entries } from './entries.js';
import type { Change, CompareAndSetOp, DeleteOp, SetOp, StoreEntry, StoreLimits, WriteOp } from './types.js';
import { checkKeyCount, checkOp, DEFAULT_STORE_LIMITS } from './types.js';

/** What became of a client's write. `current` is the entry that stands instead of a refused one. */
export type ApplyResult =
  | { accepted: true; change: Change }
  | { accepted: false; error: NyotaError; current: StoreEntry | undefined };

export class Sequencer {
  readonly #now: () => number;
  readonly #limits: StoreLimits;
  readonly #entries = new Entries();
  #revision = 0;

  /** @param now milliseconds, of any clock that doesn't go back */
  constructor(now: () => number, limits: StoreLimits = DEFAULT_STORE_LIMITS) {
    this.#now = now;
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Bytes of all keys (UTF-8) and values. */
  get bytes(): number {
    return this.#entries.bytes;
  }

  /** The last revision that was used; 0 before the first write. */
  get revision(): number {
    return this.#revision;
  }

  /** An entry is there until `expire` takes it, so that each side sees it go with its own revision. */
  get(key: string): StoreEntry | undefined {
    return this.#entries.get(key);
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** In the order in which they were first set; live, as a Map's. */
  keys(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /**
   * A write of the server's own. The value is copied. Uses a revision also where it deletes what isn't there.
   * @returns undefined for a compare-and-set whose expectation doesn't hold: no revision was used
   * @throws NyotaError `NYOTA_STORE_LIMIT`, `NYOTA_INVALID_ARGUMENT`, `NYOTA_READ_ONLY_KEY`
   */
  write(op: SetOp | DeleteOp): Change;
  write(op: WriteOp): Change | undefined;
  write(op: WriteOp): Change | undefined {
    checkOp(op, this.#limits);
    if (op.kind === 'compare-and-set' && !this.#isExpected(op)) return undefined;
    this.#checkRoom(op);
    return this.#commit(op);
  }

  /**
   * Throws what would make any of these writes of the server's own fail, were they made one after the other.
   * @throws NyotaError as `write`
   */
  checkAll(ops: readonly WriteOp[]): void {
    let keys = this.#entries.size;
    for (const op of ops) {
      checkOp(op, this.#limits);
      this.#checkRoom(op);
      if (op.kind !== 'delete' && !this.#entries.has(op.key)) checkKeyCount(op.key, keys++, this.#limits);
    }
  }

  /** A client's write. What is wrong with it is its refusal, never a throw; a refused write uses no revision. */
  apply(op: WriteOp): ApplyResult {
    try {
      checkOp(op, this.#limits);
      if (op.kind === 'compare-and-set' && !this.#isExpected(op)) throw this.#conflict(op);
      this.#checkRoom(op);
    } catch (error) {
      if (!(error instanceof NyotaError)) throw error;
      return { accepted: false, error, current: this.#entries.get(op.key) };
    }
    return { accepted: true, change: this.#commit(op) };
  }

  /** Takes over what a process before this one has kept. `expiresAt` in the time of `now()`. */
  restore(
    entries: Iterable<{
      key: string;
      bytes: Buffer | undefined;
      revision: number;
      expiresAt: number | undefined;
    }>,
    revision: number,
  ): void {
    for (const { key, bytes, revision: own, expiresAt } of entries) {
      if (bytes !== undefined) this.#entries.set(key, { bytes, revision: own }, expiresAt);
    }
    this.#revision = revision;
  }

  /** When `expire` has something to do, in the time of `now()`; Infinity if never. */
  nextExpiry(): number {
    return this.#entries.nextExpiry();
  }

  /** Deletes what has expired by `now`, the earliest first, each with a revision of its own. */
  expire(now: number): Change[] {
    const changes: Change[] = [];
    for (let key = this.#entries.expired(now); key !== undefined; key = this.#entries.expired(now)) {
      changes.push(this.#commit({ kind: 'delete', key }));
    }
    return changes;
  }

  #isExpected(op: CompareAndSetOp): boolean {
    return (this.#entries.get(op.key)?.revision ?? 0) === op.expectedRevision;
  }

  #conflict(op: CompareAndSetOp): NyotaError {
    const revision = this.#entries.get(op.key)?.revision;
    const found = revision === undefined ? 'not there' : `at revision ${revision}`;
    const expected = op.expectedRevision === 0 ? 'not there' : `at revision ${op.expectedRevision}`;
    return new NyotaError(
      'NYOTA_STORE_CONFLICT',
      `the store key "${printable(op.key)}" is ${found}, the write expected it ${expected}`,
    );
  }

  /** A delete always fits: it is the way out of a full store. */
  #checkRoom(op: WriteOp): void {
    if (op.kind === 'delete' || op.bytes === undefined) return;
    if (!this.#entries.has(op.key)) checkKeyCount(op.key, this.#entries.size, this.#limits);
    const after = this.#entries.bytesWith(op.key, op.bytes.length);
    if (after > this.#limits.maxStoreBytes) {
      throw new NyotaError(
        'NYOTA_STORE_LIMIT',
        `no room for the store key "${printable(op.key)}" with a value of ${op.bytes.length} bytes: ` +
          `the store would have ${after} bytes, the limit is ${this.#limits.maxStoreBytes} (maxStoreBytes)`,
      );
    }
  }

  #commit(op: WriteOp): Change {
    const revision = ++this.#revision;
    const { key } = op;
    if (op.kind === 'delete' || op.bytes === undefined) {
      this.#entries.delete(key);
      return { key, bytes: undefined, revision };
    }
    const bytes = Buffer.from(op.bytes);
    this.#entries.set(key, { bytes, revision }, op.ttlMs === undefined ? undefined : this.#now() + op.ttlMs);
    return { key, bytes, revision };
  }
}
