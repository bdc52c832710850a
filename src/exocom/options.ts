/**
 * The hub's options: checked, with the defaults and the environment filled in. A bad one throws at once.
 */

import { isName } from '../exorelay/message.js';
import { type Clock, NyotaError, type ServerOptions, type SessionStore, systemClock } from '../index.js';
import {
  LearnedRoutes,
  loadRoutes,
  parseJson,
  type Routes,
  RouteTable,
  type Routing,
  readDataFile,
  routesFromEnvironment,
} from './routes.js';
import type { Tokens } from './senders.js';
import type { RateLimit } from './traffic.js';

/** Times are milliseconds, sizes are bytes. */
export interface ExoComOptions {
  /**
   * Who sends and receives what, or the path of a JSON or YAML file that says so. Default: the environment's SERVICE_DATA
   * (JSON), else development mode: a service receives what it has handlers for, and may send all.
   */
  routes?: Routes | string;
  /**
   * What proves a role, by role; several for a role while its token is being changed. Or the path of a JSON or YAML file
   * that says so. Default: the environment's EXOCOM_TOKENS (JSON), else none.
   */
  tokens?: Tokens | string;
  /**
   * Options of `tls.createServer`. With `requestCert` and `ca`, a client certificate whose common name is the role
   * proves it.
   */
  tls?: NonNullable<ServerOptions['tls']>;
  /** Whether roles that nothing proves are taken at their word, with a warning. Default: only where there are no routes. */
  development?: boolean;
  /** Where the sessions are kept. Default: in memory. */
  store?: SessionStore;
  /** Whether nothing passes without the security role's consent. Default: where it is in the routes, or once it was seen. */
  security?: boolean;
  /** How long it may think about a message. Default 5 000. */
  securityTimeoutMs?: number;
  /** How long messages wait for a role that is away. Default 60 000. */
  queueTtlMs?: number;
  /** How many, for each role. Default 10 000. */
  queueMaxMessages?: number;
  /** And how many bytes, about, for each role. Default 64 MiB. */
  queueMaxBytes?: number;
  /** An instance whose session is not back within this is dead: others get what it had. Default 2 000. */
  instanceGraceMs?: number;
  /** Messages that one instance has at a time; the others wait for their turn. Default 1 000. */
  maxInFlight?: number;
  /** An activity, or a request, that nothing was heard of for so long is forgotten. Default 300 000. */
  activityIdleMs?: number;
  /** How fast a role may send. Default: 10 000 messages a second, and an alarm above it. */
  rateLimit?: RateLimit;
  /** A port for `/config.json`, `/metrics`, `/healthz` and `/readyz`; 0: any free one. Default: none. */
  monitorPort?: number;
  /** Where it listens. Default 127.0.0.1, since it asks nobody who they are. */
  monitorHost?: string;
  /** Gets a line for each message that is passed on. Default: none. */
  log?: (line: string) => void;
  /** Options for the nyota server below: limits, timeouts. */
  server?: Omit<ServerOptions, 'authenticate' | 'tls' | 'store' | 'clock'>;
  /** For tests: time and timers. Default: the system's. */
  clock?: Clock;
}

export interface ResolvedExoComOptions {
  readonly routing: Routing;
  readonly tokens: Tokens;
  readonly tls: ServerOptions['tls'];
  readonly development: boolean;
  readonly store: SessionStore | undefined;
  readonly security: boolean | undefined;
  readonly securityTimeoutMs: number;
  readonly queueTtlMs: number;
  readonly queueMaxMessages: number;
  readonly queueMaxBytes: number;
  readonly instanceGraceMs: number;
  readonly maxInFlight: number;
  readonly activityIdleMs: number;
  readonly rateLimit: RateLimit;
  readonly monitorPort: number | undefined;
  readonly monitorHost: string;
  readonly log: ((line: string) => void) | undefined;
  readonly server: ServerOptions;
  readonly clock: Clock;
}

export const DEFAULT_PORT = 3010;
const MAX_PORT = 65_535;
/** Node's timers hold 31 bits of milliseconds. */
const MAX_MS = 2 ** 31 - 1;

const NAMES: ReadonlySet<string> = new Set([
  ...['routes', 'tokens', 'tls', 'development', 'store', 'security', 'securityTimeoutMs', 'queueTtlMs'],
  ...['queueMaxMessages', 'queueMaxBytes', 'instanceGraceMs', 'maxInFlight', 'activityIdleMs', 'rateLimit'],
  ...['monitorPort', 'monitorHost', 'log', 'server', 'clock'],
]);

/** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option, or the routes' file and place */
export function readExoComOptions(options: ExoComOptions, env: NodeJS.ProcessEnv): ResolvedExoComOptions {
  if (typeof options !== 'object' || options === null) throw wrong('options', 'an object');
  for (const name of Object.keys(options)) {
    if (!NAMES.has(name)) throw new NyotaError('NYOTA_INVALID_OPTION', `there is no option '${name}'`);
  }
  const { routes: given, development, security, log } = options;
  const routes = given === undefined ? routesFromEnvironment(env) : loadRoutes(given);
  for (const [name, value] of Object.entries({ development, security })) {
    if (value !== undefined && typeof value !== 'boolean') throw wrong(name, 'true or false');
  }
  if (log !== undefined && typeof log !== 'function') throw wrong('log', 'a function');
  const { monitorPort, monitorHost = '127.0.0.1' } = options;
  if (typeof monitorHost !== 'string') throw wrong('monitorHost', 'a host name or an address');
  return {
    routing: routes === undefined ? new LearnedRoutes() : new RouteTable(routes),
    tokens: readTokens(tokensFrom(options.tokens, env), routes),
    tls: options.tls,
    development: development ?? routes === undefined,
    store: options.store,
    security,
    securityTimeoutMs: number(options, 'securityTimeoutMs', 5_000, 1),
    queueTtlMs: number(options, 'queueTtlMs', 60_000, 1),
    queueMaxMessages: number(options, 'queueMaxMessages', 10_000, 0),
    queueMaxBytes: number(options, 'queueMaxBytes', 64 * 1024 * 1024, 0),
    instanceGraceMs: number(options, 'instanceGraceMs', 2_000, 0),
    maxInFlight: number(options, 'maxInFlight', 1_000, 1),
    activityIdleMs: number(options, 'activityIdleMs', 300_000, 1),
    rateLimit: readRateLimit(options.rateLimit),
    monitorPort: monitorPort === undefined ? undefined : readPort('monitorPort', monitorPort),
    monitorHost,
    log,
    server: options.server ?? {},
    clock: options.clock ?? systemClock,
  };
}

/** The port to listen at: what is given, else EXOCOM_PORT, else 3010. */
export function resolvePort(port: unknown, env: NodeJS.ProcessEnv): number {
  const { EXOCOM_PORT } = env;
  if (port !== undefined) return readPort('port', port);
  return EXOCOM_PORT === undefined || EXOCOM_PORT === ''
    ? DEFAULT_PORT
    : readPort('EXOCOM_PORT', EXOCOM_PORT);
}

function readPort(name: string, value: unknown): number {
  const port = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof port === 'number' && Number.isInteger(port) && port >= 0 && port <= MAX_PORT) return port;
  throw wrong(name, `a port, 0 to ${MAX_PORT}`);
}

function number(options: ExoComOptions, name: keyof ExoComOptions, fallback: number, min: number): number {
  const value: unknown = options[name];
  if (value === undefined) return fallback;
  const max = name.endsWith('Ms') ? MAX_MS : Number.MAX_SAFE_INTEGER;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw wrong(name, `a whole number from ${min} to ${max}`);
}

function tokensFrom(tokens: unknown, env: NodeJS.ProcessEnv): unknown {
  if (typeof tokens === 'string') return readDataFile(tokens, `tokens file '${tokens}'`);
  const text = env.EXOCOM_TOKENS;
  if (tokens !== undefined || text === undefined || text === '') return tokens;
  return parseJson(text, 'EXOCOM_TOKENS');
}

function readTokens(tokens: unknown, routes: Routes | undefined): Tokens {
  if (tokens === undefined) return {};
  if (typeof tokens !== 'object' || tokens === null || Array.isArray(tokens)) {
    throw wrong('tokens', 'an object of tokens by role');
  }
  for (const [role, value] of Object.entries(tokens)) {
    const list: unknown[] = Array.isArray(value) ? value : [value];
    if (!isName(role)) throw wrong('tokens', 'roles of 1 to 256 characters');
    if (list.length === 0 || !list.every((one) => typeof one === 'string' && one.length > 0)) {
      throw wrong(`tokens.${role}`, 'a token, a string that is not empty, or a list of them');
    }
    if (routes !== undefined && !Object.hasOwn(routes, role)) {
      throw new NyotaError('NYOTA_INVALID_OPTION', `option 'tokens' names '${role}', which has no routes`);
    }
  }
  return structuredClone(tokens) as Tokens;
}

function readRateLimit(limit: unknown): RateLimit {
  if (limit === undefined) return {};
  if (typeof limit !== 'object' || limit === null) throw wrong('rateLimit', '{ perSecond, roles, throttle }');
  for (const name of Object.keys(limit)) {
    if (!['perSecond', 'roles', 'throttle'].includes(name)) {
      throw new NyotaError('NYOTA_INVALID_OPTION', `there is no option 'rateLimit.${name}'`);
    }
  }
  const { perSecond, roles, throttle } = limit as RateLimit;
  if (roles !== undefined && (typeof roles !== 'object' || roles === null)) {
    throw wrong('rateLimit.roles', 'an object of numbers by role');
  }
  const rates: [string, unknown][] = [['perSecond', perSecond], ...Object.entries(roles ?? {})];
  for (const [name, rate] of rates) {
    if (rate === undefined || (typeof rate === 'number' && rate > 0)) continue;
    throw wrong(name === 'perSecond' ? 'rateLimit.perSecond' : `rateLimit.roles.${name}`, 'a number above 0');
  }
  if (throttle !== undefined && typeof throttle !== 'boolean') {
    throw wrong('rateLimit.throttle', 'true or false');
  }
  return structuredClone(limit) as RateLimit;
}

function wrong(name: string, takes: string): NyotaError {
  return new NyotaError('NYOTA_INVALID_OPTION', `option '${name}' takes ${takes}`);
}
