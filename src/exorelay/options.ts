/**
 * A relay's options: the names of all generations, then the environment, then the defaults; checked.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { NyotaError } from '../errors.js';
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
import {
  bytes,
  clientTls,
  clock,
  count,
  fn,
  host,
  isText,
  LIMITS,
  ms,
  port,
  readBackOff,
  readOptions,
  secret,
  serverTls,
  type TableOf,
  value,
  variable,
} from '../options.js';
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

const DEFAULT_EXOCOM_PORT = 3010;
export const DEFAULT_RELAY_PORT = 4000;

const DEFAULT_RECONNECT: ReconnectOptions = { minDelayMs: 50, maxDelayMs: 1_000, factor: 2, jitter: 'full' };

const role = value<string>('a name of 1 to 256 characters, without control characters', isName);

export const OPTIONS = {
  exocomHost: host(),
  exocomPort: port(undefined, 1),
  exocommPort: port(undefined, 1),
  serviceName: role,
  role,
  token: secret<string | undefined>(
    'a string that is not empty',
    (given) => given === undefined || isText(given),
  ),
  tls: clientTls<TlsOptions>(),
  listenHost: host('127.0.0.1'),
  listenTls: serverTls<TlsServerOptions>(),
  authenticate: fn<Authenticate>(),
  requestTimeoutMs: ms(30_000, 0),
  replyIdleMs: ms(300_000),
  drainTimeoutMs: LIMITS.drainTimeoutMs,
  maxOutboxMessages: count(65_536),
  maxOutboxBytes: bytes(16 * 1024 * 1024, 1024),
  maxReplyHandlers: count(65_536),
  maxRunningHandlers: LIMITS.maxRunningHandlers,
  maxFrameBytes: LIMITS.maxFrameBytes,
  pingIntervalMs: LIMITS.pingIntervalMs,
  pingTimeoutMs: LIMITS.pingTimeoutMs,
  reconnect: (given: unknown = {}, name: string) => readBackOff(given, DEFAULT_RECONNECT, name),
  createConnection: fn<CreateConnection>(),
  createServer: fn<CreateServer>(),
  clock,
} satisfies TableOf<ExoRelayOptions>;

/** What a relay goes by. */
export type ResolvedRelayOptions = ReturnType<typeof readRelayOptions>;

/** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes */
export function readRelayOptions(options: ExoRelayOptions, env: NodeJS.ProcessEnv) {
  const own = readOptions(options, OPTIONS);
  const { tls, createConnection, reconnect, drainTimeoutMs } = own;
  const limits = {
    maxFrameBytes: own.maxFrameBytes,
    pingIntervalMs: own.pingIntervalMs,
    pingTimeoutMs: own.pingTimeoutMs,
  };
  const serviceName = own.serviceName ?? own.role ?? roleFrom(env);
  if (serviceName === HUB_ROLE) {
    const text = `option 'serviceName' can't be '${HUB_ROLE}', which is ExoCom's own name`;
    throw new NyotaError('NYOTA_INVALID_OPTION', text);
  }
  const token = own.token ?? variable(env, 'EXOCOM_TOKEN');
  const client: ClientOptions = {
    ...limits,
    reconnect,
    drainTimeoutMs,
    clock: own.clock,
    host: own.exocomHost ?? variable(env, 'EXOCOM_HOST') ?? 'localhost',
    port:
      own.exocomPort ??
      own.exocommPort ??
      port(DEFAULT_EXOCOM_PORT, 1)(variable(env, 'EXOCOM_PORT'), 'EXOCOM_PORT'),
    auth: { role: serviceName, ...(token !== undefined && { token }) },
    ...(tls !== undefined && { tls }),
    ...(createConnection !== undefined && { createConnection }),
  };
  return Object.freeze({
    ...own,
    serviceName,
    /** For the connection to ExoCom. */
    client: Object.freeze(client),
    /** For both that connection and the own port. */
    limits: Object.freeze(limits),
    listenPort: variable(env, 'EXORELAY_PORT'),
  });
}

function roleFrom(env: NodeJS.ProcessEnv): string {
  return role(variable(env, 'SERVICE_NAME'), 'SERVICE_NAME') ?? packageName(env);
}

/** The name of the package that is running: as npm says, or in the nearest package.json above the working folder. */
function packageName(env: NodeJS.ProcessEnv): string {
  if (isName(env.npm_package_name)) return env.npm_package_name;
  const start = process.cwd();
  for (let folder = start; ; folder = dirname(folder)) {
    const name = nameIn(join(folder, 'package.json'));
    if (name !== undefined) return name;
    if (dirname(folder) === folder) return isName(basename(start)) ? basename(start) : 'service';
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
