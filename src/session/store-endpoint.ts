/**
 * The shared store's place in a session: its writes become sequenced frames, in order with events, and its
 * frames become changes. One interface, two sides: the server decides (Sequencer), the client shows its own
 * writes at once and is corrected (Replica). Pure.
 */
import { NyotaError } from '../errors.js';
import { FrameType } from '../protocol/constants.js';
import {
  encodeKvDelta,
  encodeKvOp,
  encodeKvResult,
  type KvOpMessage,
  type KvResultMessage,
} from '../protocol/messages.js';
import { type Conflict, Replica } from '../sync/replica.js';
import { Sequencer } from '../sync/sequencer.js';
import type { Change, CompareAndSetOp, DeleteOp, SetOp, StoreEntry, WriteOp } from '../sync/types.js';
import type { StoreFrame } from './store-frames.js';

/** What a store endpoint needs of its session. */
export interface StoreHost {
  now(): number;
  /** Throws what makes a write impossible: session over, outbox full, frame too large. */
  assertRoom(payloadBytes: number): void;
  append(type: FrameType, flags: number, payload: Uint8Array): number;
  /** Visible changes, in order; `local` where this side made them. */
  changed(changes: readonly Change[], local: boolean): void;
  conflicted(conflicts: readonly Conflict[]): void;
}

export type CompareAndSetResult = { accepted: true } | { accepted: false; error: NyotaError };

export interface StoreEndpoint {
  get(key: string): StoreEntry | undefined;
  has(key: string): boolean;
  keys(): IterableIterator<string>;
  readonly size: number;
  /** A set or delete: shows at once. Throws where it can't be taken. */
  write(op: SetOp | DeleteOp): void;
  /** The revision that `compareAndSet` may expect of a key; 0 where it is not there. */
  revisionOf(key: string): number;
  compareAndSet(op: CompareAndSetOp, done: (result: CompareAndSetResult) => void): void;
  /** Calls `fn` once all of this side's writes are confirmed. */
  whenSynced(fn: (error?: NyotaError) => void): void;
  /** A frame of the store's. */
  receive(frame: StoreFrame, seq: number): void;
  /** Sends what has been decided and not told yet: at the end of every chunk, and before anything that depends on it. */
  flush(): void;
  acknowledged(seq: number): void;
  readonly nextDeadline: number;
  tick(now: number): void;
  /** The session has ended; nothing is confirmed any more. */
  fail(error: NyotaError): void;
}

/** The server's side. */
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

  write(op: SetOp | DeleteOp): void {
    this.#room(op);
    this.#publish(this.#sequencer.write(op), true);
  }

  compareAndSet(op: CompareAndSetOp, done: (result: CompareAndSetResult) => void): void {
    this.#room(op);
    const change = this.#sequencer.write(op);
    if (change !== undefined) this.#publish(change, true);
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
    const result = this.#sequencer.apply(toWriteOp(frame.message));
    if (result.accepted) {
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
    for (const change of this.#sequencer.expire(now)) this.#publish(change, false);
  }

  fail(error: NyotaError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.done(error);
  }

  #room(op: WriteOp): void {
    this.#host.assertRoom(op.key.length * 3 + 32 + ('bytes' in op ? (op.bytes?.length ?? 0) : 0));
  }

  #publish(change: Change, local: boolean): void {
    // A result counts revisions backwards, so it may not span a revision that this side used.
    this.flush();
    this.#lastDeltaSeq = this.#host.append(FrameType.KV_DELTA, 0, encodeKvDelta(change));
    this.#host.changed([change], local);
  }
}

/** The client's side. */
export class ReplicaEndpoint implements StoreEndpoint {
  readonly #host: StoreHost;
  readonly #replica = new Replica();
  #waiters = new Set<(error?: NyotaError) => void>();

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

  write(op: SetOp | DeleteOp): void {
    this.#replica.check(op);
    this.#host.changed(this.#submit(op), true);
  }

  compareAndSet(op: CompareAndSetOp, done: (result: CompareAndSetResult) => void): void {
    this.#replica.check(op);
    this.#host.changed(this.#submit(op, done), true);
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
    for (const op of ops) this.#submit(op);
    for (const done of waiters) this.whenSynced(done);
  }

  /** The other side forgot the session on purpose: the new one's store is empty. */
  clear(error: NyotaError): void {
    this.fail(error);
    this.#host.changed(this.#replica.clear(), false);
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

  #submit(op: WriteOp, done?: (result: CompareAndSetResult) => void): readonly Change[] {
    const payload = encodeKvOp({
      kind: op.kind,
      key: op.key,
      bytes: 'bytes' in op ? op.bytes : undefined,
      ttlMs: 'ttlMs' in op ? op.ttlMs : undefined,
      expectedRevision: 'expectedRevision' in op ? op.expectedRevision : undefined,
    });
    this.#host.assertRoom(payload.length);
    return this.#replica.submit(op, this.#host.append(FrameType.KV_OP, 0, payload), done);
  }
}

function wrongSide(type: number): NyotaError {
  return new NyotaError(
    'NYOTA_PROTOCOL_ERROR',
    `a store frame of type 0x${type.toString(16)} goes the other way`,
  );
}

function toWriteOp(message: KvOpMessage): WriteOp {
  const { kind, key, bytes, ttlMs } = message;
  const ttl = ttlMs === undefined ? {} : { ttlMs };
  if (kind === 'compare-and-set') {
    return { kind, key, bytes, expectedRevision: message.expectedRevision ?? 0, ...ttl };
  }
  if (kind === 'set' && bytes !== undefined) return { kind, key, bytes, ...ttl };
  return { kind: 'delete', key };
}

function refusalOf(result: KvResultMessage) {
  if (result.refusedCode === undefined) return undefined;
  const current =
    result.currentBytes === undefined
      ? undefined
      : { bytes: result.currentBytes, revision: result.currentRevision ?? 0 };
  return { error: new NyotaError(result.refusedCode, 'the server refused this write to the store'), current };
}
