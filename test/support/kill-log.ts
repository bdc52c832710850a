/**
 * Judges a run of the kill tests by its log alone. All processes append to one file, so the file's order is the order in which
 * things happened, whoever did them. A line is begun by a line break and ended by `;`: one that a kill tore is not taken.
 *
 *   SIDE GENERATION WHAT …       `GENERATION`: another one for each process, and for each time that it gets the session
 *   B resumed                    the process has its session
 *   S n                          about to send event n
 *   K n                          event n was acknowledged to its sender
 *   H n sender flagged id        event n was dispatched; `sender`: the generation of the process that had sent it
 *   E n                          the slow listener of event n is done
 *   Q n                          about to ask request n
 *   R n sender flagged id        request n was handed to its handler
 *   A n reply                    request n was answered
 *   V text                       the process itself found something wrong
 */
import type { KillSide } from './kill-process.js';

/** What one direction came to. */
export interface DirectionCount {
  /** Different ones that were dispatched. */
  events: number;
  requests: number;
  /** Dispatched again, flagged. */
  redelivered: number;
}

export interface Verdict {
  readonly problems: readonly string[];
  readonly lost: number;
  /** Dispatched again without the flag, or after it had been acknowledged. */
  readonly repeated: number;
  /** By the receiving side. */
  readonly counts: Readonly<Record<KillSide, DirectionCount>>;
}

/** How far a side has sent, by its store at the end. */
export interface SentBy {
  readonly sent: number;
  readonly asked: number;
}

const MAX_PROBLEMS = 20;
/** As kill-traffic.js has it. */
export const SLOW_EVERY = 16;

/** What is known of the messages of one kind that one side has sent. */
class Numbered {
  readonly #name: string;
  readonly #wrong: (text: string) => void;
  /** The process that said last that it would send it. */
  readonly #announced = new Map<number, string>();
  readonly #ids = new Map<number, string>();
  readonly #unflagged = new Set<number>();
  /** Whose slow listener is done. */
  readonly #settled = new Set<number>();
  readonly #acked = new Set<number>();
  /** Highest dispatched by anybody, and by the process at hand. */
  #highest = 0;
  #inThisProcess = 0;
  redelivered = 0;
  repeated = 0;

  constructor(name: string, wrong: (text: string) => void) {
    this.#name = name;
    this.#wrong = wrong;
  }

  get dispatchedCount(): number {
    return this.#ids.size;
  }

