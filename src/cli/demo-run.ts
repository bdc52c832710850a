/**
 * Runs the demo: starts the processes, puts a fault proxy into each link, lets the traffic flow, breaks it, collects what each
 * process has counted, and clears up whatever happens.
 *
 *   client A  <-->  fault proxy A  <-->
 *                                        server        each client and the server: a process of its own
 *   client B  <-->  fault proxy B  <-->
 *
 * The server is killed with SIGKILL as well, and started again on the same port and the same folder.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFaultProxy, type FaultProxy, seededRandom } from '../testing/index.js';
import { breakLink } from './demo-faults.js';
import { type EndReport, LINK_NAMES, type LinkName } from './demo-messages.js';
import { WorkerProcess } from './demo-process.js';
import { type DemoResult, judge, type LinkReport } from './demo-result.js';
import { COUNTER_KEY } from './demo-traffic.js';
import { Failure } from './failures.js';

export interface DemoOptions {
  /** For each direction. */
  readonly events: number;
  /** All links together. */
  readonly cuts: number;
  /** Of the server; 0 where it is not durable. */
  readonly kills: number;
  /** The server keeps its sessions in a folder. */
  readonly durable: boolean;
  readonly seed: number;
}

/** Is told how far it has come. */
export interface DemoObserver {
  started(pids: readonly { name: string; pid: number | undefined }[]): void;
  advanced(handled: number, cuts: number, kills: number): void;
  /** The server was killed, and is there again. */
  killed(pid: number | undefined, next: number | undefined): void;
}

interface Link {
  readonly name: LinkName;
  readonly client: WorkerProcess;
  readonly proxy: FaultProxy;
  /** Cuts planned for it. */
  readonly cuts: number;
}

const TICK_MS = 20;
const STOP_WITHIN_MS = 5_000;
/** What a kill may add to the time. */
const MS_PER_KILL = 2_000;
/** So many events follow behind the point of a kill, so that the kill falls into traffic. */
const BEHIND_KILL = 0.1;

/** @throws Failure where a process dies or the time is over; the signal's reason where that is aborted */
export async function runDemo(
  options: DemoOptions,
  observer: DemoObserver,
  signal: AbortSignal,
): Promise<DemoResult> {
  const run = new DemoRun(options, observer, signal);
  try {
    return await run.toTheEnd();
  } finally {
    await run.clearUp();
  }
}

/** Long enough for each cut to be apart from the others, and to be watched. */
function plannedMs({ events, cuts, kills }: DemoOptions): number {
  return Math.max(500, Math.min(8_000, events * 0.4), cuts * 100, kills * 500);
}

/** How much of all events the server has handled when it is killed, each time. */
function killShares({ kills, seed }: DemoOptions): number[] {
  const random = seededRandom((seed ^ 0x4111) >>> 0);
  return Array.from({ length: kills }, (_, i) => 0.1 + (0.75 * (i + 0.1 + 0.8 * random())) / kills);
}

class DemoRun {
  readonly #options: DemoOptions;
  readonly #observer: DemoObserver;
  /** Aborted when the run can't go on, and when it is over. */
  readonly #over = new AbortController();
  /** The server first. */
  readonly #workers: WorkerProcess[] = [];
  readonly #proxies: FaultProxy[] = [];
  readonly #links: Link[] = [];
  /** Of the sessions and the server's log; undefined if all is in memory. */
  readonly #folder: string | undefined;
  readonly #killShares: readonly number[];
  #kills = 0;
  #port = 0;
  readonly #killAll = (): void => {
    for (const worker of this.#workers) void worker.kill();
    this.#removeFolder();
  };
  #timers: NodeJS.Timeout[] = [];

