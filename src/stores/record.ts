/**
 * The rules of a kept session, each written once for all stores: who owns it, what a step changes, when it is over, and what is
 * remembered of it then. A driver (memory.ts, lmdb/) reads rows, asks a function here, and writes the rows that it answers with.
 *
 * A session is kept as one head row, which every step replaces, and a row for each entry of the shared store and for each frame, of which
 * a step touches only those that it changes. Once it is over a tombstone row is left. A driver may add fields of its own to its head rows.
 *
 *            create                  commit: where the fence is still the head's
 *   nothing --------> head, fence f --------> head, entries, frames
 *      ^                 |       ^------ attach: where f is still the fence; the new one is max(f + 1, now)
 *      |                 | end, or nobody came back within the window
 *      '-- 24 hours -- tombstone, which keeps the last fence
 *
 * Pure: no clock, timer, file or chance. A driver asks while nobody else can change the rows. A database that runs scripts of its own
 * may instead compare the fence itself: with an unchanged fence the head is still as its owner wrote it last.
 */
import { type ErrorCode, NyotaError } from '../errors.js';
import type {
  InboundState,
  Range,
  SessionBatch,
  SessionRecord,
  StoredEntry,
  StoredFrame,
  StoredSession,
  Tombstone,
} from './session-store.js';

/** How long a tombstone is kept, in ms: 24 hours. */
export const TOMBSTONE_MS = 24 * 60 * 60 * 1000;

/** What of a session does not repeat. Its id is the row's key. */
export interface HeadRow {
  readonly credential: Uint8Array;
  readonly identity: Uint8Array;
  readonly resumeWindowMs: number;
  readonly fence: number;
  readonly attempt: number;
  readonly inbound: InboundState;
  readonly revision: number;
  readonly trimmed: number;
  readonly lastSeq: number;
  readonly resolvedSeq: number;
  readonly detachedAt: number | null;
  readonly established: boolean;
}

/** What is left of a session that is over. */
export interface TombstoneRow {
  readonly code: ErrorCode;
  readonly received: number;
  readonly sent: number;
  readonly exact: boolean;
  /** From then on it is not known any more. */
  readonly until: number;
  /** The session's last one: should the id be used again, its fences begin above. */
  readonly fence: number;
}

/** What a step writes, all of it or nothing, in this order. */
export interface StepWrites<Head extends HeadRow> {
  /** Another session begins in the place of the old one: all entries and frames go first. */
  readonly restart: boolean;
  /** To be put; one without bytes is to be removed. */
  readonly entries: readonly StoredEntry[];
  readonly frames: readonly StoredFrame[];
  /** The frames to be removed, both numbers included; none where the second is the lower one. Most of the numbers may never have been. */
  readonly trim: Range;
  /** Holds nothing that was handed over. */
  readonly head: Head;
}

/**
 * A new session. Its fence begins by time, so that an id that is used again after its tombstone is gone does not know the
 * fences of its first life.
 * @param kept the head row under that id
 * @param before the tombstone row under that id
 */
export function createSession(
  record: SessionRecord,
  kept: HeadRow | undefined,
  before: TombstoneRow | undefined,
  now: number,
  attempt = 0,
): HeadRow | NyotaError {
  if (kept !== undefined) {
    return new NyotaError('NYOTA_STORE_FAILED', `there is a session ${record.id} in the store already`);
  }
  return emptySession(record, raisedFence(before?.fence ?? 0, now), attempt, now);
}

/** The head of another owner; undefined where the fence is another by now, or the session is not there. */
export function attachSession<Head extends HeadRow>(
  head: Head | undefined,
  fence: number,
  now: number,
  attempt?: number,
): Head | undefined {
  if (head === undefined || head.fence !== fence) return undefined;
  return { ...head, fence: raisedFence(fence, now), attempt: attempt ?? head.attempt, detachedAt: null };
}

/** What a step writes; the error where its owner has lost the session. */
export function commitStep<Head extends HeadRow>(
  id: string,
  head: Head | undefined,
  fence: number,
  batch: SessionBatch,
): StepWrites<Head> | NyotaError {
  if (head === undefined || head.fence !== fence) return takenOver(id);
  const { credential, inbound, entries = [], outbound = [], trim = 0, detachedAt } = batch;
  const before = credential === undefined ? head : restarted(head, credential);
  // What was trimmed never comes back, and a lower trim is none.
  const trimmed = trim > before.trimmed ? trim : before.trimmed;
  return {
    restart: credential !== undefined,
    entries,
    frames: outbound.filter(({ seq }) => seq > trimmed),
    trim: [before.trimmed + 1, trimmed],
    head: {
      ...before,
      trimmed,
      inbound: inbound === undefined ? before.inbound : copyInbound(inbound),
      revision: batch.revision ?? before.revision,
      lastSeq: batch.lastSeq ?? before.lastSeq,
      resolvedSeq: batch.resolvedSeq ?? before.resolvedSeq,
      detachedAt: detachedAt === undefined ? before.detachedAt : detachedAt,
      established: batch.established ?? before.established,
    },
  };
}

