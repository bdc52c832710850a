/**
 * One end of a link at work: sends its numbered events, requests and store writes, and logs the numbers of those it handles.
 * The same for a client and for a server's session. It counts and does not judge: demo-tally.ts does.
 */
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

export class Traffic {
  readonly #link: LinkName;
  readonly #peer: DemoPeer;
  /** Who wrote a value: client or server. */
  readonly #side: string;
  #target = 0;
  #sent = 0;
  #busy = false;
  #sending: Promise<void> | undefined;
  readonly #handled: number[] = [];
  #firstHandledAt = 0;
  #lastHandledAt = 0;
  readonly #requests = { sent: 0, answered: 0, failed: 0 };
  readonly #roundTripsMs: number[] = [];
  readonly #requestsHandled: number[] = [];
  readonly #asking = new Set<Promise<void>>();
  #writes = 0;
  #steps = 0;
  #stepping: Promise<unknown> = Promise.resolve();
  readonly #failed: (error: unknown) => void;

  /** @param failed is told what should not have been thrown */
  constructor(link: LinkName, peer: DemoPeer, side: string, failed: (error: unknown) => void) {
    this.#link = link;
    this.#peer = peer;
    this.#side = side;
    this.#failed = failed;
    peer.on('error', failed);
    peer.on('tick', (n) => this.#log(n));
    peer.on('last', () => {});
    peer.handle('double', (n) => {
      this.#requestsHandled.push(n);
      return n * 2;
    });
  }

  get handled(): number {
    return this.#handled.length;
  }

  /** Sends on, up to this number. */
  pace(upTo: number): void {
    this.#target = Math.max(this.#target, upTo);
    // Not told by the promise: that settles a little later than the loop ends, and a call in between would be lost.
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
    return {
      link: this.#link,
      sent: this.#sent,
      handled: this.#handled,
      handledMs: this.#lastHandledAt - this.#firstHandledAt,
      requests: { ...this.#requests, roundTripsMs: this.#roundTripsMs },
      requestsHandled: this.#requestsHandled,
      writes: this.#writes,
      steps: this.#steps,
      store: { ...this.#peer.get() },
      stats: this.#peer.stats(),
    };
  }

  #log(n: number): void {
    this.#lastHandledAt = performance.now();
    if (this.#handled.length === 0) this.#firstHandledAt = this.#lastHandledAt;
    this.#handled.push(n);
  }

  async #send(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#sent < this.#target) {
        if (!this.#sendNext()) await new Promise<void>((resolve) => this.#peer.once('drain', resolve));
      }
    } finally {
      this.#busy = false;
    }
  }

  /** The next event, and what goes along with it. False above the high-water mark. */
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
    this.#requests.sent++;
    const startedAt = performance.now();
    const asking: Promise<void> = this.#peer
      .with({ timeoutMs: REQUEST_TIMEOUT_MS })
      .request('double', n)
      .then((reply) => {
        if (reply !== n * 2) throw new Error(`the reply to ${n} is ${reply}`);
        this.#requests.answered++;
        this.#roundTripsMs.push(performance.now() - startedAt);
      })
      .catch(() => {
        this.#requests.failed++;
      })
      .finally(() => this.#asking.delete(asking));
    this.#asking.add(asking);
  }

  /** Both ends write to the same keys. */
  #write(n: number): void {
    const key = `key-${n % KEYS}`;
    if (n % WRITES_PER_DELETE === 0) this.#peer.delete(key);
    else this.#peer.set(key, { by: this.#side, n });
    this.#writes++;
  }

  /** One after the other: the other end's steps make conflicts enough. */
  #step(): void {
    this.#stepping = this.#stepping
      .then(() => this.#peer.store.update(COUNTER_KEY, (value) => Number(value ?? 0) + 1))
      .then(() => {
        this.#steps++;
      })
      .catch(this.#failed);
  }
}
