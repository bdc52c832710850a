/**
 * A client's options: every form that `createClient` takes, checked, with the defaults filled in.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock.js';
import { type Address, isIpAddress, parseAddress } from '../net/address.js';
import type { SocketLike } from '../net/connection.js';
import type { CreateConnection, TcpOptions, TlsOptions } from '../net/dial.js';
import {
  invalidOption,
  LIMIT_NAMES,
  type LimitOptions,
  type Limits,
  readBoolean,
  readFunction,
  readLimits,
  readMs,
  refuseUnknown,
} from '../options.js';
import { readClock } from '../peer/clock-option.js';
import type { SessionStore } from '../stores/session-store.js';
import type { ClientStore } from './identity.js';

/** Credentials: any value that an event's argument may be, or a function that makes it, called anew at every attempt. */
export type Auth = unknown | (() => unknown);

/** The back-off: how long a client waits before its next attempt to connect. */
export interface ReconnectOptions {
  /** The ceiling of the first delay, in ms. Default 100. */
  minDelayMs: number;
  /** No delay is longer. Default 30 000. */
  maxDelayMs: number;
  /** By how much the ceiling grows with each attempt. Default 2. */
  factor: number;
  /** `full`: anything from 0 to the ceiling; `none`: the ceiling itself. Default `full`. */
  jitter: 'full' | 'none';
}

export interface ClientOptions extends LimitOptions, TcpOptions {
  port?: number | string;
  /** Default localhost. */
  host?: string;
  /** A unix socket instead of a port. */
  path?: string;
  /** Several servers, tried in turn; instead of `port`, `host` and `path`. */
  servers?: ReadonlyArray<string | number | Address>;
  /** Options of `tls.connect`; true: with its defaults. */
  tls?: TlsOptions | boolean;
  /** Makes the connection instead of `net.connect`. */
  createConnection?: CreateConnection;
  /** An existing socket, for the first connection. */
  socket?: Duplex;
  /** Any value, for the server's `authenticate`; or a function that returns one, or a promise of one, called anew at every attempt. */
  auth?: Auth;
  /** Default true. An object sets the back-off: `{ minDelayMs: 100, maxDelayMs: 30_000, factor: 2, jitter: 'full' }`. */
  reconnect?: boolean | Partial<ReconnectOptions>;
  /** Keeps the session, so that a process that starts again goes on with it. Default: it dies with the process. */
  store?: SessionStore;
  /** Under which `store` keeps it: two clients on one store need two keys. Default 'client'. */
  storeKey?: string;
  /** From dialling to a connected socket, TLS included. Default 10 000. */
  connectTimeoutMs?: number;
  /** For tests: time and timers. Default: the system's. */
  clock?: Clock;
  /** For tests: from 0 to 1, for the jitter. Default `Math.random`. */
  random?: () => number;
}

export interface ResolvedClientOptions {
  readonly limits: Limits;
  readonly servers: readonly Address[];
  readonly socket: SocketLike | undefined;
  readonly signal: AbortSignal | undefined;
  readonly socketOptions: Readonly<Record<string, unknown>>;
  readonly tls: TlsOptions | undefined;
  readonly createConnection: CreateConnection | undefined;
  readonly auth: Auth;
  readonly reconnect: boolean;
  readonly schedule: ReconnectOptions;
  readonly store: ClientStore | undefined;
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly random: () => number;
}

export const DEFAULT_SCHEDULE: ReconnectOptions = Object.freeze({
  minDelayMs: 100,
  maxDelayMs: 30_000,
  factor: 2,
  jitter: 'full',
});

const MAX_STORE_KEY_LENGTH = 128;

/** What `net.connect` takes, besides the address. */
const TCP_NAMES = [
  'localAddress',
  'localPort',
  'family',
  'hints',
  'lookup',
  'noDelay',
  'keepAlive',
  'keepAliveInitialDelay',
  'autoSelectFamily',
  'autoSelectFamilyAttemptTimeout',
  'timeout',
  'highWaterMark',
  'readableHighWaterMark',
  'writableHighWaterMark',
  'blockList',
  'typeOfService',
  'allowHalfOpen',
  'signal',
  'fd',
  'readable',
  'writable',
] as const;

/** Options that are nyota's own: none of them is handed on to a socket. */
const OWN_NAMES = [
  ...LIMIT_NAMES,
  'servers',
  'tls',
  'createConnection',
  'socket',
  'signal',
  'auth',
  'reconnect',
  'store',
  'storeKey',
  'connectTimeoutMs',
  'clock',
  'random',
];
const ADDRESS_NAMES = ['port', 'host', 'path'];

const KNOWN: ReadonlySet<string> = new Set([...OWN_NAMES, ...TCP_NAMES, ...ADDRESS_NAMES]);

/** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes */
export function readClientOptions(options: ClientOptions): ResolvedClientOptions {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', 'an object', options);
  // A connection of the user's own making may want options that only it knows.
  const createConnection = readFunction('createConnection', options.createConnection);
  if (createConnection === undefined) refuseUnknown(options, KNOWN);
  checkTcpOptions(options);
  const { reconnect, schedule } = readReconnect(options.reconnect);
  return Object.freeze({
    limits: readLimits(options),
    servers: readServers(options, createConnection !== undefined),
    socket: readSocket(options.socket),
    signal: readSignal(options.signal),
    socketOptions: Object.freeze(ownOptions(options)),
    tls: readTls(options.tls),
    createConnection,
    auth: options.auth,
    reconnect,
    schedule,
    store: readStore(options),
    connectTimeoutMs: readMs('connectTimeoutMs', options.connectTimeoutMs, 10_000),
    clock: readClock(options.clock),
    random: readFunction('random', options.random) ?? Math.random,
  });
}

/** The bounds as `autoReconnect` sets them. */
export function readDelays(
  minDelayMs: unknown,
  maxDelayMs: unknown,
  base: ReconnectOptions,
): ReconnectOptions {
  const min = readMs('minDelayMs', minDelayMs, base.minDelayMs);
  const max = readMs('maxDelayMs', maxDelayMs, Math.max(min, base.maxDelayMs));
  if (max < min) throw invalidOption('maxDelayMs', `at least minDelayMs (${min})`, maxDelayMs);
  return { ...base, minDelayMs: min, maxDelayMs: max };
}

/** What goes to `net.connect` or to the user's function: all that is not nyota's own. */
function ownOptions(options: ClientOptions): Record<string, unknown> {
  const ours = new Set([...OWN_NAMES, ...ADDRESS_NAMES]);
  const own = Object.entries(options).filter(([name]) => !ours.has(name));
  return Object.fromEntries(own);
}

function readServers(options: ClientOptions, optional: boolean): readonly Address[] {
  const { servers, port, path } = options;
  if (servers !== undefined) {
    if (!Array.isArray(servers) || servers.length === 0) {
      throw invalidOption('servers', 'an array of at least one address', servers);
    }
    return Object.freeze(servers.map((server, i) => parseAddress(server, `servers[${i}]`)));
  }
  if (port !== undefined || path !== undefined)
    return [parseAddress(options, port === undefined ? 'path' : 'port')];
  if (options.socket !== undefined || optional) return [];
  throw invalidOption('port', "a port; or give 'path', 'servers' or 'socket'", undefined);
}

function readSocket(socket: unknown): SocketLike | undefined {
  if (socket === undefined) return undefined;
  if (isSocket(socket)) return socket;
  throw invalidOption('socket', 'a socket, as from net.connect() or tls.connect()', socket);
}

export function isSocket(value: unknown): value is SocketLike {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { write?: unknown }).write === 'function' &&
    typeof (value as { on?: unknown }).on === 'function'
  );
}

function readStore({ store, storeKey = 'client' }: ClientOptions): ClientStore | undefined {
  if (typeof storeKey !== 'string' || storeKey === '' || storeKey.length > MAX_STORE_KEY_LENGTH) {
    throw invalidOption('storeKey', `a string of 1 to ${MAX_STORE_KEY_LENGTH} characters`, storeKey);
  }
  if (store === undefined) return undefined;
  if (typeof store !== 'object' || store === null || store.durable !== true) {
    throw invalidOption('store', 'a durable SessionStore, as from nyota/stores/lmdb', store);
  }
  return { store, key: storeKey };
}

function readSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw invalidOption('signal', 'an AbortSignal', signal);
}

/** What `net.connect` would refuse at every attempt is refused once, here. */
function checkTcpOptions({ localAddress, localPort, family, lookup }: ClientOptions): void {
  if (localAddress !== undefined && (typeof localAddress !== 'string' || !isIpAddress(localAddress))) {
    throw invalidOption('localAddress', 'an IP address', localAddress);
  }
  if (localPort !== undefined && !(Number.isInteger(localPort) && localPort >= 0 && localPort < 65_536)) {
    throw invalidOption('localPort', 'a port from 0 to 65535', localPort);
  }
  if (family !== undefined && family !== 0 && family !== 4 && family !== 6) {
    throw invalidOption('family', '0, 4 or 6', family);
  }
  readFunction('lookup', lookup);
}

function readTls(tls: unknown): TlsOptions | undefined {
  if (tls === undefined || tls === false) return undefined;
  if (tls === true) return {};
  if (typeof tls === 'object' && tls !== null) return tls as TlsOptions;
  throw invalidOption('tls', 'true, or options of tls.connect', tls);
}

function readReconnect(value: ClientOptions['reconnect']): {
  reconnect: boolean;
  schedule: ReconnectOptions;
} {
  if (typeof value !== 'object' || value === null) {
    return { reconnect: readBoolean('reconnect', value, true), schedule: DEFAULT_SCHEDULE };
  }
  refuseUnknown(value, new Set(Object.keys(DEFAULT_SCHEDULE)));
  const { factor = DEFAULT_SCHEDULE.factor, jitter = DEFAULT_SCHEDULE.jitter } = value;
  if (typeof factor !== 'number' || !(factor >= 1 && factor <= 100)) {
    throw invalidOption('reconnect.factor', 'a number from 1 to 100', factor);
  }
  if (jitter !== 'full' && jitter !== 'none')
    throw invalidOption('reconnect.jitter', "'full' or 'none'", jitter);
  return {
    reconnect: true,
    schedule: { ...readDelays(value.minDelayMs, value.maxDelayMs, DEFAULT_SCHEDULE), factor, jitter },
  };
}
