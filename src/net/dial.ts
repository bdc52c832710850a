/**
 * Makes the socket of one attempt to connect: plain, TLS, or by the user's own function. Waits until it is
 * connected, within a deadline, and leaves nothing behind where it fails.
 */
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Clock } from '../clock.js';
import { NyotaError } from '../errors.js';
import { type Address, formatAddress } from './address.js';
import type { SocketLike } from './connection.js';

/** What a `createConnection` is given: the address, and every option that `net.connect` and `tls.connect` take. */
type ConnectionTarget = net.NetConnectOpts & tls.ConnectionOptions;

/**
 * Like `net.connect(options, cb)`: returns a socket (or a promise of one), connected or still connecting, or hands
 * one to the callback as `cb(error, socket)`.
 */
export type CreateConnection = (
  options: ConnectionTarget,
  callback: (error?: Error | null, socket?: Duplex) => void,
) => unknown;

/** What `net.connect` takes besides the address. */
export type TcpOptions = Pick<
  net.TcpSocketConnectOpts,
  | 'localAddress'
  | 'localPort'
  | 'family'
  | 'hints'
  | 'lookup'
  | 'noDelay'
  | 'keepAlive'
  | 'keepAliveInitialDelay'
  | 'autoSelectFamily'
  | 'autoSelectFamilyAttemptTimeout'
> & {
  timeout?: number;
  highWaterMark?: number;
  /** Taken, and without effect: a session needs both directions. */
  allowHalfOpen?: boolean;
  blockList?: net.BlockList;
  signal?: AbortSignal;
  fd?: number;
  readable?: boolean;
  writable?: boolean;
};
/** What `tls.connect` takes. */
export type TlsOptions = tls.ConnectionOptions;

export interface DialOptions {
  readonly clock: Clock;
  /** Options for `net.connect`, without the address. */
  readonly socketOptions: Readonly<Record<string, unknown>>;
  /** Options for `tls.connect`; undefined: no TLS, unless the address asks for it. */
  readonly tls: tls.ConnectionOptions | undefined;
  readonly createConnection: CreateConnection | undefined;
  /** Dialling included, TLS included. */
  readonly connectTimeoutMs: number;
  readonly signal: AbortSignal;
  /** Holds what keeps the process alive while it dials, so that `ref` and `unref` reach it. */
  readonly handles: HandleSet;
}

/** What a client's `ref` and `unref` act on. */
export interface HandleSet {
  add(handle: Refable): void;
  delete(handle: Refable): void;
}

export interface Refable {
  ref?(): unknown;
  unref?(): unknown;
}

/** Dials; without an address by the user's own function. Rejects with a NyotaError `NYOTA_CONNECT_FAILED` or `NYOTA_CONNECT_TIMEOUT`. */
export async function dial(address: Address | undefined, options: DialOptions): Promise<SocketLike> {
  const where = address === undefined ? 'createConnection' : formatAddress(address);
  let socket: SocketLike | undefined;
  let abandoned = false;
  const connecting = openSocket(address, options).then((opened) => {
    opened.on('error', ignore);
    if (abandoned) {
      opened.destroy();
      return undefined;
    }
    socket = opened;
    options.handles.add(opened);
    return untilConnected(opened);
  });
  connecting.catch(ignore);
  try {
    await withDeadline(connecting, where, options);
    return socket as unknown as SocketLike;
  } catch (error) {
    abandoned = true;
    if (socket !== undefined) options.handles.delete(socket);
    socket?.destroy();
    throw error;
  }
}

async function openSocket(address: Address | undefined, options: DialOptions): Promise<SocketLike> {
  const { createConnection } = options;
  const target = { ...options.socketOptions, ...options.tls, ...plain(address) } as ConnectionTarget;
  if (createConnection !== undefined) return openByUser(createConnection, target);
  const asked = address !== undefined && 'tls' in address ? address.tls : undefined;
  const socket =
    (asked ?? options.tls !== undefined)
      ? tls.connect({ ...defaultServername(address), ...target })
      : net.connect(target);
  // From the first moment: an error nobody listens to would end the process.
  return socket.on('error', ignore);
}

/** Certificates are checked against the name that was dialled; an IP address is no name. */
function defaultServername(address: Address | undefined): tls.ConnectionOptions {
  const host = address !== undefined && 'host' in address ? address.host : undefined;
  return host !== undefined && net.isIP(host) === 0 ? { servername: host } : {};
}

function openByUser(createConnection: CreateConnection, target: ConnectionTarget): Promise<SocketLike> {
  return new Promise((resolve, reject) => {
    const callback = (error?: Error | null, socket?: Duplex): void => {
      if (error instanceof Error) reject(error);
      else if (isSocket(socket)) resolve(socket);
    };
    Promise.resolve(createConnection(target, callback)).then((returned) => {
      if (isSocket(returned)) resolve(returned);
      else if (returned !== undefined)
        reject(new Error('createConnection returned something that is no socket'));
    }, reject);
  });
}

function isSocket(value: unknown): value is SocketLike {
  return (
    typeof value === 'object' && value !== null && 'write' in value && 'destroy' in value && 'on' in value
  );
}

/** `tls.connect` is ready at `secureConnect`, `net.connect` at `connect`; anything else is ready as it is. */
export function untilConnected(socket: SocketLike): Promise<void> {
  const ready = readyEvent(socket);
  if (ready === undefined) return Promise.resolve();
  if (socket.closed) return Promise.reject(new Error('the socket is closed'));
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      socket.off(ready, onReady);
      socket.off('error', onError);
      socket.off('close', onClose);
      act();
    };
    const onReady = (): void => settle(resolve);
    const onError = (error: Error): void => settle(() => reject(error));
    const onClose = (): void => settle(() => reject(new Error('the socket closed before it was connected')));
    socket.on(ready, onReady);
    socket.on('error', onError);
    socket.on('close', onClose);
  });
}

function readyEvent(socket: SocketLike): string | undefined {
  if (socket.destroyed) return 'connect'; // 'connect' never comes: the socket has emitted 'close', or will
  if (socket instanceof tls.TLSSocket) return socket.alpnProtocol === null ? 'secureConnect' : undefined;
  return (socket as { connecting?: boolean }).connecting === true ? 'connect' : undefined;
}

function withDeadline<T>(work: Promise<T>, where: string, options: DialOptions): Promise<T> {
  const { clock, connectTimeoutMs, signal } = options;
  return new Promise<T>((resolve, reject) => {
    const done = (act: () => void): void => {
      clock.clearTimeout(timer);
      options.handles.delete(timer);
      signal.removeEventListener('abort', onAbort);
      act();
    };
    const onAbort = (): void => done(() => reject(signal.reason));
    const timer = clock.setTimeout(() => {
      const text = `no connection to ${where} within ${connectTimeoutMs} ms`;
      done(() => reject(new NyotaError('NYOTA_CONNECT_TIMEOUT', text)));
    }, connectTimeoutMs);
    options.handles.add(timer);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    work.then(
      (value) => done(() => resolve(value)),
      (cause: unknown) => done(() => reject(connectFailed(where, cause))),
    );
  });
}

export function connectFailed(where: string, cause: unknown): NyotaError {
  const text = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new NyotaError('NYOTA_CONNECT_FAILED', `no connection to ${where}: ${text}`, { cause });
}

function plain(address: Address | undefined): Record<string, unknown> {
  if (address === undefined) return {};
  return 'path' in address
    ? { path: address.path }
    : { port: address.port, ...('host' in address ? { host: address.host } : {}) };
}

function ignore(): void {}
