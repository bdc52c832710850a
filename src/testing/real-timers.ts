/**
 * The timers as they were when this was loaded: a test runner that fakes the global ones, which is what a test
 * of a service may well do, must not stop the network that the service talks over. A leaf: imports nothing.
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
