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
import {
  type Change,
  checkContent,
  checkKeyCount,
  checkOp,
  checkOpKey,
  DEFAULT_STORE_LIMITS,
  type SetOp,
  type StoreEntry,
  type StoreLimits,
  type WriteOp,
} from './writes.js';

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
export interface ReplicaChanges {
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
  /** False while nobody listens to the changes that this side's own writes make: then they are not returned. */
  tellsOwn = true;
  /** The last revision that a result gave to a write of ours. */
  #resolvedRevision = 0;
  /**
   * No tombstone is kept for a key without pending writes: this is the highest revision of those let go
   * (docs/design.md, rule 39).
   */
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

  /** The frame of the oldest write that the server hasn't answered yet; undefined if none is. */
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
  result(upToSeq: number, revision: number, refusal?: Refusal): ReplicaChanges {
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
  withdraw(seq: number, error: NyotaError): ReplicaChanges {
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

  /**
   * The server's limits are the same as ours: one that goes over them is not honest, and may not fill our memory
   * (docs/design.md, rule 42).
   */
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

/**
 * What is known of each key: one record for the confirmed entry and for what this side has written on top of it, so that a write
 * looks its key up once and its answer, which has the record at hand, not at all. Nothing is allocated before the first record.
 */
export interface KeyRecord {
  readonly key: string;
  /** The confirmed value; undefined if the server has none. */
  bytes: Buffer | undefined;
  /**
   * The last confirmed revision, also of a deletion while writes are pending: the tombstone that keeps the late answer to
   * an older write from bringing a deleted key back. 0: nothing is confirmed.
   */
  revision: number;
  /** Pending writes of all kinds. */
  pending: number;
  /** The last pending set or delete: what the key shows as. undefined: the confirmed value shows. */
  shown: PendingOp | undefined;
}

const NO_RECORDS: ReadonlyMap<string, KeyRecord> = new Map();

export class KeyTable {
  /** Keys with a confirmed value, in the order in which they were first confirmed. */
  #confirmed: Map<string, KeyRecord> | undefined;
  /** Keys without one that have a pending write. */
  #fresh: Map<string, KeyRecord> | undefined;
  #bytes = 0;

  /** Keys with a confirmed value. */
  get size(): number {
    return this.#confirmed?.size ?? 0;
  }

  /** Bytes of all confirmed keys (UTF-8) and values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The record of a key that has a confirmed value or a pending write. */
  get(key: string): KeyRecord | undefined {
    return this.#confirmed?.get(key) ?? this.#fresh?.get(key);
  }

  /** Of the keys that show, first those with a confirmed value. Live, as a Map's. */
  *visible(): IterableIterator<KeyRecord> {
    for (const record of (this.#confirmed ?? NO_RECORDS).values()) if (isVisible(record)) yield record;
    for (const record of (this.#fresh ?? NO_RECORDS).values()) if (isVisible(record)) yield record;
  }

  /** The record for a key that a write is about to be pending for. */
  toWrite(key: string): KeyRecord {
    let record = this.get(key);
    if (record === undefined) {
      record = newRecord(key);
      this.#fresh ??= new Map();
      this.#fresh.set(key, record);
    }
    return record;
  }

  /** The server has this value under the key, or none. */
  confirm(record: KeyRecord, bytes: Buffer | undefined, revision: number): void {
    const { bytes: old, key } = record;
    record.bytes = bytes;
    record.revision = revision;
    if (old !== undefined && bytes !== undefined) {
      this.#bytes += bytes.length - old.length;
    } else if (bytes !== undefined) {
      this.#bytes += Buffer.byteLength(key) + bytes.length;
      this.#fresh?.delete(key);
      this.#confirmed ??= new Map();
      this.#confirmed.set(key, record);
    } else if (old !== undefined) {
      this.#bytes -= Buffer.byteLength(key) + old.length;
      this.#confirmed?.delete(key);
      if (record.pending === 0) return;
      this.#fresh ??= new Map();
      this.#fresh.set(key, record);
    }
  }

  /** Nothing is pending for the key any more. */
  settled(record: KeyRecord): void {
    if (record.bytes === undefined) this.#fresh?.delete(record.key);
  }

  clear(): void {
    this.#confirmed = undefined;
    this.#fresh = undefined;
    this.#bytes = 0;
  }
}

/** A record that is in no table yet. */
export function newRecord(key: string): KeyRecord {
  return { key, bytes: undefined, revision: 0, pending: 0, shown: undefined };
}

/** The revision of the confirmed value; 0 where there is none. */
export function confirmedRevision(record: KeyRecord | undefined): number {
  return record?.bytes === undefined ? 0 : record.revision;
}

/** The confirmed entry, as it is now. */
function confirmedEntry(record: KeyRecord | undefined): StoreEntry | undefined {
  return record?.bytes === undefined ? undefined : { bytes: record.bytes, revision: record.revision };
}

function isVisible(record: KeyRecord): boolean {
  return visibleBytes(record) !== undefined;
}

/** What shows: the last pending set or delete, else what is confirmed. */
function visibleBytes(record: KeyRecord): Buffer | undefined {
  return record.shown === undefined ? record.bytes : record.shown.bytes;
}

/** What the server decided about one write. */
export type OpResult = { accepted: true; revision: number } | { accepted: false; error: NyotaError };

export interface PendingOp {
  /** The number of the frame that carries it. */
  readonly seq: number;
  readonly record: KeyRecord;
  readonly kind: WriteOp['kind'];
  /** undefined: a delete. */
  readonly bytes: Buffer | undefined;
  readonly ttlMs: number | undefined;
  /** Taken away once it was called. */
  onResult: ((result: OpResult) => void) | undefined;
  next: PendingOp | undefined;
}

/**
 * The writes that the server hasn't answered yet: a queue in the order of their frames, each with the record of its key at
 * hand. Every step costs the same however many wait: answers come in order, so only the head leaves.
 */
export class PendingOps {
  #head: PendingOp | undefined;
  #tail: PendingOp | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get head(): PendingOp | undefined {
    return this.#head;
  }

  get tail(): PendingOp | undefined {
    return this.#tail;
  }

  push(op: PendingOp): void {
    if (this.#tail === undefined) this.#head = op;
    else this.#tail.next = op;
    this.#tail = op;
    this.#size++;
    op.record.pending++;
    if (op.kind !== 'compare-and-set') op.record.shown = op;
  }

  /** Takes the head off. */
  shift(): void {
    const head = this.#head;
    if (head === undefined) return;
    this.#head = head.next;
    if (head.next === undefined) this.#tail = undefined;
    // Otherwise an old one that is gone would keep alive all that came after it, until the next full collection.
    head.next = undefined;
    this.#size--;
    const { record } = head;
    record.pending--;
    if (record.shown === head) record.shown = undefined;
  }

  find(seq: number): PendingOp | undefined {
    for (let op = this.#head; op !== undefined; op = op.next) if (op.seq === seq) return op;
    return undefined;
  }

  /** Takes one out, wherever it is: on the rare occasion that its frame was taken back. Looks at all. */
  remove(gone: PendingOp): void {
    if (gone === this.#head) {
      this.shift();
      return;
    }
    const { record } = gone;
    let shown: PendingOp | undefined;
    for (let op = this.#head; op !== undefined; op = op.next) {
      if (op.next === gone) {
        op.next = gone.next;
        if (gone.next === undefined) this.#tail = op;
        this.#size--;
      }
      if (op !== gone && op.record === record && op.kind !== 'compare-and-set') shown = op;
    }
    record.pending--;
    record.shown = shown;
  }

  clear(): void {
    this.#head = undefined;
    this.#tail = undefined;
    this.#size = 0;
  }
}

/** Calls back once the replica's state is consistent, each callback once and in order, also where one of them calls in again. */
class Callbacks {
  #due: (() => void)[] = [];
  #position = 0;
  #idle: (() => void)[] = [];

  /** To be called by the next `run`. */
  add(fn: () => void): void {
    this.#due.push(fn);
  }

  /** To be called by a `run` that finds the replica idle. */
  addIdle(fn: () => void): void {
    this.#idle.push(fn);
  }

  /**
   * @param isIdle asked before each idle callback: the one before may have written
   * @throws what the first failing callback threw, after all the others were called
   */
  run(isIdle: () => boolean): void {
    const failures: unknown[] = [];
    this.#runDue(failures);
    if (this.#idle.length > 0) {
      const waiting = this.#idle;
      this.#idle = [];
      for (const fn of waiting) {
        if (isIdle()) attempt(fn, failures);
        else this.#idle.push(fn);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #runDue(failures: unknown[]): void {
    for (let fn = this.#due[this.#position]; fn !== undefined; fn = this.#due[this.#position]) {
      this.#position++;
      attempt(fn, failures);
    }
    this.#due = [];
    this.#position = 0;
  }
}

function attempt(fn: () => void, failures: unknown[]): void {
  try {
    fn();
  } catch (error) {
    failures.push(error);
  }
}
