/**
 * A server and a client that talk to each other, on real sockets, through a fault proxy, or in memory, and are gone when
 * the test is over. What goes wrong at either of them is kept in `errors`, so that a test can say that nothing did.
 */
import { onTestFinished } from 'vitest';
import {
  type Client,
  type ClientOptions,
  createClient,
  createServer,
  type Gap,
  type NyotaError,
  type Server,
  type ServerOptions,
  type Session,
} from '../../src/index.js';
import {
  createFakeClock,
  createFaultProxy,
  createMemoryNetwork,
  type FakeClock,
  type FaultProxy,
  type MemoryNetwork,
} from '../../src/testing/index.js';
import { eventually, once, turns } from './delivery-wait.js';

/** Comes back fast, and never at the same moments. */
export const FAST = { minDelayMs: 1, maxDelayMs: 20 } as const;

export interface ServerSide {
  readonly server: Server;
  /** Every session that `onSession` got, in order. */
  readonly sessions: Session[];
  readonly port: number;
}

export interface Pair extends ServerSide {
  readonly client: Client;
  /** The first session. */
  readonly session: Session;
  /** What was reported as 'error' by the client, its sessions and the server. */
  readonly errors: NyotaError[];
}

export interface PairOptions {
  server?: ServerOptions;
  client?: ClientOptions;
  /** Runs for every session, before any of its events. */
  onSession?: (session: Session) => void;
  /** Runs before the client has connected. */
  onClient?: (client: Client) => void;
}

/** A server that listens; destroyed when the test is over. */
export async function startServer(
  options: ServerOptions,
  onSession?: (session: Session) => void,
  errors: NyotaError[] = [],
  port = 0,
): Promise<ServerSide> {
  const sessions: Session[] = [];
  const server = createServer(options, (session) => {
    sessions.push(session);
    session.on('error', (error) => errors.push(error));
    onSession?.(session);
  });
  server.on('error', (error) => errors.push(error));
  onTestFinished(() => server.destroy());
  const listening = once(server, 'listening');
  server.listen(port, '127.0.0.1');
  await listening;
  return { server, sessions, port: portOf(server) };
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

/** A client; destroyed when the test is over. */
export function startClient(options: ClientOptions, errors: NyotaError[] = []): Client {
  const client = createClient(options);
  client.on('error', (error) => errors.push(error));
  onTestFinished(() => client.destroy());
  return client;
}

async function join(side: ServerSide, client: Client, errors: NyotaError[]): Promise<Pair> {
  await eventually(() => client.connected && side.sessions.length > 0, 'the client is connected');
  return { ...side, client, session: first(side.sessions), errors };
}

function first<T>(list: readonly T[]): T {
  return at(list, 0);
}

export function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`there is no item ${index}`);
  return item;
}

/** Both on real sockets, with nothing in between. */
export async function tcpPair(options: PairOptions = {}): Promise<Pair> {
  const errors: NyotaError[] = [];
  const side = await startServer(options.server ?? {}, options.onSession, errors);
  const client = startClient(
    { port: side.port, host: '127.0.0.1', reconnect: FAST, ...options.client },
    errors,
  );
  options.onClient?.(client);
  return join(side, client, errors);
}

/** Both on real sockets, with a proxy in between that breaks connections. */
export async function proxyPair(
  options: PairOptions & { random?: () => number } = {},
): Promise<Pair & { proxy: FaultProxy }> {
  const errors: NyotaError[] = [];
  const side = await startServer(options.server ?? {}, options.onSession, errors);
  const proxy = await startProxy(side.port, options.random);
  const client = startClient(
    { port: proxy.port, host: '127.0.0.1', reconnect: FAST, ...options.client },
    errors,
  );
  options.onClient?.(client);
  return { ...(await join(side, client, errors)), proxy };
}

export async function startProxy(port: number, random?: () => number): Promise<FaultProxy> {
  const proxy = await createFaultProxy({
    target: { port },
    ...(random === undefined ? {} : { random }),
  });
  onTestFinished(() => proxy.close());
  return proxy;
}

export interface FakePair extends Pair {
  readonly network: MemoryNetwork;
  readonly clock: FakeClock;
}

/** Where servers and clients on one memory network and one fake clock find their options. */
export interface FakeWorld {
  readonly network: MemoryNetwork;
  readonly clock: FakeClock;
  readonly server: ServerOptions;
  /** Reconnects with no delay, so that only what is tested takes time. */
  readonly client: ClientOptions;
}

export function fakeWorld(highWaterMark = 65_536): FakeWorld {
  const network = createMemoryNetwork({ highWaterMark });
  const clock = createFakeClock({ startMs: 1_000_000 });
  return {
    network,
    clock,
    server: { clock, createServer: network.createServer },
    client: { clock, createConnection: network.createConnection, random: () => 0 },
  };
}

/** Both in memory, and time moves only when the test says so. The handshake is over and its pings are answered. */
export async function fakePair(options: PairOptions = {}, world = fakeWorld()): Promise<FakePair> {
  const errors: NyotaError[] = [];
  const side = await startServer({ ...world.server, ...options.server }, options.onSession, errors);
  const client = startClient({ port: side.port, ...world.client, ...options.client }, errors);
  options.onClient?.(client);
  const pair = await join(side, client, errors);
  await world.clock.advance(1);
  await turns();
  return { ...pair, network: world.network, clock: world.clock };
}

/** Notes what a client hears of the ends and beginnings of its sessions. */
export function watchSessions(client: Client) {
  const seen = {
    gaps: [] as Gap[],
    begun: [] as Array<{ id: string; reason: string | undefined }>,
    invalidated: 0,
    disconnects: [] as Array<string | undefined>,
  };
  client.on('gap', (gap) => seen.gaps.push(gap));
  client.on('session', ({ id, reason }) => seen.begun.push({ id, reason: reason?.code }));
  client.on('sessionInvalidated', () => {
    seen.invalidated++;
  });
  client.on('disconnect', (error) => seen.disconnects.push(error?.code));
  return seen;
}

/** Keeps the first argument of every `event`. */
export function collect<T = number>(peer: Pick<Client, 'on'> | Pick<Session, 'on'>, event: string): T[] {
  const values: T[] = [];
  (peer as Client).on(event, (value: T) => {
    values.push(value);
  });
  return values;
}
