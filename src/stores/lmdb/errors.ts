/**
 * What an LMDB store says when it fails: the folder, what is wrong with it, and what would be right. LMDB itself tells little:
 * a full disk is an "Input/output error" to it, so the file system is asked as well.
 */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { NyotaError } from '../../errors.js';

/** Below so much nothing can be written. */
const FULL_BELOW_BYTES = 64 * 1024;
const FULL = 'the disk is full: make room on it, or move the folder to a larger one';
const FORBIDDEN = 'this process may not write there: give its user the right to, or name another folder';
const BROKEN = 'the disk does not take it: see to its free space, to limits and quotas, and to its health';
const READ_ONLY = 'the file system is read-only: make it writable, or name another folder';
const DAMAGED = 'it is damaged, or no nyota store: put a copy back, or name another folder';

/** By the system's name of an error, by its number on Linux, and by LMDB's own numbers. */
const REASONS: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  ...['ENOSPC', 'EDQUOT', 28, 122].map((code) => [code, FULL] as const),
  ...['EACCES', 'EPERM', 13, 1].map((code) => [code, FORBIDDEN] as const),
  ...['EROFS', 30].map((code) => [code, READ_ONLY] as const),
  ...['EEXIST', 'ENOTDIR', 20].map((code) => [code, 'a file is in its place: name a folder'] as const),
  ...[-30_793, -30_794, -30_796, -30_797].map((code) => [code, DAMAGED] as const),
  ...['EIO', 5].map((code) => [code, BROKEN] as const),
  [-30_790, 'too many processes have it open'],
  [-30_795, 'an earlier failure left it unusable for this process: start the process again'],
]);

/** @param text what could not be done; the reason is added where it can be found out */
export function storeFailed(path: string, text: string, cause?: unknown): NyotaError {
  if (cause instanceof NyotaError) return cause;
  const reason = cause === undefined ? undefined : reasonOf(path, cause);
  const why = reason === undefined ? '' : `: ${reason}`;
  return new NyotaError('NYOTA_STORE_FAILED', `the store in '${path}' ${text}${why}`, { cause });
}

/** A commit that failed tells its reason in a promise of its own, which may never settle. */
export async function causeOf(error: unknown): Promise<unknown> {
  const reason = (error as { commitError?: Promise<unknown> } | undefined)?.commitError;
  if (!(reason instanceof Promise)) return error;
  const known = reason.catch((cause: unknown) => cause);
  const turn = new Promise<unknown>((resolve) => void setImmediate(resolve, error));
  return await Promise.race([known, turn]);
}

/** What can still be written to the file system of a folder, in bytes; undefined where it does not say. */
export function freeBytes(path: string): number | undefined {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      const { bavail, bsize, blocks } = statfsSync(folder);
      return blocks === 0 ? undefined : bavail * bsize;
    } catch {
      // The folder may not be there yet.
      if (dirname(folder) === folder) return undefined;
    }
  }
}

function reasonOf(path: string, cause: unknown): string {
  const { code, message } = cause as { code?: unknown; message?: unknown };
  const said = typeof message === 'string' ? message : String(cause);
  const known = REASONS.get(code) ?? REASONS.get(/^[A-Z]{3,}(?=:)/.exec(said)?.[0]);
  const free = known === undefined || known === BROKEN ? freeBytes(path) : undefined;
  if (free !== undefined && free < FULL_BELOW_BYTES) return `${FULL} (${said})`;
  return known === undefined ? said : `${known} (${said})`;
}
