/** What the databases of the LMDB store hold. Types, and the first row of a session. */
import type { ErrorCode } from '../../errors.js';
import type { InboundState, SessionRecord } from '../session-store.js';

export interface SessionRow {
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
  /** The process that attached it last. */
  readonly owner: string;
}

export type EntryRow = readonly [revision: number, expiresAt: number | null, bytes: Uint8Array];

export interface TombstoneRow {
  readonly code: ErrorCode;
  readonly received: number;
  readonly sent: number;
  readonly exact: boolean;
  readonly until: number;
  /** The last one of the session. */
  readonly fence: number;
}

/** By time: an id that is used again after its end must not know the fences of its first life. */
export function firstFence(now: number): number {
  return Math.floor(now);
}

/** Above those of the id's earlier life, where it is known. */
export function newFence(now: number, before: TombstoneRow | undefined): number {
  return Math.max(firstFence(now), (before?.fence ?? 0) + 1);
}

export function toRow(
  record: SessionRecord,
  owner: string,
  now: number,
  fence: number,
  attempt: number,
): SessionRow {
  const { credential, identity, resumeWindowMs } = record;
  return {
    credential,
    identity,
    resumeWindowMs,
    fence,
    attempt,
    inbound: { settled: 0, beyond: [] },
    revision: 0,
    trimmed: 0,
    lastSeq: 0,
    resolvedSeq: 0,
    detachedAt: now,
    established: false,
    owner,
  };
}

/** The first row of the session that follows one of the same owner. */
export function anew(row: SessionRow, credential: Uint8Array): SessionRow {
  return {
    ...row,
    credential,
    inbound: { settled: 0, beyond: [] },
    revision: 0,
    trimmed: 0,
    lastSeq: 0,
    resolvedSeq: 0,
    established: false,
  };
}
