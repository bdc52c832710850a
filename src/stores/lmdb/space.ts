/**
 * How much more a folder may take: `maxBytes`, and what the disk has left. What does not fit is refused before it is written,
 * and some of the disk is kept back, so that what frees space, and acknowledgements, can still be written then.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { NyotaError } from '../../errors.js';
import type { Databases } from './databases.js';
import { freeBytes, storeFailed } from './errors.js';

/** Of the disk: every change writes some pages anew before the old ones are free. */
const KEPT_BACK_BYTES = 2 ** 20;
/** What was measured counts for so long: others write too. */
const MEASURE_EVERY_MS = 250;
/** A node's header and its place in a page. */
const ROW_BYTES = 32;
/** Larger values have pages of their own. */
const INLINE_BYTES = 1_900;
const PAGE_BYTES = 4_096;

/** About what a row adds to the file. */
export function rowBytes(valueBytes: number): number {
  if (valueBytes <= INLINE_BYTES) return ROW_BYTES + valueBytes;
  return ROW_BYTES + Math.ceil((valueBytes + 16) / PAGE_BYTES) * PAGE_BYTES;
}

export class LmdbSpace {
  readonly #path: string;
  readonly #maxBytes: number;
  #room = 0;
  #takenBefore = 0;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #limit = '';

  constructor(path: string, maxBytes: number) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** Undefined where so much more fits; else the refusal. */
  refusal(db: Databases, bytes: number): NyotaError | undefined {
    if (bytes <= 0) return undefined;
    const left = (): number => this.#room - (db.queue.takenBytes - this.#takenBefore);
    if (bytes > left() || performance.now() - this.#measuredAt > MEASURE_EVERY_MS) this.#measure(db, bytes);
    return bytes > left() ? storeFailed(this.#path, this.#limit) : undefined;
  }

  #measure(db: Databases, wanted: number): void {
    this.#measuredAt = performance.now();
    this.#takenBefore = db.queue.takenBytes;
    const fileBytes = statSync(join(this.#path, 'data.mdb')).size;
    const disk = freeBytes(this.#path) ?? Number.POSITIVE_INFINITY;
    this.#room = Math.min(this.#maxBytes - fileBytes, disk - KEPT_BACK_BYTES);
    if (this.#room >= wanted) return;
    // The file never gets smaller, but what is free in it is used first.
    const used = usedBytes(db);
    const byLimit = this.#maxBytes - used;
    const byDisk = disk - KEPT_BACK_BYTES + Math.max(0, fileBytes - used);
    this.#room = Math.min(byLimit, byDisk);
    this.#limit =
      byLimit <= byDisk
        ? `is full, it holds ${used} bytes of the ${this.#maxBytes} that 'maxBytes' allows: raise that, or let sessions end sooner`
        : `can't grow, its disk is full but for ${Math.max(0, disk)} bytes: make room on it, or move the folder to a larger one`;
  }
}

/** In pages that are in use; those that are free again are not counted. */
function usedBytes(db: Databases): number {
  db.env.resetReadTxn();
  const { pageSize, free, root } = db.env.getStats() as EnvironmentStats;
  const { sessions, entries, frames, tombstones, owners } = db;
  const trees = [sessions, entries, frames, tombstones, owners].map((one) => one.getStats() as TreeStats);
  let pages = 2;
  for (const tree of [root, free, ...trees]) {
    pages += tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages;
  }
  return pages * pageSize;
}

interface TreeStats {
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
}

interface EnvironmentStats extends TreeStats {
  pageSize: number;
  root: TreeStats;
  free: TreeStats;
}
