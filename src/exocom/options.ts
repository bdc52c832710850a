/**
 * The hub's options: checked, with the defaults and the environment filled in. A bad one throws at once.
 */

import { NyotaError } from '../errors.js';
import { isName } from '../exorelay/message.js';
import type { Clock, ServerOptions, SessionStore } from '../index.js';
import {
  anything,
  bytes,
  clock,
  count,
  flag,
  fn,
  host,
  invalidOption,
  isObject,
  isText,
  ms,
  type Option,
  type OrDefault,
  port,
  readOptions,
  secret,
  serverTls,
  type TableOf,
  value,
  variable,
} from '../options.js';
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
import { DEFAULT_PER_SECOND, type RateLimit } from './traffic.js';

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

const DEFAULT_PORT = 3010;

const rate = <D = undefined>(fallback?: D): OrDefault<number, D> =>
  value<number, D>('a number above 0', (given) => typeof given === 'number' && given > 0, fallback);

const RATE_LIMIT = {
  perSecond: rate(DEFAULT_PER_SECOND),
  roles: byRole(rate(), value('an object of numbers by role', isObject)),
  throttle: flag(false),
} satisfies TableOf<RateLimit>;

export const OPTIONS = {
  // Read together, since tokens are those of roles that have routes.
  routes: anything<ExoComOptions['routes']>(),
  tokens: anything(),
  tls: serverTls<NonNullable<ServerOptions['tls']>>(),
  development: flag(),
  // Checked by the server below.
  store: anything<SessionStore | undefined>(),
  security: flag(),
  securityTimeoutMs: ms(5_000),
  queueTtlMs: ms(60_000),
  queueMaxMessages: count(10_000, 0, Number.MAX_SAFE_INTEGER),
  queueMaxBytes: bytes(64 * 1024 * 1024, 0),
  instanceGraceMs: ms(2_000, 0),
  maxInFlight: count(1_000, 1, Number.MAX_SAFE_INTEGER),
  activityIdleMs: ms(300_000),
  rateLimit: (given: unknown = {}, name: string) => readOptions(given, RATE_LIMIT, name),
  monitorPort: port(),
  monitorHost: host('127.0.0.1'),
  log: fn<(line: string) => void>(),
  server: value<ServerOptions, ServerOptions>('an object', isObject, {}),
  clock,
} satisfies TableOf<ExoComOptions>;

/** What a hub goes by. */
export type ResolvedExoComOptions = ReturnType<typeof readExoComOptions>;

/** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option, or the routes' file and place */
export function readExoComOptions(options: ExoComOptions, env: NodeJS.ProcessEnv) {
  const { routes: given, ...own } = readOptions(options, OPTIONS);
  const routes = given === undefined ? routesFromEnvironment(env) : loadRoutes(given);
  return {
    ...own,
    routing: (routes === undefined ? new LearnedRoutes() : new RouteTable(routes)) as Routing,
    tokens: readTokens(tokensFrom(own.tokens, env), routes),
    development: own.development ?? routes === undefined,
  };
}

/** The port to listen at: what is given, else EXOCOM_PORT, else 3010. */
export function resolvePort(given: unknown, env: NodeJS.ProcessEnv): number {
  const read = port(DEFAULT_PORT);
  return given === undefined ? read(variable(env, 'EXOCOM_PORT'), 'EXOCOM_PORT') : read(given, 'port');
}

function tokensFrom(tokens: unknown, env: NodeJS.ProcessEnv): unknown {
  if (typeof tokens === 'string') return readDataFile(tokens, `tokens file '${tokens}'`);
  const text = variable(env, 'EXOCOM_TOKENS');
  return tokens === undefined && text !== undefined ? parseJson(text, 'EXOCOM_TOKENS') : tokens;
}

const token = secret<string | readonly string[]>(
  'a token, a string that is not empty, or a list of them',
  (given) => isText(given) || (Array.isArray(given) && given.length > 0 && given.every(isText)),
);

/** A token in place of the object, as in a file that holds nothing else, is a secret as well. */
const tokensByRole = byRole(
  token,
  secret<object | undefined>(
    'an object of tokens by role',
    (given) => given === undefined || isObject(given),
  ),
);

function readTokens(given: unknown, routes: Routes | undefined): Tokens {
  const tokens = tokensByRole(given, 'tokens');
  for (const role of Object.keys(tokens)) {
    if (!isName(role)) throw invalidOption('tokens', 'roles of 1 to 256 characters', role);
    if (routes !== undefined && !Object.hasOwn(routes, role)) {
      throw new NyotaError('NYOTA_INVALID_OPTION', `option 'tokens' names '${role}', which has no routes`);
    }
  }
  return structuredClone(tokens);
}

/** The same for each role; `all` reads the object that they are in. */
function byRole<T>(
  each: Option<T>,
  all: Option<object | undefined>,
): Option<Readonly<Record<string, NonNullable<T>>>> {
  return (given, name) => {
    const roles = Object.entries(all(given, name) ?? {});
    const entries = roles.map(([role, one]) => [role, each(one, `${name}.${role}`)] as const);
    return Object.fromEntries(
      entries.filter((entry): entry is [string, NonNullable<T>] => entry[1] !== undefined),
    );
  };
}
