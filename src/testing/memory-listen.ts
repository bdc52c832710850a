/** The arguments of net.Server#listen, all forms of it, read once. May import system-error only. */

/** Where to listen: a port (0: any free one) or a path. */
export interface ListenRequest {
  readonly target: number | string;
  readonly host: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly callback: (() => void) | undefined;
}

/** `listen(options)`, as net.Server takes it; what has no meaning in memory is taken and not looked at. */
interface ListenFields {
  port?: unknown;
  path?: unknown;
  host?: unknown;
  signal?: unknown;
}

function codeError(ErrorClass: new (text: string) => Error, code: string, text: string): Error {
  return Object.assign(new ErrorClass(text), { code });
}

function readPort(port: unknown): number {
  if (port === undefined || port === null) return 0;
  const value = typeof port === 'string' && port.trim() !== '' ? Number(port) : port;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 65_536) return value;
  const given = typeof port === 'string' ? JSON.stringify(port) : String(port);
  throw codeError(RangeError, 'ERR_SOCKET_BAD_PORT', `port should be from 0 to 65535, not ${given}`);
}

function isPath(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && Number.isNaN(Number(value));
}

function readFields(fields: ListenFields): Omit<ListenRequest, 'callback'> {
  const signal = fields.signal instanceof AbortSignal ? fields.signal : undefined;
  if (fields.port === undefined && isPath(fields.path)) {
    return { target: fields.path, host: undefined, signal };
  }
  if (!('port' in fields)) {
    throw codeError(
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      'listen takes a port or a path: a memory network has no handles and no file descriptors',
    );
  }
  return {
    target: readPort(fields.port),
    host: typeof fields.host === 'string' ? fields.host : undefined,
    signal,
  };
}

/** Reads what `listen` was called with. Throws what net.Server throws for a bad port or bad options. */
export function readListenArguments(given: readonly unknown[]): ListenRequest {
  const last = given.at(-1);
  const callback = typeof last === 'function' ? (last as () => void) : undefined;
  const [first, second] = callback === undefined ? given : given.slice(0, -1);
  if (typeof first === 'object' && first !== null) return { ...readFields(first), callback };
  if (isPath(first)) return { ...readFields({ path: first }), callback };
  return { ...readFields({ port: first, host: second }), callback };
}
