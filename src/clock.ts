/**
 * The clock that everything with a timer is handed: the interface, and the real one. A leaf: imports nothing.
 * Pure folders get `now` from it, never read it; tests hand in a fake clock (testing/fake-clock.ts).
 */

/** A timer that is running. `unref` lets the process end while it is pending, where there is a process to hold. */
export interface ClockTimer {
  ref?(): unknown;
  unref?(): unknown;
}

/** Time and timers. */
export interface Clock {
  /** Milliseconds since the Unix epoch, with a fraction; never goes back. */
  now(): number;
  /** Calls `fn` once, `ms` milliseconds from now. */
  setTimeout(fn: () => void, ms: number): ClockTimer;
  /** Stops a timer; one that fired or was stopped already is left alone. */
  clearTimeout(timer: ClockTimer): void;
}

/** The longest delay that Node takes, 24.8 days: a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * The real clock. `now` is a wall clock that was read once, at the process's start, and moved on by a
 * monotonic one: a step of the system's time can't make a timeout fire early or a session expire.
 * Delays above 24.8 days are cut to that.
 */
export const systemClock: Clock = Object.freeze({
  now: () => performance.timeOrigin + performance.now(),
  setTimeout: (fn: () => void, ms: number): ClockTimer => setTimeout(fn, Math.min(ms, MAX_DELAY_MS)),
  clearTimeout: (timer: ClockTimer) => clearTimeout(timer as NodeJS.Timeout),
});
