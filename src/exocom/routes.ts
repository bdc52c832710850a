/**
 * Who may send and who receives what, and what each calls it. Two answers to these questions: the routes that were
 * configured, and, without any, development mode, which learns them from the handlers that services register. Routes are
 * read from an object, a JSON or YAML file, or SERVICE_DATA, and checked strictly: only the readers at the end touch files.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { textOf } from '../errors.js';
import { HUB_ROLE, isName, SECURITY_ROLE, SecurityMessage } from '../exorelay/message.js';
import { NyotaError } from '../index.js';

/** What the others call a message, and what this service calls it. */
export interface Translation {
  readonly public: string;
  readonly internal: string;
}

/** One service's messages, by its own (internal) names. */
export interface ServiceRoutes {
  readonly receives?: readonly string[];
  readonly sends?: readonly string[];
  /** For the names that are others in public. */
  readonly translations?: readonly Translation[];
}

/** By role. */
export type Routes = Readonly<Record<string, ServiceRoutes>>;

/** The questions that the hub asks. `own` names are a service's, the others are public. */
export interface Routing {
  /** Whether there are routes: senders are held to them, and who receives nothing never will. */
  readonly strict: boolean;
  /** Whether a service may have this role. */
  has(role: string): boolean;
  maySend(role: string, own: string): boolean;
  publicName(role: string, own: string): string;
  ownName(role: string, name: string): string;
  /** The roles that receive a message, whether or not they are there now. */
  receivers(name: string): readonly string[];
  /** A service of this role handles these. */
  learn(role: string, handles: Iterable<string>): void;
  /** For people, and for `/config.json`. */
  toJSON(): Routes;
}

const RESERVED: ReadonlySet<string> = new Set(Object.values(SecurityMessage));
const NONE: readonly string[] = [];

/** Whether a name belongs to the security role's messages. */
export function isReserved(name: string): boolean {
  return RESERVED.has(name);
}

interface Compiled {
  readonly sends: ReadonlySet<string>;
  readonly toPublic: ReadonlyMap<string, string>;
  readonly toOwn: ReadonlyMap<string, string>;
}

/** The configured routes. They have been checked. */
export class RouteTable implements Routing {
  readonly strict = true;
  readonly #routes: Routes;
  readonly #services = new Map<string, Compiled>();
  readonly #receivers = new Map<string, string[]>();

  constructor(routes: Routes) {
    this.#routes = structuredClone(routes);
    for (const [role, { receives = [], sends = [], translations = [] }] of Object.entries(this.#routes)) {
      const toPublic = new Map(translations.map((one) => [one.internal, one.public]));
      const toOwn = new Map(translations.map((one) => [one.public, one.internal]));
      this.#services.set(role, { sends: new Set(sends), toPublic, toOwn });
      for (const own of receives) {
        if (isReserved(own)) continue;
        const name = toPublic.get(own) ?? own;
        const roles = this.#receivers.get(name);
        if (roles === undefined) this.#receivers.set(name, [role]);
        else roles.push(role);
      }
    }
  }

  has(role: string): boolean {
    return this.#services.has(role);
  }

  maySend(role: string, own: string): boolean {
    return this.#services.get(role)?.sends.has(own) === true;
  }

  publicName(role: string, own: string): string {
    return this.#services.get(role)?.toPublic.get(own) ?? own;
  }

  ownName(role: string, name: string): string {
    return this.#services.get(role)?.toOwn.get(name) ?? name;
  }

  receivers(name: string): readonly string[] {
    return this.#receivers.get(name) ?? NONE;
  }

  learn(): void {
    // The routes say it all.
  }

  toJSON(): Routes {
    return this.#routes;
  }
}

/** Roles that development mode remembers. */
const MAX_ROLES = 1_000;

/** Development mode: everybody may send all, and receives what it has handlers for. What a role handled is remembered while it is away. */
export class LearnedRoutes implements Routing {
  readonly strict = false;
  /** Least recently registered first. */
  readonly #handles = new Map<string, ReadonlySet<string>>();

