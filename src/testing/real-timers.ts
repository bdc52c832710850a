/**
 * The real timers, as they were when this file was loaded. A test may fake the global ones, and that must not stop the
 * network that its service talks over. A leaf: imports nothing.
 */

export const { setTimeout, clearTimeout, setImmediate, clearImmediate } = globalThis;
export const { nextTick } = process;
const { queueMicrotask } = globalThis;

/**
 * Calls `fn` in this turn of the event loop, after the code that runs now and after every promise that is ready:
 * what a socket tells comes no sooner, and code that awaits before it listens relies on that.
 */
export function soon(fn: () => void): void {
  queueMicrotask(() => nextTick(fn));
}

/** Milliseconds of real time, from some start. */
export const realNow: () => number = performance.now.bind(performance);
