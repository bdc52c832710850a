/**
 * The listening socket: plain, TLS, or of the user's own making. Counts what is connected, and knows when each socket
 * began, so that a handshake's deadline includes TLS.
 */
import net from 'node:net';
import tls from 'node:tls';
import type { Clock, ClockTimer } from '../clock.js';
import { NyotaError, textOf } from '../errors.js';
import { invalidOption } from '../options.js';
import type { SocketLike } from './connection.js';
import { withBacklog } from './listen-arguments.js';
import type { Arrival } from './waiting-line.js';

export type { SocketLike } from './connection.js';
export type TlsServerOptions = tls.TlsOptions;
export type TlsSocket = tls.TLSSocket;
export type AddressInfo = net.AddressInfo;

/** A function like `net.createServer(options, onConnection)` or `tls.createServer`. */
export type CreateServer = (
  options: net.ServerOpts & tls.TlsOptions,
  onConnection: (socket: net.Socket) => void,
) => net.Server;

export interface ListenerOptions {
  readonly clock: Clock;
  /** Options for `net.createServer`, and those that a user's own function may want. */
  readonly serverOptions: Readonly<Record<string, unknown>>;
  readonly tls: TlsServerOptions | undefined;
  readonly createServer: CreateServer | undefined;
  readonly handshakeTimeoutMs: number;
}

export interface ListenerHooks {
  /** A TCP connection was accepted. Nothing is read of it until it is told to begin. */
  arrived(arrival: Arrival): void;
  /** It is gone before it began. */
  left(arrival: Arrival): void;
  /**
   * A socket whose TLS handshake, if any, is done. `since`: when its TCP connection was accepted. `refusal`: refuse it for
   * that.
   */
  socket(socket: SocketLike, since: number, refusal: NyotaError | undefined): void;
  listening(): void;
  /** A connection that ended before its TLS handshake was finished. */
  refused(error: NyotaError, remoteAddress: string | undefined): void;
  error(error: Error): void;
  /** The listening socket is closed, by whoever. */
  closed(): void;
}

/** A TCP connection whose TLS handshake goes on. */
interface Handshake {
  readonly raw: net.Socket;
  readonly since: number;
  readonly timer: ClockTimer;
}

export class Listener {
  readonly #server: net.Server;
  readonly #options: ListenerOptions;
  readonly #hooks: ListenerHooks;
  /** Keyed by remote address and port, since a TLS socket does not say which raw socket it is on. */
  readonly #handshakes = new Map<string, Handshake>();
  /** All open sockets. For a connection with TLS this is the raw socket until the TLS handshake is done. */
  readonly #sockets = new Set<SocketLike>();
  /** Connections that wait for their turn. */
  readonly #arrivals = new Map<SocketLike, Arrival>();

