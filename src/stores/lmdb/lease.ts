/**
 * Which processes live, as far as their sessions are concerned: each says so from time to time. A session whose client was
 * connected when its process died has nobody who could end it; it counts as left alone from the last sign of life on.
 */
import type { Databases } from './databases.js';
import type { SessionRow } from './rows.js';

const BEAT_MS = 5_000;
/** A process that has been silent for so long is dead. */
const DEAD_AFTER_MS = 4 * BEAT_MS;
/** Dead owners are forgotten after so long: no session of theirs waits any more. */
const FORGET_AFTER_MS = 48 * 60 * 60 * 1000;

export class OwnerLease {
  readonly #owner: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(owner: string) {
    this.#owner = owner;
  }

  /** @param write has something written in a transaction */
  start(write: (run: (db: Databases) => void) => Promise<void>): void {
    const beat = (): void => {
      // Where it can't be written, the store's own steps tell of it.
      write((db) => void db.owners.put(this.#owner, Date.now())).catch(() => {});
    };
    beat();
    this.#timer = setInterval(beat, BEAT_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** In a transaction: this process is known, where its first sign of life could not be written. */
  tell(db: Databases): void {
    if (db.owners.get(this.#owner) === undefined) db.owners.put(this.#owner, Date.now());
  }

  /** Whether nobody came back for a session in time. */
  isOver(db: Databases, row: SessionRow, now: number): boolean {
    const leftAt = row.detachedAt ?? this.#deathOf(db, row.owner);
    return leftAt !== undefined && leftAt + row.resumeWindowMs <= now;
  }

  forgetDead(db: Databases): void {
    for (const { key, value } of [...db.owners.getRange()]) {
      if (value + FORGET_AFTER_MS < Date.now()) db.owners.remove(key);
    }
  }

  #deathOf(db: Databases, owner: string): number | undefined {
    if (owner === this.#owner) return undefined;
    const aliveAt = db.owners.get(owner) ?? 0;
    return aliveAt + DEAD_AFTER_MS < Date.now() ? aliveAt : undefined;
  }
}
