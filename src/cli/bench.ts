/** `nyota bench ADDRESS`: a user's own server under load; throughput and latency at the end. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Client } from '../index.js';
import { parseWhole } from './arguments.js';
import { BenchLoad } from './bench-load.js';
import { BenchProgress } from './bench-progress.js';
import { type BenchResult, renderBench } from './bench-result.js';
import {
  ADDRESS_HELP,
  addConnectionOptions,
  type ConnectionFlags,
  openClient,
  stopped,
} from './connection-options.js';
import { Failure, UsageError } from './failures.js';
import { onStopSignal } from './terminal.js';

interface BenchFlags extends ConnectionFlags {
  readonly connections: number;
  /** Messages a second, all connections together; absent: as many as the server takes. */
  readonly rate?: number;
  /** Bytes of the one argument, a Buffer. */
  readonly size: number;
  /** How long it sends, in seconds. */
  readonly duration: number;
  readonly requests?: boolean;
  readonly event?: string;
  readonly json?: boolean;
}

/** What `nyota serve` answers, and a name of our own for events. */
const DEFAULT_REQUEST = 'echo';
const DEFAULT_EVENT = 'bench';

const MAX_SECONDS = 24 * 3600;

/** So many connections are opened at a time. */
const OPENING = 50;
const CLOSE_WITHIN_MS = 1_000;
const MAX_SIZE = 15 * 1024 * 1024;
/** Room for a frame's own bytes around the payload. */
const AROUND_BYTES = 1024;
const MIB = 1024 * 1024;

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .summary('Put load on a server of yours, and print its throughput and latency.')
    .description(
      'Sends events, or requests, to a server, and prints throughput and latency percentiles.\n' +
        'An event is done when the listeners of the server have run, a request when it is answered.',
    )
    .argument('<address>', ADDRESS_HELP);
  addConnectionOptions(command)
    .option('--connections <n>', 'how many sessions', parseWhole('It takes a count', 1, 10_000), 1)
    .option(
      '--rate <n>',
      'messages a second, all connections together; default: as many as the server takes',
      parseWhole('It takes a count', 1, 10_000_000),
    )
    .option(
      '--size <bytes>',
      'of the Buffer that each message carries',
      parseWhole('It takes bytes', 0, MAX_SIZE),
      100,
    )
    .option('--duration <seconds>', 'how long to send', parseSeconds, 10)
    .option('--requests', 'send requests and wait for replies, instead of events')
    .option('--event <name>', `its name; default: ${DEFAULT_EVENT}, with --requests ${DEFAULT_REQUEST}`)
    .option('--json', 'print the result as JSON')
    .action(bench);
}

/** Seconds, fractions included. */
function parseSeconds(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= 0.1 && seconds <= MAX_SECONDS) return seconds;
  throw new InvalidArgumentError(`It takes seconds from 0.1 to ${MAX_SECONDS}.`);
}

async function bench(address: string, flags: BenchFlags): Promise<void> {
  const requests = flags.requests === true;
  const event = flags.event ?? (requests ? DEFAULT_REQUEST : DEFAULT_EVENT);
  if (event === '') throw new UsageError('--event takes a name');
  const interrupted = new AbortController();
  const offSignals = onStopSignal(
    () => interrupted.abort(),
    () => process.exit(130),
  );
  const progress = new BenchProgress();
  const clients: Client[] = [];
  try {
    await open(clients, address, flags, interrupted.signal);
    progress.say(`${clients.length} connected to ${address}; ${flags.duration} s`);
    const load = new BenchLoad(clients, { event, requests, size: flags.size, rate: flags.rate });
    const durationMs = flags.duration * 1000;
    progress.start(durationMs, () => load.counts);
    const over = Promise.race(clients.map(stopped));
    const startedAt = performance.now();
    await Promise.race([load.run(durationMs, interrupted.signal), over]);
    const seconds = (performance.now() - startedAt) / 1000;
    progress.stop();
    const { sent, done, failed } = load.counts;
    const result: BenchResult = {
      address,
      kind: requests ? 'requests' : 'events',
      event,
      connections: clients.length,
      targetRate: flags.rate ?? null,
      sizeBytes: flags.size,
      seconds,
      sent,
      done,
      perSecond: done / seconds,
      mibPerSecond: (done * flags.size) / seconds / MIB,
      failed,
      reconnects: clients.reduce((sum, client) => sum + client.stats().reconnects, 0),
      latencyMs: load.latency.summary() ?? null,
    };
    process.stdout.write(flags.json === true ? `${JSON.stringify(result, null, 2)}\n` : renderBench(result));
    if (done === 0 && sent > 0) throw new Failure('nothing that was sent was answered');
  } finally {
    progress.stop();
    offSignals();
    await Promise.all(clients.map((client) => finish(client)));
  }
}

/** All connections, some at a time. Throws what keeps one of them from being there. */
async function open(
  clients: Client[],
  address: string,
  flags: BenchFlags,
  signal: AbortSignal,
): Promise<void> {
  const limits = {
    drainTimeoutMs: CLOSE_WITHIN_MS,
    ...(flags.size + AROUND_BYTES > MIB ? { maxFrameBytes: flags.size + AROUND_BYTES } : {}),
  };
  while (clients.length < flags.connections && !signal.aborted) {
    const wanted = Math.min(OPENING, flags.connections - clients.length);
    const opening = Array.from({ length: wanted }, () => {
      const client = openClient(address, flags, limits);
      clients.push(client);
      const connected = new Promise<void>((resolve) => client.once('connect', () => resolve()));
      return Promise.race([connected, stopped(client)]);
    });
    await Promise.all(opening);
  }
}

async function finish(client: Client): Promise<void> {
  if (client.connected) await client.close();
  else client.destroy();
}
