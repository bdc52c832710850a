/**
 * Looks at an LMDB file before it is mapped into memory: reading one that is none, or that was cut short, would end the process.
 * Checks the magic and that both roots of the newest state lie within the file; other damage is LMDB's to find.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { NyotaError } from '../errors.js';

/** Makes the error that names the folder. */
type Refuse = (text: string) => NyotaError;

/** Offsets in an LMDB page 0 or 1, behind the page's header, whose size is 16 or 24 bytes. */
const META = { magic: 0xbeefc0de, pageSize: 24, freeRoot: 64, mainRoot: 112, txnId: 128, bytes: 136 };
const NO_PAGE = 2n ** 64n - 1n;

/** @throws NyotaError for a file that may not be opened. One that is not there is none of this function's business. */
export function refuseBrokenFile(file: string, refuse: Refuse): void {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch {
    return; // It is not there, or opening it tells why not.
  }
  try {
    const { size } = fstatSync(fd);
    if (size === 0) return;
    const newest = newestMeta(fd, size);
    if (newest === undefined) throw refuse('holds a data.mdb that is no LMDB file: move it away');
    const pageSize = newest.readUInt32LE(META.pageSize);
    for (const root of [META.freeRoot, META.mainRoot].map((offset) => newest.readBigUInt64LE(offset))) {
      if (root !== NO_PAGE && (root + 1n) * BigInt(pageSize) > BigInt(size)) {
        throw refuse('is damaged, its data.mdb is cut short: put a copy back, or move it away');
      }
    }
  } finally {
    closeSync(fd);
  }
}

function newestMeta(fd: number, size: number): Buffer | undefined {
  const metaAt = (page: number): Buffer | undefined => {
    const head = Buffer.alloc(24 + META.bytes);
    if (page + head.length > size || readSync(fd, head, 0, head.length, page) < head.length) return undefined;
    const offset = [16, 24].find((at) => head.readUInt32LE(at) === META.magic);
    return offset === undefined ? undefined : head.subarray(offset);
  };
  const first = metaAt(0);
  if (first === undefined) return undefined;
  const second = metaAt(first.readUInt32LE(META.pageSize));
  if (second === undefined) return first;
  return second.readBigUInt64LE(META.txnId) > first.readBigUInt64LE(META.txnId) ? second : first;
}
