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

const NONE: readonly Plain[] = Object.freeze([]);

export class Listeners {
  /** Made when first needed: most sessions have no listener of their own. */
  #events: EventEmitter | undefined;
  /** What `of` has handed out, until the event's listeners change. Nothing for an event without any: names come from the wire. */
  #lists: Map<string, readonly Plain[]> | undefined;

  on(event: string, listener: Listener): void {
    this.#events ??= new EventEmitter();
    const twice = this.of(event).some((other: Wrapper) => other === listener);
    this.#lists?.delete(event);
    this.#events.on(event, twice ? wrap(listener as Plain) : (listener as Plain));
  }

  once(event: string, listener: Listener): void {
    this.#events ??= new EventEmitter();
    const remove = (): void => this.#remove(event, wrapper);
    const wrapper: Wrapper = function (this: unknown, ...args) {
      remove();
      return (listener as Plain).apply(this, args);
    };
    wrapper.listener = listener as Plain;
    this.#lists?.delete(event);
    this.#events.on(event, wrapper);
  }

  /** Without a listener: all of the event. */
  off(event: string, listener?: Listener): void {
    if (listener === undefined) {
      this.#lists?.delete(event);
      this.#events?.removeAllListeners(event);
      return;
    }
    const found = this.of(event).find(
      (candidate: Wrapper) => candidate === listener || candidate.listener === listener,
    );
    if (found !== undefined) this.#remove(event, found);
  }

  count(event: string): number {
    return this.of(event).length;
  }

  /** Those of an event, as they are now: what is added or removed while they run takes no part. */
  of(event: string): readonly Plain[] {
    const known = this.#lists?.get(event);
    if (known !== undefined) return known;
    const list: readonly Plain[] = this.#events?.listeners(event) ?? NONE;
    if (list.length > 0) {
      this.#lists ??= new Map();
      this.#lists.set(event, list);
    }
    return list;
  }

  #remove(event: string, listener: Plain): void {
    this.#lists?.delete(event);
    this.#events?.off(event, listener);
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
