/**
 * How fast each role sends: a bucket of tokens a role, filled at its rate. Pure: `now` is handed in.
 */
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
