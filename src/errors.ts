/**
 * NyotaError and every code that nyota reports; and what was thrown, as an error, a text and a warning. A leaf: imports nothing.
 *
 * Codes are stable and meant to be matched on; texts are for people and may change.
 * docs/errors.md lists what causes each and what to do; a test holds the two lists together.
 */

/**
 * What a caller may usefully do next:
 * - `never`: the same call or connection fails again until something else changes
 * - `new-session`: this session is over; a new one works
 * - `backoff`: try again, later and later
 * - `elsewhere`: try again at another server, or here after a pause
 */
export type Retry = 'never' | 'new-session' | 'backoff' | 'elsewhere';

/** Every code, with the `retry` that goes with it. */
export const ERROR_CODES = {
  // What the caller handed in.
  NYOTA_INVALID_OPTION: 'never',
  NYOTA_INVALID_ARGUMENT: 'never',
  NYOTA_RESERVED_EVENT: 'never',
  NYOTA_UNSERIALIZABLE: 'never',
  NYOTA_PAYLOAD_TOO_COMPLEX: 'never',
  NYOTA_FRAME_TOO_LARGE: 'never',
  NYOTA_HANDLER_EXISTS: 'never',
  NYOTA_READ_ONLY_KEY: 'never',
  NYOTA_STORE_LIMIT: 'never',
  NYOTA_STORE_CONFLICT: 'never',
  NYOTA_CLOSED: 'never',
  // What happened to a message or a request.
  NYOTA_OUTBOX_FULL: 'backoff',
  NYOTA_NOT_CONNECTED: 'backoff',
  NYOTA_EXPIRED: 'never',
  NYOTA_NO_HANDLER: 'never',
  NYOTA_TIMEOUT: 'backoff',
  NYOTA_ABORTED: 'never',
  NYOTA_SESSION_LOST: 'new-session',
  NYOTA_LISTENER_FAILED: 'never',
  NYOTA_SETTLE_TIMEOUT: 'never',
  // Why a connection could not be made, or ended.
  NYOTA_CONNECT_FAILED: 'backoff',
  NYOTA_CONNECT_TIMEOUT: 'backoff',
  NYOTA_AUTH_FAILED: 'backoff',
  NYOTA_HANDSHAKE_TIMEOUT: 'backoff',
  NYOTA_CONNECTION_LOST: 'backoff',
  NYOTA_PING_TIMEOUT: 'backoff',
  NYOTA_STALLED: 'backoff',
  NYOTA_BAD_PREAMBLE: 'backoff',
  NYOTA_PROTOCOL_ERROR: 'backoff',
  NYOTA_PAYLOAD_REFUSED: 'backoff',
  NYOTA_UNKNOWN_FRAME: 'backoff',
  NYOTA_SEQUENCE_GAP: 'backoff',
  NYOTA_CONTROL_FLOOD: 'backoff',
  NYOTA_SERVER_BUSY: 'backoff',
  NYOTA_STORE_FAILED: 'backoff',
  NYOTA_INTERNAL: 'backoff',
  NYOTA_TOO_MANY_SESSIONS: 'elsewhere',
  NYOTA_SERVER_CLOSING: 'elsewhere',
  NYOTA_VERSION_MISMATCH: 'never',
  NYOTA_UNAUTHORIZED: 'never',
  NYOTA_TAKEN_OVER: 'never',
  NYOTA_DISCONNECTED: 'never',
  NYOTA_SESSION_CLOSED: 'never',
  // Why a session ended.
  NYOTA_SESSION_EXPIRED: 'new-session',
  NYOTA_SESSION_UNKNOWN: 'new-session',
  NYOTA_SESSION_INVALIDATED: 'new-session',
  NYOTA_DIVERGED: 'new-session',
} as const satisfies Record<string, Retry>;

/** A stable error code. */
export type ErrorCode = keyof typeof ERROR_CODES;

export interface NyotaErrorOptions {
  cause?: unknown;
  /** Instead of the one that goes with the code: a peer may know better. */
  retry?: Retry;
  /** Milliseconds to wait before the next attempt, where the other side asked for it. */
  retryAfterMs?: number;
}

/** The one error class of nyota. Tell errors apart by `code`, never by their text. */
export class NyotaError extends Error {
  override readonly name = 'NyotaError';
  readonly code: ErrorCode;
  readonly retry: Retry;
  /** Milliseconds that the other side asked to wait; undefined where it did not. */
  readonly retryAfterMs?: number;

  constructor(code: ErrorCode, message: string, options: NyotaErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retry = options.retry ?? ERROR_CODES[code];
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CODES, value);
}

/** What was thrown, as an Error: anything can be thrown. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(textOf(thrown), { cause: thrown });
}

/** What was thrown, as a text, also where it has none. */
export function textOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  try {
    return String(thrown);
  } catch {
    return 'something that has no text';
  }
}

/**
 * A process warning: told once to whoever watches the process, and never a crash.
 * @param code where the error has none of nyota's own
 */
export function warn(error: unknown, type = 'NyotaWarning', code = 'NYOTA_INTERNAL'): void {
  process.emitWarning(textOf(error), { type, code: error instanceof NyotaError ? error.code : code });
}

const RETRIES: readonly string[] = ['never', 'new-session', 'backoff', 'elsewhere'];

export function isRetry(value: unknown): value is Retry {
  return typeof value === 'string' && RETRIES.includes(value);
}

const MAX_PRINTED = 120;

/** Text that came from the wire, fit for a log line: control characters escaped, cut at 120 characters. */
export function printable(text: string): string {
  const cut = text.length > MAX_PRINTED ? `${text.slice(0, MAX_PRINTED)}…` : text;
  return JSON.stringify(cut)
    .slice(1, -1)
    .replace(/[\u007f-\u009f\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