  constructor(options: DemoOptions, observer: DemoObserver, signal: AbortSignal) {
    this.#options = options;
    this.#observer = observer;
    signal.addEventListener('abort', () => this.#over.abort(signal.reason));
    this.#killShares = killShares(options);
    this.#folder = options.durable ? mkdtempSync(join(tmpdir(), 'nyota-demo-')) : undefined;
    process.on('exit', this.#killAll);
  }

  /** Resolves when the whole run is done; rejects with the first thing that makes it impossible. */
  toTheEnd(): Promise<DemoResult> {
    const { signal } = this.#over;
    const { events, kills } = this.#options;
    const limitMs = plannedMs(this.#options) + 20_000 + kills * MS_PER_KILL + Math.max(0, events - 20_000);
    const late = new Failure(`the demo has not come to its end within ${Math.round(limitMs / 1_000)} s`);
    this.#timers.push(setTimeout(() => this.#over.abort(late), limitMs));
    return Promise.race([
      this.#play(),
      new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        if (signal.aborted) reject(signal.reason);
      }),
    ]);
  }

  async clearUp(): Promise<void> {
    this.#over.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#workers.map((worker) => worker.kill()));
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
    this.#removeFolder();
    process.off('exit', this.#killAll);
  }

  #removeFolder(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }

  async #play(): Promise<DemoResult> {
    const startedAt = performance.now();
    await this.#build();
    await this.#exchange();
    const reports = await this.#collect();
    const ends = reports.flatMap(({ client, server }) => [client, server]);
    this.#observer.advanced(
      ends.reduce((sum, { handled }) => sum + handled.flat().length, 0),
      this.#cutsMade(),
      this.#kills,
    );
    const problems = await this.#stopWorkers();
    const made = this.#cutsMade();
    const { seed, events, cuts, kills, durable } = this.#options;
    return judge(
      {
        seed,
        events,
        durationMs: performance.now() - startedAt,
        cuts: { planned: cuts, made },
        kills: { planned: kills, made: this.#kills },
        sessionStore: durable ? 'lmdb' : 'memory',
        problems,
      },
      reports,
      COUNTER_KEY,
    );
  }

  /** The server, the proxies, the clients, and both links up. */
  async #build(): Promise<void> {
    const { cuts, seed } = this.#options;
    const server = await this.#serve();
    const port = this.#port;
    const linked: Promise<unknown>[] = [];
    for (const [i, name] of LINK_NAMES.entries()) {
      const proxy = await this.#startProxy(port, seed + i);
      const client = this.#start(`client ${name}`);
      this.#links.push({ name, client, proxy, cuts: Math.floor((cuts + i) / LINK_NAMES.length) });
      linked.push(client.hears('linked'), server.hears('linked'));
      client.tell({ type: 'connect', link: name, port: proxy.port });
    }
    this.#observer.started(this.#workers.map(({ name, pid }) => ({ name, pid })));
    await Promise.all(linked);
  }

