/**
 * The client's end of the shared store: its writes show at once and go out as KV_OP, and what the server decides corrects
 * them. Touches the link, and its host for changes; the replica (replica.ts) knows what shows and what is pending. Pure.
 */
import { decodePayload, type PayloadLimits } from '../../codec/payload.js';
import { encodePlainKvSet } from '../../codec/plain-encoder.js';
import { NyotaError } from '../../errors.js';
import type { Carry, FrameView } from '../../link/feature.js';
import type { Link } from '../../link/link.js';
import type { CoreBatch, CoreImage, StoredEntry } from '../../link/persisted.js';
import { LENGTH_BYTES, SEQUENCED_HEADER_BYTES } from '../../wire/constants.js';
import {
  encodeKvOp,
  type KvResultMessage,
  parseKvOp,
  readStoreFrame,
  type StoreFrame,
  StoreFrameType,
} from './frames.js';
import { type Conflict, type Refusal, Replica } from './replica.js';
import {
  assertRoom,
  type CompareAndSetResult,
  encodeValue,
  type StoreFeature,
  type StoreHost,
  sizeOf,
  toWriteOp,
  wrongSide,
} from './store.js';
import {
  type Change,
  type CompareAndSetOp,
  DEFAULT_STORE_LIMITS,
  type DeleteOp,
  type SetOp,
  type StoreEntry,
  type WriteOp,
} from './writes.js';

/** For this side's own frames, which were checked when they were made. */
const NO_LIMITS = { maxDepth: Number.POSITIVE_INFINITY, maxValues: Number.POSITIVE_INFINITY };

export class ClientStore implements StoreFeature {
  readonly #link: Link;
  readonly #host: StoreHost;
  readonly #replica = new Replica(DEFAULT_STORE_LIMITS, (key) => this.#dirty?.add(key));
  #waiters = new Set<(error?: NyotaError) => void>();
  /** Keys whose confirmed entry changed since the last durable step; undefined if there is no durable store. */
  #dirty: Set<string> | undefined;
  /** This side's writes up to this frame are decided. */
  #resolvedSeq = 0;
  #resolvedTold = 0;

  constructor(link: Link, host: StoreHost) {
    this.#link = link;
    this.#host = host;
  }

  get(key: string): StoreEntry | undefined {
    return this.#replica.get(key);
  }

  has(key: string): boolean {
    return this.#replica.has(key);
  }

  keys(): IterableIterator<string> {
    return this.#replica.keys();
  }

  get size(): number {
    return this.#replica.size;
  }

  revisionOf(key: string): number {
    return this.#replica.confirmedRevision(key);
  }

  tellOwn(told: boolean): void {
    this.#replica.tellsOwn = told;
  }

  set(key: string, value: unknown, ttlMs: number | undefined): void {
    const limits = this.#link.payloadLimits;
    const plain = encodePlainKvSet(key, value, ttlMs, limits);
    if (plain === undefined) {
      this.write({ kind: 'set', key, bytes: encodeValue(key, value, limits), ttlMs });
      return;
    }
    const op: SetOp = { kind: 'set', key, bytes: plain.value, ttlMs };
    this.#replica.checkContent(op);
    this.#show(this.#append(op, plain.body), true);
  }

  write(op: SetOp | DeleteOp): void {
    this.#replica.check(op);
    this.#show(this.#append(op, encodeOp(op)), true);
  }

  compareAndSet(op: CompareAndSetOp, done: (result: CompareAndSetResult) => void): void {
    this.#replica.check(op);
    this.#show(this.#append(op, encodeOp(op), done), true);
  }

