/**
 * A server under fuzzing: the real `Server` on simulated time and sockets, an honest client beside, and connections that
 * say whatever the fuzzer made of a valid conversation. Nothing but NyotaErrors, nothing held that grows, and the honest
 * client never notices.
 */

import { type Client, createClient } from '../../src/client/client.js';
import type { NyotaError } from '../../src/errors.js';
import type { ServerOptions } from '../../src/server/options.js';
import { createServer, type Server } from '../../src/server/server.js';
import { encodePreamble } from '../../src/wire/preamble.js';
import type { Random } from '../simulation/random.js';
import { Schedule } from '../simulation/schedule.js';
import type { SimSocket } from '../simulation/sim-link.js';
import { SimNetwork, SimServer } from '../simulation/sim-network.js';
import { SimProcess } from '../simulation/sim-process.js';

const PORT = 1;
const LINK = { minLatencyMs: 0, maxLatencyMs: 1, slicing: 0.2, windowBytes: 64 * 1024 };
const OPTIONS = {
  maxFrameBytes: 65_536,
  maxDepth: 16,
  maxValues: 2_000,
  maxOutboxBytes: 65_536,
  highWaterBytes: 16_384,
  maxRunningHandlers: 8,
  pingIntervalMs: 1_000,
  pingTimeoutMs: 1_000,
  handshakeTimeoutMs: 1_000,
  stallTimeoutMs: 1_000,
  settleTimeoutMs: 3_000,
};
/** So long a connection lives after it has said everything, in simulated ms. */
const AFTERMATH_MS = 200;
const { setImmediate } = globalThis;

export class SessionTarget {
  readonly #schedule = new Schedule(1_000_000);
  readonly #network: SimNetwork;
  readonly #process: SimProcess;
  readonly #attacker: SimProcess;
  readonly #server: Server;
  readonly #honest: Client;
  #listener: SimServer | undefined;
  #found: string | undefined;
  #echoes = 0;
  /** Codes of what was refused, and how often. */
  readonly refused = new Map<string, number>();

  constructor(seed: number) {
    this.#network = new SimNetwork(this.#schedule, seed, LINK);
    this.#process = new SimProcess(this.#schedule, 'server', 0);
    this.#attacker = new SimProcess(this.#schedule, 'attacker', 0);
    const clock = this.#process.clock;
    const options: ServerOptions = {
      ...OPTIONS,
      clock,
      resumeWindowMs: 400,
      createServer: ((_options: unknown, onConnection: (socket: unknown) => void) => {
        this.#listener = new SimServer(this.#network, this.#process, onConnection);
        return this.#listener;
      }) as unknown as NonNullable<ServerOptions['createServer']>,
    };
    this.#server = createServer(options, (session) => {
      session.on('e', () => session.send('heard'));
      session.on('later', () => new Promise((resolve) => void clock.setTimeout(() => resolve(1), 50)));
      session.handle('echo', (value: unknown) => value as never);
      session.handle(
        'slow',
        () => new Promise((resolve) => void clock.setTimeout(() => resolve(1), 80)) as never,
      );
      session.on('error', (error: NyotaError) => this.#heard(error));
    });
    this.#server.on('error', (error) => this.#heard(error as NyotaError));
    this.#server.on('clientError', (error) => this.#heard(error));
    this.#server.listen(PORT);
    this.#honest = createClient({
      ...OPTIONS,
      clock: new SimProcess(this.#schedule, 'honest', 0).clock,
      random: () => 0.5,
      createConnection: () => this.#network.dial(this.#attacker, PORT),
    });
    this.#honest.on('disconnect', (reason) =>
      this.#wrong(`the honest client was cut off: ${String(reason)}`),
    );
    this.#honest.on('error', (error) => this.#wrong(`the honest client heard ${String(error)}`));
  }

  /** One connection that says this and no more. Throws an Error that says what does not hold. */
  async run(bytes: Buffer, random: Random, preamble: boolean): Promise<void> {
    const started = performance.now();
    const socket = this.#network.dial(this.#attacker, PORT);
    socket.on('error', () => {});
    socket.on('data', () => {});
    if (preamble) socket.write(encodePreamble());
    if (random.chance(0.3)) socket.pause();
    const half = random.chance(0.3) ? random.int(bytes.length + 1) : bytes.length;
    socket.write(bytes.subarray(0, half));
    await this.#advance(10);
    if (half < bytes.length) socket.write(bytes.subarray(half));
    await this.#advance(AFTERMATH_MS);
    this.#check();
    socket.destroy();
    await this.#advance(20);
    await this.#echo();
    const took = performance.now() - started;
    if (took > 2_000) this.#wrong(`it took ${took.toFixed(0)} ms`);
    if (this.#found !== undefined) throw new Error(this.#found);
  }

  /** All is over: nothing is left of anybody. */
  async finish(): Promise<void> {
    await this.#advance(5_000);
    const { sessions, unauthenticated } = this.#server.stats();
    if (sessions !== 1 || unauthenticated !== 0) {
      throw new Error(`${sessions} sessions and ${unauthenticated} handshakes are left`);
    }
    this.#honest.off('disconnect');
    this.#honest.destroy();
    this.#server.destroy();
    await this.#advance(2_000);
    if (this.#process.timers > 0) throw new Error(`${this.#process.timers} timers are left`);
  }

  #heard(error: NyotaError): void {
    this.refused.set(error.code, (this.refused.get(error.code) ?? 0) + 1);
    if (error.code === 'NYOTA_INTERNAL' || error.code === undefined) {
      const { cause } = error;
      this.#wrong(`${String(error)} ${cause instanceof Error ? (cause.stack ?? '') : ''}`);
    }
  }

  #wrong(text: string): void {
    this.#found ??= text;
  }

  #check(): void {
    if (this.#process.timers > 300) this.#wrong(`${this.#process.timers} timers`);
    for (const session of this.#server.sessions.values()) {
      // Replies may go over, by half, before the connection is ended; a chunk more at most.
      if (session.bufferedBytes > 2 * OPTIONS.maxOutboxBytes + 65_536) {
        this.#wrong(`a session holds ${session.bufferedBytes} bytes for a peer that acknowledges nothing`);
      }
    }
    let open = 0;
    for (const socket of this.#listener?.sockets ?? []) if ((socket as SimSocket).open) open++;
    const { connected, unauthenticated } = this.#server.stats();
    if (open !== connected + unauthenticated) {
      this.#wrong(`${open} open connections, ${connected} sessions and ${unauthenticated} handshakes`);
    }
  }

  /** The honest client is served as ever. */
  async #echo(): Promise<void> {
    const value = ++this.#echoes;
    let reply: unknown;
    this.#honest.request('echo', value).then(
      (got: unknown) => {
        reply = got;
      },
      (error: unknown) => this.#wrong(`the honest client's request failed: ${String(error)}`),
    );
    await this.#advance(20);
    if (reply !== value) this.#wrong(`the honest client has the reply ${String(reply)} instead of ${value}`);
  }

  async #advance(ms: number): Promise<void> {
    const until = this.#schedule.now + ms;
    do {
      await new Promise<void>((resolve) => setImmediate(resolve));
    } while (this.#schedule.next(until));
  }
}