  /** A server process, on the port and the folder of the one before, if there was one. */
  async #serve(): Promise<WorkerProcess> {
    const server = this.#start('server');
    const listening = server.hears('listening');
    server.tell({ type: 'serve', port: this.#port, folder: this.#folder });
    this.#port = (await listening).port;
    return server;
  }

  /** Each time the server has come so far: kills it, starts another, and waits until that has both links. */
  async #killServers(): Promise<void> {
    for (const share of this.#killShares) {
      const [old] = this.#workers;
      if (old === undefined) return;
      await old.reaches(Math.max(1, Math.floor(share * this.#options.events * this.#links.length)));
      await old.kill();
      this.#workers.shift();
      const server = await this.#serve();
      this.#kills++;
      this.#observer.killed(old.pid, server.pid);
      await Promise.all(this.#links.map(() => server.hears('linked')));
    }
  }

  /** The traffic and the faults, until all is sent and handled. */
  async #exchange(): Promise<void> {
    const { signal } = this.#over;
    const durationMs = plannedMs(this.#options);
    const startedAt = performance.now();
    const pacing = setInterval(() => {
      for (const link of this.#links) this.#pace(link, (performance.now() - startedAt) / durationMs);
    }, TICK_MS);
    const watching = setInterval(
      () => this.#observer.advanced(this.#handled(), this.#cutsMade(), this.#kills),
      TICK_MS * 5,
    );
    this.#timers.push(pacing, watching);
    const killing = this.#killServers();
    // If it fails the run is over, and whatever failed reports that.
    killing.catch(() => {});
    await Promise.all(
      this.#links.map(({ proxy, cuts }, i) => {
        const random = seededRandom(((this.#options.seed ^ 0x5eed) + i) >>> 0);
        return breakLink(proxy, { cuts, durationMs, random, signal });
      }),
    );
    const remainingMs = startedAt + durationMs - performance.now();
    if (remainingMs > 0) await new Promise((resolve) => this.#timers.push(setTimeout(resolve, remainingMs)));
    // The next kill waits for events that are sent only once the kill before it is through.
    await killing;
    clearInterval(pacing);
    for (const link of this.#links) this.#pace(link, 1);
    await Promise.all(
      this.#workers.map((worker) => {
        const settled = worker.hears('settled');
        worker.tell({ type: 'settle' });
        return settled;
      }),
    );
    clearInterval(watching);
  }

  /**
   * How far may be sent by now: by the time that has passed, but not past the next cut or kill, so that each falls into
   * traffic.
   */
  #pace({ name, client, proxy, cuts }: Link, share: number): void {
    const cutShare = (proxy.totals.cuts + 1) / (cuts + 1);
    const killShare = (this.#killShares[this.#kills] ?? 1) + BEHIND_KILL;
    const upTo = Math.ceil(this.#options.events * Math.min(1, share, cutShare, killShare));
    const [server] = this.#workers;
    client.tell({ type: 'pace', link: name, upTo });
    server?.tell({ type: 'pace', link: name, upTo });
  }

  async #collect(): Promise<LinkReport[]> {
    const ends = new Map<WorkerProcess, readonly EndReport[]>();
    for (const worker of this.#workers) {
      const report = worker.hears('report');
      worker.tell({ type: 'report' });
      ends.set(worker, (await report).ends);
    }
    const [server] = this.#workers;
    return this.#links.map(({ name, client }) => ({
      link: name,
      client: endOf(ends.get(client), name),
      server: endOf(server && ends.get(server), name),
    }));
  }

  /** A process that closes all it has opened ends by itself: one that does not has left something open. */
  async #stopWorkers(): Promise<string[]> {
    for (const timer of this.#timers) clearTimeout(timer);
    const problems: string[] = [];
    // The clients first: a server that closes waits for them.
    for (const worker of [...this.#workers].reverse()) {
      const ended = await worker.stop(STOP_WITHIN_MS);
      if (ended !== 'exit code 0')
        problems.push(`the ${worker.name} process did not end by itself${ended ? ` but with ${ended}` : ''}`);
    }
    return problems;
  }

  async #startProxy(port: number, seed: number): Promise<FaultProxy> {
    const proxy = await createFaultProxy({ target: { port }, random: seededRandom(seed >>> 0) });
    this.#proxies.push(proxy);
    // Everything has been cleared up in the meantime, except this proxy.
    if (this.#over.signal.aborted) await proxy.close();
    return proxy;
  }

  #start(name: string): WorkerProcess {
    this.#over.signal.throwIfAborted();
    const worker = new WorkerProcess(name, (error) => this.#over.abort(error));
    if (name === 'server') this.#workers.unshift(worker);
    else this.#workers.push(worker);
    return worker;
  }

  #handled(): number {
    return this.#workers.reduce((sum, worker) => sum + worker.handled, 0);
  }

  #cutsMade(): number {
    return this.#links.reduce((sum, { proxy }) => sum + proxy.totals.cuts, 0);
  }
}

function endOf(ends: readonly EndReport[] | undefined, link: LinkName): EndReport {
  const end = ends?.find((report) => report.link === link);
  if (end === undefined) throw new Failure(`a process has nothing to report of link ${link}`);
  return end;
}
