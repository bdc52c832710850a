/**
 * Counts the traffic: for each role what it sent, received and was refused, and how fast; for each route how often,
 * with what errors, and how long its replies took. Measures whether a role sends faster than it may. Pure: `now` is
 * handed in.
 */
import type { RejectionCode } from '../exorelay/message.js';

/** Roles and routes that are counted apart. What comes beyond is counted under this name. */
const MAX_ROLES = 1_000;
const MAX_ROUTES = 10_000;
const OTHER = '(other)';
/** The rate is that of so many seconds before this one. */
const RATE_SECONDS = 10;

export interface RoleTraffic {
  /** Messages that came from it, and that were passed on to it. */
  sent: number;
  received: number;
  /** Messages of its that were refused, by why. */
  refused: Partial<Record<RejectionCode | 'EXO_UNAUTHORIZED', number>>;
  /** Handlers of its that failed. */
  errors: number;
  /** Messages that it got a second time, because an instance died. */
  redelivered: number;
  alarms: number;
}

export interface RouteTraffic {
  readonly sender: string;
  /** The public name. */
  readonly name: string;
  readonly receiver: string;
  messages: number;
  errors: number;
}

/** How long the replies to one role took, in ms. */
export interface ResponseTimes {
  count: number;
  sumMs: number;
  maxMs: number;
}

interface RoleEntry extends RoleTraffic {
  readonly responses: ResponseTimes;
  /** Messages sent in each of the last seconds, by second modulo the ring's size. */
  readonly ring: number[];
  second: number;
}

/** Is told of every reply: for what can't be counted afterwards. */
export type ResponseObserver = (asker: string, replier: string, ms: number) => void;

export class Traffic {
  readonly #roles = new Map<string, RoleEntry>();
  readonly #routes = new Map<string, RouteTraffic>();
  #observer: ResponseObserver | undefined;

  observe(observer: ResponseObserver): void {
    this.#observer = observer;
  }

  sent(role: string, now: number): void {
    const entry = this.#role(role);
    entry.sent++;
    const second = Math.floor(now / 1000);
    advance(entry, second);
    entry.ring[second % entry.ring.length] = (entry.ring[second % entry.ring.length] ?? 0) + 1;
  }

  refused(role: string, code: RejectionCode | 'EXO_UNAUTHORIZED'): void {
    const { refused } = this.#role(role);
    refused[code] = (refused[code] ?? 0) + 1;
  }

  passed(sender: string, name: string, receiver: string): void {
    this.#role(receiver).received++;
    this.#route(sender, name, receiver).messages++;
  }

  failed(sender: string, name: string, receiver: string): void {
    this.#role(receiver).errors++;
    this.#route(sender, name, receiver).errors++;
  }

  redelivered(role: string): void {
    this.#role(role).redelivered++;
  }

  alarmed(role: string): void {
    this.#role(role).alarms++;
  }

  replied(asker: string, replier: string, ms: number): void {
    const { responses } = this.#role(replier);
    responses.count++;
    responses.sumMs += ms;
    responses.maxMs = Math.max(responses.maxMs, ms);
    this.#observer?.(asker, replier, ms);
  }

  /** Copies of all that was counted; `rate` in messages a second, over the last ten whole seconds. */
  roles(now: number): Record<string, RoleTraffic & { rate: number; responses: ResponseTimes }> {
    const found: [string, RoleTraffic & { rate: number; responses: ResponseTimes }][] = [];
    for (const [role, entry] of this.#roles) {
      const { sent, received, refused, errors, redelivered, alarms, responses } = entry;
      const rate = rateOf(entry, Math.floor(now / 1000));
      found.push([
        role,
        {
          ...{ sent, received, errors, redelivered, alarms, rate },
          refused: { ...refused },
          responses: { ...responses },
        },
      ]);
    }
    return Object.fromEntries(found);
  }

