/**
 * How options are read. Clients, servers, relays, the hub and the stores each have a table: a line names an option and says how it
 * is read, and one reader goes through the table. A bad value throws `NYOTA_INVALID_OPTION` at once, with the option's name, what
 * it takes and what it got. So does a name that is not in the table, with the name that was probably meant. Nothing is corrected
 * silently. Three parts: the reader, the kinds of options, and the options that several tables share. A leaf.
 */
import { type Clock, systemClock } from './clock.js';
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

/** Reads one option: returns what is to be used, the default where nothing was given, or throws an error that has this name. */
export type Option<T> = (value: unknown, name: string) => T;
type Table = Readonly<Record<string, Option<unknown>>>;
/** A table that has every option of `O` and no other: `satisfies TableOf<…>` ties a table to the interface that users see. */
export type TableOf<O> = { readonly [K in keyof O]-?: Option<unknown> };
/** What the reader makes of a table. */
export type Values<T extends Table> = { readonly [K in keyof T]: ReturnType<T[K]> };

/**
 * Reads the options of a table, and refuses others.
 * @param within the option that these are parts of, if they are: errors then say `within.name`
 */
export function readOptions<T extends Table>(options: unknown, table: T, within = ''): Values<T> {
  if (!isObject(options)) throw invalidOption(within || 'options', 'an object', options);
  refuseUnknown(options, table, within);
  return readValues(options, table, within);
}

/**
 * Reads what a client or a server is given: limits, its own options, and others that go on to `net`.
 * @param others those that `net` takes
 * @param standIn the option with a function that is called instead of `net`: if it is given, unknown options are for that function
 */
export function readWithOthers<T extends Table>(options: unknown, own: T, others: Table, standIn: keyof T) {
  if (!isObject(options)) throw invalidOption('options', 'an object', options);
  const ours = { ...LIMITS, ...own };
  if ((options as { [K in keyof T]?: unknown })[standIn] === undefined) {
    refuseUnknown(options, { ...ours, ...others });
  }
  readValues(options, others);
  const rest = Object.entries(options).filter(([name]) => !Object.hasOwn(ours, name));
  return {
    limits: readLimits(options),
    own: readValues(options, own),
    others: Object.freeze(Object.fromEntries(rest)),
  };
}

function readValues<T extends Table>(options: object, table: T, within = ''): Values<T> {
  const given = options as Readonly<Record<string, unknown>>;
  const values: Record<string, unknown> = {};
  for (const name in table) values[name] = table[name]?.(given[name], partOf(within, name));
  return Object.freeze(values) as Values<T>;
}

/** A misspelt limit would otherwise silently be the default. */
function refuseUnknown(options: object, table: object, within = ''): void {
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(table, name)) continue;
    const near = nearest(name, Object.keys(table));
    const hint = near === undefined ? '' : `; did you mean '${partOf(within, near)}'?`;
    const text = `there is no option '${partOf(within, printable(name))}'${hint}`;
    throw new NyotaError('NYOTA_INVALID_OPTION', text);
  }
}

function partOf(option: string, name: string): string {
  return option === '' ? name : `${option}.${name}`;
}

