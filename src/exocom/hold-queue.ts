/**
 * Messages that wait for somebody who is not there: in order, for a time, and bounded in number and bytes. Each has a key
 * that says whom it waits for. Pure: `now` is handed in.
 */
export interface HoldLimits {
  readonly ttlMs: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
}

interface Held<T> {
  readonly key: string;
  readonly value: T;
  readonly size: number;
  readonly expiresAt: number;
}

export class HoldQueue<T> {
  readonly #limits: HoldLimits;
  /** The time to live is the same for all, so the oldest is the first to expire. */
  #held: Held<T>[] = [];
  #bytes = 0;

  constructor(limits: HoldLimits) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#held.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** When the oldest expires; undefined where nothing waits. */
  get nextExpiry(): number | undefined {
    return this.#held[0]?.expiresAt;
  }

  /** False: there is no room, and nothing has changed. */
  push(key: string, value: T, size: number, now: number): boolean {
    const { ttlMs, maxMessages, maxBytes } = this.#limits;
    if (this.#held.length >= maxMessages || this.#bytes + size > maxBytes) return false;
    this.#held.push({ key, value, size, expiresAt: now + ttlMs });
    this.#bytes += size;
    return true;
  }

  /** Takes out those that are wanted, in order. */
  take(wanted: (key: string, value: T) => boolean): T[] {
    return this.#remove((held) => wanted(held.key, held.value));
  }

  /** Takes out those that are too old, in order. */
  expire(now: number): T[] {
    if ((this.nextExpiry ?? Number.POSITIVE_INFINITY) > now) return [];
    return this.#remove((held) => held.expiresAt <= now);
  }

  #remove(wanted: (held: Held<T>) => boolean): T[] {
    const taken: T[] = [];
    const kept: Held<T>[] = [];
    for (const held of this.#held) {
      if (wanted(held)) {
        taken.push(held.value);
        this.#bytes -= held.size;
      } else {
        kept.push(held);
      }
    }
    this.#held = kept;
    return taken;
  }
}
