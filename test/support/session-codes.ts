/** Short ways to say which NyotaError something ended with. */
import { NyotaError } from '../../src/errors.js';

/** The code of the NyotaError that `fn` throws; 'nothing thrown' where it throws nothing. */
export function thrownCode(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    if (error instanceof NyotaError) return error.code;
    throw error;
  }
  return 'nothing thrown';
}

/** The code of the NyotaError that a promise rejects with; 'fulfilled' where it does not. */
export async function rejectedCode(promise: PromiseLike<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof NyotaError) return error.code;
    throw error;
  }
  return 'fulfilled';
}

/** The NyotaError that `fn` throws. */
export function thrown(fn: () => unknown): NyotaError {
  try {
    fn();
  } catch (error) {
    if (error instanceof NyotaError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