  /** @throws NyotaError `NYOTA_INVALID_OPTION` for TLS options, or a `createServer`, that make no server */
  constructor(options: ListenerOptions, hooks: ListenerHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#server = this.#create((socket) => {
      if (this.encrypted) this.#secured(socket);
      else this.#arrived(socket, (since, refusal) => hooks.socket(socket, since, refusal));
    });
    this.#server.on('listening', () => hooks.listening());
    this.#server.on('error', (error: Error) => hooks.error(error));
    this.#server.on('close', () => hooks.closed());
    if (this.encrypted) {
      this.#deferHandshakes();
      this.#server.on('tlsClientError', (error: Error, socket: SocketLike) => {
        this.#handshakeFailed(keyOf(socket), error);
        socket.destroy();
      });
    }
  }

  /** Connections in their TLS handshake. */
  get handshakes(): number {
    return this.#handshakes.size;
  }

  /** All open connections, in whatever state. */
  get open(): number {
    return this.#sockets.size;
  }

  get encrypted(): boolean {
    return this.#server instanceof tls.Server;
  }

  get listening(): boolean {
    return this.#server.listening;
  }

  listen(args: readonly unknown[]): void {
    (this.#server.listen as (...args: unknown[]) => void)(...withBacklog(args));
  }

  address(): net.AddressInfo | string | null {
    return this.#server.address();
  }

  /** Takes no new connections. `done` once those that are there are closed. */
  close(done: (error?: Error) => void): void {
    this.#server.close(done);
  }

  /** Cuts the connections that are still in their TLS handshake. */
  destroyHandshakes(): void {
    for (const { raw } of this.#handshakes.values()) raw.destroy();
  }

  /** Cuts every connection. */
  destroySockets(): void {
    this.destroyHandshakes();
    for (const socket of this.#sockets) socket.destroy();
  }

  ref(): void {
    this.#server.ref();
  }

  unref(): void {
    this.#server.unref();
  }

  #create(onSocket: (socket: SocketLike) => void): net.Server {
    const { serverOptions, createServer, handshakeTimeoutMs } = this.#options;
    const options = { ...serverOptions, ...this.#options.tls };
    if (createServer !== undefined) {
      const server: unknown = createServer(options, onSocket);
      if (isServer(server)) return server;
      throw invalidOption('createServer', 'a function that returns a server', server);
    }
    const unread = { pauseOnConnect: true };
    if (this.#options.tls === undefined) return net.createServer({ ...serverOptions, ...unread }, onSocket);
    try {
      // Our own timer keeps the deadline, on the clock that was handed in. Node's is there in case ours fails.
      return tls.createServer({ handshakeTimeout: 2 * handshakeTimeoutMs, ...options, ...unread }, onSocket);
    } catch (cause) {
      const text = textOf(cause);
      throw new NyotaError(
        'NYOTA_INVALID_OPTION',
        `option 'tls' takes options of tls.createServer: ${text}`,
        { cause },
      );
    }
  }

  #arrived(socket: SocketLike, act: (since: number, refusal: NyotaError | undefined) => void): void {
    const since = this.#options.clock.now();
    const settle = (refusal: NyotaError | undefined): void => {
      this.#arrivals.delete(socket);
      act(since, refusal);
    };
    const arrival: Arrival = {
      // A server of the user's own may have begun to read it.
      mayWait: socket.isPaused(),
      begin: () => settle(undefined),
      refuse: settle,
    };
    this.#track(socket);
    this.#arrivals.set(socket, arrival);
    this.#hooks.arrived(arrival);
    if (this.#arrivals.has(socket)) socket.on('error', ignore);
  }

  #track(socket: SocketLike): void {
    this.#sockets.add(socket);
    socket.on('close', this.#onClose);
  }

  /** One function for all sockets; each calls it with itself as `this`. */
  readonly #onClose = bound(this, (listener: Listener, socket: SocketLike): void => {
    listener.#sockets.delete(socket);
    const arrival = listener.#arrivals.get(socket);
    if (arrival === undefined) return;
    listener.#arrivals.delete(socket);
    listener.#hooks.left(arrival);
  });

  /**
   * Takes the server's own 'connection' listener, which begins the TLS handshake, and calls it when the connection's turn has
   * come.
   */
  #deferHandshakes(): void {
    const server = this.#server;
    const handshake = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (raw: net.Socket) =>
      this.#arrived(raw, (since, refusal) => {
        if (refusal !== undefined) {
          raw.on('error', ignore);
          raw.destroy();
          this.#hooks.refused(refusal, raw.remoteAddress);
          return;
        }
        this.#beginHandshake(raw, since);
        for (const begin of handshake) begin.call(server, raw);
      }),
    );
  }

  #beginHandshake(raw: net.Socket, since: number): void {
    const { clock, handshakeTimeoutMs } = this.#options;
    const key = keyOf(raw);
    const timer = clock.setTimeout(
      () => {
        const text = `no finished TLS handshake within ${handshakeTimeoutMs} ms`;
        this.#handshakeFailed(key, new NyotaError('NYOTA_HANDSHAKE_TIMEOUT', text));
        raw.destroy();
      },
      Math.max(0, since + handshakeTimeoutMs - clock.now()),
    );
    timer.unref?.();
    this.#handshakes.set(key, { raw, since, timer });
    raw.once('close', () => this.#handshakeFailed(key, new Error('the connection closed')));
  }

  #secured(socket: SocketLike): void {
    const handshake = this.#endHandshake(keyOf(socket));
    if (handshake !== undefined) this.#sockets.delete(handshake.raw);
    this.#track(socket);
    this.#hooks.socket(socket, handshake?.since ?? this.#options.clock.now(), undefined);
  }

  /** Reports a failed TLS handshake, once. */
  #handshakeFailed(key: string, error: Error): void {
    const handshake = this.#endHandshake(key);
    if (handshake === undefined) return;
    const text = `a TLS handshake failed: ${error.message}`;
    const known =
      error instanceof NyotaError ? error : new NyotaError('NYOTA_CONNECTION_LOST', text, { cause: error });
    this.#hooks.refused(known, handshake.raw.remoteAddress);
  }

  #endHandshake(key: string): Handshake | undefined {
    const handshake = this.#handshakes.get(key);
    if (handshake === undefined) return undefined;
    this.#handshakes.delete(key);
    this.#options.clock.clearTimeout(handshake.timer);
    return handshake;
  }
}

/** Makes a listener that is handed its owner and the socket that it was called on. */
function bound<T>(owner: T, listener: (owner: T, socket: SocketLike) => void): (this: SocketLike) => void {
  return function (this: SocketLike): void {
    listener(owner, this);
  };
}

function ignore(): void {}

function isServer(value: unknown): value is net.Server {
  if (typeof value !== 'object' || value === null) return false;
  const { listen, on, close } = value as Partial<net.Server>;
  return typeof listen === 'function' && typeof on === 'function' && typeof close === 'function';
}

/** Unique among the sockets that are open at a time. */
function keyOf(socket: SocketLike): string {
  return `${socket.remoteAddress}|${(socket as { remotePort?: number }).remotePort}`;
}

/** The TLS socket behind a connection; undefined for a plain one. */
export function tlsSocketOf(socket: SocketLike): TlsSocket | undefined {
  return socket instanceof tls.TLSSocket ? socket : undefined;
}

/** True for an address that only this machine can reach. */
export function isLoopback(address: net.AddressInfo | string | null): boolean {
  if (address === null || typeof address === 'string') return true;
  const { address: host } = address;
  return host === '::1' || host.startsWith('127.') || host.startsWith('::ffff:127.');
}
