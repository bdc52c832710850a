/**
 * The entries of one store, the bytes they take, and when they expire. Pure.
 * Every session has a store and most stay empty: nothing is allocated before the first entry.
 */

import { ExpiryQueue } from './expiry-queue.js';
import type { StoreEntry } from './types.js';

const NO_ENTRIES: ReadonlyMap<string, StoreEntry> = new Map();

export class Entries {
  #map: Map<string, StoreEntry> | undefined;
  #expiry: ExpiryQueue | undefined;
  #bytes = 0;

  get size(): number {
    return this.#map?.size ?? 0;
  }

  /** Bytes of all keys (UTF-8) and values. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): StoreEntry | undefined {
    return this.#map?.get(key);
  }

  has(key: string): boolean {
    return this.#map?.has(key) ?? false;
  }

  /** In the order in which they were first set; live, as a Map's. */
  keys(): IterableIterator<string> {
    return (this.#map ?? NO_ENTRIES).keys();
  }

  /** What `bytes` would be with a value of `valueBytes` under `key`. `old` is what is there now. */
  bytesWith(key: string, valueBytes: number, old = this.get(key)): number {
    return this.#bytes + (old === undefined ? Buffer.byteLength(key) : -old.bytes.length) + valueBytes;
  }

  /**
   * `expiresAt` in the caller's time; without it the entry stays, also where the one before had a time. `old` is what is
   * there now.
   */
  set(key: string, entry: StoreEntry, expiresAt?: number, old = this.get(key)): void {
    this.#bytes = this.bytesWith(key, entry.bytes.length, old);
    this.#map ??= new Map();
    this.#map.set(key, entry);
    if (expiresAt === undefined) {
      if (this.#expiry !== undefined) this.#forgetExpiry(key);
    } else {
      this.#expiry ??= new ExpiryQueue();
      this.#expiry.set(key, expiresAt);
    }
  }

  delete(key: string): void {
    const old = this.#map?.get(key);
    if (old === undefined) return;
    this.#bytes -= Buffer.byteLength(key) + old.bytes.length;
    this.#map?.delete(key);
    this.#forgetExpiry(key);
  }

  clear(): void {
    this.#map = undefined;
    this.#expiry = undefined;
    this.#bytes = 0;
  }

  /** When the next entry expires; Infinity if none does. */
  nextExpiry(): number {
    return this.#expiry?.next() ?? Number.POSITIVE_INFINITY;
  }

  /** An entry whose time has come by `now`, the earliest first. It stays until it is deleted. */
  expired(now: number): string | undefined {
    return this.#expiry?.due(now);
  }

  #forgetExpiry(key: string): void {
    this.#expiry?.remove(key);
    if (this.#expiry?.size === 0) this.#expiry = undefined;
  }
}
