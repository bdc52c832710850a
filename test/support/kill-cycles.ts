/**
 * Many times over: two processes with one session and traffic in both directions, and one of them is killed by `kill -9` at a
 * random moment (while it starts, while it takes the session over, under load, or by its own hand in the midst of a listener)
 * and started again on the same port and the same folder. Then all is left to come to rest, and the log is judged.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { KillArena } from './kill-arena.js';
import type { Verdict } from './kill-log.js';
import type { DiesAt, KillOptions, KillProcess, KillSide } from './kill-process.js';

export interface CyclesOptions {
  /** The folder of the built package, as a URL. */
  readonly dist: string;
  /** Who is killed: one of them, drawn anew in each cycle. Each has an LMDB store of its own. */
  readonly victims: readonly KillSide[];
  readonly cycles: number;
  readonly random: () => number;
}

export interface CyclesResult extends Verdict {
  readonly cycles: number;
  readonly ms: number;
}

/**
 * A process that has just been told what to do, a server that listens or a client that dials; one with its session, some time
 * later, and by its own hand.
 */
type Moment = 'starting' | 'serving' | 'load' | DiesAt;

/** How often a kill comes when. */
const MOMENTS: readonly { readonly at: Moment; readonly share: number }[] = [
  { at: 'starting', share: 1 },
  { at: 'serving', share: 1 },
  { at: 'load', share: 5 },
  { at: 'behind a send', share: 1 },
  { at: 'in a listener', share: 2 },
  { at: 'in a promise', share: 1 },
  { at: 'in a handler', share: 1 },
];
const EARLY_MS = 60;
const LOAD_MS = 120;
/** Of its own hand: at the first to the thirtieth time. */
const OWN_HAND_COUNT = 30;
/** Small, so that little waits for a process that comes back. */
const LIMITS: KillOptions = { highWaterBytes: 8 * 1024 };

/** @throws Error where a process says that it can't go on, ends by itself, or something does not come */
export async function runCycles(options: CyclesOptions): Promise<CyclesResult> {
  const arena = new KillArena(options.dist, options.random);
  try {
    return await new CyclesRun(options, arena).toTheEnd();
  } finally {
    await arena.clearUp();
  }
}

class CyclesRun {
  readonly #options: CyclesOptions;
  readonly #arena: KillArena;
  readonly #sides: Partial<Record<KillSide, KillProcess>> = {};
  /** Those that have had a connection. */
  readonly #met = new WeakSet<KillProcess>();
  #port = 0;

  constructor(options: CyclesOptions, arena: KillArena) {
    this.#options = options;
    this.#arena = arena;
  }

  async toTheEnd(): Promise<CyclesResult> {
    const { cycles, victims, random } = this.#options;
    await this.#next('server');
    this.#port = (await this.#process('server').hears('listening')).port;
    await this.#next('client');
    await Promise.all([this.#whole('server'), this.#whole('client')]);
    const startedAt = performance.now();
    for (let cycle = 0; cycle < cycles; cycle++) {
      await this.#cycle(victims[Math.floor(random() * victims.length)] ?? 'server');
      this.#arena.check();
    }
    // Unharmed, these come to rest.
    const [server, client] = [await this.#whole('server'), await this.#whole('client')];
    const ms = performance.now() - startedAt;
    return { ...(await this.#arena.finish(server, client)), cycles, ms };
  }

  /** The process at hand is killed, and the next one begun. */
  async #cycle(side: KillSide): Promise<void> {
    const { random } = this.#options;
    const at = this.#moment();
    const victim = await this.#atLeast(side, at);
    if (at === 'starting' || at === 'serving') {
      await pause(random() * EARLY_MS);
      await victim.kill();
    } else if (at === 'load') {
      await pause(random() * LOAD_MS);
      await victim.kill();
    } else {
      victim.tell({ do: 'die', at, count: 1 + Math.floor(random() * OWN_HAND_COUNT) });
      await victim.ended;
    }
    await this.#next(side);
  }

  #moment(): Moment {
    const sum = MOMENTS.reduce((all, { share }) => all + share, 0);
    let lot = this.#options.random() * sum;
    for (const { at, share } of MOMENTS) {
      lot -= share;
      if (lot < 0) return at;
    }
    return 'load';
  }

  /** The process at hand, as far as it must be by then. */
  async #atLeast(side: KillSide, at: Moment): Promise<KillProcess> {
    const process = this.#process(side);
    if (at === 'starting') return process;
    if (at !== 'serving') return this.#whole(side);
    if (side === 'server' && !this.#met.has(process)) await process.hears('listening');
    return process;
  }

  /** The process of a side, with its session and a connection. */
  async #whole(side: KillSide): Promise<KillProcess> {
    const process = this.#process(side);
    if (!this.#met.has(process)) await process.hears('connected');
    this.#met.add(process);
    return process;
  }

  #process(side: KillSide): KillProcess {
    const process = this.#sides[side];
    if (process === undefined) throw new Error(`there is no ${side}`);
    return process;
  }

  /** The next process of a side, told what to do. */
  async #next(side: KillSide): Promise<void> {
    const folder = this.#options.victims.includes(side) ? this.#arena.folder(side) : undefined;
    this.#sides[side] =
      side === 'server'
        ? await this.#arena.serve(this.#port, folder, LIMITS)
        : await this.#arena.connect([{ host: '127.0.0.1', port: this.#port }], folder, LIMITS);
  }
}

/** One line that says what a run came to. */
export function summary(name: string, result: CyclesResult): string {
  const { client, server } = result.counts;
  const events = client.events + server.events;
  const seconds = result.ms / 1_000;
  return [
    `kill -9 of ${name}: ${result.cycles} cycles`,
    `${events} events`,
    `${client.requests + server.requests} requests`,
    `${client.redelivered + server.redelivered} redelivered`,
    `${result.lost} lost`,
    `${result.repeated} repeated`,
    `${Math.round(events / seconds)} events/s`,
    `${(result.ms / Math.max(1, result.cycles)).toFixed(0)} ms a cycle`,
  ].join(', ');
}