  routes(): RouteTraffic[] {
    return [...this.#routes.values()].map((route) => ({ ...route }));
  }

  #role(role: string): RoleEntry {
    const key = this.#roles.has(role) || this.#roles.size < MAX_ROLES ? role : OTHER;
    let entry = this.#roles.get(key);
    if (entry === undefined) {
      entry = {
        ...{ sent: 0, received: 0, refused: {}, errors: 0, redelivered: 0, alarms: 0 },
        responses: { count: 0, sumMs: 0, maxMs: 0 },
        ring: new Array<number>(RATE_SECONDS + 1).fill(0),
        second: 0,
      };
      this.#roles.set(key, entry);
    }
    return entry;
  }

  #route(sender: string, name: string, receiver: string): RouteTraffic {
    const key = `${sender}\n${name}\n${receiver}`;
    const known = this.#routes.get(key);
    if (known !== undefined) return known;
    if (this.#routes.size >= MAX_ROUTES && name !== OTHER) return this.#route(OTHER, OTHER, OTHER);
    const route = { sender, name, receiver, messages: 0, errors: 0 };
    this.#routes.set(key, route);
    return route;
  }
}

/** Empties the seconds that passed without a message. */
function advance(entry: RoleEntry, second: number): void {
  const { length } = entry.ring;
  const passed = Math.min(second - entry.second, length);
  for (let i = 0; i < passed; i++) entry.ring[(second - i) % length] = 0;
  if (passed > 0) entry.second = second;
}

function rateOf(entry: RoleEntry, second: number): number {
  advance(entry, second);
  const current = entry.ring[second % entry.ring.length] ?? 0;
  return (entry.ring.reduce((sum, count) => sum + count, 0) - current) / RATE_SECONDS;
}

/** How fast each role sends: a bucket of tokens a role, filled at its rate. */
export interface RateLimit {
  /** Messages a second that a role may send; all its instances together. Default 10 000. */
  readonly perSecond?: number;
  /** Other limits, by role. */
  readonly roles?: Readonly<Record<string, number>>;
  /** Whether a role above its limit is slowed down to it, besides the alarm. Nothing is lost by it. Default false. */
  readonly throttle?: boolean;
}

export const DEFAULT_PER_SECOND = 10_000;
/** While a role stays above its limit, it is told again so often. */
const ALARM_EVERY_MS = 10_000;

interface Bucket {
  tokens: number;
  filledAt: number;
  alarmedAt: number;
}

/** What one message did to its role's rate. */
export interface Rate {
  readonly limit: number;
  /** Until the role is below its limit again; 0 while it is. */
  readonly waitMs: number;
  /** Whether this is the moment to raise an alarm. */
  readonly alarm: boolean;
}

export class RateMeter {
  readonly #limit: RateLimit;
  /** Bounded by the roles that could authenticate and are connected, since `forget` follows. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  /** A message of this role's came. A second's worth may come at once. */
  count(role: string, now: number): Rate {
    const limit = this.#limitOf(role);
    const full = { tokens: limit, filledAt: now, alarmedAt: Number.NEGATIVE_INFINITY };
    const bucket = this.#buckets.get(role) ?? full;
    this.#buckets.set(role, bucket);
    bucket.tokens = Math.min(limit, bucket.tokens + ((now - bucket.filledAt) * limit) / 1000) - 1;
    bucket.filledAt = now;
    // What is not throttled may go on for long: its debt is no more than a second.
    bucket.tokens = Math.max(-limit, bucket.tokens);
    if (bucket.tokens >= 0) return { limit, waitMs: 0, alarm: false };
    const alarm = now - bucket.alarmedAt >= ALARM_EVERY_MS;
    if (alarm) bucket.alarmedAt = now;
    return { limit, waitMs: Math.ceil((-bucket.tokens * 1000) / limit), alarm };
  }

  /** The last instance of a role has gone. */
  forget(role: string): void {
    this.#buckets.delete(role);
  }

  #limitOf(role: string): number {
    const { roles, perSecond } = this.#limit;
    const own = roles !== undefined && Object.hasOwn(roles, role) ? roles[role] : undefined;
    return own ?? perSecond ?? DEFAULT_PER_SECOND;
  }
}
