/**
 * Listeners, and who runs them. `Listeners` keeps them by event; `LifecycleEmitter` runs those of nyota's own events, and
 * `RemoteEmitter` those of the other side's. The two are apart, so that no name from the wire can reach a lifecycle event
 * (docs/design.md, rule 60).
 *
 * A listener that throws or rejects is reported as an `error`, and the others still run. An `error` that nobody listens to is
 * a process warning, never a crash (docs/design.md, rule 72).
 */
import { EventEmitter } from 'eventemitter3';
import { isThenable } from '../async.js';
import { NyotaError, printable, textOf, warn } from '../errors.js';
import { isLifecycleEvent } from '../lifecycle.js';
import { describeValue } from '../options.js';

/** Any function; whoever registers it has checked its arguments by type. */
export type Listener = (...args: never[]) => unknown;
/** Hears every remote event: its name first. */
export type AnyListener = (event: string, ...args: unknown[]) => unknown;
type Plain = (...args: unknown[]) => unknown;
/** A `once` wrapper knows what it wraps, so that `off` finds it. */
type Wrapper = Plain & { listener?: Plain };

const NONE: readonly Plain[] = Object.freeze([]);

/**
 * Listeners by event name. eventemitter3 keeps them; whoever runs them wants the list, to call each on its own and to see
 * what it returns.
 */
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

/** nyota's own events. */
export class LifecycleEmitter extends Listeners {
  /** What `this` is in listeners. */
  owner: object | undefined;

  constructor(owner?: object) {
    super();
    this.owner = owner;
  }

  emit(event: string, ...args: unknown[]): void {
    const listeners = this.of(event);
    if (event === 'error' && listeners.length === 0) warn(args[0]);
    for (const listener of listeners) {
      try {
        const result = listener.apply(this.owner, args);
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

/** The other side's events. Knows when all listeners of an event have settled, which is what an acknowledgement tells. */
export class RemoteEmitter extends Listeners {
  readonly #lifecycle: LifecycleEmitter;
  #any: readonly AnyListener[] = [];

  /** @param lifecycle is told of listeners that fail, and knows what `this` is in them */
  constructor(lifecycle: LifecycleEmitter) {
    super();
    this.#lifecycle = lifecycle;
  }

  onAny(listener: AnyListener): void {
    this.#any = [...this.#any, listener];
  }

  /** Without a listener: all of them. */
  offAny(listener?: AnyListener): void {
    this.#any = listener === undefined ? [] : this.#any.filter((other) => other !== listener);
  }

  /** True if somebody would hear the event. */
  hears(event: string): boolean {
    return this.#any.length > 0 || this.count(event) > 0;
  }

  /** Runs the listeners. A promise, which never rejects, where one of them returned a promise. */
  dispatch(event: string, args: unknown[]): PromiseLike<unknown> | undefined {
    const listeners = this.of(event);
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
      const result = listener.apply(this.#lifecycle.owner, args);
      if (!isThenable(result)) return undefined;
      return Promise.resolve(result).catch((error: unknown) => this.#failed(event, error));
    } catch (error) {
      this.#failed(event, error);
      return undefined;
    }
  }

  #failed(event: string, cause: unknown): void {
    this.#lifecycle.emit('error', listenerFailed(event, cause));
  }
}

export function listenerFailed(event: string, cause: unknown): NyotaError {
  // Both may hold text from the wire.
  const text = `a listener of '${printable(event)}' failed: ${printable(textOf(cause))}`;
  return new NyotaError('NYOTA_LISTENER_FAILED', text, { cause });
}

/** @throws NyotaError `NYOTA_INVALID_ARGUMENT` for what is no name, `NYOTA_RESERVED_EVENT` for one of nyota's own */
export function checkEventName(event: unknown): asserts event is string {
  if (typeof event !== 'string' || event === '') {
    throw new NyotaError(
      'NYOTA_INVALID_ARGUMENT',
      `an event's name is a string that is not empty, not ${describeValue(event)}`,
    );
  }
  if (isLifecycleEvent(event)) {
    throw new NyotaError(
      'NYOTA_RESERVED_EVENT',
      `'${event}' is an event of nyota's own: give yours another name`,
    );
  }
}

/** @throws NyotaError `NYOTA_INVALID_ARGUMENT` for what is no function */
export function checkListener(event: unknown, listener: unknown): Listener {
  if (typeof event !== 'string') {
    throw new NyotaError(
      'NYOTA_INVALID_ARGUMENT',
      `an event's name is a string, not ${describeValue(event)}`,
    );
  }
  if (typeof listener === 'function') return listener as Listener;
  throw new NyotaError(
    'NYOTA_INVALID_ARGUMENT',
    `a listener of '${event}' is a function, not ${describeValue(listener)}`,
  );
}
