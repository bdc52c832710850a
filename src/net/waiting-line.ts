/**
 * The line before a server's door: so many connections may be in their handshake at a time, and those above wait here until
 * one of them is through. Knows no socket: what begins, and how one is refused, is handed in; so is the clock.
 *
 *   arrive --> begins at once
 *          `-> waits --> begins in turn
 *          `--------´--> is refused
 *
 * A burst of honest clients passes in a moment. Peers that hold every place and never finish must not keep others waiting in
 * silence: those are told soon that the server is busy.
 */
import type { Clock, ClockTimer } from '../clock.js';
import { NyotaError } from '../errors.js';

/** A connection that was accepted, and of which nothing is done before its turn. */
export interface Arrival {
  /** False where its bytes can't be left unread: it begins at once or not at all. */
  readonly mayWait: boolean;
  begin(): void;
  refuse(error: NyotaError): void;
}

export interface WaitingLineOptions {
  readonly clock: Clock;
  /** Whether one more may begin. */
  readonly hasPlace: () => boolean;
  /** Whether one more may wait behind so many. */
  readonly takesMore: (waiting: number) => boolean;
  /** Nobody waits longer, however well the line moves. */
  readonly longestWaitMs: number;
}

/**
 * Who has waited for so many steps is refused, where nobody has finished a handshake for as many. Steps, not time: a process
 * that was busy with accepting for all of a second has not read a byte yet, and that is nobody's fault. Between two steps
 * it reads.
 */
const STEP_MS = 250;
const PATIENCE_STEPS = 4;
/** One step more for each so many that wait: a crowd that shares a few busy processes takes a while to say its first word. */
const CROWD = 1_000;
/** Clients that are refused come back after half to one and a half of it, so that they don't all come at once again. */
const RETRY_MS = 1_000;
/** Each step of it, modulo 1, falls into the widest gap that those before have left. */
const GOLDEN_RATIO = 0.618_034;

export class WaitingLine {
  readonly #options: WaitingLineOptions;
  /** With the time of arrival; the oldest is the first. */
  readonly #waiting = new Map<Arrival, number>();
  /** Steps since somebody has finished a handshake. */
  #idleSteps = 0;
  #refusals = 0;
  #timer: ClockTimer | undefined;

  constructor(options: WaitingLineOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.size;
  }

  arrive(arrival: Arrival): void {
    const { clock, hasPlace, takesMore } = this.#options;
    if (this.#waiting.size === 0 && hasPlace()) {
      arrival.begin();
    } else if (arrival.mayWait && takesMore(this.#waiting.size)) {
      this.#waiting.set(arrival, clock.now());
      if (this.#timer === undefined) this.#rearm();
    } else {
      arrival.refuse(this.#busy());
    }
  }

  /** It is gone before its turn. */
  leave(arrival: Arrival): void {
    this.#waiting.delete(arrival);
    this.#rest();
  }

  /**
   * A place may be free.
   *
   * @param finished a handshake came to its good end: the line moves
   */
  placeFreed(finished: boolean): void {
    if (this.#waiting.size === 0) return;
    if (finished) this.#idleSteps = 0;
    for (const arrival of this.#waiting.keys()) {
      if (!this.#options.hasPlace()) break;
      this.#waiting.delete(arrival);
      arrival.begin();
    }
    this.#rest();
  }

  /** Sends everybody away. */
  refuseAll(error: NyotaError): void {
    for (const arrival of this.#waiting.keys()) {
      this.#waiting.delete(arrival);
      arrival.refuse(error);
    }
    this.#rest();
  }

  /** Forgets everybody without a word. */
  clear(): void {
    this.#waiting.clear();
    this.#rest();
  }

  #rearm(): void {
    this.#timer = this.#options.clock.setTimeout(this.#onStep, STEP_MS);
    this.#timer.unref?.();
  }

  /** No timer while nobody waits. */
  #rest(): void {
    if (this.#waiting.size > 0 || this.#timer === undefined) return;
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#idleSteps = 0;
  }

  readonly #onStep = (): void => {
    const { clock, longestWaitMs } = this.#options;
    const patience = PATIENCE_STEPS + Math.floor(this.#waiting.size / CROWD);
    const stands = ++this.#idleSteps >= patience;
    const since = clock.now() - Math.min(longestWaitMs, stands ? patience * STEP_MS : longestWaitMs);
    for (const [arrival, arrivedAt] of this.#waiting) {
      if (arrivedAt > since) break;
      this.#waiting.delete(arrival);
      arrival.refuse(this.#busy());
    }
    this.#rearm();
    this.#rest();
  };

  #busy(): NyotaError {
    const retryAfterMs = Math.round(RETRY_MS * (0.5 + ((++this.#refusals * GOLDEN_RATIO) % 1)));
    return new NyotaError('NYOTA_SERVER_BUSY', 'too many connections are in their handshake', {
      retryAfterMs,
    });
  }
}
