/**
 * A map with bounds: at most so many entries, and each is let go once nobody used it for the idle time. Needs no timer:
 * what is idle is dropped when it is asked for, or when something new comes. Pure: `now` is handed in.
 */
interface Entry<V> {
  readonly value: V;
  usedAt: number;
}

/** How many idle entries one `set` clears away: more than it adds, so the table shrinks by itself. */
const CLEARED_PER_SET = 4;

export class IdleTable<V> {
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry<V>>();
  readonly #idleMs: number;
  readonly #max: number;

  constructor(idleMs: number, max: number) {
    this.#idleMs = idleMs;
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** A use: the idle time begins anew. */
  get(key: string, now: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (this.#isIdle(entry, now)) return undefined;
    entry.usedAt = now;
    this.#entries.set(key, entry);
    return entry.value;
  }

  set(key: string, value: V, now: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, usedAt: now });
    let cleared = 0;
    for (const [oldest, entry] of this.#entries) {
      const tooMany = this.#entries.size > this.#max;
      if (!tooMany && (cleared >= CLEARED_PER_SET || !this.#isIdle(entry, now))) break;
      this.#entries.delete(oldest);
      cleared++;
    }
  }

  delete(key: string): boolean {
    return this.#entries.delete(key);
  }

  #isIdle(entry: Entry<V>, now: number): boolean {
    return now - entry.usedAt > this.#idleMs;
  }
}
