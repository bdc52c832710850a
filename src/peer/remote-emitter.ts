/**
 * The listeners of the other side's events. Knows when all listeners of an event have settled, which is what an
 * acknowledgement tells; a listener that throws or rejects is reported, and the others still run.
 */
import { isThenable } from './is-thenable.js';
import { Listeners } from './listeners.js';

/** Hears every remote event: its name first. */
export type AnyListener = (event: string, ...args: unknown[]) => unknown;
type Plain = (...args: unknown[]) => unknown;

export class RemoteEmitter {
  readonly listeners = new Listeners();
  readonly #owner: object;
  readonly #report: (event: string, error: unknown) => void;
  #any: readonly AnyListener[] = [];

  /**
   * @param owner what `this` is in listeners
   * @param report is told what a listener threw
   */
  constructor(owner: object, report: (event: string, error: unknown) => void) {
    this.#owner = owner;
    this.#report = report;
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
    const pending: PromiseLike<unknown>[] = [];
    for (const listener of this.listeners.of(event)) this.#call(event, listener, args, pending);
    for (const listener of this.#any) this.#call(event, listener as Plain, [event, ...args], pending);
    return pending.length < 2 ? pending[0] : Promise.all(pending);
  }

  #call(event: string, listener: Plain, args: unknown[], pending: PromiseLike<unknown>[]): void {
    try {
      const result = listener.apply(this.#owner, args);
      if (!isThenable(result)) return;
      pending.push(Promise.resolve(result).catch((error: unknown) => this.#report(event, error)));
    } catch (error) {
      this.#report(event, error);
    }
  }
}
