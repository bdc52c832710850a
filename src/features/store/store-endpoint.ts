/**
 * The shared store's place in a session: its writes become sequenced frames, in order with events, and its frames
 * become changes. One interface for both sides: the server decides (sequencer-endpoint.ts), the client shows its own
 * writes at once and is corrected (replica-endpoint.ts). Pure.
 */

import { encodePayload, type PayloadLimits } from '../../codec/payload.js';
import { NyotaError } from '../../errors.js';
import type { CoreBatch, CoreImage } from '../../link/persisted.js';
import type { FrameType } from '../../wire/constants.js';
import type { KvOpMessage } from '../../wire/messages.js';
import type { Conflict } from './replica.js';
import type { StoreFrame } from './store-frames.js';
import type { Change, CompareAndSetOp, DeleteOp, SetOp, StoreEntry, WriteOp } from './types.js';

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
  /** Whether anyone hears of the changes that this side's own writes make. */
  tellOwn(told: boolean): void;
  /**
   * Sets the key, which has been checked, to the value, which must be within the limits: shows at once. Throws where it can't
   * be taken.
   */
  set(key: string, value: unknown, ttlMs: number | undefined, limits: PayloadLimits): void;
  /** A set or delete of bytes that are the store's own from here on. Throws where it can't be taken. */
  write(op: SetOp | DeleteOp): void;
  /** The revision that `compareAndSet` may expect of a key; 0 where it is not there. */
  revisionOf(key: string): number;
  compareAndSet(op: CompareAndSetOp, done: (result: CompareAndSetResult) => void): void;
  /** Calls `fn` once all of this side's writes are confirmed. */
  whenSynced(fn: (error?: NyotaError) => void): void;
  /** A frame of the store's. */
  receive(frame: StoreFrame, seq: number): void;
  /** The frame of a write of this side's was taken back: it can never be sent. */
  withdrawn(seq: number, error: NyotaError): void;
  /** Throws what makes any of the writes impossible, before the first is made. */
  checkAll(ops: readonly WriteOp[]): void;
  /** Sends what has been decided and not told yet: at the end of every chunk, and before anything that depends on it. */
  flush(): void;
  acknowledged(seq: number): void;
  readonly nextDeadline: number;
  tick(now: number): void;
  /** The session has ended; nothing is confirmed any more. */
  fail(error: NyotaError): void;
  /** For a durable store: from here on changes are remembered until `takeDirty` hands them out. */
  keepTrack(): void;
  readonly dirty: boolean;
  /** The oldest write of this side's that is not decided; it must stay in the store, acknowledged or not. */
  readonly firstPendingSeq: number | undefined;
  takeDirty(): StoreStep;
  restore(image: CoreImage): void;
}

/** The shared store's part of a durable step. */
export type StoreStep = Pick<CoreBatch, 'entries' | 'revision' | 'resolvedSeq'>;

export function wrongSide(type: number): NyotaError {
  return new NyotaError(
    'NYOTA_PROTOCOL_ERROR',
    `a store frame of type 0x${type.toString(16)} goes the other way`,
  );
}

/** A value's payload, in memory of its own. Throws what can't travel. */
export function encodeValue(key: string, value: unknown, limits: PayloadLimits): Buffer {
  return Buffer.from(encodePayload(value, limits, `the value of '${key}'`));
}

/** A client's write, as it came over the wire. */
export function toWriteOp(message: KvOpMessage): WriteOp {
  const { kind, key, bytes, ttlMs } = message;
  if (kind === 'set' && bytes !== undefined) return { kind, key, bytes, ttlMs };
  if (kind === 'compare-and-set') {
    return { kind, key, bytes, expectedRevision: message.expectedRevision ?? 0, ttlMs };
  }
  return { kind: 'delete', key };
}

/** About the bytes that the writes take in the outbox. */
export function sizeOf(ops: readonly WriteOp[]): number {
  let bytes = 0;
  for (const op of ops) bytes += op.key.length + 64 + ('bytes' in op ? (op.bytes?.length ?? 0) : 0);
  return bytes;
}
