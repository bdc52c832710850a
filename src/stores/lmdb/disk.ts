/**
 * The folder of an LMDB store, as the file system sees it. Checks its files before LMDB maps them into memory: reading a
 * mapped page that the file does not have ends the process (docs/design.md, rule 31). Decides whether a step still fits, by
 * `maxBytes` and by the free space of the disk (docs/design.md, rule 29). Finds out what a failure of the disk means: LMDB's
 * own errors say little (a full disk is an "Input/output error"). Knows nothing of sessions, nor of the package `lmdb`.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  realpathSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { NyotaError } from '../../errors.js';

/** With less free space than this nothing can be written. */
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

/** When a commit fails, `lmdb` gives the reason by another promise, `commitError`, which may never settle. */
export async function causeOf(error: unknown): Promise<unknown> {
  const reason = (error as { commitError?: Promise<unknown> } | undefined)?.commitError;
  if (!(reason instanceof Promise)) return error;
  const known = reason.catch((cause: unknown) => cause);
  const turn = new Promise<unknown>((resolve) => void setImmediate(resolve, error));
  return await Promise.race([known, turn]);
}

/** What can still be written to the file system of a folder, in bytes; undefined if it does not say. */
function freeBytes(path: string): number | undefined {
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

/** Offsets in an LMDB page 0 or 1, behind the page's header, whose size is 16 or 24 bytes. */
const META = {
  magic: 0xbeefc0de,
  pageSize: 24,
  freeRoot: 64,
  mainRoot: 112,
  lastPage: 120,
  txnId: 128,
  bytes: 136,
};
const NO_PAGE = 2n ** 64n - 1n;
const PAGE_SIZES = { min: 512, max: 65_536 };
/** An intact file may lack pages at its end that were freed before they were ever written, but never more than this. */
const MAX_MISSING_BYTES = 64 * 2 ** 20;
/** Enough for LMDB's table of 126 readers. */
const LOCK_BYTES = 16_384;
/** Sessions hold secrets of clients. */
const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;

/** Returns the path with its links resolved: a process must not open one folder twice. */
export function makeFolder(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
    return realpathSync(path);
  } catch (cause) {
    throw storeFailed(path, 'can not be opened', cause);
  }
}

/**
 * Makes sure that the data file is an LMDB file and as long as its header says, and that the lock file has its space on the
 * disk. Other damage is found by LMDB.
 * @param path how the user has named the folder
 * @throws NyotaError for a folder that may not be opened; an error of the file system where it can't be written
 */
export function prepareFiles(path: string, folder: string): void {
  checkData(path, join(folder, 'data.mdb'));
  makeLockFile(folder);
}

/**
 * Creates the data file with all its databases in a folder that has none: as a whole, or not at all. If several processes
 * start on an empty folder, one of them creates it, and none writes before it is complete.
 * @param make fills an LMDB folder of its own, which is removed afterwards
 */
