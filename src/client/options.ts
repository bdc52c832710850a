/**
 * What `createClient` takes: every form of its arguments becomes options, which are checked, and the defaults filled in.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock.js';
import { type Address, isIpAddress, parseAddress } from '../net/address.js';
import type { SocketLike } from '../net/connection.js';
import type { CreateConnection, TcpOptions, TlsOptions } from '../net/dial.js';
import {
  anything,
  clientTls,
  clock,
  flag,
  fn,
  invalidOption,
  isObject,
  isText,
  type LimitOptions,
  ms,
  type ReconnectOptions,
  readBackOff,
  readWithOthers,
  signal,
  type TableOf,
  toPort,
  value,
} from '../options.js';
import type { SessionStore } from '../stores/session-store.js';
import type { ClientStore } from './identity.js';

/** Credentials: any value that an event's argument may be, or a function that makes it, called anew at every attempt. */
export type Auth = unknown | (() => unknown);

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

type TcpOnly = Omit<TcpOptions, 'signal'> &
  Partial<Record<'readableHighWaterMark' | 'writableHighWaterMark' | 'typeOfService', number>>;
type OwnOnly = Omit<ClientOptions, keyof LimitOptions | keyof TcpOnly>;

export const DEFAULT_SCHEDULE: ReconnectOptions = Object.freeze({
  minDelayMs: 100,
  maxDelayMs: 30_000,
  factor: 2,
  jitter: 'full',
});

/** Nyota's own, besides the limits: none of them is handed on to a socket. */
export const OWN_OPTIONS = {
  // These three are one address.
  port: anything(),
  host: anything(),
  path: anything(),
  servers: addresses,
  tls: clientTls<TlsOptions>(),
  createConnection: fn<CreateConnection>(),
  socket: value<SocketLike>('a socket, as from net.connect() or tls.connect()', isSocket),
  signal,
  auth: anything<Auth>(),
  reconnect: reconnection,
  store: value<SessionStore>(
    'a durable SessionStore, as from nyota/stores/lmdb',
    (given) => isObject(given) && (given as SessionStore).durable === true,
  ),
  storeKey: value<string, string>(
    'a string of 1 to 128 characters',
    (given) => isText(given) && given.length <= 128,
    'client',
  ),
  connectTimeoutMs: ms(10_000),
  clock,
  random: fn<() => number, () => number>(Math.random),
} satisfies TableOf<OwnOnly>;

/** What goes on to `net.connect`. What it would refuse at every attempt is refused once, here. */
export const TCP_OPTIONS = {
  localAddress: value('an IP address', (given) => isText(given) && isIpAddress(given)),
  localPort: value('a port from 0 to 65535', (given) => typeof given === 'number' && toPort(given) === given),
  family: value('0, 4 or 6', (given) => given === 0 || given === 4 || given === 6),
  hints: anything(),
  lookup: fn(),
  noDelay: anything(),
  keepAlive: anything(),
  keepAliveInitialDelay: anything(),
  autoSelectFamily: anything(),
  autoSelectFamilyAttemptTimeout: anything(),
  timeout: anything(),
  highWaterMark: anything(),
  readableHighWaterMark: anything(),
  writableHighWaterMark: anything(),
  blockList: anything(),
  typeOfService: anything(),
  allowHalfOpen: anything(),
  fd: anything(),
  readable: anything(),
  writable: anything(),
} satisfies TableOf<TcpOnly>;

/** What a client goes by. */
export type ResolvedClientOptions = ReturnType<typeof readClientOptions>;

/** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes */
export function readClientOptions(options: ClientOptions) {
  const { limits, own, others } = readWithOthers(options, OWN_OPTIONS, TCP_OPTIONS, 'createConnection');
  const { port, host, path, store, storeKey, reconnect, ...rest } = own;
  return Object.freeze({
    ...rest,
    ...reconnect,
    limits,
    servers: own.servers ?? oneAddress(options),
    socketOptions: others,
    store: store === undefined ? undefined : ({ store, key: storeKey } satisfies ClientStore),
  });
}

/** The address in `port`, `host` and `path`. None is right only where there is something else to connect with. */
function oneAddress(options: ClientOptions): readonly Address[] {
  const { port, path, socket, createConnection } = options;
  if (port !== undefined) return [parseAddress(options, 'port')];
  if (path !== undefined) return [parseAddress(options, 'path')];
  if (socket !== undefined || createConnection !== undefined) return [];
  throw invalidOption('port', "a port; or give 'path', 'servers' or 'socket'", undefined);
}

function addresses(given: unknown, name: string): readonly Address[] | undefined {
  if (given === undefined) return undefined;
  if (!Array.isArray(given) || given.length === 0) {
    throw invalidOption(name, 'an array of at least one address', given);
  }
  return Object.freeze(given.map((server, i) => parseAddress(server, `${name}[${i}]`)));
}

/** Whether to reconnect, or how. */
function reconnection(
  given: unknown,
  name: string,
): { readonly reconnect: boolean; readonly schedule: ReconnectOptions } {
  return isObject(given)
    ? { reconnect: true, schedule: readBackOff(given, DEFAULT_SCHEDULE, name) }
    : { reconnect: flag(true)(given, name), schedule: DEFAULT_SCHEDULE };
}

export function isSocket(given: unknown): given is SocketLike {
  const { write, on } = (isObject(given) ? given : {}) as Partial<SocketLike>;
  return typeof write === 'function' && typeof on === 'function';
}

/**
 * The forms of `createClient`'s arguments, as options: a target, then perhaps a host, more options, and a listener.
 * @throws NyotaError `NYOTA_INVALID_OPTION` that names the argument and what it takes
 */
export function clientArguments(
  target: unknown,
  rest: readonly unknown[],
): { readonly options: ClientOptions; readonly onConnect: (() => void) | undefined } {
  if (target === undefined || target === null) {
    throw invalidOption('port', 'a port, a string, a socket or options', target);
  }
  const args = [...rest];
  // Undefined may stand for what is left out.
  while (args.length > 0 && args.at(-1) === undefined) args.pop();
  const onConnect = typeof args.at(-1) === 'function' ? (args.pop() as () => void) : undefined;
  const host = typeof target !== 'object' && typeof args[0] === 'string' ? String(args.shift()) : undefined;
  const [more = {}, ...surplus] = args;
  if (isObject(more) && surplus.length === 0) {
    return { options: withTarget(target, host, more), onConnect };
  }
  if (typeof target !== 'object' && host === undefined && args.length === 1) {
    throw invalidOption('host', 'a host name or an IP address', more);
  }
  throw invalidOption('onConnect', 'a function, as the last argument', isObject(more) ? surplus[0] : more);
}

function withTarget(target: unknown, host: string | undefined, more: ClientOptions): ClientOptions {
  if (isSocket(target)) return { ...more, socket: target };
  if (typeof target === 'object') return { ...target, ...more };
  const address = parseAddress(target, 'port');
  if (host === undefined) {
    return 'path' in address ? { ...more, path: address.path } : { ...more, servers: [address] };
  }
  if ('path' in address || 'host' in address) {
    throw invalidOption('host', 'nothing beside an address that names one', host);
  }
  return { ...more, port: address.port, host };
}