  announce(n: number, generation: string): void {
    this.#announced.set(n, generation);
    if (this.#ids.has(n)) this.#tell(n, 'was sent again after it had been dispatched');
  }

  newReceiver(): void {
    this.#inThisProcess = 0;
  }

  /** @param isStale by a process that has lost the session and may not know it yet */
  dispatch(n: number, sender: string, flagged: boolean, id: string, isStale: boolean): void {
    if (this.#announced.get(n) !== sender)
      this.#tell(n, `of process ${sender} was dispatched, and not sent by it`);
    const known = this.#ids.get(n);
    if (known === undefined) {
      if (n !== this.#highest + 1) this.#tell(n, `was dispatched next after ${this.#highest}`);
    } else {
      this.redelivered++;
      if (known !== id) this.#tell(n, `had the id ${known}, and now has ${id}`);
      // Two processes may have it at the same time: then it is the second one that was told so.
      if (!flagged && (!isStale || this.#unflagged.has(n))) this.#repeat(n, 'without the flag');
      if (this.#acked.has(n) && !isStale) this.#repeat(n, 'after it had been acknowledged');
    }
    if (!flagged) this.#unflagged.add(n);
    this.#ids.set(n, id);
    this.#highest = Math.max(this.#highest, n);
    if (isStale) return;
    this.#settled.delete(n);
    if (n <= this.#inThisProcess)
      this.#tell(n, `was dispatched after ${this.#inThisProcess}, in one process`);
    this.#inThisProcess = n;
  }

  settle(n: number): void {
    this.#settled.add(n);
  }

  acknowledge(n: number, isSlow: boolean): void {
    if (!this.#ids.has(n)) this.#tell(n, 'was acknowledged before it was dispatched');
    else if (isSlow && !this.#settled.has(n)) this.#tell(n, 'was acknowledged before its listener was done');
    this.#acked.add(n);
  }

  /** @returns how many are lost */
  finish(sent: number): number {
    let lost = 0;
    for (let n = 1; n <= sent; n++) if (!this.#ids.has(n)) lost++;
    if (lost > 0) this.#wrong(`${this.#name}: ${lost} of ${sent} lost`);
    if (this.#highest > sent)
      this.#wrong(`${this.#name} ${this.#highest} was dispatched, and only ${sent} were sent`);
    return lost;
  }

  #repeat(n: number, how: string): void {
    this.repeated++;
    this.#tell(n, `was dispatched again ${how}`);
  }

  #tell(n: number, text: string): void {
    this.#wrong(`${this.#name} ${n} ${text}`);
  }
}

export class KillLog {
  readonly #problems: string[] = [];
  /** By the sending side. */
  readonly #events = { client: this.#numbered('event', 'client'), server: this.#numbered('event', 'server') };
  readonly #requests = {
    client: this.#numbered('request', 'client'),
    server: this.#numbered('request', 'server'),
  };

  /** Of each side, who got the session last. */
  readonly #owners = { client: '', server: '' };

  /** All lines of a log, from its beginning. */
  read(text: string): this {
    for (const line of text.split('\n')) {
      if (line === '' || !line.endsWith(';')) continue;
      this.#line(line.slice(0, -1));
    }
    return this;
  }

  /** @param sent by the stores at the end */
  judge(sent: Readonly<Record<KillSide, SentBy>>): Verdict {
    let lost = 0;
    let repeated = 0;
    for (const side of ['client', 'server'] as const) {
      lost += this.#events[side].finish(sent[side].sent) + this.#requests[side].finish(sent[side].asked);
      repeated += this.#events[side].repeated + this.#requests[side].repeated;
    }
    return {
      problems: this.#problems,
      lost,
      repeated,
      counts: { client: this.#counts('server'), server: this.#counts('client') },
    };
  }

  #line(line: string): void {
    const [side, generation = '', what, first, ...rest] = line.split(' ');
    if (side !== 'client' && side !== 'server') return;
    const sender = side === 'client' ? 'server' : 'client';
    const n = Number(first);
    const [by = '', flagged, id = ''] = rest;
    const isStale = generation !== this.#owners[side];
    if (what === 'S' || what === 'Q') {
      const numbered = what === 'S' ? this.#events : this.#requests;
      // What it sends goes nowhere: where it arrives, it has been sent by nobody.
      if (!isStale) numbered[side].announce(n, generation);
    } else if (what === 'H') this.#events[sender].dispatch(n, by, flagged === '1', id, isStale);
    else if (what === 'R') this.#requests[sender].dispatch(n, by, flagged === '1', id, isStale);
    else if (what === 'E') this.#events[sender].settle(n);
    else if (what === 'K') this.#events[side].acknowledge(n, n % SLOW_EVERY === 0);
    else if (what === 'A') this.#answer(side, n, Number(rest[0]));
    else if (what === 'B') {
      this.#owners[side] = generation;
      this.#events[sender].newReceiver();
      this.#requests[sender].newReceiver();
    } else this.#wrong(`${side} ${generation}: ${[first, ...rest].join(' ')}`);
  }

  /** Each deposit adds one to the balance, which it answers: so a second effect shows for ever after. */
  #answer(side: KillSide, n: number, balance: number): void {
    this.#requests[side].acknowledge(n, false);
    if (balance !== n) this.#wrong(`the ${side}'s request ${n} was answered with the balance ${balance}`);
  }

  #counts(sender: KillSide): DirectionCount {
    const [events, requests] = [this.#events[sender], this.#requests[sender]];
    const redelivered = events.redelivered + requests.redelivered;
    return { events: events.dispatchedCount, requests: requests.dispatchedCount, redelivered };
  }

  #numbered(kind: string, sender: KillSide): Numbered {
    return new Numbered(`the ${sender}'s ${kind}`, (text) => this.#wrong(text));
  }

  #wrong(text: string): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(text);
  }
}
