/**
 * The client's side of a shared store: what the server confirmed, with this side's own writes on top until the
 * server has decided about them. Pure: frames are built and read by the caller.
 *
 *   visible value of a key = its last pending set or delete, else the confirmed value
 *
 * Changes that a method returns are changes of what is visible, in order: applied to a plain Map they give the
 * visible content. A write that is confirmed changes no visible value, so it returns no change.
 *
 * Two things are expected of the server: changes come in the order of their revisions, and a result comes no
 * earlier than the changes that were decided before it.
 */

import { NyotaError } from '../../errors.js';
import { Callbacks } from './callbacks.js';
import type { KeyRecord } from './key-table.js';
import { confirmedEntry, confirmedRevision, KeyTable, newRecord, visibleBytes } from './key-table.js';
import { type OpResult, type PendingOp, PendingOps } from './pending-ops.js';
import type { Change, SetOp, StoreEntry, StoreLimits, WriteOp } from './types.js';
import { checkContent, checkKeyCount, checkOp, checkOpKey, DEFAULT_STORE_LIMITS } from './types.js';

export type { OpResult } from './pending-ops.js';

/** A set or delete that had shown and was refused. */
export interface Conflict {
  key: string;
  /** undefined: it was a delete. */
  attempted: Buffer | undefined;
  /** What the server has instead; undefined if nothing. */
  current: StoreEntry | undefined;
  error: NyotaError;
}

/** As a KV_RESULT says it. */
export interface Refusal {
  error: NyotaError;
  current: StoreEntry | undefined;
}

/** What an answer has brought. */
export interface Outcome {
  /** Visible changes, in order. */
  readonly changes: readonly Change[];
  readonly conflicts: readonly Conflict[];
}

export class Replica {
  readonly #limits: StoreLimits;
  readonly #onConfirm: (key: string) => void;
  readonly #keys = new KeyTable();
  readonly #pending = new PendingOps();
  readonly #callbacks = new Callbacks();
  readonly #isIdle = () => this.#pending.size === 0;
  /** Visible changes that no call has returned yet; see `#take`. */
  #changes: Change[] = [];
  #size = 0;
  /** Whether what this side writes is told as a change: false where nobody would hear of it. */
  tellsOwn = true;
  /** The last revision that a result gave to a write of ours. */
  #resolvedRevision = 0;
  /** No tombstone is kept for a key without pending writes: this is the highest revision of those let go. */
  #deletedRevision = 0;

  /** @param onConfirm hears of every key whose confirmed entry changes, as it changes */
  constructor(limits: StoreLimits = DEFAULT_STORE_LIMITS, onConfirm: (key: string) => void = () => {}) {
    this.#limits = limits;
    this.#onConfirm = onConfirm;
  }

  /** Takes over what a process before this one has kept; pending writes follow by `submit`. */
  restore(entries: Iterable<{ key: string; bytes: Buffer | undefined; revision: number }>): void {
    for (const { key, bytes, revision } of entries) {
      if (bytes === undefined) continue;
      this.#keys.confirm(newRecord(key), bytes, revision);
      this.#size++;
    }
  }

  /** The visible entry. A value that is not confirmed has the last confirmed revision of its key, 0 if none. */
  get(key: string): StoreEntry | undefined {
    const record = this.#keys.get(key);
    const bytes = record && visibleBytes(record);
    return bytes === undefined ? undefined : { bytes, revision: confirmedRevision(record) };
  }

  has(key: string): boolean {
    const record = this.#keys.get(key);
    return record !== undefined && visibleBytes(record) !== undefined;
  }

