/**
 * The load of `nyota bench`, and how long its messages take: one lane a connection, each sending events or requests until the
 * time is over. Without a rate a lane sends as much as its session takes: events up to the high-water mark, requests with
 * some in flight. At a rate every message has its due time.
 */
import { createHistogram } from 'node:perf_hooks';
import type { Client } from '../index.js';
import { exitCodeOf } from './failures.js';

export interface LoadOptions {
  readonly event: string;
  readonly requests: boolean;
  readonly size: number;
  /** Messages a second of all lanes together; undefined: no limit. */
  readonly rate: number | undefined;
}

/** What has happened so far. */
export interface Counts {
  sent: number;
  /** Requests that were answered; events that are acknowledged, as far as it is known. */
  done: number;
  readonly failed: Record<string, number>;
}

/** Requests of a lane that wait for their reply, where no rate is given. */
const IN_FLIGHT = 64;
/** Events of a lane before the event loop gets its turn. */
const BATCH = 64;
/** Every so many events of a lane the acknowledgement is timed, where no rate is given: each one would cost throughput. */
const TIMED_EVERY = 256;
/** How long to wait for the last messages once the time is over. */
const SETTLE_MS = 10_000;
/** At a fixed rate, how often the lanes are served. */
const TICK_MS = 1;

export class BenchLoad {
  readonly latency = new LatencyHistogram();
  readonly #clients: readonly Client[];
  readonly #options: LoadOptions;
  readonly #payload: Buffer;
  readonly #counts: Counts = { sent: 0, done: 0, failed: {} };
  readonly #pending = new Set<Promise<void>>();
  #stopped = false;
  /** The call was wrong: no message of it was taken. */
  #wrongCall: unknown;

  constructor(clients: readonly Client[], options: LoadOptions) {
    // Once for all of its calls: each `with` makes an object.
    this.#clients = clients.map((client) => client.with({ timeoutMs: SETTLE_MS }));
    this.#options = options;
    this.#payload = Buffer.alloc(options.size, 0x6e);
  }

  /** Events count as done when they are acknowledged, which sessions count themselves. */
  get counts(): Counts {
    if (this.#options.requests) return this.#counts;
    const acked = this.#clients.reduce((sum, client) => sum + client.stats().acked, 0);
    return { ...this.#counts, done: Math.min(acked, this.#counts.sent) };
  }

  /** Sends for so long, and waits for what is under way. Throws if the messages can't be sent at all. */
  async run(durationMs: number, signal: AbortSignal): Promise<void> {
    const stop = (): void => {
      this.#stopped = true;
    };
    const timer = setTimeout(stop, durationMs);
    signal.addEventListener('abort', stop, { once: true });
    const { rate } = this.#options;
    const startedAt = performance.now();
    try {
      const lanes = this.#clients.map((client) => {
        if (rate !== undefined) return undefined;
        return this.#options.requests ? this.#requestLane(client) : this.#eventLane(client);
      });
      if (rate !== undefined) await this.#paced(rate, startedAt);
      await Promise.all(lanes);
      await Promise.all(this.#pending);
      if (this.#wrongCall !== undefined) throw this.#wrongCall;
    } finally {
      clearTimeout(timer);
    }
  }

  async #eventLane(client: Client): Promise<void> {
    for (let count = 0; !this.#stopped; ) {
      let room = true;
      for (let i = 0; i < BATCH && room; i++, count++) {
        if (count % TIMED_EVERY === 0) this.#begin(this.#timedEvent(client, performance.now()));
        else room = this.#sendEvent(client);
      }
      if (room) await new Promise((resolve) => setImmediate(resolve));
      else await this.#drained(client);
    }
    // Its acknowledgement comes after all earlier ones, so those are counted by then.
    await this.#timedEvent(client, performance.now());
  }

  /** What waits for room stops waiting when the time is over: the server may have stopped reading. */
  #drained(client: Client): Promise<void> {
    return new Promise((resolve) => {
      const look = setInterval(() => this.#stopped && go(), 20);
      const go = (): void => {
        clearInterval(look);
        client.off('drain', go);
        resolve();
      };
      client.on('drain', go);
    });
  }

  async #requestLane(client: Client): Promise<void> {
    const ask = async (): Promise<void> => {
      while (!this.#stopped) await this.#timedRequest(client, performance.now());
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, ask));
  }

