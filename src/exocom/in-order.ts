/**
 * Keeps what one sender sent in order while some of it still has to be decided over: each entry gets a ticket, and runs
 * once its ticket is open and all before it have run or were dropped. Pure.
 */
export interface Ticket {
  /** It may run, when its turn comes. */
  open(): void;
  /** It is not to run; those behind it don't wait for it. */
  drop(): void;
}

interface Entry {
  state: 'waiting' | 'open' | 'dropped';
  readonly run: () => void;
  readonly size: number;
}

export class InOrder {
  readonly #entries: Entry[] = [];
  #bytes = 0;
  #running = false;

  get length(): number {
    return this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  enter(size: number, run: () => void): Ticket {
    const entry: Entry = { state: 'waiting', run, size };
    this.#entries.push(entry);
    this.#bytes += size;
    const settle = (state: 'open' | 'dropped'): void => {
      if (entry.state !== 'waiting') return;
      entry.state = state;
      this.#advance();
    };
    return { open: () => settle('open'), drop: () => settle('dropped') };
  }

  /** One at a time: what runs may add more, and may open what is behind it. */
  #advance(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#shift(); next !== undefined; next = this.#shift()) {
        if (next.state === 'open') next.run();
      }
    } finally {
      this.#running = false;
    }
  }

  #shift(): Entry | undefined {
    if (this.#entries[0] === undefined || this.#entries[0].state === 'waiting') return undefined;
    const next = this.#entries.shift();
    this.#bytes -= next?.size ?? 0;
    return next;
  }
}
