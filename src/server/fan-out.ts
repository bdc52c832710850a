/**
 * Writes to all sessions of a server at once, at a pace that leaves the process half of its time. One event to a thousand
 * sessions is a thousand writes to sockets, some ms of them; while they take more than half of the time, what comes next
 * waits for as long as the last round took, so that several events share each write. Where there is time it waits for nothing
 * (docs/design.md, rule 13).
 *
 *   send -> gathered -> round ...... | rest: as long | round ......
 *           send, send, send -------> gathered -----´
 *
 * What else a session has to write does not wait for it, and takes along what was gathered there: the order stays.
 */
import type { Clock, ClockTimer } from '../clock.js';
import { type Flushable, flushAll, gatherFlushes, planFlush } from '../peer/flush-queue.js';

/** A round shorter than this is followed by no rest: timers are no finer. */
const SHORT_ROUND_MS = 1;
/** However long a round took, nobody waits longer for the next. */
const LONGEST_REST_MS = 20;

export class FanOut implements Flushable {
  readonly #clock: Clock;
  #gathered: Flushable[] = [];
  /** A round is due: behind this tick, or when the timer says so. */
  #due = false;
  #restUntil = Number.NEGATIVE_INFINITY;
  #timer: ClockTimer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `send`, which adds an event to each session; it goes out with the next round. Returns what `send` does. */
  send(send: () => boolean): boolean {
    let room = true;
    try {
      gatherFlushes(this.#gathered, () => {
        room = send();
      });
    } finally {
      if (!this.#due && this.#gathered.length > 0) this.#planRound();
    }
    return room;
  }

  /** For the queue and the timer. */
  flush(): void {
    this.#due = false;
    this.#timer = undefined;
    const round = this.#gathered;
    this.#gathered = [];
    const startedAt = this.#clock.now();
    try {
      flushAll(round);
    } finally {
      const endedAt = this.#clock.now();
      const tookMs = endedAt - startedAt;
      if (tookMs >= SHORT_ROUND_MS) this.#restUntil = endedAt + Math.min(tookMs, LONGEST_REST_MS);
    }
  }

  /** No round follows; what was gathered is left to its sessions. */
  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#gathered = [];
  }

  #planRound(): void {
    this.#due = true;
    const restMs = this.#restUntil - this.#clock.now();
    if (restMs <= 0) planFlush(this);
    else this.#timer = this.#clock.setTimeout(() => this.flush(), restMs);
  }
}
