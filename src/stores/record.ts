/**
 * The rules of a kept session, each written once for all stores: who owns it, what a step changes, when it is over, and what
 * is remembered of it then. A driver (memory.ts, lmdb/) reads rows, asks a function here, and writes the rows that it answers
 * with.
 *
 * A session is kept as one head row, which every step replaces, and one row for each entry of the shared store and for each
 * frame; a step touches only those that it changes. When the session is over, a tombstone row is left. A driver may add
 * fields of its own to its head rows.
 *
 *            create                  commit: where the fence is still the head's
 *   nothing --------> head, fence f --------> head, entries, frames
 *      ^                 |       ^------ attach: where f is still the fence; the new one is max(f + 1, now)
 *      |                 | end, or nobody came back within the window
 *      '-- 24 hours -- tombstone, which keeps the last fence
 *
 * Pure: no clock, timer, file or chance. A driver calls these functions while nobody else can change the rows. A database
 * that runs scripts may compare the fence instead: while the fence is the same, the head is as its owner wrote it last. The
 * rules are numbered in docs/design.md, rules 4, 21, 22, 27 and 28.
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

/** The part of a session that it has once. The row's key is the session's id. */
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
  /** From then on the tombstone counts as gone. */
  readonly until: number;
  /** The session's last fence: if the id is used again, its fences begin above this one. */
  readonly fence: number;
}

/** What a step writes, all of it or nothing, in this order. */
export interface StepWrites<Head extends HeadRow> {
  /** Another session takes the place of the old one: all entries and frames are removed first. */
  readonly restart: boolean;
  /** Entries to be written; one without bytes is to be removed. */
  readonly entries: readonly StoredEntry[];
  readonly frames: readonly StoredFrame[];
  /**
   * The frames to be removed: an inclusive range, empty if the second number is the lower one. There may be frames for only a
   * few of its numbers.
   */
  readonly trim: Range;
  /** Shares no memory with what was handed over. */
  readonly head: Head;
}

/**
 * A new session. Its first fence is at least the time, so that an id that is used again never repeats a fence of its first
 * life, even after its tombstone is gone.
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

/** The head with a new owner. Undefined if the session has another fence by now, or is not there. */
export function attachSession<Head extends HeadRow>(
  head: Head | undefined,
  fence: number,
  now: number,
  attempt?: number,
): Head | undefined {
  if (head === undefined || head.fence !== fence) return undefined;
  return { ...head, fence: raisedFence(fence, now), attempt: attempt ?? head.attempt, detachedAt: null };
}

/** What a step writes, or the error if its owner has lost the session. */
export function commitStep<Head extends HeadRow>(
  id: string,
  head: Head | undefined,
  fence: number,
  batch: SessionBatch,
): StepWrites<Head> | NyotaError {
  if (head === undefined || head.fence !== fence) return takenOver(id);
  const { credential, inbound, entries = [], outbound = [], trim = 0, detachedAt } = batch;
  const before = credential === undefined ? head : restarted(head, credential);
  // Trimmed frames never come back, so a `trim` below the last one changes nothing.
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
 * The owners whose step could not be kept. Their later steps were made on top of that one, so none of them is taken. The next
 * owner has another fence, and goes on from what is there.
 */
export class FailedOwners {
  readonly #fences = new Map<string, number>();

  add(id: string, fence: number): void {
    this.#fences.set(id, Math.max(fence, this.#fences.get(id) ?? fence));
  }

  has(id: string, fence: number): boolean {
    return this.#fences.get(id) === fence;
  }

  /** @param fenceOf the fence that a session has by now; undefined if it is over */
  forgetOld(fenceOf: (id: string) => number | undefined): void {
    for (const [id, fence] of this.#fences) if (fenceOf(id) !== fence) this.#fences.delete(id);
  }
}

/**
 * The tombstone of a session that its owner ends. Undefined if another owner has it, or has ended it: that one knows more.
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
 * True if the session's client did not come back within its window.
 * @param leftAt since when the client has been away; null: it is connected. A driver passes it if it knows more than the
 * head: that the process which had the client has died
 */
export function isOver(head: HeadRow, now: number, leftAt: number | null = head.detachedAt): boolean {
  return leftAt !== null && leftAt + head.resumeWindowMs <= now;
}

/**
 * The tombstone of a session whose client did not come back. `exact` is false: its process may have dispatched more than it
 * has stored.
 */
export function expireSession({ fence, inbound, lastSeq }: HeadRow, now: number): TombstoneRow {
  const numbers = { received: inbound.settled, sent: lastSeq, exact: false };
  return { code: 'NYOTA_SESSION_EXPIRED', ...numbers, until: now + TOMBSTONE_MS, fence };
}

/** True once a tombstone's 24 hours are over. */
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
 * @param entries copies, which nobody else holds
 * @param outbound copies too; in rising order, all above the head's `trimmed`
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

/** True if all frames are there that the head counts. A hole would lose a message in silence. */
export function isWhole({ trimmed, lastSeq }: HeadRow, outbound: readonly StoredFrame[]): boolean {
  return outbound.every(({ seq }, i) => seq === trimmed + 1 + i) && trimmed + outbound.length >= lastSeq;
}

/**
 * Above every fence before it, and at least `now`: a store that was restored from an old copy can't repeat a fence that was
 * given since.
 */
function raisedFence(last: number, now: number): number {
  return Math.max(last + 1, Math.floor(now));
}

function copyInbound({ settled, beyond }: InboundState): InboundState {
  return { settled, beyond: beyond.map(([from, to]) => [from, to] as const) };
}

/** The head of the session that follows, with the same owner. */
function restarted<Head extends HeadRow>(head: Head, credential: Buffer): Head {
  const { fence, attempt, detachedAt } = head;
  return { ...head, ...emptySession({ ...head, credential }, fence, attempt, detachedAt) };
}

/** The head of a session in which nothing was sent or received, with an empty shared store. */
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
