/**
 * A server's options: checked, with the defaults filled in.
 */
import type { Clock } from '../clock.js';
import type { CreateServer, TlsServerOptions, TlsSocket } from '../net/listener.js';
import {
  anything,
  clock,
  count,
  fn,
  isObject,
  type LimitOptions,
  ms,
  readWithOthers,
  serverTls,
  type TableOf,
  value,
} from '../options.js';
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

/** Nyota's own, besides the limits: none of them is handed on to a socket. */
export const OWN_OPTIONS = {
  tls: serverTls<TlsServerOptions>(),
  createServer: fn<CreateServer>(),
  authenticate: fn<Authenticate>(),
  resumeWindowMs: ms(120_000, 0),
  store: value<SessionStore>(
    'a SessionStore',
    (given) => isObject(given) && typeof (given as SessionStore).end === 'function',
  ),
  maxSessions: count(10_000),
  maxUnauthenticated: count(256),
  clock,
} satisfies TableOf<Omit<ServerOptions, keyof LimitOptions | keyof TcpServerOptions>>;

/** What goes on to `net.createServer`. */
export const TCP_OPTIONS = {
  allowHalfOpen: anything(),
  highWaterMark: anything(),
  keepAlive: anything(),
  keepAliveInitialDelay: anything(),
  noDelay: anything(),
} satisfies TableOf<TcpServerOptions>;

/** What a server goes by. */
export type ResolvedServerOptions = ReturnType<typeof readServerOptions>;

/** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes */
export function readServerOptions(options: ServerOptions) {
  const { limits, own, others } = readWithOthers(options, OWN_OPTIONS, TCP_OPTIONS, 'createServer');
  return Object.freeze({ ...own, limits, serverOptions: others, store: own.store ?? new MemoryStore() });
}