  /** Sends each message when it is due, on one lane after the other. */
  async #paced(rate: number, startedAt: number): Promise<void> {
    const pace = new Pace(rate, startedAt);
    for (let lane = 0; !this.#stopped; ) {
      for (let due = pace.take(performance.now()); due !== undefined; due = pace.take(performance.now())) {
        if (this.#stopped) return;
        const client = this.#clients[lane++ % this.#clients.length] as Client;
        const { requests } = this.#options;
        this.#begin(requests ? this.#timedRequest(client, due) : this.#timedEvent(client, due));
      }
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  #begin(work: Promise<void>): void {
    const pending: Promise<void> = work.finally(() => {
      this.#pending.delete(pending);
    });
    this.#pending.add(pending);
  }

  #sendEvent(client: Client): boolean {
    try {
      const room = client.send(this.#options.event, this.#payload);
      this.#counts.sent++;
      return room;
    } catch (error) {
      this.#fail(client, error);
      return false;
    }
  }

  async #timedEvent(client: Client, since: number): Promise<void> {
    try {
      const acknowledged = client.sendWithAck(this.#options.event, this.#payload);
      this.#counts.sent++;
      await acknowledged;
      this.latency.record(performance.now() - since);
    } catch (error) {
      this.#fail(client, error);
    }
  }

  async #timedRequest(client: Client, since: number): Promise<void> {
    this.#counts.sent++;
    try {
      await client.request(this.#options.event, this.#payload);
      this.#counts.done++;
      this.latency.record(performance.now() - since);
    } catch (error) {
      this.#fail(client, error);
      // Waits before it asks again: the server refuses at once.
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  #fail(client: Client, error: unknown): void {
    if (exitCodeOf(error) === 2 && client.stats().sent === 0) {
      this.#wrongCall = error;
      this.#stopped = true;
      return;
    }
    const { code, name } = error as { code?: unknown; name?: unknown };
    const what = typeof code === 'string' ? code : String(name);
    this.#counts.failed[what] = (this.#counts.failed[what] ?? 0) + 1;
  }
}

/**
 * When messages are due at a fixed rate. Pure: time is handed in.
 *
 * Due times are kept, whatever happens: a message that could not go out in time is counted from when it was due. Otherwise a
 * server that stalls would be measured by the few messages that were sent while it stalled (coordinated omission).
 */
export class Pace {
  readonly #startedAt: number;
  readonly #intervalMs: number;
  #sent = 0;

  /** @param rate messages a second */
  constructor(rate: number, startedAt: number) {
    this.#startedAt = startedAt;
    this.#intervalMs = 1000 / rate;
  }

  /** When the next message is due. */
  get nextDue(): number {
    return this.#startedAt + this.#sent * this.#intervalMs;
  }

  /** Takes the next message; its due time, or undefined if none is due yet. */
  take(now: number): number | undefined {
    const due = this.nextDue;
    if (due > now) return undefined;
    this.#sent++;
    return due;
  }
}

/** In milliseconds. */
export interface Latency {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** A value above it counts as this one: an hour, in µs. */
const HIGHEST_US = 3_600_000_000;
const US_PER_MS = 1000;

/** Every latency counts, with three digits, in little memory: Node's histogram is an HdrHistogram. */
export class LatencyHistogram {
  readonly #us = createHistogram({ lowest: 1, highest: HIGHEST_US, figures: 3 });

  record(ms: number): void {
    this.#us.record(Math.min(HIGHEST_US, Math.max(1, Math.round(ms * US_PER_MS))));
  }

  /** Undefined if nothing was recorded. */
  summary(): Latency | undefined {
    const { count, min, mean, max } = this.#us;
    if (count === 0) return undefined;
    const at = (percentile: number): number => this.#us.percentile(percentile) / US_PER_MS;
    return {
      count,
      min: min / US_PER_MS,
      mean: mean / US_PER_MS,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: max / US_PER_MS,
    };
  }
}