export function beginFolder(folder: string, make: (draft: string) => void): void {
  const file = join(folder, 'data.mdb');
  if (existsSync(file)) return;
  const draft = mkdtempSync(join(folder, 'draft-'));
  try {
    make(draft);
    const whole = join(draft, 'whole');
    copyFileSync(join(draft, 'data.mdb'), whole);
    linkSync(whole, file);
  } catch (error) {
    const { code } = error as { code?: unknown };
    // Another process was first, or the file system has no hard links: LMDB then creates the file in place.
    if (code !== 'EEXIST' && code !== 'EPERM' && code !== 'ENOTSUP') throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function checkData(path: string, file: string): void {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return;
    throw error;
  }
  try {
    const before = fstatSync(fd).size;
    if (before === 0) return;
    const newest = newestMeta(fd, before);
    // Read after the header: another process may have made the file longer in between.
    const { size } = fstatSync(fd);
    if (newest === undefined) throw storeFailed(path, 'holds a data.mdb that is no LMDB file: move it away');
    const pageSize = BigInt(newest.readUInt32LE(META.pageSize));
    const beyond = (page: bigint): boolean => page !== NO_PAGE && (page + 1n) * pageSize > BigInt(size);
    const missing = (newest.readBigUInt64LE(META.lastPage) + 1n) * pageSize - BigInt(size);
    const roots = [META.freeRoot, META.mainRoot].map((offset) => newest.readBigUInt64LE(offset));
    if (roots.some(beyond) || missing > MAX_MISSING_BYTES) {
      throw storeFailed(path, 'is damaged, its data.mdb is cut short: put a copy back, or move it away');
    }
    if (missing > 0n) fillUp(file, Number(missing));
  } finally {
    closeSync(fd);
  }
}

/** Appends at the end of the file, wherever that is by now. A blank page that is in use is reported as damage when it is read. */
function fillUp(file: string, bytes: number): void {
  const fd = openSync(file, 'a');
  try {
    writeSync(fd, Buffer.alloc(bytes));
  } finally {
    closeSync(fd);
  }
}

function newestMeta(fd: number, size: number): Buffer | undefined {
  const metaAt = (page: number): Buffer | undefined => {
    const head = Buffer.alloc(24 + META.bytes);
    if (page + head.length > size || readSync(fd, head, 0, head.length, page) < head.length) return undefined;
    const offset = [16, 24].find((at) => head.readUInt32LE(at) === META.magic);
    const meta = offset === undefined ? undefined : head.subarray(offset);
    const pageSize = meta?.readUInt32LE(META.pageSize) ?? 0;
    const isPageSize = pageSize >= PAGE_SIZES.min && pageSize <= PAGE_SIZES.max;
    return isPageSize && (pageSize & (pageSize - 1)) === 0 ? meta : undefined;
  };
  const first = metaAt(0);
  if (first === undefined) return undefined;
  const second = metaAt(first.readUInt32LE(META.pageSize));
  if (second === undefined) return first;
  return second.readBigUInt64LE(META.txnId) > first.readBigUInt64LE(META.txnId) ? second : first;
}

/**
 * Writes the lock file out in full. The one that LMDB makes has no space on the disk until it is used, and if the disk is
 * full by then the process is ended.
 */
function makeLockFile(folder: string): void {
  const file = join(folder, 'lock.mdb');
  if (existsSync(file)) return;
  const draft = join(folder, `lock.${process.pid}.${process.hrtime.bigint()}`);
  try {
    writeFileSync(draft, Buffer.alloc(LOCK_BYTES), { mode: FILE_MODE, flag: 'wx' });
    // Linked into place: complete or not at all, and never over one that another process is using.
    linkSync(draft, file);
  } catch (error) {
    const { code } = error as { code?: unknown };
    // On a file system without hard links LMDB makes its own.
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EACCES' || code === 'EROFS') throw error;
  } finally {
    try {
      unlinkSync(draft);
    } catch {
      // It could not be written.
    }
  }
}

/** Kept free on the disk: LMDB writes changed pages to new places before it frees the old ones. */
const KEPT_BACK_BYTES = 2 ** 20;
/** How long a measurement holds: other processes write too. */
const MEASURE_EVERY_MS = 250;

/**
 * Decides whether a step still fits. One that does not is refused before anything of it is written. Some of the disk is kept
 * back, so that acknowledgements, and whatever frees space, can always be written.
 */
export class Room {
  readonly #path: string;
  readonly #maxBytes: number;
  #bytes = 0;
  #takenBefore = 0;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #limit = '';

  constructor(path: string, maxBytes: number) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /**
   * Returns undefined if so many bytes still fit, else the error to refuse with.
   * @param takenBytes about how many bytes this process has added to the file so far
   * @param usedBytes how much of the file is in use
   */
  refusal(bytes: number, takenBytes: number, usedBytes: () => number): NyotaError | undefined {
    if (bytes <= 0) return undefined;
    const left = (): number => this.#bytes - (takenBytes - this.#takenBefore);
    if (bytes > left() || performance.now() - this.#measuredAt > MEASURE_EVERY_MS) {
      this.#takenBefore = takenBytes;
      this.#measure(bytes, usedBytes);
    }
    return bytes > left() ? storeFailed(this.#path, this.#limit) : undefined;
  }

  #measure(wanted: number, usedBytes: () => number): void {
    this.#measuredAt = performance.now();
    const fileBytes = statSync(join(this.#path, 'data.mdb')).size;
    const disk = freeBytes(this.#path) ?? Number.POSITIVE_INFINITY;
    this.#bytes = Math.min(this.#maxBytes - fileBytes, disk - KEPT_BACK_BYTES);
    if (this.#bytes >= wanted) return;
    // The file never gets smaller, but what is free in it is used first.
    const used = usedBytes();
    const byLimit = this.#maxBytes - used;
    const byDisk = disk - KEPT_BACK_BYTES + Math.max(0, fileBytes - used);
    this.#bytes = Math.min(byLimit, byDisk);
    this.#limit =
      byLimit <= byDisk
        ? `is full, it holds ${used} bytes of the ${this.#maxBytes} that 'maxBytes' allows: raise that, or let sessions end sooner`
        : `can't grow, its disk is full but for ${Math.max(0, disk)} bytes: make room on it, or move the folder to a larger one`;
  }
}
