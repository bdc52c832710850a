/**
 * The listeners of the other side's events. Knows when all listeners of an event have settled, which is what an
 * acknowledgement tells; a listener that throws or rejects is reported, and the others still run.
 */

import { isThenable } from '../async.js';
import type { NyotaError } from '../errors.js';
import { listenerFailed } from './lifecycle-emitter.js';
import { Listeners } from './listeners.js';

/** Hears every remote event: its name first. */
export type AnyListener = (event: string, ...args: unknown[]) => unknown;
type Plain = (...args: unknown[]) => unknown;

export interface RemoteEmitterHost {
  /** A listener threw, or its promise rejected. */
  report(error: NyotaError): void;
}

export class RemoteEmitter {
  readonly listeners = new Listeners();
  readonly #owner: object;
  readonly #host: RemoteEmitterHost;
  #any: readonly AnyListener[] = [];

  /**
   * @param owner what `this` is in listeners
   */
  constructor(owner: object, host: RemoteEmitterHost) {
    this.#owner = owner;
    this.#host = host;
  }

  onAny(listener: AnyListener): void {
    this.#any = [...this.#any, listener];
  }

  /** Without a listener: all of them. */
  offAny(listener?: AnyListener): void {
    this.#any = listener === undefined ? [] : this.#any.filter((other) => other !== listener);
  }

  /** True where somebody would hear the event. */
  hears(event: string): boolean {
    return this.#any.length > 0 || this.listeners.count(event) > 0;
  }

  /** Runs the listeners. A promise, which never rejects, where one of them returned a promise. */
  dispatch(event: string, args: unknown[]): PromiseLike<unknown> | undefined {
    const listeners = this.listeners.of(event);
    // Mostly one, so nothing is collected.
    if (listeners.length === 1 && this.#any.length === 0)
      return this.#call(event, listeners[0] as Plain, args);
    return this.#callAll(event, listeners, args);
  }

  #callAll(event: string, listeners: readonly Plain[], args: unknown[]): PromiseLike<unknown> | undefined {
    const pending: PromiseLike<unknown>[] = [];
    const add = (settling: PromiseLike<unknown> | undefined): void => {
      if (settling !== undefined) pending.push(settling);
    };
    for (const listener of listeners) add(this.#call(event, listener, args));
    for (const listener of this.#any) add(this.#call(event, listener as Plain, [event, ...args]));
    return pending.length < 2 ? pending[0] : Promise.all(pending);
  }

  #call(event: string, listener: Plain, args: unknown[]): PromiseLike<unknown> | undefined {
    try {
      const result = listener.apply(this.#owner, args);
      if (!isThenable(result)) return undefined;
      return Promise.resolve(result).catch((error: unknown) =>
        this.#host.report(listenerFailed(event, error)),
      );
    } catch (error) {
      this.#host.report(listenerFailed(event, error));
      return undefined;
    }
  }
}