/** A variable of the environment. One that is set to nothing is not set. */
export function variable(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return env[name] === '' ? undefined : env[name];
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

function nearest(name: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(4, Math.ceil(name.length / 2));
  for (const candidate of names) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's: how many letters must be inserted, left out or replaced to turn one into the other. */
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

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// The kinds of options. The default is undefined where it is left out.

/** Reads a T, or the default `D`, whose type comes from the default alone. */
export type OrDefault<T, D> = Option<T | NoInfer<D>>;

/** Any kind. `accept` returns what a value stands for, or undefined for one that is refused. */
export function option<T, D = undefined>(
  takes: string,
  accept: (value: unknown) => T | undefined,
  fallback?: D,
): OrDefault<T, D> {
  return (value, name) => {
    if (value === undefined) return fallback as D;
    const accepted = accept(value);
    if (accepted === undefined) throw invalidOption(name, takes, value);
    return accepted;
  };
}

/** A value that is used as it is. The caller names its type, since no check is complete. */
export function value<T, D = undefined>(
  takes: string,
  fits: (value: unknown) => boolean,
  fallback?: D,
): OrDefault<T, D> {
  return option(takes, (given) => (fits(given) ? (given as T) : undefined), fallback);
}

/** Anything: it is checked elsewhere, or can't be wrong. */
export function anything<T = unknown>(): Option<T> {
  return (given) => given as T;
}

/** Node's timers hold 31 bits of milliseconds; anything longer would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Milliseconds. */
export function ms<D>(fallback: D, min = 1): OrDefault<number, D> {
  return whole(fallback, min, MAX_TIMER_MS, 'milliseconds');
}

export function bytes<D>(fallback: D, min: number, max = Number.MAX_SAFE_INTEGER): OrDefault<number, D> {
  return whole(fallback, min, max, 'bytes');
}

export function count<D>(fallback: D, min = 1, max = 2 ** 32 - 1): OrDefault<number, D> {
  return whole(fallback, min, max, 'a count');
}

function whole<D>(fallback: D, min: number, max: number, unit: string): OrDefault<number, D> {
  const fits = (given: unknown): boolean => Number.isInteger(given) && isWithin(given, min, max);
  return value<number, D>(`a whole number from ${min} to ${max} (${unit})`, fits, fallback);
}

export function isWithin(given: unknown, min: number, max: number): boolean {
  return typeof given === 'number' && given >= min && given <= max;
}

/** A port, as a number or as text. */
export function port<D = undefined>(fallback?: D, min = 0): OrDefault<number, D> {
  return option(`a port from ${min} to ${MAX_PORT}`, (given) => toPort(given, min), fallback);
}

const MAX_PORT = 65_535;

/** The port that a value stands for, or undefined. */
export function toPort(given: unknown, min = 0): number | undefined {
  const number = typeof given === 'string' && /^\s*\d+\s*$/.test(given) ? Number(given) : given;
  return Number.isInteger(number) && isWithin(number, min, MAX_PORT) ? (number as number) : undefined;
}

export function host<D = undefined>(fallback?: D): OrDefault<string, D> {
  return value<string, D>('a host name or an IP address', isText, fallback);
}

export function isText(given: unknown): given is string {
  return typeof given === 'string' && given !== '';
}

export function flag<D = undefined>(fallback?: D): OrDefault<boolean, D> {
  return value<boolean, D>('true or false', (given) => typeof given === 'boolean', fallback);
}

/** Its type can't be checked at run time. */
export function fn<T, D = undefined>(fallback?: D): OrDefault<T, D> {
  return value<T, D>('a function', (given) => typeof given === 'function', fallback);
}

/** A secret: an error does not show what it got, which may be the secret in a wrong form. */
export function secret<T>(takes: string, fits: (given: unknown) => boolean): Option<T> {
  return (given, name) => {
    if (fits(given)) return given as T;
    throw new NyotaError('NYOTA_INVALID_OPTION', `option '${name}' takes ${takes}`);
  };
}

// The options that several parts share.

export const clock = value<Clock, Clock>(
  'an object with now, setTimeout and clearTimeout',
  (given) => {
    const { now, setTimeout, clearTimeout } = (given ?? {}) as Partial<Clock>;
    return [now, setTimeout, clearTimeout].every((member) => typeof member === 'function');
  },
  systemClock,
);

export const signal = value<AbortSignal>('an AbortSignal', (given) => given instanceof AbortSignal);

/** For connections that go out. Undefined: no TLS. */
export function clientTls<T extends object>(): Option<T | undefined> {
  const options = option('true, or options of tls.connect', (given) =>
    given === true ? ({} as T) : isObject(given) ? (given as T) : undefined,
  );
  return (given, name) => options(given === false ? undefined : given, name);
}

/** For connections that come in. */
export function serverTls<T extends object>(): Option<T | undefined> {
  return value<T>('options of tls.createServer', isObject);
}

/** The back-off: how long a client waits before its next attempt to connect. */
export interface ReconnectOptions {
  /** The ceiling of the first delay, in ms. Default 100. */
  minDelayMs: number;
  /** No delay is longer. Default 30 000. */
  maxDelayMs: number;
  /** By how much the ceiling grows with each attempt. Default 2. */
  factor: number;
  /** `full`: anything from 0 to the ceiling; `none`: the ceiling itself. Default `full`. */
  jitter: 'full' | 'none';
}

/**
 * A back-off, of which a part may be given. A `minDelayMs` above the default of `maxDelayMs` raises that.
 * @param within as for `readOptions`
 */
export function readBackOff(given: unknown, defaults: ReconnectOptions, within = ''): ReconnectOptions {
  const isFactor = (factor: unknown): boolean => isWithin(factor, 1, 100);
  const isJitter = (jitter: unknown): boolean => jitter === 'full' || jitter === 'none';
  const table = {
    minDelayMs: ms(defaults.minDelayMs),
    maxDelayMs: ms(undefined),
    factor: value<number, number>('a number from 1 to 100', isFactor, defaults.factor),
    jitter: value<'full' | 'none', 'full' | 'none'>("'full' or 'none'", isJitter, defaults.jitter),
  } satisfies TableOf<ReconnectOptions>;
  const { minDelayMs, maxDelayMs: longest, factor, jitter } = readOptions(given, table, within);
  const maxDelayMs = longest ?? Math.max(minDelayMs, defaults.maxDelayMs);
  if (maxDelayMs >= minDelayMs) return Object.freeze({ minDelayMs, maxDelayMs, factor, jitter });
  throw invalidOption(partOf(within, 'maxDelayMs'), `at least minDelayMs (${minDelayMs})`, maxDelayMs);
}

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

const KIB = 1024;
const MIB = 1024 * KIB;

export const LIMITS = {
  maxFrameBytes: bytes(MIB, MIN_FRAME_BYTES, MAX_FRAME_BYTES_LIMIT),
  maxOutboxBytes: bytes(16 * MIB, KIB),
  maxOutboxFrames: count(65_536),
  highWaterBytes: bytes(MIB, 1),
  handshakeTimeoutMs: ms(10_000),
  pingIntervalMs: ms(15_000),
  pingTimeoutMs: ms(10_000),
  requestTimeoutMs: ms(30_000),
  maxRunningHandlers: count(1_024),
  settleTimeoutMs: ms(30_000),
  drainTimeoutMs: ms(10_000, 0),
  maxDepth: count(DEFAULT_DEPTH, MIN_DEPTH, MAX_DEPTH),
  maxValues: count(DEFAULT_VALUES, MIN_VALUES),
  stallTimeoutMs: ms(30_000),
} satisfies TableOf<LimitOptions>;

/** The limits among other options. */
export function readLimits(options: LimitOptions): Limits {
  return readValues(options, LIMITS);
}
