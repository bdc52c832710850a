/**
 * The shared store as a feature: its writes are sequenced frames, in order with events, and its frames become changes. The
 * two ends differ: the server decides (server-store.ts), the client shows its own writes at once and is corrected
 * (client-store.ts). Here is what both have: the interface that the peer uses, and the forms of a write. Pure.
 */
import { encodePayload, type PayloadLimits } from '../../codec/payload.js';
import { NyotaError } from '../../errors.js';
import type { Feature } from '../../link/feature.js';
import type { Link, LinkHost } from '../../link/link.js';
import { type KvOpMessage, StoreFrameType } from './frames.js';
import type { Conflict } from './replica.js';
import type { Change, CompareAndSetOp, DeleteOp, SetOp, StoreEntry, WriteOp } from './writes.js';

/** Nothing here may throw into the session. */
export interface StoreHost extends LinkHost {
  /** Visible changes, in order; `local` where this side made them. */
  changed(changes: readonly Change[], local: boolean): void;
  conflicted(conflicts: readonly Conflict[]): void;
}

export const STORE_TYPES = {
  sequenced: [StoreFrameType.KV_OP, StoreFrameType.KV_DELTA, StoreFrameType.KV_RESULT],
};

export type CompareAndSetResult = { accepted: true } | { accepted: false; error: NyotaError };

/** What a peer does with its end of the store. */
export interface StoreFeature extends Feature {
  get(key: string): StoreEntry | undefined;
  has(key: string): boolean;
  keys(): IterableIterator<string>;
  readonly size: number;
  /**
   * Says whether anybody listens to the changes that this side's own writes make. An end that reports them in any case has no
   * such method.
   */
  tellOwn?(told: boolean): void;
  /** Sets the key, which has been checked: shows at once. Throws if it can't be taken. */
  set(key: string, value: unknown, ttlMs: number | undefined): void;
  /** A set or delete of bytes that are the store's own from here on. Throws if it can't be taken. */
  write(op: SetOp | DeleteOp): void;
  /** The revision that `compareAndSet` may expect of a key; 0 where it is not there. */
  revisionOf(key: string): number;
  compareAndSet(op: CompareAndSetOp, done: (result: CompareAndSetResult) => void): void;
  /** Calls `fn` once all of this side's writes are confirmed. */
  whenSynced(fn: (error?: NyotaError) => void): void;
  /** Throws what makes any of the writes impossible, before the first is made. */
  checkAll(ops: readonly WriteOp[]): void;
}

export function wrongSide(type: number): NyotaError {
  return new NyotaError(
    'NYOTA_PROTOCOL_ERROR',
    `a store frame of type 0x${type.toString(16)} goes the other way`,
  );
}

/** @throws NyotaError what makes a write impossible: session over, outbox full, frame too large */
export function assertRoom(link: Link, bodyBytes: number): void {
  link.assertLive();
  link.assertRoom(bodyBytes);
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
