/**
 * Those who wait until a peer is quiet: each has its own question, asked again as something settles, and gives up after its
 * time. Touches the clock it is handed and nothing else.
 */
import type { Clock } from '../clock.js';

export class QuietWaiters {
  readonly #checks = new Set<() => void>();

  /** Resolves when `done` says so, or after `timeoutMs`. The caller has asked `done` before. */
  wait(done: () => boolean, clock: Clock, timeoutMs: number, holdsProcess: boolean): Promise<void> {
    return new Promise((resolve) => {
      const settle = (): void => {
        clock.clearTimeout(timer);
        this.#checks.delete(check);
        resolve();
      };
      const check = (): void => {
        if (done()) settle();
      };
      const timer = clock.setTimeout(settle, timeoutMs);
      if (!holdsProcess) timer.unref?.();
      this.#checks.add(check);
    });
  }

  /** Asks all of them again. */
  ask(): void {
    for (const check of [...this.#checks]) check();
  }
}
