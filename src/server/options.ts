/**
 * A server's options: checked, with the defaults filled in.
 */
import type { Clock } from '../clock.js';
import type { CreateServer, TlsServerOptions, TlsSocket } from '../net/listener.js';
import {
  invalidOption,
  LIMIT_NAMES,
  type LimitOptions,
  type Limits,
  readCount,
  readFunction,
  readLimits,
  readMs,
  refuseUnknown,
} from '../options.js';
import { readClock } from '../peer/clock-option.js';
import { MemoryStore } from '../stores/memory.js';
import type { SessionStore } from '../stores/session-store.js';

/** Where a client comes from. */
export interface ClientInfo {
  readonly remoteAddress: string | undefined;
  /** The TLS socket, with the client's certificate; undefined without TLS. */
  readonly tls: TlsSocket | undefined;
}

/** Returns who the client is, or a promise of it; throws where it is nobody. */
export type Authenticate = (credentials: unknown, info: ClientInfo) => unknown;

/** What `net.createServer` takes. */
interface TcpServerOptions {
  allowHalfOpen?: boolean;
  highWaterMark?: number;
  keepAlive?: boolean;
  keepAliveInitialDelay?: number;
  noDelay?: boolean;
}

export interface ServerOptions extends LimitOptions, TcpServerOptions {
  /** Options of `tls.createServer`. */
  tls?: TlsServerOptions;
  /** Makes the server instead of `net.createServer`; it gets all of these options. */
  createServer?: CreateServer;
  /** Says who a client is: its value becomes `session.identity`. It throws where the credentials are not good. */
  authenticate?: Authenticate;
  /** How long a session waits for its client. Default 120 000. */
  resumeWindowMs?: number;
  /** Where sessions are kept. Default: in memory. */
  store?: SessionStore;
  /** Sessions at a time, those that wait for their client included. Default 10 000. */
  maxSessions?: number;
  /** Connections at a time that are in their handshake; more wait a moment for their turn, unread. Default 256. */
  maxUnauthenticated?: number;
  /** For tests: time and timers. Default: the system's. */
  clock?: Clock;
}

export interface ResolvedServerOptions {
  readonly limits: Limits;
  readonly serverOptions: Readonly<Record<string, unknown>>;
  readonly tls: TlsServerOptions | undefined;
  readonly createServer: CreateServer | undefined;
  readonly authenticate: Authenticate | undefined;
  readonly resumeWindowMs: number;
  readonly store: SessionStore;
  readonly maxSessions: number;
  readonly maxUnauthenticated: number;
  readonly clock: Clock;
}

const TCP_NAMES = ['allowHalfOpen', 'highWaterMark', 'keepAlive', 'keepAliveInitialDelay', 'noDelay'];
const OWN_NAMES = [
  ...LIMIT_NAMES,
  'tls',
  'createServer',
  'authenticate',
  'resumeWindowMs',
  'store',
  'maxSessions',
  'maxUnauthenticated',
  'clock',
];
const KNOWN: ReadonlySet<string> = new Set([...TCP_NAMES, ...OWN_NAMES]);

/** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes */
export function readServerOptions(options: ServerOptions): ResolvedServerOptions {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', 'an object', options);
  // A server of the user's own making may want options that only it knows.
  const createServer = readFunction('createServer', options.createServer);
  if (createServer === undefined) refuseUnknown(options, KNOWN);
  const { tls, store } = options;
  if (tls !== undefined && (typeof tls !== 'object' || tls === null)) {
    throw invalidOption('tls', 'options of tls.createServer', tls);
  }
  if (
    store !== undefined &&
    (typeof store !== 'object' || store === null || typeof store.end !== 'function')
  ) {
    throw invalidOption('store', 'a SessionStore', store);
  }
  const own = new Set(OWN_NAMES);
  return Object.freeze({
    limits: readLimits(options),
    serverOptions: Object.freeze(
      Object.fromEntries(Object.entries(options).filter(([name]) => !own.has(name))),
    ),
    tls,
    createServer,
    authenticate: readFunction('authenticate', options.authenticate),
    resumeWindowMs: readMs('resumeWindowMs', options.resumeWindowMs, 120_000, 0),
    store: store ?? new MemoryStore(),
    maxSessions: readCount('maxSessions', options.maxSessions, 10_000),
    maxUnauthenticated: readCount('maxUnauthenticated', options.maxUnauthenticated, 256),
    clock: readClock(options.clock),
  });
}
