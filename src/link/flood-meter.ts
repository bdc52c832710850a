/**
 * Counts the frames that carry nothing for the user: pings, empty acks, unknown optional ones. A peer that sends
 * more than 100 of them a second, beside those its own ping interval explains, is cut off. Pure.
 */
import { NyotaError } from '../errors.js';

export const MAX_CONTROL_FRAMES_PER_SECOND = 100;
const WINDOW_MS = 1000;
/** A shorter interval than this explains no more frames: otherwise a peer could set its own limit. */
const LEAST_INTERVAL_MS = 100;

export class FloodMeter {
  readonly #allowed: number;
  #windowStart = Number.NEGATIVE_INFINITY;
  #count = 0;
  #credit = 0;

  /** @param pingIntervalMs how often the other side said that it pings; 0 for never */
  constructor(pingIntervalMs: number) {
    const pings = pingIntervalMs === 0 ? 0 : WINDOW_MS / Math.max(pingIntervalMs, LEAST_INTERVAL_MS);
    this.#allowed = MAX_CONTROL_FRAMES_PER_SECOND + Math.ceil(pings);
  }

  /** This side did not read for so long: what came meanwhile arrives at once, and is no flood. */
  credit(ms: number): void {
    this.#credit += Math.ceil((ms / WINDOW_MS) * this.#allowed);
  }

  /** Throws `NYOTA_CONTROL_FLOOD` for one too many. */
  count(now: number): void {
    if (now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = now;
      this.#count = 0;
    }
    if (this.#credit > 0) {
      this.#credit--;
      return;
    }
    if (++this.#count <= this.#allowed) return;
    throw new NyotaError('NYOTA_CONTROL_FLOOD', `more than ${this.#allowed} control frames in a second`);
  }
}
