/**
 * Runs the demo: starts the processes, puts a fault proxy into each link, lets the traffic flow, breaks it, collects what each
 * process has counted, and clears up whatever happens.
 *
 *   client A  <-->  fault proxy A  <-->
 *                                        server        each client and the server: a process of its own
 *   client B  <-->  fault proxy B  <-->
 */
import { createFaultProxy, type FaultProxy } from '../testing/index.js';
import { breakLink, seededRandom } from './demo-faults.js';
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
  readonly seed: number;
}

/** Is told how far it has come. */
export interface DemoObserver {
  started(pids: readonly { name: string; pid: number | undefined }[]): void;
  advanced(handled: number, cuts: number): void;
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

/** Long enough for every cut to be one of its own, and to be watched. */
function plannedMs({ events, cuts }: DemoOptions): number {
  return Math.max(500, Math.min(8_000, events * 0.4), cuts * 100);
}

class DemoRun {
  readonly #options: DemoOptions;
  readonly #observer: DemoObserver;
  /** Aborted when the run can't go on, and when it is over. */
  readonly #over = new AbortController();
  readonly #workers: WorkerProcess[] = [];
  readonly #proxies: FaultProxy[] = [];
  readonly #links: Link[] = [];
  readonly #killAll = (): void => {
    for (const worker of this.#workers) void worker.kill();
  };
  #timers: NodeJS.Timeout[] = [];

  constructor(options: DemoOptions, observer: DemoObserver, signal: AbortSignal) {
    this.#options = options;
    this.#observer = observer;
    signal.addEventListener('abort', () => this.#over.abort(signal.reason));
    process.on('exit', this.#killAll);
  }

  /** All of it, or the first thing that makes it impossible. */
  toTheEnd(): Promise<DemoResult> {
    const { signal } = this.#over;
    const limitMs = plannedMs(this.#options) + 20_000 + Math.max(0, this.#options.events - 20_000);
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
    process.off('exit', this.#killAll);
  }

  async #play(): Promise<DemoResult> {
    const startedAt = performance.now();
    await this.#build();
    await this.#exchange();
    const reports = await this.#collect();
    const ends = reports.flatMap(({ client, server }) => [client, server]);
    this.#observer.advanced(
      ends.reduce((sum, { handled }) => sum + handled.length, 0),
      this.#cutsMade(),
    );
    const problems = await this.#stopWorkers();
    const made = this.#cutsMade();
    const { seed, events, cuts } = this.#options;
    return judge(
      { seed, events, durationMs: performance.now() - startedAt, cuts: { planned: cuts, made }, problems },
      reports,
      COUNTER_KEY,
    );
  }

  /** The server, the proxies, the clients, and both links up. */
  async #build(): Promise<void> {
    const { cuts, seed } = this.#options;
    const server = this.#start('server');
    const listening = server.hears('listening');
    server.tell({ type: 'serve' });
    const { port } = await listening;
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

  /** The traffic and the faults, until all is sent and handled. */
  async #exchange(): Promise<void> {
    const { signal } = this.#over;
    const durationMs = plannedMs(this.#options);
    const startedAt = performance.now();
    const pacing = setInterval(() => {
      for (const link of this.#links) this.#pace(link, (performance.now() - startedAt) / durationMs);
    }, TICK_MS);
    const watching = setInterval(
      () => this.#observer.advanced(this.#handled(), this.#cutsMade()),
      TICK_MS * 5,
    );
    this.#timers.push(pacing, watching);
    await Promise.all(
      this.#links.map(({ proxy, cuts }, i) => {
        const random = seededRandom((this.#options.seed ^ 0x5eed) + i);
        return breakLink(proxy, { cuts, durationMs, random, signal });
      }),
    );
    const remainingMs = startedAt + durationMs - performance.now();
    if (remainingMs > 0) await new Promise((resolve) => this.#timers.push(setTimeout(resolve, remainingMs)));
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

  /** As far as time has come, but not further than the cuts: each of them falls into traffic. */
  #pace({ name, client, proxy, cuts }: Link, share: number): void {
    const cutShare = (proxy.totals.cuts + 1) / (cuts + 1);
    const upTo = Math.floor(this.#options.events * Math.min(1, share, cutShare));
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
    const proxy = await createFaultProxy({ target: { port }, random: seededRandom(seed) });
    this.#proxies.push(proxy);
    // All was cleared up meanwhile, but not this one.
    if (this.#over.signal.aborted) await proxy.close();
    return proxy;
  }

  #start(name: string): WorkerProcess {
    this.#over.signal.throwIfAborted();
    const worker = new WorkerProcess(name, (error) => this.#over.abort(error));
    this.#workers.push(worker);
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
