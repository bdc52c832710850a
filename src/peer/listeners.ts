/**
 * Listeners by event name: eventemitter3 keeps them; who runs them wants the list, to call each on its own and to
 * see what it returns.
 */
import { EventEmitter } from 'eventemitter3';

/** Any function; whoever registers it has checked its arguments by type. */
export type Listener = (...args: never[]) => unknown;
type Plain = (...args: unknown[]) => unknown;
/** A `once` wrapper knows what it wraps, so that `off` finds it. */
type Wrapper = Plain & { listener?: Plain };

export class Listeners {
  readonly #events = new EventEmitter();

  on(event: string, listener: Listener): void {
    const twice = this.#events.listeners(event).some((other: Wrapper) => other === listener);
    this.#events.on(event, twice ? wrap(listener as Plain) : (listener as Plain));
  }

  once(event: string, listener: Listener): void {
    const events = this.#events;
    const wrapper: Wrapper = function (this: unknown, ...args) {
      events.off(event, wrapper);
      return (listener as Plain).apply(this, args);
    };
    wrapper.listener = listener as Plain;
    events.on(event, wrapper);
  }

  /** Without a listener: all of the event. */
  off(event: string, listener?: Listener): void {
    if (listener === undefined) {
      this.#events.removeAllListeners(event);
      return;
    }
    const found = this.#events
      .listeners(event)
      .find((candidate: Wrapper) => candidate === listener || candidate.listener === listener);
    if (found !== undefined) this.#events.off(event, found);
  }

  count(event: string): number {
    return this.#events.listenerCount(event);
  }

  /** Those of an event, as they are now: what is added or removed while they run takes no part. */
  of(event: string): readonly Plain[] {
    return this.#events.listeners(event);
  }
}

/** eventemitter3 takes away every registration of a function at once; a wrapper of its own keeps the others. */
function wrap(listener: Plain): Wrapper {
  const wrapper: Wrapper = function (this: unknown, ...args) {
    return listener.apply(this, args);
  };
  wrapper.listener = listener;
  return wrapper;
}
