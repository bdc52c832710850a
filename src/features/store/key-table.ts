/**
 * What a replica knows of each key: one record for the confirmed entry and for what this side has written on top of it, so
 * that a write looks its key up once and its answer, which has the record at hand, not at all. Pure.
 * Every session has a store and most stay empty: nothing is allocated before the first record.
 */

import type { PendingOp } from './pending-ops.js';
import type { StoreEntry } from './types.js';

export interface KeyRecord {
  readonly key: string;
  /** The confirmed value; undefined where the server has none. */
  bytes: Buffer | undefined;
  /**
   * The last confirmed revision, also of a deletion while writes are pending: the tombstone that keeps the late answer to
   * an older write from bringing a deleted key back. 0: nothing is confirmed.
   */
  revision: number;
  /** Pending writes of all kinds. */
  pending: number;
  /** The last pending set or delete: what the key shows as. undefined: the confirmed value shows. */
  shown: PendingOp | undefined;
}

const NO_RECORDS: ReadonlyMap<string, KeyRecord> = new Map();

export class KeyTable {
  /** Keys with a confirmed value, in the order in which they were first confirmed. */
  #confirmed: Map<string, KeyRecord> | undefined;
  /** Keys without one that have a pending write. */
  #fresh: Map<string, KeyRecord> | undefined;
  #bytes = 0;

  /** Keys with a confirmed value. */
  get size(): number {
    return this.#confirmed?.size ?? 0;
  }

  /** Bytes of all confirmed keys (UTF-8) and values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The record of a key that has a confirmed value or a pending write. */
  get(key: string): KeyRecord | undefined {
    return this.#confirmed?.get(key) ?? this.#fresh?.get(key);
  }

  /** Of the keys that show, first those with a confirmed value. Live, as a Map's. */
  *visible(): IterableIterator<KeyRecord> {
    for (const record of (this.#confirmed ?? NO_RECORDS).values()) if (isVisible(record)) yield record;
    for (const record of (this.#fresh ?? NO_RECORDS).values()) if (isVisible(record)) yield record;
  }

  /** The record for a key that a write is about to be pending for. */
  toWrite(key: string): KeyRecord {
    let record = this.get(key);
    if (record === undefined) {
      record = newRecord(key);
      this.#fresh ??= new Map();
      this.#fresh.set(key, record);
    }
    return record;
  }

  /** The server has this value under the key, or none. */
  confirm(record: KeyRecord, bytes: Buffer | undefined, revision: number): void {
    const { bytes: old, key } = record;
    record.bytes = bytes;
    record.revision = revision;
    if (old !== undefined && bytes !== undefined) {
      this.#bytes += bytes.length - old.length;
    } else if (bytes !== undefined) {
      this.#bytes += Buffer.byteLength(key) + bytes.length;
      this.#fresh?.delete(key);
      this.#confirmed ??= new Map();
      this.#confirmed.set(key, record);
    } else if (old !== undefined) {
      this.#bytes -= Buffer.byteLength(key) + old.length;
      this.#confirmed?.delete(key);
      if (record.pending === 0) return;
      this.#fresh ??= new Map();
      this.#fresh.set(key, record);
    }
  }

  /** Nothing is pending for the key any more. */
  settled(record: KeyRecord): void {
    if (record.bytes === undefined) this.#fresh?.delete(record.key);
  }

  clear(): void {
    this.#confirmed = undefined;
    this.#fresh = undefined;
    this.#bytes = 0;
  }
}

/** One that is in no table. */
export function newRecord(key: string): KeyRecord {
  return { key, bytes: undefined, revision: 0, pending: 0, shown: undefined };
}

/** The revision of the confirmed value; 0 where there is none. */
export function confirmedRevision(record: KeyRecord | undefined): number {
  return record?.bytes === undefined ? 0 : record.revision;
}

/** The confirmed entry, as it is now. */
export function confirmedEntry(record: KeyRecord | undefined): StoreEntry | undefined {
  return record?.bytes === undefined ? undefined : { bytes: record.bytes, revision: record.revision };
}

function isVisible(record: KeyRecord): boolean {
  return visibleBytes(record) !== undefined;
}

/** What shows: the last pending set or delete, else what is confirmed. */
export function visibleBytes(record: KeyRecord): Buffer | undefined {
  return record.shown === undefined ? record.bytes : record.shown.bytes;
}