export function takenOver(id: string): NyotaError {
  return new NyotaError('NYOTA_TAKEN_OVER', `another process owns the session ${id} by now`);
}

/**
 * The owners of whom a step could not be kept. What such an owner does next is made on top of that step, so none of it is taken;
 * the next owner, who has another fence, goes on from what is there.
 */
export class FailedOwners {
  readonly #fences = new Map<string, number>();

  add(id: string, fence: number): void {
    this.#fences.set(id, Math.max(fence, this.#fences.get(id) ?? fence));
  }

  has(id: string, fence: number): boolean {
    return this.#fences.get(id) === fence;
  }

  /** @param fenceOf the fence that a session has by now; undefined where it is over */
  forgetOld(fenceOf: (id: string) => number | undefined): void {
    for (const [id, fence] of this.#fences) if (fenceOf(id) !== fence) this.#fences.delete(id);
  }
}

/**
 * The tombstone of a session that its owner ends; undefined where somebody else owns it, or has ended it and so knows more of it.
 * @param before the tombstone row under that id
 */
export function endSession(
  head: HeadRow | undefined,
  before: TombstoneRow | undefined,
  fence: number,
  tombstone: Tombstone,
  now: number,
): TombstoneRow | undefined {
  const last = before?.fence ?? 0;
  if (head === undefined ? fence < last : fence !== head.fence) return undefined;
  const { code, received, sent, exact = false } = tombstone;
  return { code, received, sent, exact, until: now + TOMBSTONE_MS, fence: Math.max(fence, last) };
}

/**
 * Whether nobody came back for a session within its window.
 * @param leftAt since when its client is gone; null: it is there. A driver that knows better than the head says so: the
 *   process that had the client may have died without a word
 */
export function isOver(head: HeadRow, now: number, leftAt: number | null = head.detachedAt): boolean {
  return leftAt !== null && leftAt + head.resumeWindowMs <= now;
}

/** The tombstone of a session that is over because nobody came back. Its process may have dispatched more than it could tell. */
export function expireSession({ fence, inbound, lastSeq }: HeadRow, now: number): TombstoneRow {
  const numbers = { received: inbound.settled, sent: lastSeq, exact: false };
  return { code: 'NYOTA_SESSION_EXPIRED', ...numbers, until: now + TOMBSTONE_MS, fence };
}

/** Whether a tombstone has had its time. */
export function isForgotten({ until }: TombstoneRow, now: number): boolean {
  return until <= now;
}

export function readTombstone(row: TombstoneRow | undefined, now: number): Tombstone | undefined {
  if (row === undefined || isForgotten(row, now)) return undefined;
  const { code, received, sent, exact } = row;
  return { code, received, sent, ...(exact ? { exact } : {}) };
}

/**
 * A session as it is handed out.
 * @param entries no others hold these, nor their bytes
 * @param outbound the same; in rising order, all above the head's `trimmed`
 */
export function readSession(
  id: string,
  head: HeadRow,
  entries: readonly StoredEntry[],
  outbound: readonly StoredFrame[],
): StoredSession {
  const { fence, attempt, inbound, revision, trimmed, lastSeq, resolvedSeq, detachedAt, established } = head;
  const [credential, identity] = [Buffer.from(head.credential), Buffer.from(head.identity)];
  const record = { id, credential, identity, resumeWindowMs: head.resumeWindowMs };
  const numbers = {
    fence,
    attempt,
    inbound,
    revision,
    trimmed,
    lastSeq,
    resolvedSeq,
    detachedAt,
    established,
  };
  return { record, ...numbers, entries, outbound };
}

/** Whether the frames are all that the head tells of. A hole would lose a message in silence. */
export function isWhole({ trimmed, lastSeq }: HeadRow, outbound: readonly StoredFrame[]): boolean {
  return outbound.every(({ seq }, i) => seq === trimmed + 1 + i) && trimmed + outbound.length >= lastSeq;
}

/** Above all that were before; and not below now, so that one from a copy of the store of long ago stays below those given since. */
function raisedFence(last: number, now: number): number {
  return Math.max(last + 1, Math.floor(now));
}

function copyInbound({ settled, beyond }: InboundState): InboundState {
  return { settled, beyond: beyond.map(([from, to]) => [from, to] as const) };
}

/** The session that follows one of the same owner. */
function restarted<Head extends HeadRow>(head: Head, credential: Buffer): Head {
  const { fence, attempt, detachedAt } = head;
  return { ...head, ...emptySession({ ...head, credential }, fence, attempt, detachedAt) };
}

/** Nothing has been sent or received, and nothing is in the shared store. */
function emptySession(
  { credential, identity, resumeWindowMs }: Pick<HeadRow, 'credential' | 'identity' | 'resumeWindowMs'>,
  fence: number,
  attempt: number,
  detachedAt: number | null,
): HeadRow {
  return {
    credential: Buffer.from(credential),
    identity: Buffer.from(identity),
    resumeWindowMs,
    fence,
    attempt,
    inbound: { settled: 0, beyond: [] },
    revision: 0,
    trimmed: 0,
    lastSeq: 0,
    resolvedSeq: 0,
    detachedAt,
    established: false,
  };
}
