/**
 * The server's side of a shared store: decides every write and gives each accepted one the next revision. Pure: the clock is
 * handed in, and what it decides is sent by the caller.
 *
 * The client works out its writes' revisions by counting (KV_RESULT: consecutive, ending in `revision`). So a result for
 * several writes must not span a revision that was used for anything else: a write of the server's own, an expiry
 * (docs/design.md, rule 38).
 */
import { NyotaError, printable } from '../../errors.js';
import {
  type Change,
  type CompareAndSetOp,
  checkKeyCount,
  checkOp,
  DEFAULT_STORE_LIMITS,
  type DeleteOp,
  type SetOp,
  type StoreEntry,
  type StoreLimits,
  type WriteOp,
} from './writes.js';

/** What became of a client's write. `current` is the entry that stands instead of a refused one. */
export type ApplyResult =
  | { accepted: true; change: Change }
  | { accepted: false; error: NyotaError; current: StoreEntry | undefined };

const NO_ENTRIES: ReadonlyMap<string, StoreEntry> = new Map();

interface Node {
  readonly key: string;
  readonly at: number;
  /** Keys of one moment expire in the order in which they were added: the same run gives the same revisions. */
  readonly order: number;
  index: number;
}

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
   * A write of the server's own. The value's bytes are the store's own from here on. Uses a revision even if it deletes what
   * isn't there.
   * @returns undefined for a compare-and-set whose expectation doesn't hold: no revision was used
   * @throws NyotaError `NYOTA_STORE_LIMIT`, `NYOTA_INVALID_ARGUMENT`, `NYOTA_READ_ONLY_KEY`
   */
  write(op: SetOp | DeleteOp): Change;
  write(op: WriteOp): Change | undefined;
  write(op: WriteOp): Change | undefined {
    checkOp(op, this.#limits);
    const old = this.#entries.get(op.key);
    if (op.kind === 'compare-and-set' && !isExpected(op, old)) return undefined;
    this.#checkRoom(op, old);
    return this.#commit(op, old);
  }

  /**
   * Throws if any of these writes of the server's own would fail, made one after the other.
   * @throws NyotaError as `write`
   */
  checkAll(ops: readonly WriteOp[]): void {
    let keys = this.#entries.size;
    for (const op of ops) {
      checkOp(op, this.#limits);
      const old = this.#entries.get(op.key);
      this.#checkRoom(op, old);
      if (op.kind !== 'delete' && old === undefined) checkKeyCount(op.key, keys++, this.#limits);
    }
  }

  /**
   * A client's write. Its bytes are the store's own from here on. A wrong write is refused, and nothing is thrown; a refused
   * write uses no revision.
   */
  apply(op: WriteOp): ApplyResult {
    const old = this.#entries.get(op.key);
    try {
      checkOp(op, this.#limits);
      if (op.kind === 'compare-and-set' && !isExpected(op, old)) throw conflict(op, old);
      this.#checkRoom(op, old);
    } catch (error) {
      if (!(error instanceof NyotaError)) throw error;
      return { accepted: false, error, current: old };
    }
    return { accepted: true, change: this.#commit(op, old) };
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
      changes.push(this.#commit({ kind: 'delete', key }, this.#entries.get(key)));
    }
    return changes;
  }

  /** A delete always fits: it is the way out of a full store. */
  #checkRoom(op: WriteOp, old: StoreEntry | undefined): void {
    if (op.kind === 'delete' || op.bytes === undefined) return;
    if (old === undefined) checkKeyCount(op.key, this.#entries.size, this.#limits);
    const after = this.#entries.bytesWith(op.key, op.bytes.length, old);
    if (after > this.#limits.maxStoreBytes) {
      throw new NyotaError(
        'NYOTA_STORE_LIMIT',
        `no room for the store key "${printable(op.key)}" with a value of ${op.bytes.length} bytes: ` +
          `the store would have ${after} bytes, the limit is ${this.#limits.maxStoreBytes} (maxStoreBytes)`,
      );
    }
  }

  #commit(op: WriteOp, old: StoreEntry | undefined): Change {
    const revision = ++this.#revision;
    const { key } = op;
    if (op.kind === 'delete' || op.bytes === undefined) {
      this.#entries.delete(key);
      return { key, bytes: undefined, revision };
    }
    const { bytes, ttlMs } = op;
    const expiresAt = ttlMs === undefined ? undefined : this.#now() + ttlMs;
    this.#entries.set(key, { bytes, revision }, expiresAt, old);
    return { key, bytes, revision };
  }
}

function isExpected(op: CompareAndSetOp, old: StoreEntry | undefined): boolean {
  return (old?.revision ?? 0) === op.expectedRevision;
}

function conflict(op: CompareAndSetOp, old: StoreEntry | undefined): NyotaError {
  const found = old === undefined ? 'not there' : `at revision ${old.revision}`;
  const expected = op.expectedRevision === 0 ? 'not there' : `at revision ${op.expectedRevision}`;
  return new NyotaError(
    'NYOTA_STORE_CONFLICT',
    `the store key "${printable(op.key)}" is ${found}, the write expected it ${expected}`,
  );
}

/**
 * The entries of one store, the bytes they take, and when they expire.
 * Every session has a store and most stay empty: nothing is allocated before the first entry.
 */
export class Entries {
  #map: Map<string, StoreEntry> | undefined;
  #expiry: ExpiryQueue | undefined;
  #bytes = 0;

  get size(): number {
    return this.#map?.size ?? 0;
  }

  /** Bytes of all keys (UTF-8) and values. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): StoreEntry | undefined {
    return this.#map?.get(key);
  }

  has(key: string): boolean {
    return this.#map?.has(key) ?? false;
  }

  /** In the order in which they were first set; live, as a Map's. */
  keys(): IterableIterator<string> {
    return (this.#map ?? NO_ENTRIES).keys();
  }

  /** What `bytes` would be with a value of `valueBytes` under `key`. `old` is what is there now. */
  bytesWith(key: string, valueBytes: number, old = this.get(key)): number {
    return this.#bytes + (old === undefined ? Buffer.byteLength(key) : -old.bytes.length) + valueBytes;
  }

  /**
   * `expiresAt` in the caller's time; without it the entry stays, also where the one before had a time. `old` is what is
   * there now.
   */
  set(key: string, entry: StoreEntry, expiresAt?: number, old = this.get(key)): void {
    this.#bytes = this.bytesWith(key, entry.bytes.length, old);
    this.#map ??= new Map();
    this.#map.set(key, entry);
    if (expiresAt === undefined) {
      if (this.#expiry !== undefined) this.#forgetExpiry(key);
    } else {
      this.#expiry ??= new ExpiryQueue();
      this.#expiry.set(key, expiresAt);
    }
  }

  delete(key: string): void {
    const old = this.#map?.get(key);
    if (old === undefined) return;
    this.#bytes -= Buffer.byteLength(key) + old.bytes.length;
    this.#map?.delete(key);
    this.#forgetExpiry(key);
  }

  clear(): void {
    this.#map = undefined;
    this.#expiry = undefined;
    this.#bytes = 0;
  }

  /** When the next entry expires; Infinity if none does. */
  nextExpiry(): number {
    return this.#expiry?.next() ?? Number.POSITIVE_INFINITY;
  }

  /** An entry whose time has come by `now`, the earliest first. It stays until it is deleted. */
  expired(now: number): string | undefined {
    return this.#expiry?.due(now);
  }

  #forgetExpiry(key: string): void {
    this.#expiry?.remove(key);
    if (this.#expiry?.size === 0) this.#expiry = undefined;
  }
}

/**
 * Which key expires next: a binary heap that knows where each key is, so that a key that is written again leaves nothing
 * behind. Times are numbers that the caller hands in.
 */
export class ExpiryQueue {
  readonly #heap: Node[] = [];
  readonly #nodes = new Map<string, Node>();
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** The earliest time at which a key expires; Infinity if there is none. */
  next(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** The key that expires first, if its time has come by `now`. It stays until it is removed. */
  due(now: number): string | undefined {
    const first = this.#heap[0];
    return first !== undefined && first.at <= now ? first.key : undefined;
  }

  /** Instead of an earlier time of the same key. */
  set(key: string, at: number): void {
    this.remove(key);
    const node: Node = { key, at, order: this.#order++, index: this.#heap.length };
    this.#nodes.set(key, node);
    this.#heap.push(node);
    this.#up(node);
  }

  remove(key: string): void {
    const node = this.#nodes.get(key);
    if (node === undefined) return;
    this.#nodes.delete(key);
    const last = this.#heap.pop();
    if (last === undefined || last === node) return;
    this.#place(last, node.index);
    this.#up(last);
    this.#down(last);
  }

  #up(node: Node): void {
    while (node.index > 0) {
      const parent = this.#heap[(node.index - 1) >> 1];
      if (parent === undefined || !before(node, parent)) return;
      this.#swap(node, parent);
    }
  }

  #down(node: Node): void {
    for (;;) {
      const left = this.#heap[2 * node.index + 1];
      const right = this.#heap[2 * node.index + 2];
      const child = left !== undefined && right !== undefined && before(right, left) ? right : left;
      if (child === undefined || !before(child, node)) return;
      this.#swap(node, child);
    }
  }

  #swap(a: Node, b: Node): void {
    const index = a.index;
    this.#place(a, b.index);
    this.#place(b, index);
  }

  #place(node: Node, index: number): void {
    this.#heap[index] = node;
    node.index = index;
  }
}

function before(a: Node, b: Node): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
