/**
 * Who may connect as which role: a token for the role, or a client certificate whose common name is the role. Without
 * either, only development mode takes a role at its word.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { HUB_ROLE, isName } from '../exorelay/message.js';
import { type ClientInfo, NyotaError } from '../index.js';
import type { Routing } from './routes.js';

/** By role; several while they are being changed. */
export type Tokens = Readonly<Record<string, string | readonly string[]>>;

export interface SenderRules {
  readonly tokens: Tokens;
  /** Whether a role that can't be verified is taken at its word. */
  readonly development: boolean;
  /** Which roles there are at all. */
  readonly routing: Routing;
  /** A role was taken at its word. */
  unverified(role: string): void;
}

/** What a session's identity is: the verified role. */
export interface SenderIdentity {
  readonly role: string;
}

export class Senders {
  readonly #rules: SenderRules;
  readonly #tokens = new Map<string, readonly Buffer[]>();

  constructor(rules: SenderRules) {
    this.#rules = rules;
    for (const [role, tokens] of Object.entries(rules.tokens)) {
      this.#tokens.set(role, (typeof tokens === 'string' ? [tokens] : tokens).map(digest));
    }
  }

  /** @throws NyotaError `NYOTA_UNAUTHORIZED`; the relay is told no more than that */
  authenticate(credentials: unknown, info: ClientInfo): SenderIdentity {
    const { role, token } = (credentials ?? {}) as { role?: unknown; token?: unknown };
    if (!isName(role) || role === HUB_ROLE) throw refused('no role, or one that no service can have');
    if (!this.#rules.routing.has(role)) throw refused(`there is no service '${role}' in the routes`);
    if (this.#hasToken(role, token) || commonName(info) === role) return { role };
    if (this.#tokens.has(role)) throw refused(`a wrong token, or none, for '${role}'`);
    if (!this.#rules.development) throw refused(`nothing proves the role '${role}'`);
    this.#rules.unverified(role);
    return { role };
  }

  #hasToken(role: string, token: unknown): boolean {
    const expected = this.#tokens.get(role);
    if (expected === undefined || typeof token !== 'string') return false;
    const given = digest(token);
    // All are compared, so that the time taken tells nothing.
    return expected.filter((one) => timingSafeEqual(one, given)).length > 0;
  }
}

function refused(reason: string): NyotaError {
  return new NyotaError('NYOTA_UNAUTHORIZED', reason);
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** Of a certificate that the server's certificate authorities vouch for. */
function commonName({ tls }: ClientInfo): string | undefined {
  if (tls?.authorized !== true) return undefined;
  const name: unknown = tls.getPeerCertificate().subject?.CN;
  return typeof name === 'string' ? name : undefined;
}
