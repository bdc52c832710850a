/** The simulated network: who listens where, how dialling goes at the moment, and the connections that are there. */
import { EventEmitter } from 'node:events';
import { Random } from './random.js';
import type { Owner, Schedule } from './schedule.js';
import { type LinkOptions, SimLink, SimSocket } from './sim-link.js';
import type { SimProcess } from './sim-process.js';

/** How an attempt to connect goes: `hang`: no answer ever; `late`: the server hears the first bytes only so much later. */
export type DialMode = 'ok' | 'refuse' | 'hang' | 'late';

const LATE_MS = 2_500;

/** What `net.Server` is to the product. */
export class SimServer extends EventEmitter {
  readonly process: SimProcess;
  readonly sockets = new Set<SimSocket>();
  readonly #network: SimNetwork;
  readonly #onConnection: (socket: SimSocket) => void;
  #port = 0;
  #closing = false;

  constructor(network: SimNetwork, process: SimProcess, onConnection: (socket: SimSocket) => void) {
    super();
    this.#network = network;
    this.process = process;
    this.#onConnection = onConnection;
  }

  get listening(): boolean {
    return this.#port !== 0 && !this.#closing;
  }

  listen(port: number): this {
    this.#port = port;
    this.#network.servers.set(port, this);
    process.nextTick(() => this.emit('listening'));
    return this;
  }

  address(): { port: number; address: string; family: string } {
    return { port: this.#port, address: '127.0.0.1', family: 'IPv4' };
  }

  close(done?: () => void): this {
    this.#closing = true;
    if (this.#network.servers.get(this.#port) === this) this.#network.servers.delete(this.#port);
    if (done !== undefined) this.once('close', done);
    this.#closeWhenEmpty();
    return this;
  }

  accept(socket: SimSocket): void {
    this.sockets.add(socket);
    socket.once('close', () => {
      this.sockets.delete(socket);
      if (this.#closing) this.#closeWhenEmpty();
    });
    this.#onConnection(socket);
  }

  ref(): void {}
  unref(): void {}

  #closeWhenEmpty(): void {
    process.nextTick(() => {
      if (this.sockets.size === 0 && this.process.alive) this.emit('close');
    });
  }
}

export class SimNetwork {
  readonly servers = new Map<number, SimServer>();
  readonly sockets = new Set<SimSocket>();
  readonly #schedule: Schedule;
  readonly #options: LinkOptions;
  readonly #seed: number;
  /** The network itself never stops. */
  readonly #owner: Owner = { alive: true, frozen: false, backlog: [] };
  #dials = 0;
  /** How the next dials go; then they go well. */
  modes: DialMode[] = [];

  constructor(schedule: Schedule, seed: number, options: LinkOptions) {
    this.#schedule = schedule;
    this.#seed = seed;
    this.#options = options;
  }

  dial(from: SimProcess, port: number): SimSocket {
    const number = ++this.#dials;
    const random = new Random(this.#seed, 0x11, number);
    const socket = new SimSocket(from, '10.0.0.1', port);
    socket.connecting = true;
    this.sockets.add(socket);
    const mode = this.modes.shift() ?? 'ok';
    if (mode === 'hang') return socket;
    const { minLatencyMs, maxLatencyMs } = this.#options;
    const latency = random.between(minLatencyMs, maxLatencyMs);
    this.#schedule.after(this.#owner, latency, () => this.#arrive(socket, port, number, mode, random));
    return socket;
  }

  /** All connections between a client's process and any server, the newest last. */
  linksOf(process: SimProcess): SimLink[] {
    const links: SimLink[] = [];
    for (const socket of this.sockets) {
      if (socket.process === process && socket.link !== undefined && !socket.destroyed)
        links.push(socket.link);
    }
    return links;
  }

  /** A process has died, and its system closes its connections; `silent`: the whole machine is gone. */
  crashed(process: SimProcess, how: 'flush' | 'reset' | 'silent'): void {
    for (const [port, server] of this.servers) if (server.process === process) this.servers.delete(port);
    for (const socket of this.sockets) {
      if (socket.process !== process || socket.destroyed) continue;
      const { link } = socket;
      socket.orphan();
      this.sockets.delete(socket);
      if (link === undefined) continue;
      if (how === 'silent') {
        link.up.hole = true;
        link.down.hole = true;
        continue;
      }
      const lane = link.laneFrom(socket);
      if (how === 'reset') lane.discard();
      lane.finish(how === 'flush' ? 'end' : 'reset');
    }
  }

  /** Forgets what is closed; returns the sockets that are not. */
  openSockets(): SimSocket[] {
    for (const socket of this.sockets) if (socket.closed) this.sockets.delete(socket);
    return [...this.sockets];
  }

  #arrive(socket: SimSocket, port: number, number: number, mode: DialMode, random: Random): void {
    if (socket.destroyed) return;
    const server = this.servers.get(port);
    if (server === undefined || mode === 'refuse' || !server.process.alive) {
      this.#schedule.after(socket.process, 1, () => {
        socket.destroy(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
      });
      return;
    }
    const accepted = new SimSocket(server.process, '10.0.0.2', 10_000 + number);
    this.sockets.add(accepted);
    const link = new SimLink(socket, accepted, this.#schedule, random, this.#options);
    if (mode === 'late') link.up.stall(LATE_MS);
    accepted.link = link;
    accepted.known = false;
    link.down.accepted = true;
    this.#schedule.after(server.process, random.int(2), () => {
      if (accepted.destroyed) return;
      accepted.known = true;
      server.accept(accepted);
      link.up.accepted = true;
      link.up.kick();
    });
    this.#schedule.after(socket.process, 1, () => {
      const wasDestroyed = socket.destroyed;
      socket.connected(link);
      if (!wasDestroyed) socket.emit('connect');
    });
  }
}