  /** The visible keys: first those with a confirmed value, then those of new ones. Live, as a Map's. */
  *keys(): IterableIterator<string> {
    for (const record of this.#keys.visible()) yield record.key;
  }

  /** Visible entries. */
  get size(): number {
    return this.#size;
  }

  /** What the server has, as far as it is known here. */
  confirmed(key: string): StoreEntry | undefined {
    return confirmedEntry(this.#keys.get(key));
  }

  /** What a compare-and-set expects: 0 for a key that isn't there, also for a deleted one. */
  confirmedRevision(key: string): number {
    return confirmedRevision(this.#keys.get(key));
  }

  /** The frame of the oldest write that the server hasn't answered yet; undefined where none is. */
  get firstPendingSeq(): number | undefined {
    return this.#pending.head?.seq;
  }

  /** Writes that the server hasn't answered yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * To be called before the write is given a frame number: `submit` checks nothing of this.
   *
   * A new key is refused here while `maxKeys` keys are visible: an error at once is worth more than a value that
   * shows and goes again. The total of bytes is left to the server.
   * @throws NyotaError `NYOTA_STORE_LIMIT`, `NYOTA_INVALID_ARGUMENT`, `NYOTA_READ_ONLY_KEY`
   */
  check(op: WriteOp): void {
    checkOpKey(op, this.#limits);
    this.checkContent(op);
  }

  /** The same, of a write whose key has been checked. */
  checkContent(op: WriteOp): void {
    checkContent(op, this.#limits);
    // Most often there is room for any key, and it need not be looked up.
    if (this.#size < this.#limits.maxKeys || bytesOf(op) === undefined || this.has(op.key)) return;
    checkKeyCount(op.key, this.#size, this.#limits);
  }

  /** The same for several, made one after the other. */
  checkAll(ops: readonly WriteOp[]): void {
    let keys = this.#size;
    for (const op of ops) {
      checkOp(op, this.#limits);
      if (bytesOf(op) !== undefined && !this.has(op.key)) checkKeyCount(op.key, keys++, this.#limits);
    }
  }

  /**
   * A write that was put in the outbox as frame `seq`. The value's bytes are the store's own from here on: nobody writes to
   * them any more. A set or delete shows at once, a compare-and-set once it is accepted.
   * @param onResult called once: by `result`, `abandon` or `clear`. It must not throw.
   * @returns the visible changes; its own only with `tellsOwn`
   * @throws NyotaError `NYOTA_INTERNAL` if `seq` doesn't rise
   */
  submit(op: WriteOp, seq: number, onResult?: (result: OpResult) => void): readonly Change[] {
    const last = this.#pending.tail;
    if (last !== undefined && seq <= last.seq) {
      throw new NyotaError(
        'NYOTA_INTERNAL',
        `a store write with frame number ${seq} after one with ${last.seq}`,
      );
    }
    const record = this.#keys.toWrite(op.key);
    const before = visibleBytes(record);
    const ttlMs = op.kind === 'delete' ? undefined : op.ttlMs;
    this.#pending.push({ seq, record, kind: op.kind, bytes: bytesOf(op), ttlMs, onResult, next: undefined });
    this.#note(record, before, confirmedRevision(record), this.tellsOwn);
    return this.#take();
  }

  /**
   * A change on the server's side. The value's bytes are the store's own from here on. One that is older than what is known of
   * its key is ignored.
   * @returns the visible changes: none where a pending write hides it
   * @throws NyotaError `NYOTA_PROTOCOL_ERROR` for one that takes the store over its limits: an honest server's own are the same
   */
  delta({ key, bytes, revision }: Change): readonly Change[] {
    const record = this.#keys.get(key) ?? newRecord(key);
    this.#checkServer(record, bytes);
    const before = visibleBytes(record);
    if (revision > Math.max(record.revision, record.bytes === undefined ? this.#deletedRevision : 0)) {
      this.#confirm(record, bytes, revision);
      if (record.pending === 0) this.#buryIfDeleted(record);
      this.#note(record, before, revision);
    }
    return this.#take();
  }

  /**
   * The server's answer to all pending writes up to frame `upToSeq`: they are accepted, with consecutive revisions
   * that end in `revision`. With a refusal, the write of `upToSeq` is refused and those before it are accepted;
   * if there are none before it, `revision` says nothing.
   *
   * Callbacks run before this returns. Where one of them writes, that call returns the changes so far along
   * with its own: passed on in the order of returning, changes stay in order.
   * @throws NyotaError `NYOTA_PROTOCOL_ERROR` for an answer that no honest server gives; nothing has changed then
   */
  result(upToSeq: number, revision: number, refusal?: Refusal): Outcome {
    let next = this.#firstRevision(upToSeq, revision, refusal !== undefined);
    const conflicts: Conflict[] = [];
    for (
      let head = this.#pending.head;
      head !== undefined && head.seq <= upToSeq;
      head = this.#pending.head
    ) {
      if (refusal !== undefined && head.seq === upToSeq) this.#refuse(head, refusal, conflicts);
      else this.#accept(head, next++);
    }
    this.#callbacks.run(this.#isIdle);
    return { changes: this.#take(), conflicts };
  }

  /**
   * A write whose frame was taken back unsent: the server never hears of it, and what it showed is rolled back.
   * @returns what `result` returns; nothing where no such write is pending
   */
  withdraw(seq: number, error: NyotaError): Outcome {
    const op = this.#pending.find(seq);
    if (op === undefined) return { changes: NO_CHANGES, conflicts: [] };
    const { record } = op;
    const before = visibleBytes(record);
    const conflicts: Conflict[] = [];
    if (op.kind !== 'compare-and-set') {
      conflicts.push({ key: record.key, attempted: op.bytes, current: confirmedEntry(record), error });
    }
    this.#leave(op, before);
    this.#answer(op, { accepted: false, error });
    this.#callbacks.run(this.#isIdle);
    return { changes: this.#take(), conflicts };
  }

  /**
   * The writes that rebuild the visible content in the empty store of a new session: one set for each visible key,
   * none for pending compare-and-sets. The time to live of a pending set is kept and starts anew. That of a
   * confirmed entry is dropped: only the server that was lost knew how much of it was left.
   *
   * The order for a new session: `carry`, `abandon`, `clear`, then `submit` each write. What is visible is the same
   * after it, so the changes that `clear` and those `submit`s return need not be told to anyone.
   */
  carry(): WriteOp[] {
    const ops: WriteOp[] = [];
    for (const record of this.#keys.visible()) {
      const bytes = visibleBytes(record);
      const ttlMs = record.shown?.ttlMs;
      const ttl = ttlMs === undefined ? {} : { ttlMs };
      if (bytes !== undefined) ops.push({ kind: 'set', key: record.key, bytes, ...ttl } satisfies SetOp);
    }
    return ops;
  }

  /** Answers every pending write with the error. The writes stay, and show, until `clear`. */
  abandon(error: NyotaError): void {
    this.#fail(error);
    this.#callbacks.run(this.#isIdle);
  }

  /**
   * Empties it, for a new store. A write that has no answer yet gets `NYOTA_SESSION_LOST`; idle callbacks are
   * called, as nothing is pending.
   * @returns the visible changes: a deletion of every visible key
   */
  clear(): readonly Change[] {
    this.#fail(
      new NyotaError('NYOTA_SESSION_LOST', 'the store was emptied before the server answered this write'),
    );
    for (const record of this.#keys.visible()) {
      this.#changes.push({ key: record.key, bytes: undefined, revision: confirmedRevision(record) });
    }
    this.#pending.clear();
    this.#keys.clear();
    this.#size = 0;
    this.#resolvedRevision = 0;
    this.#deletedRevision = 0;
    this.#callbacks.run(this.#isIdle);
    return this.#take();
  }

  /** Calls `fn` once, as soon as no write is pending: at once if none is. It must not throw. */
  whenIdle(fn: () => void): void {
    if (this.#pending.size === 0) fn();
    else this.#callbacks.addIdle(fn);
  }

  /** The revision of the first write that a result accepts, after all that can be wrong with it was looked at. */
  #firstRevision(upToSeq: number, revision: number, refused: boolean): number {
    let count = refused ? 0 : 1;
    let last = this.#pending.head;
    for (; last !== undefined && last.seq < upToSeq; last = last.next) count++;
    if (last?.seq !== upToSeq) {
      throw new NyotaError(
        'NYOTA_PROTOCOL_ERROR',
        `a store result for frame ${upToSeq}, which waits for none`,
      );
    }
    const first = revision - count + 1;
    if (!Number.isSafeInteger(revision) || (count > 0 && first <= this.#resolvedRevision)) {
      throw new NyotaError(
        'NYOTA_PROTOCOL_ERROR',
        `a store result with revision ${revision} for ${count} writes after revision ${this.#resolvedRevision}`,
      );
    }
    return first;
  }

  #accept(head: PendingOp, revision: number): void {
    const { record } = head;
    const before = visibleBytes(record);
    this.#resolvedRevision = revision;
    // A change of the server's that was decided later may have come earlier: then that one stands.
    if (revision > record.revision) this.#confirm(record, head.bytes, revision);
    this.#leave(head, before);
    if (head.onResult !== undefined) this.#answer(head, { accepted: true, revision });
  }

  #refuse(head: PendingOp, { error, current }: Refusal, conflicts: Conflict[]): void {
    const { record } = head;
    const before = visibleBytes(record);
    const own = current && { bytes: Buffer.from(current.bytes), revision: current.revision };
    if (own !== undefined && own.revision > record.revision) this.#confirm(record, own.bytes, own.revision);
    if (head.kind !== 'compare-and-set') {
      conflicts.push({ key: record.key, attempted: head.bytes, current: own, error });
    }
    this.#leave(head, before);
    this.#answer(head, { accepted: false, error });
  }

  /** The server's limits are the same as ours: one that goes over them is not honest, and may not fill our memory. */
  #checkServer(record: KeyRecord, bytes: Buffer | undefined): void {
    if (bytes === undefined) return;
    const { maxKeys, maxValueBytes, maxStoreBytes } = this.#limits;
    const { bytes: old, key } = record;
    const keys = this.#keys.size + (old === undefined ? 1 : 0);
    const more = bytes.length + (old === undefined ? Buffer.byteLength(key) : -old.length);
    if (bytes.length <= maxValueBytes && keys <= maxKeys && this.#keys.bytes + more <= maxStoreBytes) return;
    throw new NyotaError('NYOTA_PROTOCOL_ERROR', 'the server takes the shared store over its limits');
  }

  /** Takes an answered write off the queue, once what was confirmed with it is in place. */
  #leave(op: PendingOp, before: Buffer | undefined): void {
    const { record } = op;
    this.#pending.remove(op);
    if (record.pending === 0) {
      this.#buryIfDeleted(record);
      this.#keys.settled(record);
    }
    this.#note(record, before, record.revision);
  }

  #answer({ onResult }: PendingOp, result: OpResult): void {
    if (onResult !== undefined) this.#callbacks.add(() => onResult(result));
  }

  #fail(error: NyotaError): void {
    for (let op = this.#pending.head; op !== undefined; op = op.next) {
      const { onResult } = op;
      op.onResult = undefined;
      if (onResult !== undefined) this.#callbacks.add(() => onResult({ accepted: false, error }));
    }
  }

  #confirm(record: KeyRecord, bytes: Buffer | undefined, revision: number): void {
    this.#keys.confirm(record, bytes, revision);
    this.#onConfirm(record.key);
  }

  #buryIfDeleted({ bytes, revision }: KeyRecord): void {
    if (bytes === undefined && revision > this.#deletedRevision) this.#deletedRevision = revision;
  }

  /** Records a visible change, if the value is another than `before`. `goneRevision` is for a key that is gone. */
  #note(record: KeyRecord, before: Buffer | undefined, goneRevision: number, told = true): void {
    const bytes = visibleBytes(record);
    if (bytes === before) return;
    if (before === undefined) this.#size++;
    else if (bytes === undefined) this.#size--;
    if (!told) return;
    const revision = bytes === undefined ? goneRevision : confirmedRevision(record);
    this.#changes.push({ key: record.key, bytes, revision });
  }

  /** What no call has returned yet: a callback that calls in again gets the changes of the call that is running. */
  #take(): readonly Change[] {
    const changes = this.#changes;
    if (changes.length === 0) return NO_CHANGES;
    this.#changes = [];
    return changes;
  }
}

const NO_CHANGES: readonly Change[] = [];

function bytesOf(op: WriteOp): Buffer | undefined {
  return op.kind === 'delete' ? undefined : op.bytes;
}
