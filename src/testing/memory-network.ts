/**
 * A network in memory for whole servers and their clients. May import node:net (types), node:stream and the
 * memory-* files. No ports of the machine are used: each network has its own, and two networks don't meet.
 */

import type { NetConnectOpts } from 'node:net';
import { addAbortSignal } from 'node:stream';
import { checkCount } from './check.js';
import { type Direction, type OneWay, waysOf } from './direction.js';
import { joinSockets, type MemoryConnection, type MemoryFaults, MemorySocket } from './memory-connection.js';
import { type MemoryPorts, MemoryServer, type MemoryServerOptions } from './memory-server.js';
import { soon } from './real-timers.js';
import { systemError } from './system-error.js';

export interface MemoryNetworkOptions {
  /**
   * Bytes that each stage of a direction holds: the writer's buffer, the link, the reader's buffer. Default 65536.
   * A paused reader makes write() return false after about three times as much.
   */
  highWaterMark?: number;
}

/** What `network.createConnection` looks at. Other options of net.connect are accepted and ignored. */
export type MemoryConnectOptions =
  | NetConnectOpts
  | {
      port?: number | string | undefined;
      path?: string | undefined;
      host?: string | undefined;
      allowHalfOpen?: boolean | undefined;
      signal?: AbortSignal | undefined;
    };

type OnConnection = (socket: MemorySocket) => void;

/**
 * The functions may be taken off the object and handed on. The faults work on all connections that are open;
 * `stall` and `slice` on later ones too, until `unstall` or `heal`.
 */
export interface MemoryNetwork extends MemoryFaults {
  /** Like net.createServer: `createServer({ createServer: network.createServer }, …)`. */
  readonly createServer: {
    (onConnection?: OnConnection): MemoryServer;
    (options?: MemoryServerOptions, onConnection?: OnConnection): MemoryServer;
  };
  /**
   * Like net.createConnection: `createClient({ port, createConnection: network.createConnection })`. The socket
   * emits 'connect', or 'error' with ECONNREFUSED where nobody listens, as soon as the promises at hand have run.
   */
  readonly createConnection: (options: MemoryConnectOptions, onConnect?: () => void) => MemorySocket;
  /** The connections of which at least one end is not closed, in the order they were made. */
  readonly connections: ReadonlySet<MemoryConnection>;
}

const DEFAULT_HIGH_WATER_MARK = 65_536;
/** The first of the ports that are given out for port 0. */
const FIRST_FREE_PORT = 49_152;
const LAST_PORT = 65_535;

const ignore = (): void => {};

function checkHighWaterMark(options: MemoryNetworkOptions): number {
  return checkCount('highWaterMark', options.highWaterMark ?? DEFAULT_HIGH_WATER_MARK, 1, 2 ** 30);
}

function readTarget(options: MemoryConnectOptions): number | string {
  if ('path' in options && typeof options.path === 'string') return options.path;
  return checkCount('port', Number('port' in options ? options.port : Number.NaN), 0, LAST_PORT);
}

/** Makes a network without servers. Throws `NYOTA_INVALID_ARGUMENT` for a bad `highWaterMark`. */
export function createMemoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  const highWaterMark = checkHighWaterMark(options);
  const servers = new Map<number | string, MemoryServer>();
  const connections = new Set<MemoryConnection>();
  const stalled: Record<OneWay, boolean> = { up: false, down: false };
  let sliceBytes = Number.POSITIVE_INFINITY;
  let lastPort = LAST_PORT;

  const nextPort = (): number => {
    do lastPort = lastPort === LAST_PORT ? FIRST_FREE_PORT : lastPort + 1;
    while (servers.has(lastPort));
    return lastPort;
  };

  const ports: MemoryPorts = {
    bind(target, server) {
      const bound = target === 0 ? nextPort() : target;
      if (servers.has(bound)) return undefined;
      servers.set(bound, server);
      return bound;
    },
    release: (target) => servers.delete(target),
  };

  const register = (connection: MemoryConnection): void => {
    connections.add(connection);
    for (const end of [connection.client, connection.server]) {
      end.once('close', () => {
        if (connection.client.closed && connection.server.closed) connections.delete(connection);
      });
    }
    for (const way of waysOf('both')) if (stalled[way]) connection.stall(way);
    connection.slice(sliceBytes);
  };

  const dial = (client: MemorySocket, target: number | string): void => {
    if (client.destroyed) return;
    const listener = servers.get(target);
    if (listener === undefined) {
      const where = typeof target === 'number' ? { address: '127.0.0.1', port: target } : { address: target };
      client.destroy(systemError('ECONNREFUSED', { syscall: 'connect', ...where }));
      return;
    }
    const server = new MemorySocket({ highWaterMark, allowHalfOpen: listener.allowHalfOpen });
    const clientPort = typeof target === 'number' ? nextPort() : undefined;
    server.on('error', ignore); // until it is somebody's
    soon(() => {
      server.off('error', ignore);
      listener.take(server); // before anything that is on its way to it
    });
    register(joinSockets(client, server, { target, clientPort, capacityBytes: highWaterMark }));
    client.emit('connect');
    client.emit('ready');
  };

  const setStalled = (direction: Direction, value: boolean): void => {
    for (const way of waysOf(direction)) stalled[way] = value;
  };

  const network: MemoryNetwork = {
    connections,
    createServer(first?: MemoryServerOptions | OnConnection, second?: OnConnection) {
      const onConnection = typeof first === 'function' ? first : second;
      const server = new MemoryServer(ports, typeof first === 'function' ? {} : (first ?? {}));
      if (onConnection !== undefined) server.on('connection', onConnection);
      return server;
    },
    createConnection(connectOptions, onConnect) {
      const target = readTarget(connectOptions);
      const client = new MemorySocket({
        highWaterMark,
        allowHalfOpen: connectOptions.allowHalfOpen === true,
      });
      if (onConnect !== undefined) client.once('connect', onConnect);
      if (connectOptions.signal !== undefined) addAbortSignal(connectOptions.signal, client);
      soon(() => dial(client, target));
      return client;
    },
    cut(error) {
      for (const connection of [...connections]) connection.cut(error);
    },
    stall(direction = 'both') {
      setStalled(direction, true);
      for (const connection of connections) connection.stall(direction);
    },
    unstall(direction = 'both') {
      setStalled(direction, false);
      for (const connection of connections) connection.unstall(direction);
    },
    slice(bytes) {
      sliceBytes = checkCount('slice', bytes, 1);
      for (const connection of connections) connection.slice(bytes);
    },
    dropLink() {
      for (const connection of connections) connection.dropLink();
    },
    heal() {
      network.unstall();
      network.slice(Number.POSITIVE_INFINITY);
    },
  };
  return network;
}

/**
 * Two ends of one connection, without a server: what the one writes, the other reads. The first is the client's
 * end (its writes go `up`). Faults are on `end.connection`. Throws `NYOTA_INVALID_ARGUMENT`.
 */
export function createLink(options: MemoryNetworkOptions = {}): [MemorySocket, MemorySocket] {
  const highWaterMark = checkHighWaterMark(options);
  const client = new MemorySocket({ highWaterMark, allowHalfOpen: false });
  const server = new MemorySocket({ highWaterMark, allowHalfOpen: false });
  joinSockets(client, server, { target: 'link', clientPort: undefined, capacityBytes: highWaterMark });
  return [client, server];
}
