/**
 * Who may send and who receives what, and what each calls it. Two answers to these questions: the routes that were
 * configured, and, without any, development mode, which learns them from the handlers that services register. Pure.
 */
import { SECURITY_ROLE, SecurityMessage } from '../exorelay/message.js';

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

/** The configured routes. They have been checked (routes-check.ts). */
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
