/**
 * One end of a link at work: sends its numbered events, requests and store writes, and logs the numbers of those it handles.
 * The same for a client and for a server's session. It counts and does not judge: demo-tally.ts does.
 *
 * A server's process is killed and comes back. How far it has sent is an entry of the shared store, set in the same
 * tick as the sending: both are in one durable step, so a number is either sent for good and counted, or neither. The next
 * process goes on behind it. Which requests and writes went along follows from the number.
 */
import type { Ledger } from './demo-ledger.js';
import type { DemoPeer, EndReport, LinkName } from './demo-messages.js';

const EVENTS_PER_REQUEST = 20;
const EVENTS_PER_WRITE = 10;
const EVENTS_PER_STEP = 50;
const KEYS = 40;
/** Every so many writes one is a delete. */
const WRITES_PER_DELETE = 7;
/** Two outages and more: a cut in the middle of a request is no error. */
const REQUEST_TIMEOUT_MS = 20_000;
/** What both ends count up together. */
export const COUNTER_KEY = 'counter';
/** How far the server has sent. */
const SENT_KEY = 'server-sent';

export type Side = 'client' | 'server';

/** How often it was counted up, in all and by each. */
interface Counter {
  readonly total: number;
  readonly client: number;
  readonly server: number;
}

/** Where an end begins: at its first event, or where the process before it has stopped. */
export interface TrafficStart {
  readonly link: LinkName;
  readonly side: Side;
  readonly ledger: Ledger;
  /** Send up to this number at once. */
  readonly upTo: number;
}

export class Traffic {
  readonly #link: LinkName;
  readonly #peer: DemoPeer;
  /** Who wrote a value. */
  readonly #side: Side;
  readonly #ledger: Ledger;
  #target = 0;
  #sent = 0;
  #busy = false;
  #sending: Promise<void> | undefined;
  /** Requests of killed processes that were not answered to them. */
  readonly #interrupted: number;
  readonly #asking = new Set<Promise<void>>();
  #stepping: Promise<unknown> = Promise.resolve();
  readonly #failed: (error: unknown) => void;

  /** @param failed is called with what should not have been thrown */
  constructor(peer: DemoPeer, { link, side, ledger, upTo }: TrafficStart, failed: (error: unknown) => void) {
    this.#link = link;
    this.#peer = peer;
    this.#side = side;
    this.#ledger = ledger;
    this.#failed = failed;
    peer.on('error', failed);
    peer.on('tick', (n) => ledger.event(n, peer.delivery?.redelivered === true));
    peer.on('last', () => {});
    peer.handle('double', (n, { redelivered }) => {
      ledger.request(n, redelivered);
      return n * 2;
    });
    if (side === 'server') this.#sent = Number(peer.get(SENT_KEY) ?? 0);
    this.#interrupted = this.#asked - ledger.roundTripsMs.length - ledger.failed;
    // Steps are asked for one after the other, so those of a killed process may be missing.
    for (let owed = this.#stepsDue - this.#counter[side]; owed > 0; owed--) this.#step();
    this.pace(upTo);
  }

  get handled(): number {
    return this.#ledger.count;
  }

  /** Sends on, up to this number. */
  pace(upTo: number): void {
    this.#target = Math.max(this.#target, upTo);
    // Not by the promise: it settles a little after the loop has ended, and a call in between would be lost.
    if (!this.#busy) this.#sending = this.#send().catch(this.#failed);
  }

  /** Resolves once all that was sent so far is handled, answered, and in both stores. */
  async settle(): Promise<void> {
    await this.#sending;
    await this.#peer.sendWithAck('last');
    await Promise.all(this.#asking);
    await this.#stepping;
    await this.#peer.store.synced();
  }

  report(): EndReport {
    const { events, requests, handledMs, roundTripsMs, failed } = this.#ledger;
    const answered = roundTripsMs.length;
    return {
      link: this.#link,
      sent: this.#sent,
      handled: events,
      handledMs,
      requests: { sent: this.#asked, answered, failed, interrupted: this.#interrupted, roundTripsMs },
      requestsHandled: requests,
      writes: Math.floor(this.#sent / EVENTS_PER_WRITE),
      steps: this.#stepsDue,
      store: { ...this.#peer.get() },
      stats: this.#peer.stats(),
    };
  }

  get #asked(): number {
    return Math.floor(this.#sent / EVENTS_PER_REQUEST);
  }

  get #stepsDue(): number {
    return Math.floor(this.#sent / EVENTS_PER_STEP);
  }

  get #counter(): Counter {
    return (this.#peer.get(COUNTER_KEY) as Counter | undefined) ?? { total: 0, client: 0, server: 0 };
  }

  async #send(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#sent < this.#target) {
        if (!this.#sendSome()) await new Promise<void>((resolve) => this.#peer.once('drain', resolve));
      }
    } finally {
      this.#busy = false;
    }
  }

  /** As many as there is room for, without an await: one durable step. False above the high-water mark. */
  #sendSome(): boolean {
    let room = true;
    while (room && this.#sent < this.#target) room = this.#sendNext();
    if (this.#side === 'server') this.#peer.set(SENT_KEY, this.#sent);
    return room;
  }

  /** The next event, and what goes along with it. */
  #sendNext(): boolean {
    const n = this.#sent + 1;
    const room = this.#peer.send('tick', n, '.'.repeat(n % 64));
    this.#sent = n;
    if (n % EVENTS_PER_REQUEST === 0) this.#ask(n / EVENTS_PER_REQUEST);
    if (n % EVENTS_PER_WRITE === 0) this.#write(n / EVENTS_PER_WRITE);
    if (n % EVENTS_PER_STEP === 0) this.#step();
    return room;
  }

  #ask(n: number): void {
    const startedAt = performance.now();
    const asking: Promise<void> = this.#peer
      .with({ timeoutMs: REQUEST_TIMEOUT_MS })
      .request('double', n)
      .then((reply) => {
        if (reply !== n * 2) throw new Error(`the reply to ${n} is ${reply}`);
        this.#ledger.answered(performance.now() - startedAt);
      })
      .catch(() => this.#ledger.requestFailed())
      .finally(() => this.#asking.delete(asking));
    this.#asking.add(asking);
  }

  /** Both ends write to the same keys. */
  #write(n: number): void {
    const key = `key-${n % KEYS}`;
    if (n % WRITES_PER_DELETE === 0) this.#peer.delete(key);
    else this.#peer.set(key, { by: this.#side, n });
  }

  /** One after the other: the other end's steps make conflicts enough. */
  #step(): void {
    this.#stepping = this.#stepping
      .then(() =>
        this.#peer.store.update(COUNTER_KEY, () => {
          const counter = this.#counter;
          return { ...counter, total: counter.total + 1, [this.#side]: counter[this.#side] + 1 };
        }),
      )
      .catch(this.#failed);
  }
}
