/**
 * Virtual time: what is to happen, in the order of its due time; of the same time, in the order in which it was planned.
 * Nothing moves but by `next`.
 */

/** Whose event it is: a process that is dead hears nothing, one that stands still hears it later. */
export interface Owner {
  readonly alive: boolean;
  readonly frozen: boolean;
  /** What came while it stood still. */
  readonly backlog: Entry[];
}

export interface Entry {
  readonly at: number;
  readonly order: number;
  readonly owner: Owner;
  fn: (() => void) | undefined;
}

export class Schedule {
  #now: number;
  #order = 0;
  #heap: Entry[] = [];

  constructor(startMs: number) {
    this.#now = startMs;
  }

  get now(): number {
    return this.#now;
  }

  /** Calls `fn` once, so many milliseconds from now. */
  after(owner: Owner, ms: number, fn: () => void): Entry {
    const delay = ms > 0 ? ms : 0;
    const entry: Entry = { at: this.#now + delay, order: this.#order++, owner, fn };
    this.#push(entry);
    return entry;
  }

  cancel(entry: Entry): void {
    entry.fn = undefined;
  }

  /** Moves the time to the next event up to `until` and runs it. False where there is none: the time is `until` then. */
  next(until: number): boolean {
    for (;;) {
      const entry = this.#heap[0];
      if (entry === undefined || entry.at > until) {
        this.#now = Math.max(this.#now, until);
        return false;
      }
      this.#pop();
      const { fn, owner } = entry;
      if (fn === undefined || !owner.alive) continue;
      this.#now = Math.max(this.#now, entry.at);
      if (owner.frozen) {
        owner.backlog.push(entry);
        continue;
      }
      entry.fn = undefined;
      fn();
      return true;
    }
  }

  /** The machine slept: the time has moved, and nothing was done meanwhile. */
  jump(ms: number): void {
    this.#now += ms;
  }

  /** What waits for a process that lives. */
  pending(): number {
    return this.#heap.filter(({ fn, owner }) => fn !== undefined && owner.alive).length;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Entry;
      if (!before(entry, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (!before(heap[child] as Entry, last)) break;
      heap[i] = heap[child] as Entry;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
