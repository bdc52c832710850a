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
  #entries: Entry[] = [];
  #bytes = 0;

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

  #advance(): void {
    let settled = 0;
    while (this.#entries[settled] !== undefined && this.#entries[settled]?.state !== 'waiting') settled++;
    const ready = this.#entries.splice(0, settled);
    for (const entry of ready) this.#bytes -= entry.size;
    for (const entry of ready) if (entry.state === 'open') entry.run();
  }
}
