/**
 * Connections that wait for their handshake. Only so many may be in it at a time; the others wait here, unread, until one of
 * those is through. Knows no socket: each arrival brings its own `begin` and `refuse`; the clock is handed in
 * (docs/design.md, rule 63).
 *
 *   arrive --> begins at once
 *          `-> waits --> begins in turn
 *          `--------´--> is refused
 *
 * A burst of honest clients passes in a moment. Peers that hold every place and never finish must not keep the others waiting
 * in silence: whoever waits in vain is soon told that the server is busy.
 */
import type { Clock, ClockTimer } from '../clock.js';
import { NyotaError } from '../errors.js';

/** A connection that was accepted. Nothing is read of it before its turn. */
export interface Arrival {
  /** False if its bytes can't be left unread: it begins at once or not at all. */
  readonly mayWait: boolean;
  begin(): void;
  refuse(error: NyotaError): void;
}

export interface WaitingLineOptions {
  readonly clock: Clock;
  /** Whether one more may begin. */
  readonly hasPlace: () => boolean;
  /** Whether one more may wait when so many wait already. */
  readonly takesMore: (waiting: number) => boolean;
  /** Nobody waits longer, however well the line moves. */
  readonly longestWaitMs: number;
}

/**
 * A connection is refused when it has waited for so many steps, and nobody has finished a handshake in as many. Counted in
 * steps of a timer, not in time: a process that spent a whole second on accepting has not read a byte yet, but between two
 * steps it reads.
 */
const STEP_MS = 250;
const PATIENCE_STEPS = 4;
/**
 * One step more for each thousand that wait: a crowd whose clients share a few busy processes needs longer to send its first
 * bytes.
 */
const CROWD = 1_000;
/** Clients that are refused come back after half to one and a half of it, so that they don't all come at once again. */
const RETRY_MS = 1_000;
/** Its multiples, modulo 1, each fall into the widest gap that those before have left: so retries are spread evenly. */
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
   * @param finished true if a handshake was completed: the line moves
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
