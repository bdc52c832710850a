/**
 * When messages are due at a fixed rate. Pure: time is handed in.
 *
 * Due times are kept, whatever happens: a message that could not go out in time is counted from when it was due. Otherwise a
 * server that stalls would be measured by the few messages that were sent while it stalled (coordinated omission).
 */
export class Pace {
  readonly #startedAt: number;
  readonly #intervalMs: number;
  #sent = 0;

  /** @param rate messages a second */
  constructor(rate: number, startedAt: number) {
    this.#startedAt = startedAt;
    this.#intervalMs = 1000 / rate;
  }

  /** When the next message is due. */
  get nextDue(): number {
    return this.#startedAt + this.#sent * this.#intervalMs;
  }

  /** Takes the next message; its due time, or undefined where none is due yet. */
  take(now: number): number | undefined {
    const due = this.nextDue;
    if (due > now) return undefined;
    this.#sent++;
    return due;
  }
}
