/**
 * Waiting in the delivery tests: for an event, for a condition, for some turns of the event loop. Nothing here waits
 * for luck: each wait ends with what it waited for, or fails and says what never came.
 */

export { seededRandom } from '../../src/testing/index.js';
export { deferred } from './deferred.js';

/** Whatever has `once`: peers, servers, proxies, sockets. */
interface Emitter {
  once(event: string, listener: (...args: never[]) => void): unknown;
}

/** The longest that anything is waited for. Reached only where a test fails. */
const PATIENCE_MS = 15_000;

/** Resolves with the arguments of the next `event`. */
export function once<A extends unknown[] = unknown[]>(emitter: unknown, event: string): Promise<A> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`'${event}' never came`)), PATIENCE_MS);
    timer.unref();
    (emitter as Emitter).once(event, (...args: never[]) => {
      clearTimeout(timer);
      resolve(args as unknown as A);
    });
  });
}

/** Resolves once `isTrue()` is; asked at every turn of the event loop. */
export async function eventually(isTrue: () => boolean, what: string | (() => string)): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  while (!isTrue()) {
    if (performance.now() > until) {
      throw new Error(`never came true: ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Some turns of the event loop: enough for everything in memory to arrive. */
export async function turns(count = 30): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** The code of what a promise rejects with, or 'resolved'. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    return codeIn(error);
  }
}

/** The code of what a function throws, or 'returned'. */
export function thrownCode(fn: () => unknown): string {
  try {
    fn();
    return 'returned';
  } catch (error) {
    return codeIn(error);
  }
}

function codeIn(error: unknown): string {
  const code: unknown = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : `no code: ${String(error)}`;
}

/** Whole numbers from 1 to `last`. */
export function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, i) => i + 1);
}
