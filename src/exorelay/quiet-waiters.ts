/**
 * Waits until something is done, asked each time when something settles, or until the time is over.
 */
import type { Clock } from '../index.js';

export class QuietWaiters {
  readonly #clock: Clock;
  readonly #checks = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  check(): void {
    for (const check of [...this.#checks]) check();
  }

  until(done: () => boolean, timeoutMs: number): Promise<void> {
    if (done()) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#clock.clearTimeout(timer);
        this.#checks.delete(check);
        resolve();
      };
      const check = (): void => {
        if (done()) settle();
      };
      const timer = this.#clock.setTimeout(settle, timeoutMs);
      this.#checks.add(check);
    });
  }
}
