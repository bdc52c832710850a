/**
 * One side of the session in the kill tests, the same for a client and a server's session: sends numbered events and requests
 * all the time, handles the other side's, keeps an effect of each in the shared store by `commit`, and writes all of it
 * into the log. Dies by its own hand where it is told to, at moments that a timer hardly ever meets.
 *
 * How far it has sent is an entry of the shared store, set in the same tick as the sending: one durable step. The
 * next process goes on behind it, so what the one before had sent without its commit is sent a second time.
 */
import { writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** Events in one tick, at most. */
const BATCH = 8;
const REQUEST_IN = 5;
/** The listener of every so many takes its time. */
const SLOW_EVERY = 16;
const ACK_EVERY = 3;
const REQUEST_TIMEOUT_MS = 60_000;

/** @typedef {import('../../src/index.js').Client | import('../../src/index.js').Session} AnySide */
/** @typedef {{ sent: number, asked: number }} Sent */
/** @typedef {{ events: number, sum: number }} Effect */

export class KillTraffic {
  /** @type {import('../../src/index.js').Client} */
  #peer;
  #name;
  #other;
  #generation;
  #log;
  #random;
  /** @type {{ at: import('./kill-process.js').DiesAt, count: number } | undefined} */
  #dies;
  #slowEffects;
  /** @type {Promise<unknown>} */
  #slow = Promise.resolve();
  /** @type {Set<Promise<void>>} */
  #asking = new Set();
  #sent;
  #asked;
  /** @type {'sends' | 'rests' | 'stopped'} */
  #state = 'rests';
  /** @type {Promise<void>} */
  #sending = Promise.resolve();
  #wake = () => {};

  /**
   * @param {AnySide} peer
   * @param {{
   *   side: import('./kill-process.js').KillSide,
   *   generation: string,
   *   log: number,
   *   random: () => number,
   *   resumed: boolean,
   * }} start `generation`: another one for each; `log`: the open file
   */
  constructor(peer, { side, generation, log, random, resumed }) {
    // Both sides have what is used of them here.
    this.#peer = /** @type {import('../../src/index.js').Client} */ (peer);
    this.#name = side;
    this.#other = side === 'server' ? 'client' : 'server';
    this.#generation = generation;
    this.#log = log;
    this.#random = random;
    this.#note(`B ${Number(resumed)}`);
    const { sent, asked } = /** @type {Sent} */ (peer.get(`${side}-sent`) ?? { sent: 0, asked: 0 });
    this.#sent = sent;
    this.#asked = asked;
    this.#slowEffects = Number(peer.get(`${side}-slow`) ?? 0);
    this.#listen();
    this.goOn();
  }

  /** Sends nothing more for the time being; resolves once what it has sent is handled and answered. */
  async rest() {
    if (this.#state === 'sends') this.#state = 'rests';
    this.#wake();
    await this.#sending;
    await this.#peer.sendWithAck('last');
    await Promise.all(this.#asking);
    await this.#peer.store.synced();
  }

  goOn() {
    if (this.#state !== 'rests') return;
    this.#state = 'sends';
    this.#sending = this.#send();
  }

  /** By its own hand, at the `count`-th time that it comes there. @param {import('./kill-process.js').DiesAt} at @param {number} count */
  die(at, count) {
    this.#dies = { at, count };
  }

  /** Sends nothing more. Resolves once all is handled and answered. */
  async finish() {
    await this.rest();
    this.#state = 'stopped';
    await this.#slow;
  }

  async sync() {
    await this.#peer.store.synced();
  }

  /** The shared store. */
  entries() {
    return { .../** @type {Record<string, unknown>} */ (this.#peer.get()) };
  }

  #listen() {
    const peer = this.#peer;
    peer.on('tick', (/** @type {number} */ n, /** @type {string} */ generation) => this.#tick(n, generation));
    peer.on('last', () => {});
    peer.handle('deposit', (n, generation, context) => this.#deposit(n, generation, context));
    peer.on('error', (error) => this.#failed('error', error));
    peer.on('unhandled', (event) => this.#wrong(`unhandled ${event}`));
    peer.on('close', () => {
      this.#state = 'stopped';
      this.#wake();
    });
  }

  /** @param {number} n @param {string} generation */
  #tick(n, generation) {
    const { delivery } = this.#peer;
    if (delivery === undefined) return this.#wrong(`event ${n} has no delivery`);
    this.#note(`H ${n} ${generation} ${Number(delivery.redelivered)} ${delivery.id}`);
    const theirs = /** @type {Sent | undefined} */ (this.#peer.get(`${this.#other}-sent`));
    if (theirs === undefined || theirs.sent < n) this.#wrong(`event ${n} is here before its store entry`);
    if (n % SLOW_EVERY === 0) return this.#tickSlowly(n, delivery);
    const key = `${this.#name}-effects`;
    const { events, sum } = /** @type {Effect} */ (this.#peer.get(key) ?? { events: 0, sum: 0 });
    delivery.commit(key, { events: events + 1, sum: sum + n });
    this.#mayDie('in a listener');
    return undefined;
  }

  /** One after the other, so that the effects are in order. @param {number} n @param {import('../../src/index.js').Delivery} delivery */
  #tickSlowly(n, delivery) {
    const done = this.#slow.then(async () => {
      await pause(this.#random() * 4);
      delivery.commit(`${this.#name}-slow`, ++this.#slowEffects);
      this.#note(`E ${n}`);
      this.#mayDie('in a promise');
    });
    this.#slow = done;
    return done;
  }

  /** @param {number} n @param {string} generation @param {import('../../src/index.js').HandlerContext<unknown>} context */
  #deposit(n, generation, context) {
    this.#note(`R ${n} ${generation} ${Number(context.redelivered)} ${context.id}`);
    const key = `${this.#name}-balance`;
    const balance = Number(this.#peer.get(key) ?? 0) + 1;
    context.commit(key, balance);
    this.#mayDie('in a handler');
    return balance;
  }

  async #send() {
    while (this.#state === 'sends') {
      const room = this.#sendBatch();
      this.#mayDie('behind a send');
      if (room) await new Promise((resolve) => setImmediate(resolve));
      else await this.#drained();
    }
  }

  /** Resolves at 'drain', and where there is nothing more to send. @returns {Promise<void>} */
  #drained() {
    return new Promise((resolve) => {
      const done = () => {
        this.#peer.off('drain', done);
        resolve();
      };
      this.#wake = done;
      this.#peer.on('drain', done);
      if (this.#state !== 'sends') done();
    });
  }

  /** All in one tick, so that it is one durable step. False above the high-water mark. */
  #sendBatch() {
    const peer = this.#peer;
    const from = this.#sent + 1;
    this.#sent += 1 + Math.floor(this.#random() * BATCH);
    const asks = this.#random() * REQUEST_IN < 1;
    if (asks) this.#asked++;
    const numbers = Array.from({ length: this.#sent - from + 1 }, (_, i) => from + i);
    // Before they are sent: what is not in the log was never sent.
    this.#note(...numbers.map((n) => `S ${n}`), ...(asks ? [`Q ${this.#asked}`] : []));
    peer.set(`${this.#name}-sent`, { sent: this.#sent, asked: this.#asked });
    let room = true;
    for (const n of numbers) {
      const args = [n, this.#generation, '.'.repeat(Math.floor(this.#random() * 40))];
      room = n % ACK_EVERY === 0 ? peer.send('tick', ...args, this.#onAck(n)) : peer.send('tick', ...args);
    }
    if (asks) this.#ask(this.#asked);
    return room;
  }

  /** @param {number} n */
  #onAck(n) {
    return (/** @type {Error | undefined} */ error) => {
      if (error === undefined) this.#note(`K ${n}`);
      else this.#failed(`the ack of ${n}`, error);
    };
  }

  /** @param {number} n */
  #ask(n) {
    /** @type {Promise<void>} */
    const asking = this.#peer
      .with({ timeoutMs: REQUEST_TIMEOUT_MS })
      .request('deposit', n, this.#generation)
      .then((balance) => this.#note(`A ${n} ${balance}`))
      .catch((error) => this.#failed(`the request ${n}`, error))
      .finally(() => this.#asking.delete(asking));
    this.#asking.add(asking);
  }

  /** @param {import('./kill-process.js').DiesAt} at */
  #mayDie(at) {
    if (this.#dies?.at !== at || --this.#dies.count > 0) return;
    process.kill(process.pid, 'SIGKILL');
  }

  /** What a process that has lost its session is told is as it should be. @param {string} what @param {Error} error */
  #failed(what, error) {
    const { code } = /** @type {{ code?: string }} */ (error.cause ?? {});
    if (this.#state !== 'stopped' && code !== 'NYOTA_TAKEN_OVER') this.#wrong(`${what}: ${error}`);
  }

  /** @param {string} text */
  #wrong(text) {
    this.#note(`V ${text.replaceAll(/[;\n]/g, ' ')}`);
  }

  /** One write. It is in the hands of the system when this returns: it survives this process. @param {string[]} lines */
  #note(...lines) {
    writeSync(this.#log, lines.map((line) => `\n${this.#name} ${this.#generation} ${line};`).join(''));
  }
}
