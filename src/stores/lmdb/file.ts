/**
 * Looks at the files of an LMDB folder before they are mapped into memory, where touching what is not there ends the process:
 * the data file must be one, and as long as it says; the lock file must lie on the disk. Other damage is LMDB's to find.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  linkSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { NyotaError } from '../../errors.js';

/** Makes the error that names the folder. */
type Refuse = (text: string) => NyotaError;

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
/** Pages at the end that were free again before they were written; more than these can't be missing in a whole file. */
const MAX_MISSING_BYTES = 64 * 2 ** 20;
/** What LMDB takes for 126 readers fits well. */
const LOCK_BYTES = 16_384;
const FILE_MODE = 0o600;

/** @throws NyotaError for a folder that may not be opened; an error of the file system where it can't be written */
export function prepareFiles(folder: string, refuse: Refuse): void {
  checkData(join(folder, 'data.mdb'), refuse);
  makeLockFile(folder);
}

/**
 * Puts a data file with all its databases into a folder without one, whole, or not at all: where several processes begin the folder,
 * one of them does, and none writes to it before all is there.
 * @param make writes to an LMDB folder of its own, which is removed then
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
    // Another process was first, or it has to do without links: the file is made in its place.
    if (code !== 'EEXIST' && code !== 'EPERM' && code !== 'ENOTSUP') throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function checkData(file: string, refuse: Refuse): void {
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
    // Asked after that: another process may just have made it longer.
    const { size } = fstatSync(fd);
    if (newest === undefined) throw refuse('holds a data.mdb that is no LMDB file: move it away');
    const pageSize = BigInt(newest.readUInt32LE(META.pageSize));
    const beyond = (page: bigint): boolean => page !== NO_PAGE && (page + 1n) * pageSize > BigInt(size);
    const missing = (newest.readBigUInt64LE(META.lastPage) + 1n) * pageSize - BigInt(size);
    const roots = [META.freeRoot, META.mainRoot].map((offset) => newest.readBigUInt64LE(offset));
    if (roots.some(beyond) || missing > MAX_MISSING_BYTES) {
      throw refuse('is damaged, its data.mdb is cut short: put a copy back, or move it away');
    }
    if (missing > 0n) fillUp(file, Number(missing));
  } finally {
    closeSync(fd);
  }
}

/** At the end, wherever that is by now. Blank pages that are in use are found to be damaged when they are read. */
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

/** Written out: LMDB's own has no room on the disk before it is used, and where the disk is full by then the process ends. */
function makeLockFile(folder: string): void {
  const file = join(folder, 'lock.mdb');
  if (existsSync(file)) return;
  const draft = join(folder, `lock.${process.pid}.${process.hrtime.bigint()}`);
  try {
    writeFileSync(draft, Buffer.alloc(LOCK_BYTES), { mode: FILE_MODE, flag: 'wx' });
    // Whole, or not at all; and not over one that another process has begun to use.
    linkSync(draft, file);
  } catch (error) {
    const { code } = error as { code?: unknown };
    // A file system without links has to do without.
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EACCES' || code === 'EROFS') throw error;
  } finally {
    try {
      unlinkSync(draft);
    } catch {
      // It could not be written.
    }
  }
}
