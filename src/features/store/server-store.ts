/**
 * The server's end of the shared store: decides every write, publishes its own as KV_DELTA, and tells the client in batches
 * what became of its writes. Touches the link, and its host for changes; the sequencer (sequencer.ts) has entries and
 * revisions. Pure.
 */
import type { PayloadLimits } from '../../codec/payload.js';
import { NyotaError } from '../../errors.js';
import type { FrameView } from '../../link/feature.js';
import type { Link } from '../../link/link.js';
import type { CoreBatch, CoreImage, StoredEntry } from '../../link/persisted.js';
import { encodeKvDelta, encodeKvResult, readStoreFrame, type StoreFrame, StoreFrameType } from './frames.js';
import { Sequencer } from './sequencer.js';
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
import type { Change, CompareAndSetOp, DeleteOp, SetOp, StoreEntry, WriteOp } from './writes.js';

export class ServerStore implements StoreFeature {
  readonly #link: Link;
  readonly #host: StoreHost;
  readonly #sequencer: Sequencer;
  /**
   * Writes of the client's that are accepted and not reported to it yet: up to this frame, the last one with this revision.
   * 0: none.
   */
  #acceptedSeq = 0;
  #acceptedRevision = 0;
  /** The frame of our last write, and the last that the client acknowledged. */
  #lastDeltaSeq = 0;
  #ackedSeq = 0;
  #waiters: Array<{ seq: number; done: (error?: NyotaError) => void }> = [];
  /** Entries that changed since the last durable step; undefined if there is no durable store. */
  #dirty: Map<string, StoredEntry> | undefined;

  constructor(link: Link, host: StoreHost) {
    this.#link = link;
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

  set(key: string, value: unknown, ttlMs: number | undefined): void {
    this.write({ kind: 'set', key, bytes: encodeValue(key, value, this.#link.payloadLimits), ttlMs });
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

  readonly mayRefuse = true;

  decode(frame: FrameView, limits: PayloadLimits): StoreFrame {
    return readStoreFrame(frame, limits);
  }

  receive(_type: number, body: unknown, seq: number): boolean {
    const frame = body as StoreFrame;
    if (frame.type !== StoreFrameType.KV_OP) throw wrongSide(frame.type);
    const op = toWriteOp(frame.message);
    const result = this.#sequencer.apply(op);
    if (result.accepted) {
      this.#note(result.change, ttlOf(op));
      this.#acceptedSeq = seq;
      this.#acceptedRevision = result.change.revision;
      this.#changed(result.change, false);
      return true;
    }
    // One frame says both: those before this one are accepted, this one is refused.
    this.#link.append(
      StoreFrameType.KV_RESULT,
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
    return true;
  }

  /** A frame that is held back would be lost with its session, so it takes effect now. */
  keepsHeld(type: number, body: unknown, seq: number): boolean {
    this.receive(type, body, seq);
    return false;
  }

  withdrawn(_type: number, _seq: number, error: NyotaError): void {
    this.#host.report(error);
  }

  checkAll(ops: readonly WriteOp[]): void {
    this.#sequencer.checkAll(ops);
    assertRoom(this.#link, sizeOf(ops));
  }

  /** Tells what has been decided: at the end of every chunk, and before anything that depends on it (docs/design.md, rule 38). */
  chunkEnd(): void {
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
    this.#link.append(StoreFrameType.KV_RESULT, 0, payload);
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

  end(error: NyotaError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.done(error);
  }

  #room(op: WriteOp): void {
    assertRoom(this.#link, op.key.length * 3 + 32 + ('bytes' in op ? (op.bytes?.length ?? 0) : 0));
  }

  keepChanges(): void {
    this.#dirty ??= new Map();
  }

  get hasChanges(): boolean {
    return this.#dirty !== undefined && this.#dirty.size > 0;
  }

  takeChanges(): Partial<CoreBatch> {
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
    this.chunkEnd();
    this.#lastDeltaSeq = this.#link.append(StoreFrameType.KV_DELTA, 0, encodeKvDelta(change));
    this.#changed(change, local);
  }

  /** Reports a change. If its entry expires, there is a new deadline. */
  #changed(change: Change, local: boolean): void {
    this.#host.changed([change], local);
    if (this.nextDeadline !== Number.POSITIVE_INFINITY) this.#host.rearm();
  }
}

function ttlOf(op: WriteOp): number | undefined {
  return 'ttlMs' in op ? op.ttlMs : undefined;
}
