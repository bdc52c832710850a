/**
 * The server's end of the shared store: decides every write, publishes its own as deltas, and tells the client in batches
 * what became of its writes. Pure.
 */

import type { PayloadLimits } from '../../codec/payload.js';
import { NyotaError } from '../../errors.js';
import type { CoreImage, StoredEntry } from '../../link/persisted.js';
import { FrameType } from '../../wire/constants.js';
import { encodeKvDelta, encodeKvResult } from '../../wire/messages.js';
import { Sequencer } from './sequencer.js';
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
import type { Change, CompareAndSetOp, DeleteOp, SetOp, StoreEntry, WriteOp } from './types.js';

export class SequencerEndpoint implements StoreEndpoint {
  readonly #host: StoreHost;
  readonly #sequencer: Sequencer;
  /** The client's writes accepted and not told yet: up to this frame, ending with this revision. 0: none. */
  #acceptedSeq = 0;
  #acceptedRevision = 0;
  /** The frame of our last write, and the last that the client acknowledged. */
  #lastDeltaSeq = 0;
  #ackedSeq = 0;
  #waiters: Array<{ seq: number; done: (error?: NyotaError) => void }> = [];
  /** Entries that changed since the last durable step; undefined where there is no durable store. */
  #dirty: Map<string, StoredEntry> | undefined;

  constructor(host: StoreHost) {
    this.#host = host;
    this.#sequencer = new Sequencer(() => host.now());
  }

  get(key: string): StoreEntry | undefined {
    return this.#sequencer.get(key);
  }

  has(key: string): boolean {
    return this.#sequencer.has(key);
  }

  keys(): IterableIterator<string> {
    return this.#sequencer.keys();
  }

  get size(): number {
    return this.#sequencer.size;
  }

  revisionOf(key: string): number {
    return this.#sequencer.get(key)?.revision ?? 0;
  }

  /** They are told in any case. */
  tellOwn(): void {}

  set(key: string, value: unknown, ttlMs: number | undefined, limits: PayloadLimits): void {
    this.write({ kind: 'set', key, bytes: encodeValue(key, value, limits), ttlMs });
  }

  write(op: SetOp | DeleteOp): void {
    this.#room(op);
    this.#publish(this.#sequencer.write(op), true, ttlOf(op));
  }

  compareAndSet(op: CompareAndSetOp, done: (result: CompareAndSetResult) => void): void {
    this.#room(op);
    const change = this.#sequencer.write(op);
    if (change !== undefined) this.#publish(change, true, ttlOf(op));
    done(
      change === undefined
        ? {
            accepted: false,
            error: new NyotaError('NYOTA_STORE_CONFLICT', 'the entry has another revision by now'),
          }
        : { accepted: true },
    );
  }

  whenSynced(done: (error?: NyotaError) => void): void {
    if (this.#lastDeltaSeq <= this.#ackedSeq) done();
    else this.#waiters.push({ seq: this.#lastDeltaSeq, done });
  }

  receive(frame: StoreFrame, seq: number): void {
    if (frame.type !== FrameType.KV_OP) throw wrongSide(frame.type);
    const op = toWriteOp(frame.message);
    const result = this.#sequencer.apply(op);
    if (result.accepted) {
      this.#note(result.change, ttlOf(op));
      this.#acceptedSeq = seq;
      this.#acceptedRevision = result.change.revision;
      this.#host.changed([result.change], false);
      return;
    }
    // One frame says both: those before this one are accepted, this one is refused.
    this.#host.append(
      FrameType.KV_RESULT,
      0,
      encodeKvResult({
        upToSeq: seq,
        revision: this.#acceptedRevision,
        refusedCode: result.error.code,
        currentRevision: result.current?.revision,
        currentBytes: result.current?.bytes,
      }),
    );
    this.#acceptedSeq = 0;
  }

  /** Only a client queues writes before it knows what the other side accepts. */
  withdrawn(): void {}

  checkAll(ops: readonly WriteOp[]): void {
    this.#sequencer.checkAll(ops);
    this.#host.assertRoom(sizeOf(ops));
  }

  flush(): void {
    if (this.#acceptedSeq === 0) return;
    const upToSeq = this.#acceptedSeq;
    this.#acceptedSeq = 0;
    const payload = encodeKvResult({
      upToSeq,
      revision: this.#acceptedRevision,
      refusedCode: undefined,
      currentRevision: undefined,
      currentBytes: undefined,
    });
    this.#host.append(FrameType.KV_RESULT, 0, payload);
  }

  acknowledged(seq: number): void {
    this.#ackedSeq = seq;
    while (this.#waiters[0] !== undefined && this.#waiters[0].seq <= seq) this.#waiters.shift()?.done();
  }

  get nextDeadline(): number {
    return this.#sequencer.nextExpiry();
  }

  tick(now: number): void {
    if (now < this.#sequencer.nextExpiry()) return;
    for (const change of this.#sequencer.expire(now)) this.#publish(change, false, undefined);
  }

  fail(error: NyotaError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.done(error);
  }

  #room(op: WriteOp): void {
    this.#host.assertRoom(op.key.length * 3 + 32 + ('bytes' in op ? (op.bytes?.length ?? 0) : 0));
  }

  keepTrack(): void {
    this.#dirty ??= new Map();
  }

  get dirty(): boolean {
    return this.#dirty !== undefined && this.#dirty.size > 0;
  }

  readonly firstPendingSeq = undefined;

  takeDirty(): StoreStep {
    const entries = [...(this.#dirty?.values() ?? [])];
    this.#dirty?.clear();
    return { entries, revision: this.#sequencer.revision };
  }

  restore(image: CoreImage): void {
    this.#sequencer.restore(image.entries, image.revision);
  }

  #note({ key, bytes, revision }: Change, ttlMs: number | undefined): void {
    const expiresAt = ttlMs === undefined ? undefined : this.#host.now() + ttlMs;
    this.#dirty?.set(key, { key, bytes, revision, expiresAt });
  }

  #publish(change: Change, local: boolean, ttlMs: number | undefined): void {
    this.#note(change, ttlMs);
    // A result counts revisions backwards, so it may not span a revision that this side used.
    this.flush();
    this.#lastDeltaSeq = this.#host.append(FrameType.KV_DELTA, 0, encodeKvDelta(change));
    this.#host.changed([change], local);
  }
}

function ttlOf(op: WriteOp): number | undefined {
  return 'ttlMs' in op ? op.ttlMs : undefined;
}