  has(): boolean {
    return true;
  }

  maySend(): boolean {
    return true;
  }

  publicName(_role: string, own: string): string {
    return own;
  }

  ownName(_role: string, name: string): string {
    return name;
  }

  receivers(name: string): readonly string[] {
    const roles: string[] = [];
    for (const [role, handles] of this.#handles) if (handles.has(name)) roles.push(role);
    return roles;
  }

  learn(role: string, handles: Iterable<string>): void {
    this.#handles.delete(role);
    this.#handles.set(role, new Set([...handles].filter((name) => !isReserved(name))));
    const [oldest] = this.#handles.keys();
    if (this.#handles.size > MAX_ROLES && oldest !== undefined) this.#handles.delete(oldest);
  }

  toJSON(): Routes {
    return Object.fromEntries(
      [...this.#handles].map(([role, handles]) => [role, { receives: [...handles] }]),
    );
  }
}

/** Whether the routes have a service that decides over messages. */
export function hasSecurity(routing: Routing): boolean {
  return routing.strict && routing.has(SECURITY_ROLE);
}

// Checked.

const SERVICE_KEYS = ['receives', 'sends', 'translations'];
const TRANSLATION_KEYS = ['public', 'internal'];
/** A role that reads as it is in a place: `users.receives[0]`. Others are put in quotes. */
const PLAIN = /^[\w-]+$/;

/**
 * @param source where they come from, for the error: `routes file 'routes.json'`
 * @throws NyotaError `NYOTA_INVALID_OPTION` with source, place and reason
 */
export function checkRoutes(value: unknown, source: string): Routes {
  const wrong = (place: string, reason: string): NyotaError =>
    new NyotaError('NYOTA_INVALID_OPTION', `${source}: ${place === '' ? '' : `${place}: `}${reason}`);

  const record = (place: string, item: unknown, what: string): Record<string, unknown> => {
    if (typeof item === 'object' && item !== null && !Array.isArray(item))
      return item as Record<string, unknown>;
    throw wrong(place, `takes ${what}, not ${kindOf(item)}`);
  };

  const onlyKeys = (place: string, item: object, keys: readonly string[]): void => {
    for (const key of Object.keys(item)) {
      if (keys.includes(key)) continue;
      throw wrong(`${place}.${key}`, `there is no such key; a service has ${keys.join(', ')}`);
    }
  };

  const name = (place: string, role: string, item: unknown): string => {
    if (!isName(item)) {
      throw wrong(place, `takes a message name, a string of 1 to 256 characters, not ${kindOf(item)}`);
    }
    if (isReserved(item) && role !== SECURITY_ROLE) {
      throw wrong(
        place,
        `'${item}' is a message of the '${SECURITY_ROLE}' role's: no other role can have it`,
      );
    }
    return item;
  };

  const list = (place: string, item: unknown, what: string): unknown[] => {
    if (item === undefined) return [];
    if (!Array.isArray(item)) throw wrong(place, `takes a list of ${what}, not ${kindOf(item)}`);
    return item;
  };

  const names = (place: string, role: string, item: unknown): string[] => {
    const seen = new Set<string>();
    list(place, item, 'message names').forEach((one, i) => {
      const checked = name(`${place}[${i}]`, role, one);
      if (seen.has(checked)) throw wrong(`${place}[${i}]`, `'${checked}' is named twice`);
      seen.add(checked);
    });
    return [...seen];
  };

  const translations = (place: string, role: string, item: unknown): Translation[] => {
    const seen = { public: new Set<string>(), internal: new Set<string>() };
    return list(place, item, 'translations').map((one, i) => {
      const at = `${place}[${i}]`;
      const given = record(at, one, '{ public, internal }');
      for (const key of Object.keys(given)) {
        if (!TRANSLATION_KEYS.includes(key)) {
          throw wrong(`${at}.${key}`, 'there is no such key; a translation has public, internal');
        }
      }
      const checked = {
        public: name(`${at}.public`, role, given.public),
        internal: name(`${at}.internal`, role, given.internal),
      };
      for (const side of ['public', 'internal'] as const) {
        if (seen[side].has(checked[side])) {
          throw wrong(`${at}.${side}`, `'${checked[side]}' is translated twice`);
        }
        seen[side].add(checked[side]);
      }
      return checked;
    });
  };

  const checked: [string, ServiceRoutes][] = [];
  for (const [role, item] of Object.entries(record('', value, 'an object of services by role'))) {
    const place = PLAIN.test(role) ? role : JSON.stringify(role);
    if (!isName(role)) throw wrong(place, 'a role is a string of 1 to 256 characters');
    if (role === HUB_ROLE)
      throw wrong(place, `'${HUB_ROLE}' is the hub itself: no service can have this role`);
    const service = record(place, item, '{ receives, sends, translations }');
    onlyKeys(place, service, SERVICE_KEYS);
    checked.push([
      role,
      {
        receives: names(`${place}.receives`, role, service.receives),
        sends: names(`${place}.sends`, role, service.sends),
        translations: translations(`${place}.translations`, role, service.translations),
      },
    ]);
  }
  return Object.fromEntries(checked);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return value === '' ? 'an empty string' : 'a string';
  return typeof value === 'object' ? 'an object' : `${typeof value} ${String(value)}`;
}

// From a file, or from the environment.

const require = createRequire(import.meta.url);

/**
 * Routes from an object, or from a file by its path; `.yml` and `.yaml` are YAML, everything else is JSON.
 * @throws NyotaError `NYOTA_INVALID_OPTION` with the file, the place and the reason
 */
export function loadRoutes(routes: Routes | string): Routes {
  if (typeof routes !== 'string') return checkRoutes(routes, 'routes');
  const source = `routes file '${routes}'`;
  return checkRoutes(readDataFile(routes, source), source);
}

/** What a JSON or YAML file holds. */
export function readDataFile(file: string, source: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw refused(source, reasonOf(cause), cause);
  }
  const yaml = ['.yml', '.yaml'].includes(extname(file).toLowerCase());
  return yaml ? parseYaml(text, source) : parseJson(text, source);
}

/** Routes from SERVICE_DATA, which is JSON; undefined where it is not set. */
export function routesFromEnvironment(env: NodeJS.ProcessEnv): Routes | undefined {
  const text = env.SERVICE_DATA;
  if (text === undefined || text.trim() === '') return undefined;
  return checkRoutes(parseJson(text, 'SERVICE_DATA'), 'SERVICE_DATA');
}

export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    const reason = reasonOf(cause);
    // Node 20 gives the position alone, and later ones the line as well.
    const position = /at position (\d+)/.exec(reason)?.[1];
    const place =
      position === undefined || /line \d+/.test(reason) ? '' : `${lineOf(text, Number(position))}: `;
    throw refused(source, `${place}${reason}`, cause);
  }
}

function parseYaml(text: string, source: string): unknown {
  const yaml = loadYaml(source);
  try {
    // Unique keys are its default, and `maxAliasCount` keeps a small file from being a huge object.
    return yaml.parse(text, { prettyErrors: true, maxAliasCount: 100 });
  } catch (cause) {
    throw refused(source, reasonOf(cause).split('\n')[0] ?? '', cause);
  }
}

function loadYaml(source: string): typeof import('yaml') {
  try {
    return require('yaml') as typeof import('yaml');
  } catch (cause) {
    throw refused(source, "YAML needs the package 'yaml': npm install yaml", cause);
  }
}

function refused(source: string, reason: string, cause: unknown): NyotaError {
  return new NyotaError('NYOTA_INVALID_OPTION', `${source}: ${reason}`, { cause });
}

function reasonOf(cause: unknown): string {
  return textOf(cause);
}

function lineOf(text: string, position: number): string {
  const before = text.slice(0, position).split('\n');
  return `line ${before.length} column ${(before.at(-1) ?? '').length + 1}`;
}
