/**
 * Waiting, for whoever needs it: telling a promise from a value, and waiting until all is quiet. A leaf: it touches the clock
 * that it is handed and nothing else.
 */
import type { Clock } from './clock.js';

/** Whether a user's value is a promise, of whatever make. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

/** Those who wait until something is quiet: each has its own question, asked again as things settle, and gives up after its time. */
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
