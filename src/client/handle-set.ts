/** What holds the process for a client: sockets and timers. `ref` and `unref` act on all, also on those that come later. */
import type { HandleSet, Refable } from '../net/dial.js';

export class Handles implements HandleSet {
  readonly #handles = new Set<Refable>();
  #refd = true;

  /** False after `unref`. */
  get refd(): boolean {
    return this.#refd;
  }

  add(handle: Refable): void {
    this.#handles.add(handle);
    if (!this.#refd) handle.unref?.();
  }

  delete(handle: Refable): void {
    this.#handles.delete(handle);
  }

  ref(): void {
    this.#refd = true;
    for (const handle of this.#handles) handle.ref?.();
  }

  unref(): void {
    this.#refd = false;
    for (const handle of this.#handles) handle.unref?.();
  }
}
