/**
 * Emits nyota's own events. Apart from the remote ones, so that no name from the wire can reach it.
 * A listener that throws is reported, and the others still run; an `error` nobody hears is a process warning.
 */

import { isThenable } from '../async.js';
import { NyotaError, printable } from '../errors.js';
import { Listeners } from './listeners.js';

export class LifecycleEmitter {
  readonly listeners = new Listeners();
  readonly #owner: object;

  /** @param owner what `this` is in listeners */
  constructor(owner: object) {
    this.#owner = owner;
  }

  emit(event: string, ...args: unknown[]): void {
    const listeners = this.listeners.of(event);
    if (event === 'error' && listeners.length === 0) warn(args[0]);
    for (const listener of listeners) {
      try {
        const result = listener.apply(this.#owner, args);
        if (isThenable(result)) result.then(undefined, (cause: unknown) => this.#failed(event, cause));
      } catch (cause) {
        this.#failed(event, cause);
      }
    }
  }

  #failed(event: string, cause: unknown): void {
    const error = listenerFailed(event, cause);
    // A listener of 'error' that throws is not told of its own error.
    if (event === 'error') warn(error);
    else this.emit('error', error);
  }
}

export function listenerFailed(event: string, cause: unknown): NyotaError {
  // Both may hold text from the wire.
  const text = `a listener of '${printable(event)}' failed: ${printable(textOf(cause))}`;
  return new NyotaError('NYOTA_LISTENER_FAILED', text, { cause });
}

/** A process warning: told once to whoever watches the process, and never a crash. */
export function warn(error: unknown): void {
  const code = error instanceof NyotaError ? error.code : 'NYOTA_INTERNAL';
  process.emitWarning(textOf(error), { type: 'NyotaWarning', code });
}

/** What was thrown, as a text: anything can be thrown, also what has none. */
export function textOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  try {
    return String(error);
  } catch {
    return 'something that has no text';
  }
}
