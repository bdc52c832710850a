/**
 * A relay's options: the names of all generations, then the environment, then the defaults; checked.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type {
  Authenticate,
  ClientOptions,
  Clock,
  CreateConnection,
  CreateServer,
  ReconnectOptions,
  TlsOptions,
  TlsServerOptions,
} from '../index.js';
import { NyotaError, systemClock } from '../index.js';
import { HUB_ROLE, isName } from './message.js';

export interface ExoRelayOptions {
  /** Where ExoCom is. Default: `EXOCOM_HOST`, then localhost. */
  exocomHost?: string;
  /** Default: `EXOCOM_PORT`, then 3010. */
  exocomPort?: number | string;
  /** The first generation's name for `exocomPort`. */
  exocommPort?: number | string;
  /** What this service is to ExoCom, its role. Default: `SERVICE_NAME`, then the name in the nearest package.json. */
  serviceName?: string;
  /** Another name for `serviceName`. */
  role?: string;
  /** Proves the role to ExoCom. Default: `EXOCOM_TOKEN`. */
  token?: string;
  /** To ExoCom over TLS: options of `tls.connect`, with a client certificate where that proves the role. */
  tls?: TlsOptions | boolean;
  /** Where `listen` listens. Default 127.0.0.1: what comes in there has not passed ExoCom's routes. */
  listenHost?: string;
  /** For this service's own port: options of `tls.createServer`. */
  listenTls?: TlsServerOptions;
  /** For this service's own port: as nyota's `createServer` takes it. */
  authenticate?: Authenticate;
  /** How long `request`, and `stream` for each reply, waits. Default 30 000. */
  requestTimeoutMs?: number;
  /** How long a reply handler is kept after it heard something last. Default 300 000. */
  replyIdleMs?: number;
  /** How long `close` waits for handlers, requests and what ExoCom has not accepted. Default 10 000. */
  drainTimeoutMs?: number;
  /** Messages kept until ExoCom has accepted them; above it `send` reports `NYOTA_OUTBOX_FULL`. Default 65 536. */
  maxOutboxMessages?: number;
  /** The same in bytes, about. Default 16 MiB. */
  maxOutboxBytes?: number;
  /** Messages that may wait for replies. Default 65 536. */
  maxReplyHandlers?: number;
  /** Handlers that may be running; further messages wait for one to finish. Default 1 024. */
  maxRunningHandlers?: number;
  /** As in nyota's options. */
  maxFrameBytes?: number;
  pingIntervalMs?: number;
  pingTimeoutMs?: number;
  /** Back-off of the connection to ExoCom. Default `{ minDelayMs: 50, maxDelayMs: 1_000 }`. */
  reconnect?: Partial<ReconnectOptions>;
  /** Makes the connection to ExoCom instead of `net.connect`. */
  createConnection?: CreateConnection;
  /** Makes the server of this service's own port instead of `net.createServer`. */
  createServer?: CreateServer;
  /** For tests: time and timers. Default: the system's. */
  clock?: Clock;
}

export interface ResolvedRelayOptions {
  readonly serviceName: string;
  /** For `createClient`, all but the port's own concerns. */
  readonly client: ClientOptions;
  readonly listenPort: string | undefined;
  readonly listenHost: string;
  readonly listenTls: TlsServerOptions | undefined;
  readonly authenticate: Authenticate | undefined;
  readonly createServer: CreateServer | undefined;
  readonly requestTimeoutMs: number;
  readonly replyIdleMs: number;
  readonly drainTimeoutMs: number;
  readonly maxOutboxMessages: number;
  readonly maxOutboxBytes: number;
  readonly maxReplyHandlers: number;
  readonly maxRunningHandlers: number;
  readonly limits: Pick<ClientOptions, 'maxFrameBytes' | 'pingIntervalMs' | 'pingTimeoutMs'>;
  readonly clock: Clock;
}

export const DEFAULT_EXOCOM_PORT = 3010;
export const DEFAULT_RELAY_PORT = 4000;

const NAMES: ReadonlySet<string> = new Set([
  ...['exocomHost', 'exocomPort', 'exocommPort', 'serviceName', 'role', 'token', 'tls'],
  ...['listenHost', 'listenTls', 'authenticate', 'requestTimeoutMs', 'replyIdleMs', 'drainTimeoutMs'],
  ...['maxOutboxMessages', 'maxOutboxBytes', 'maxReplyHandlers', 'maxRunningHandlers', 'maxFrameBytes'],
  ...['pingIntervalMs', 'pingTimeoutMs', 'reconnect', 'createConnection', 'createServer', 'clock'],
]);
const MAX_TIMER_MS = 2 ** 31 - 1;

/** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes */
export function readRelayOptions(
  options: ExoRelayOptions,
  env: Readonly<Record<string, string | undefined>>,
): ResolvedRelayOptions {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid('ExoRelay takes an object of options');
  }
  for (const name of Object.keys(options)) {
    if (!NAMES.has(name))
      throw invalid(`there is no option '${name}'; ExoRelay takes ${[...NAMES].join(', ')}`);
  }
  const { clock = systemClock } = options;
  const limits = {
    ...(options.maxFrameBytes !== undefined && { maxFrameBytes: options.maxFrameBytes }),
    ...(options.pingIntervalMs !== undefined && { pingIntervalMs: options.pingIntervalMs }),
    ...(options.pingTimeoutMs !== undefined && { pingTimeoutMs: options.pingTimeoutMs }),
  };
  const serviceName = readRole(options, env);
  const drainTimeoutMs = readNumber('drainTimeoutMs', options.drainTimeoutMs, 10_000, 0);
  return Object.freeze({
    serviceName,
    client: Object.freeze({
      ...limits,
      ...readExocomAddress(options, env),
      ...(options.tls !== undefined && { tls: options.tls }),
      ...(options.createConnection !== undefined && { createConnection: options.createConnection }),
      auth: { role: serviceName, ...readToken(options, env) },
      reconnect: { minDelayMs: 50, maxDelayMs: 1_000, ...options.reconnect },
      drainTimeoutMs,
      clock,
    }),
    listenPort: given(env.EXORELAY_PORT),
    listenHost: readString('listenHost', options.listenHost) ?? '127.0.0.1',
    listenTls: options.listenTls,
    authenticate: options.authenticate,
    createServer: options.createServer,
    requestTimeoutMs: readNumber('requestTimeoutMs', options.requestTimeoutMs, 30_000, 0),
    replyIdleMs: readNumber('replyIdleMs', options.replyIdleMs, 300_000, 1),
    drainTimeoutMs,
    maxOutboxMessages: readNumber('maxOutboxMessages', options.maxOutboxMessages, 65_536, 1),
    maxOutboxBytes: readNumber('maxOutboxBytes', options.maxOutboxBytes, 16 * 1024 * 1024, 1024),
    maxReplyHandlers: readNumber('maxReplyHandlers', options.maxReplyHandlers, 65_536, 1),
    maxRunningHandlers: readNumber('maxRunningHandlers', options.maxRunningHandlers, 1_024, 1),
    limits: Object.freeze(limits),
    clock,
  });
}

/** A port as `listen` takes it: a number, or a text that is one. Undefined where it is neither. */
export function readPort(value: unknown): number | undefined {
  if (typeof value === 'string' && !/^\d+$/.test(value.trim())) return undefined;
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const port = Number(value);
  return Number.isInteger(port) && port >= 0 && port <= 65_535 ? port : undefined;
}

function readExocomAddress(
  options: ExoRelayOptions,
  env: Readonly<Record<string, string | undefined>>,
): { host: string; port: number } {
  const host = readString('exocomHost', options.exocomHost) ?? given(env.EXOCOM_HOST) ?? 'localhost';
  const sources: [name: string, value: unknown][] = [
    ["option 'exocomPort'", options.exocomPort],
    ["option 'exocommPort'", options.exocommPort],
    ['EXOCOM_PORT', given(env.EXOCOM_PORT)],
  ];
  const [name, value] = sources.find(([, found]) => found !== undefined) ?? ['', DEFAULT_EXOCOM_PORT];
  const port = readPort(value);
  if (port === undefined || port === 0) throw invalid(`${name} takes a port from 1 to 65535`);
  return { host, port };
}

function readRole(options: ExoRelayOptions, env: Readonly<Record<string, string | undefined>>): string {
  const role =
    readString('serviceName', options.serviceName) ??
    readString('role', options.role) ??
    given(env.SERVICE_NAME) ??
    packageName(env);
  if (!isName(role)) {
    throw invalid("option 'serviceName' takes a name of 1 to 256 characters, without control characters");
  }
  if (role === HUB_ROLE)
    throw invalid(`option 'serviceName' can't be '${HUB_ROLE}', which is ExoCom's own name`);
  return role;
}

function readToken(
  options: ExoRelayOptions,
  env: Readonly<Record<string, string | undefined>>,
): { token?: string } {
  const token = readString('token', options.token) ?? given(env.EXOCOM_TOKEN);
  return token === undefined ? {} : { token };
}

/** The name of the package that is running: as npm says, or in the nearest package.json above the working folder. */
function packageName(env: Readonly<Record<string, string | undefined>>): string {
  if (isName(env.npm_package_name)) return env.npm_package_name;
  const start = process.cwd();
  for (let folder = start; ; folder = dirname(folder)) {
    const name = nameIn(join(folder, 'package.json'));
    if (name !== undefined) return name;
    if (dirname(folder) === folder) return basename(start) || 'service';
  }
}

function nameIn(file: string): string | undefined {
  try {
    const { name } = JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown };
    return isName(name) ? name : undefined;
  } catch {
    // No package.json here, or one that can't be read: the next folder up may have one.
    return undefined;
  }
}

/** A variable that is set to nothing is not set. */
function given(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

function readString(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') throw invalid(`option '${name}' takes a string`);
  return value;
}

function readNumber(name: string, value: unknown, fallback: number, min: number): number {
  if (value === undefined) return fallback;
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= MAX_TIMER_MS) {
    return value as number;
  }
  throw invalid(`option '${name}' takes a whole number from ${min} to ${MAX_TIMER_MS}, not ${String(value)}`);
}

function invalid(text: string): NyotaError {
  return new NyotaError('NYOTA_INVALID_OPTION', text);
}
