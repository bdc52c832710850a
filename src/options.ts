/**
 * The limits that both sides share: defaults, validation, frozen result. A leaf.
 * Bad values throw at once, naming the option and what it takes; nothing is corrected silently.
 */
import { NyotaError, printable } from './errors.js';
import {
  DEFAULT_DEPTH,
  DEFAULT_VALUES,
  MAX_DEPTH,
  MAX_FRAME_BYTES_LIMIT,
  MIN_DEPTH,
  MIN_FRAME_BYTES,
  MIN_VALUES,
} from './wire/constants.js';

/** Options of both sides. Times are milliseconds, sizes are bytes. */
export interface LimitOptions {
  /** Largest frame this side accepts; the smaller of both sides' holds. Default 1 MiB, at most 16 MiB. */
  maxFrameBytes?: number;
  /** Unacknowledged bytes a session may hold; above it `send` throws `NYOTA_OUTBOX_FULL`. Default 16 MiB. */
  maxOutboxBytes?: number;
  /** Unacknowledged messages a session may hold; above it `send` throws `NYOTA_OUTBOX_FULL`. Default 65 536. */
  maxOutboxFrames?: number;
  /** Above so many unacknowledged bytes `send` returns false, until `drain`. Default 1 MiB. */
  highWaterBytes?: number;
  /** From the first byte to a finished handshake, TLS included. Default 10 000. */
  handshakeTimeoutMs?: number;
  /** How often this side asks for a sign of life. Default 15 000. */
  pingIntervalMs?: number;
  /** How long it then waits before it takes the connection for dead. Default 10 000. */
  pingTimeoutMs?: number;
  /** How long a request waits for its reply unless `with({ timeoutMs })` says otherwise. Default 30 000. */
  requestTimeoutMs?: number;
  /** Handlers and listeners of one session that may be running at once; above it nothing more is dispatched. Default 1 024. */
  maxRunningHandlers?: number;
  /** A listener that takes longer counts as settled for the acknowledgement, and is reported. Default 30 000. */
  settleTimeoutMs?: number;
  /** How long `close` and `disconnect` wait for what is queued. Default 10 000. */
  drainTimeoutMs?: number;
  /** Nested containers in one payload. Default 64. */
  maxDepth?: number;
  /** Values in one payload, keys included. Default 65 536. */
  maxValues?: number;
  /** A frame that stays partial, or written bytes that the other side doesn't read, for so long: the connection is closed. Default 30 000. */
  stallTimeoutMs?: number;
}

/** The limits, all of them present. */
export type Limits = Readonly<Required<LimitOptions>>;

interface NumberRule {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly unit: 'ms' | 'bytes' | 'count';
}

const KIB = 1024;
const MIB = 1024 * KIB;
/** Node's timers hold 31 bits of milliseconds; anything longer would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

const ms = (fallback: number, min = 1): NumberRule => ({ fallback, min, max: MAX_TIMER_MS, unit: 'ms' });
const bytes = (fallback: number, min: number, max: number): NumberRule => ({
  fallback,
  min,
  max,
  unit: 'bytes',
});
const count = (fallback: number, min = 1): NumberRule => ({ fallback, min, max: 2 ** 32 - 1, unit: 'count' });

const RULES: { readonly [K in keyof Limits]: NumberRule } = {
  maxFrameBytes: bytes(MIB, MIN_FRAME_BYTES, MAX_FRAME_BYTES_LIMIT),
  maxOutboxBytes: bytes(16 * MIB, KIB, Number.MAX_SAFE_INTEGER),
  maxOutboxFrames: count(65_536),
  highWaterBytes: bytes(MIB, 1, Number.MAX_SAFE_INTEGER),
  handshakeTimeoutMs: ms(10_000),
  pingIntervalMs: ms(15_000),
  pingTimeoutMs: ms(10_000),
  requestTimeoutMs: ms(30_000),
  maxRunningHandlers: count(1_024),
  settleTimeoutMs: ms(30_000),
  drainTimeoutMs: ms(10_000, 0),
  maxDepth: { fallback: DEFAULT_DEPTH, min: MIN_DEPTH, max: MAX_DEPTH, unit: 'count' },
  maxValues: count(DEFAULT_VALUES, MIN_VALUES),
  stallTimeoutMs: ms(30_000),
};

export const LIMIT_NAMES: readonly string[] = Object.keys(RULES);

/** Reads the limits out of a user's options, with the defaults for those that are missing. */
export function readLimits(options: LimitOptions): Limits {
  const limits: Record<string, number> = {};
  for (const [name, rule] of Object.entries(RULES)) {
    limits[name] = readNumber(name, options[name as keyof LimitOptions], rule);
  }
  return Object.freeze(limits) as Limits;
}

/** A number option on its own, by the same rules. */
export function readMs(name: string, value: unknown, fallback: number, min = 1): number {
  return readNumber(name, value, ms(fallback, min));
}

export function readCount(name: string, value: unknown, fallback: number, min = 1): number {
  return readNumber(name, value, count(fallback, min));
}

function readNumber(name: string, value: unknown, rule: NumberRule): number {
  if (value === undefined) return rule.fallback;
  const whole = typeof value === 'number' && Number.isInteger(value);
  if (!whole || value < rule.min || value > rule.max) {
    const unit = rule.unit === 'ms' ? 'milliseconds' : rule.unit === 'bytes' ? 'bytes' : 'a count';
    throw invalidOption(name, `a whole number from ${rule.min} to ${rule.max} (${unit})`, value);
  }
  return value;
}

export function readBoolean(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean') throw invalidOption(name, 'true or false', value);
  return value;
}

/** A function, or undefined where there is none. The caller names the type, which can't be checked at run time. */
export function readFunction<T>(name: string, value: T | undefined): T | undefined {
  if (value !== undefined && typeof value !== 'function') throw invalidOption(name, 'a function', value);
  return value;
}

/** The one text of a bad option: which, what it takes, what it got. */
export function invalidOption(name: string, takes: string, got: unknown): NyotaError {
  return new NyotaError('NYOTA_INVALID_OPTION', `option '${name}' takes ${takes}, not ${describeValue(got)}`);
}

export function describeValue(value: unknown): string {
  if (typeof value === 'string') return `'${printable(value)}'`;
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'symbol') return 'a symbol';
  return typeof value === 'bigint' ? `${value}n` : String(value);
}

/** Refuses names that no option has: a misspelt limit would otherwise silently be the default. */
export function refuseUnknown(options: object, known: ReadonlySet<string>): void {
  for (const name of Object.keys(options)) {
    if (known.has(name)) continue;
    const near = nearest(name, known);
    const hint = near === undefined ? '' : `; did you mean '${near}'?`;
    throw new NyotaError('NYOTA_INVALID_OPTION', `there is no option '${printable(name)}'${hint}`);
  }
}

function nearest(name: string, known: ReadonlySet<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(4, Math.ceil(name.length / 2));
  for (const candidate of known) {
    const d = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
