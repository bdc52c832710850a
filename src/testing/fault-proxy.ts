/**
 * A TCP proxy on loopback that breaks connections on purpose: real sockets, real kernels, faults on call.
 * May import node:net, node:events, errors and the fault-* files. Put it between a client and a server, and
 * give the client the proxy's port.
 */

import { EventEmitter } from 'node:events';
import { createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';
import { NyotaError } from '../errors.js';
import { checkCount, checkNumber } from './check.js';
import { type Direction, waysOf } from './direction.js';
import type { Flow, LaneFaults } from './fault-lane.js';
import { type CutPlan, FaultPair, type FaultPairOwner, resetSocket } from './fault-pair.js';

export interface FaultProxyOptions {
  /** Where connections go on to: a port (host: default 127.0.0.1) or a unix path. */
  target: { port: number; host?: string } | { path: string };
  /** Where the proxy listens. Default: any free port. */
  port?: number;
  /** Default 127.0.0.1. */
  host?: string;
  /** For the jitter of `delay`: a number from 0 up to 1. Default Math.random; hand in a seeded one to repeat a run. */
  random?: () => number;
}

/** Counts since the proxy was made. `bytesUp` and `bytesDown` count what was passed on, and nothing else. */
export interface FaultProxyTotals {
  connections: number;
  cuts: number;
  /** From clients to the target. */
  bytesUp: number;
  /** From the target to clients. */
  bytesDown: number;
  /** Thrown away by `blackhole`, both directions together: wait for it where a test needs to know that bytes are lost. */
  bytesLost: number;
}

/** What the events tell of a connection: its number, from 1 on, and the bytes passed until then. */
export interface FaultProxyConnection {
  id: number;
  bytesUp: number;
  bytesDown: number;
}

export interface FaultProxyEvents {
  /** A client came. The target may still refuse: the client then gets a RST. */
  connection: [connection: FaultProxyConnection];
  /** A connection was cut by the proxy: `cut`, `cutAfter`, or healed after it lost bytes. */
  cut: [connection: FaultProxyConnection];
}

export interface CutAfterOptions {
  /** Bytes that pass, and arrive, before the cut. 0: none. */
  bytes: number;
  /** Where they are counted. `both` (default): the sum of both directions. */
  direction?: Direction;
}

const NO_FAULTS = { delayMs: 0, jitterMs: 0, sliceBytes: Infinity, bytesPerSecond: Infinity } as const;

/** See createFaultProxy. Faults work on open connections and on later ones, until `heal()`. After `close()` they do nothing. */
export class FaultProxy extends EventEmitter<FaultProxyEvents> {
  readonly #server: Server;
  readonly #address: { port: number; host: string };
  readonly #target: NetConnectOpts;
  readonly #faults: LaneFaults = { flow: { up: 'flowing', down: 'flowing' }, ...NO_FAULTS };
  readonly #pairOwner: FaultPairOwner;
  readonly #pairs = new Set<FaultPair>();
  /** Every socket that is not closed, so that `close` can wait for all of them. */
  readonly #sockets = new Set<Socket>();
  readonly #totals: FaultProxyTotals = { connections: 0, cuts: 0, bytesUp: 0, bytesDown: 0, bytesLost: 0 };
  /** The cut to come, until it came; and the connection that it counts on. */
  #plan: CutPlan | undefined;
  #plannedPair: FaultPair | undefined;
  #refusing = false;
  #closed: Promise<void> | undefined;

  constructor(server: Server, options: FaultProxyOptions) {
    super();
    const address = server.address();
    if (address === null || typeof address === 'string') {
      throw new NyotaError(
        'NYOTA_INVALID_ARGUMENT',
        'a fault proxy is made of a server that listens on a port',
      );
    }
    this.#server = server;
    this.#address = { port: address.port, host: address.address };
    this.#target = 'port' in options.target ? { host: '127.0.0.1', ...options.target } : options.target;
    this.#pairOwner = {
      random: options.random ?? Math.random,
      passed: (way, bytes) => {
        this.#totals[way === 'up' ? 'bytesUp' : 'bytesDown'] += bytes;
      },
      lost: (bytes) => {
        this.#totals.bytesLost += bytes;
      },
      cut: (pair) => this.#countCut(pair),
      closed: (pair) => this.#forget(pair),
    };
    server.on('connection', (socket) => this.#take(socket));
  }

  /** The port that clients connect to. */
  get port(): number {
    return this.#address.port;
  }

  get host(): string {
    return this.#address.host;
  }

  /** How many connections are open, or half open behind a blackhole. */
  get connections(): number {
    return this.#pairs.size;
  }

  get totals(): Readonly<FaultProxyTotals> {
    return { ...this.#totals };
  }

  /** Resets every open connection (RST) on both sides, now; bytes on their way are lost. Says how many it were. */
  cut(): number {
    const pairs = [...this.#pairs];
    for (const pair of pairs) pair.cut();
    return pairs.length;
  }

  /**
   * Cuts one connection once: the newest open one, counting from now; without one, the next. Exactly `bytes`
   * bytes arrive at the other side, followed there by the end of the stream; the sender gets a RST. A connection that
   * ends before that hands the whole count on to the next. A second call replaces the first; `heal` takes it back.
   */
  cutAfter({ bytes, direction = 'both' }: CutAfterOptions): void {
    checkCount('cutAfter bytes', bytes, 0, Number.MAX_SAFE_INTEGER);
    waysOf(direction);
    this.#disarm();
    this.#plan = { bytes, direction };
    const newest = [...this.#pairs].findLast((pair) => pair.alive);
    if (newest !== undefined) this.#arm(newest, this.#plan);
  }

  /** Stops reading a direction (default: both): TCP's window fills, and the link looks alive. */
  stall(direction: Direction = 'both'): void {
    this.#setFlow(direction, 'stalled');
  }

  /**
   * Reads a direction (default: both) and throws it away, closes too: a half-open link. Once it flows again, a
   * connection that lost anything is reset: TCP shows nobody a stream with a hole.
   */
  blackhole(direction: Direction = 'both'): void {
    this.#setFlow(direction, 'blackhole');
  }

  /** Ends `stall` and `blackhole` of a direction (default: both). */
  unstall(direction: Direction = 'both'): void {
    this.#setFlow(direction, 'flowing');
  }

  /** Holds every byte back for `ms` milliseconds, and up to `jitterMs` (default 0) more. The order stays; above 1 MiB held, TCP pushes back. */
  delay(ms: number, jitterMs = 0): void {
    checkNumber('delay', ms, 0, 2 ** 31 - 1);
    checkNumber('delay jitterMs', jitterMs, 0, 2 ** 31 - 1);
    this.#change({ delayMs: ms, jitterMs });
  }

  /** Passes bytes on in pieces of at most `bytes`, each a write of its own. Infinity: as they come. */
  slice(bytes: number): void {
    this.#change({ sliceBytes: checkCount('slice', bytes, 1) });
  }

  /** Lets at most so many bytes a second pass, for each connection and direction. Infinity: no limit. */
  throttle(bytesPerSecond: number): void {
    this.#change({ bytesPerSecond: checkNumber('throttle', bytesPerSecond, 1) });
  }

  /** Resets new connections as soon as they come. Open ones go on. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Takes new connections again. */
  accept(): void {
    this.#refusing = false;
  }

  /** All faults off, `refuse` and a planned cut too. */
  heal(): void {
    this.accept();
    this.#disarm();
    Object.assign(this.#faults, NO_FAULTS);
    this.unstall();
  }

  /** Resets all connections and stops listening; settles when no handle is left. May be called again. Never rejects. */
  close(): Promise<void> {
    this.#closed ??= this.#shutDown();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #shutDown(): Promise<void> {
    const serverClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const socketsClosed = [...this.#sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    );
    for (const pair of [...this.#pairs]) pair.destroy();
    for (const socket of this.#sockets) resetSocket(socket);
    await Promise.all([serverClosed, ...socketsClosed]);
  }

  #take(socket: Socket): void {
    this.#watch(socket);
    if (this.#refusing || this.#closed !== undefined) {
      resetSocket(socket);
      return;
    }
    this.#totals.connections += 1;
    const pair = new FaultPair(this.#totals.connections, socket, this.#target, this.#faults, this.#pairOwner);
    this.#watch(pair.sockets.target);
    this.#pairs.add(pair);
    this.emit('connection', this.#describe(pair));
    if (this.#plan !== undefined && this.#plannedPair === undefined && pair.alive)
      this.#arm(pair, this.#plan);
  }

  #watch(socket: Socket): void {
    socket.on('error', () => {}); // 'close' tells the rest
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #setFlow(direction: Direction, flow: Flow): void {
    for (const way of waysOf(direction)) this.#faults.flow[way] = flow;
    this.#update();
  }

  #change(faults: Partial<LaneFaults>): void {
    Object.assign(this.#faults, faults);
    this.#update();
  }

  #update(): void {
    for (const pair of [...this.#pairs]) pair.update();
  }

  #arm(pair: FaultPair, plan: CutPlan): void {
    this.#plannedPair = pair;
    pair.planCut(plan);
  }

  #disarm(): void {
    this.#plannedPair?.planCut(undefined);
    this.#plannedPair = undefined;
    this.#plan = undefined;
  }

  #countCut(pair: FaultPair): void {
    this.#forget(pair); // before the event: a listener may plan the next cut
    this.#totals.cuts += 1;
    this.emit('cut', this.#describe(pair));
  }

  #forget(pair: FaultPair): void {
    this.#pairs.delete(pair);
    if (this.#plannedPair !== pair) return;
    this.#plannedPair = undefined;
    if (pair.planDone) this.#plan = undefined;
  }

  #describe({ id, bytes }: FaultPair): FaultProxyConnection {
    return { id, bytesUp: bytes.up, bytesDown: bytes.down };
  }
}

/**
 * Starts a proxy to `target`. Rejects with the socket's own error where it can't listen (EADDRINUSE), and with
 * `NYOTA_INVALID_ARGUMENT` for a bad target.
 */
export async function createFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { target, port = 0, host = '127.0.0.1' } = options;
  if ('port' in target) checkCount('target.port', target.port, 1, 65_535);
  else if (typeof target.path !== 'string' || target.path === '') {
    throw new NyotaError('NYOTA_INVALID_ARGUMENT', 'target takes a port or a path');
  }
  // Half-open, so that an end passes through the proxy as it came; read only once the target is there.
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  server.removeAllListeners('error');
  server.on('error', () => {}); // a connection that could not be taken is the client's to notice
  return new FaultProxy(server, options);
}
