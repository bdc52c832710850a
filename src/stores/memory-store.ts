/** The default session store: this process's memory. Its death ends its sessions, and what was known of them. */
import { type SessionStore, TOMBSTONE_MS, type Tombstone } from './session-store.js';

/** Above so many the oldest go first: a hundred bytes or so each. */
const MAX_TOMBSTONES = 100_000;

interface Buried {
  readonly tombstone: Tombstone;
  readonly until: number;
}

export class MemoryStore implements SessionStore {
  /** Oldest first, by a Map's order of insertion. */
  readonly #buried = new Map<string, Buried>();

  bury(id: string, tombstone: Tombstone, now: number): void {
    this.#buried.set(id, { tombstone, until: now + TOMBSTONE_MS });
    for (const [oldest, { until }] of this.#buried) {
      if (until > now && this.#buried.size <= MAX_TOMBSTONES) return;
      this.#buried.delete(oldest);
    }
  }

  tombstone(id: string, now: number): Tombstone | undefined {
    const buried = this.#buried.get(id);
    return buried !== undefined && buried.until > now ? buried.tombstone : undefined;
  }
}
