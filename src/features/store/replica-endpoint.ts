/**
 * The client's end of the shared store: shows this side's writes at once, and is corrected by what the server decides.
 * Pure.
 */

import type { PayloadLimits } from '../../codec/payload.js';
import { readPayload } from '../../codec/payload-reader.js';
import { encodePlainKvSet } from '../../codec/plain-encoder.js';
import { NyotaError } from '../../errors.js';
import type { CoreImage, StoredEntry } from '../../link/persisted.js';
import { FrameType, LENGTH_BYTES, SEQUENCED_HEADER_BYTES } from '../../wire/constants.js';
import { encodeKvOp, type KvResultMessage, parseKvOp } from '../../wire/messages.js';
import { type Refusal, Replica } from './replica.js';
import {
  type CompareAndSetResult,
  encodeValue,
  type StoreEndpoint,
  type StoreHost,
  type StoreStep,
  sizeOf,
  toWriteOp,
  wrongSide,
} from './store-endpoint.js';
import type { StoreFrame } from './store-frames.js';
import {
  type Change,
  type CompareAndSetOp,
  DEFAULT_STORE_LIMITS,
  type DeleteOp,
  type SetOp,
  type StoreEntry,
  type WriteOp,
} from './types.js';

/** For this side's own frames, which were checked when they were made. */
const NO_LIMITS = { maxDepth: Number.POSITIVE_INFINITY, maxValues: Number.POSITIVE_INFINITY };

export class ReplicaEndpoint implements StoreEndpoint {
  readonly #host: StoreHost;
  readonly #replica = new Replica(DEFAULT_STORE_LIMITS, (key) => this.#dirty?.add(key));
  #waiters = new Set<(error?: NyotaError) => void>();
  /** Keys whose confirmed entry changed since the last durable step; undefined where there is no durable store. */
  #dirty: Set<string> | undefined;
  /** This side's writes up to this frame are decided. */
  #resolvedSeq = 0;
  #resolvedTold = 0;

  constructor(host: StoreHost) {
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

  set(key: string, value: unknown, ttlMs: number | undefined, limits: PayloadLimits): void {
    const plain = encodePlainKvSet(key, value, ttlMs, limits);
    if (plain === undefined) {
      this.write({ kind: 'set', key, bytes: encodeValue(key, value, limits), ttlMs });
      return;
    }
    const op: SetOp = { kind: 'set', key, bytes: plain.value, ttlMs };
    this.#replica.checkContent(op);
    this.#show(this.#append(op, plain.body));
  }

  write(op: SetOp | DeleteOp): void {
    this.#replica.check(op);
    this.#show(this.#append(op, encodeOp(op)));
  }

  compareAndSet(op: CompareAndSetOp, done: (result: CompareAndSetResult) => void): void {
    this.#replica.check(op);
    this.#show(this.#append(op, encodeOp(op), done));
  }

  whenSynced(done: (error?: NyotaError) => void): void {
    this.#waiters.add(done);
    this.#replica.whenIdle(() => {
      if (this.#waiters.delete(done)) done();
    });
  }

  receive(frame: StoreFrame): void {
    if (frame.type === FrameType.KV_DELTA) {
      this.#host.changed(this.#replica.delta(frame.message), false);
    } else if (frame.type === FrameType.KV_RESULT) {
      const { message } = frame;
      const refusal = refusalOf(message);
      const { changes, conflicts } = this.#replica.result(message.upToSeq, message.revision, refusal);
      this.#resolvedSeq = message.upToSeq;
      // Without a refusal all that can newly show is a compare-and-set of this side's own.
      this.#host.changed(changes, refusal === undefined);
      this.#host.conflicted(conflicts);
    } else {
      throw wrongSide(frame.type);
    }
  }

  /** The content goes along into a new session: as writes of this side's, before anything else that is queued. */
  carry(error: NyotaError): void {
    const ops = this.#replica.carry();
    // Who waits for `synced` waits for the same content in the new session.
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    this.#replica.abandon(error);
    this.#replica.clear();
    this.#resolvedSeq = 0;
    this.#resolvedTold = 0;
    // No limit may stop it: what does not go along here would be lost.
    for (const op of ops) this.#replica.submit(op, this.#host.append(FrameType.KV_OP, 0, encodeOp(op)));
    for (const done of waiters) this.whenSynced(done);
  }

  /** The other side forgot the session on purpose: the new one's store is empty. Returns what tells of the changes. */
  clear(error: NyotaError): () => void {
    this.fail(error);
    // The new session's frames are numbered from 1 again: its store must not take them for decided.
    this.#resolvedSeq = 0;
    this.#resolvedTold = 0;
    const changes = this.#replica.clear();
    return () => this.#host.changed(changes, false);
  }

  keepTrack(): void {
    this.#dirty ??= new Set();
  }

  get dirty(): boolean {
    return this.#dirty !== undefined && (this.#dirty.size > 0 || this.#resolvedTold < this.#resolvedSeq);
  }

  takeDirty(): StoreStep {
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
      if (frame[LENGTH_BYTES] !== FrameType.KV_OP || seq <= image.resolvedSeq) continue;
      const message = parseKvOp(readPayload(frame, SEQUENCED_HEADER_BYTES, frame.length, NO_LIMITS));
      this.#replica.submit(toWriteOp(message), seq);
    }
  }

  get firstPendingSeq(): number | undefined {
    return this.#replica.firstPendingSeq;
  }

  withdrawn(seq: number, error: NyotaError): void {
    const { changes, conflicts } = this.#replica.withdraw(seq, error);
    this.#host.changed(changes, false);
    this.#host.conflicted(conflicts);
  }

  checkAll(ops: readonly WriteOp[]): void {
    this.#replica.checkAll(ops);
    this.#host.assertRoom(sizeOf(ops));
  }

  flush(): void {}

  acknowledged(): void {}

  get nextDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  tick(): void {}

  fail(error: NyotaError): void {
    this.#replica.abandon(error);
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const done of waiters) done(error);
  }

  #append(op: WriteOp, body: Buffer, done?: (result: CompareAndSetResult) => void): readonly Change[] {
    this.#host.assertRoom(body.length);
    return this.#replica.submit(op, this.#host.append(FrameType.KV_OP, 0, body), done);
  }

  /** This side's own changes; most often nobody wants to hear of them. */
  #show(changes: readonly Change[]): void {
    if (changes.length > 0) this.#host.changed(changes, true);
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