  whenSynced(done: (error?: NyotaError) => void): void {
    this.#waiters.add(done);
    this.#replica.whenIdle(() => {
      if (this.#waiters.delete(done)) done();
    });
  }

  readonly mayRefuse = true;

  decode(frame: FrameView, limits: PayloadLimits): StoreFrame {
    return readStoreFrame(frame, limits);
  }

  receive(_type: number, body: unknown): boolean {
    const frame = body as StoreFrame;
    if (frame.type === StoreFrameType.KV_DELTA) {
      this.#show(this.#replica.delta(frame.message), false);
    } else if (frame.type === StoreFrameType.KV_RESULT) {
      const { message } = frame;
      const refusal = refusalOf(message);
      const { changes, conflicts } = this.#replica.result(message.upToSeq, message.revision, refusal);
      this.#resolvedSeq = message.upToSeq;
      // Without a refusal, only a compare-and-set of this side's own can newly show.
      this.#show(changes, refusal === undefined);
      this.#conflicted(conflicts);
    } else {
      throw wrongSide(frame.type);
    }
    return true;
  }

  /** A frame that is held back would be lost with its session, so it takes effect now. */
  keepsHeld(type: number, body: unknown): boolean {
    this.receive(type, body);
    return false;
  }

  carry({ error, keepShared, later }: Carry): void {
    if (keepShared) this.carryContent(error);
    else later.push(this.#forget(error));
  }

  /**
   * The content goes along into a new session: as writes of this side's, before anything else that is queued (docs/design.md,
   * rule 43).
   */
  carryContent(error: NyotaError): void {
    const ops = this.#replica.carry();
    // Who waits for `synced` waits for the same content in the new session.
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    this.#replica.abandon(error);
    this.#replica.clear();
    this.#resolvedSeq = 0;
    this.#resolvedTold = 0;
    // No limit may stop it: what does not go along here would be lost.
    for (const op of ops) this.#replica.submit(op, this.#link.append(StoreFrameType.KV_OP, 0, encodeOp(op)));
    for (const done of waiters) this.whenSynced(done);
  }

  /** The other side forgot the session on purpose: the new one's store is empty. Returns what tells of the changes. */
  #forget(error: NyotaError): () => void {
    this.end(error);
    // The new session's frames are numbered from 1 again: its store must not take them for decided.
    this.#resolvedSeq = 0;
    this.#resolvedTold = 0;
    const changes = this.#replica.clear();
    return () => this.#show(changes, false);
  }

  keepChanges(): void {
    this.#dirty ??= new Set();
  }

  get hasChanges(): boolean {
    return this.#dirty !== undefined && (this.#dirty.size > 0 || this.#resolvedTold < this.#resolvedSeq);
  }

  takeChanges(): Partial<CoreBatch> {
    const entries: StoredEntry[] = [];
    for (const key of this.#dirty ?? []) {
      const entry = this.#replica.confirmed(key);
      entries.push({ key, bytes: entry?.bytes, revision: entry?.revision ?? 0, expiresAt: undefined });
    }
    this.#dirty?.clear();
    this.#resolvedTold = this.#resolvedSeq;
    return { entries, resolvedSeq: this.#resolvedSeq };
  }

  /** Writes of the process before this one that the server has not decided are pending again. */
  restore(image: CoreImage): void {
    this.#replica.restore(image.entries);
    this.#resolvedSeq = image.resolvedSeq;
    for (const { seq, frame } of image.outbound) {
      if (frame[LENGTH_BYTES] !== StoreFrameType.KV_OP || seq <= image.resolvedSeq) continue;
      const message = parseKvOp(decodePayload(frame, SEQUENCED_HEADER_BYTES, frame.length, NO_LIMITS));
      this.#replica.submit(toWriteOp(message), seq);
    }
  }

  get firstKeptSeq(): number | undefined {
    return this.#replica.firstPendingSeq;
  }

  withdrawn(_type: number, seq: number, error: NyotaError): void {
    const { changes, conflicts } = this.#replica.withdraw(seq, error);
    this.#show(changes, false);
    this.#conflicted(conflicts);
  }

  checkAll(ops: readonly WriteOp[]): void {
    this.#replica.checkAll(ops);
    assertRoom(this.#link, sizeOf(ops));
  }

  end(error: NyotaError): void {
    this.#replica.abandon(error);
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const done of waiters) done(error);
  }

  #append(op: WriteOp, body: Buffer, done?: (result: CompareAndSetResult) => void): readonly Change[] {
    assertRoom(this.#link, body.length);
    return this.#replica.submit(op, this.#link.append(StoreFrameType.KV_OP, 0, body), done);
  }

  /** Most often there is nothing: nobody listens to the changes of this side's own. */
  #show(changes: readonly Change[], local: boolean): void {
    if (changes.length > 0) this.#host.changed(changes, local);
  }

  #conflicted(conflicts: readonly Conflict[]): void {
    if (conflicts.length > 0) this.#host.conflicted(conflicts);
  }
}

function encodeOp(op: WriteOp): Buffer {
  return encodeKvOp({
    kind: op.kind,
    key: op.key,
    bytes: 'bytes' in op ? op.bytes : undefined,
    ttlMs: 'ttlMs' in op ? op.ttlMs : undefined,
    expectedRevision: 'expectedRevision' in op ? op.expectedRevision : undefined,
  });
}

function refusalOf(result: KvResultMessage): Refusal | undefined {
  if (result.refusedCode === undefined) return undefined;
  const current =
    result.currentBytes === undefined
      ? undefined
      : { bytes: result.currentBytes, revision: result.currentRevision ?? 0 };
  return { error: new NyotaError(result.refusedCode, 'the server refused this write to the store'), current };
}
