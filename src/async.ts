/**
 * Waiting for others: what a user's function returned, and a side that is to fall quiet. A leaf that every part may use.
 */
import type { Clock } from './clock.js';

/** Whether a user's value is a promise, of whatever make. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

/**
 * Those who wait until a side is quiet. Each has a question of its own, which is asked again each time something settles;
 * each gives up after its time.
 */
export class QuietWaiters {
  readonly #checks = new Set<() => void>();

  /** Resolves when `done` says so, or after `timeoutMs`. The caller has asked `done` before. */
  wait(done: () => boolean, clock: Clock, timeoutMs: number, holdsProcess = true): Promise<void> {
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
