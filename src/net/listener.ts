/**
 * The listening socket: plain, TLS, or of the user's own making. Counts what is connected, and knows when each socket
 * began, so that a handshake's deadline includes TLS.
 */
import net from 'node:net';
import tls from 'node:tls';
import type { Clock } from '../clock.js';
import type { SocketLike } from './connection.js';
import type { TlsOptions } from './dial.js';

export type { SocketLike } from './connection.js';
export type TlsServerOptions = tls.TlsOptions;
export type TlsSocket = tls.TLSSocket;
export type ListenOptions = net.ListenOptions;
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
  /** A socket, its TLS done. `since`: when its TCP connection was accepted. */
  socket(socket: SocketLike, since: number): void;
  listening(): void;
  /** A TLS handshake that failed. */
  refused(error: Error, remoteAddress: string | undefined): void;
  error(error: Error): void;
}

export class Listener {
  readonly #server: net.Server;
  readonly #options: ListenerOptions;
  /** When the TCP connections that are still in their TLS handshake were accepted, by remote address and port. */
  readonly #accepted = new Map<string, number>();
  readonly #sockets = new Set<SocketLike>();

  constructor(options: ListenerOptions, hooks: ListenerHooks) {
    this.#options = options;
    const onSocket = (socket: SocketLike): void => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      hooks.socket(socket, this.#takeAccepted(socket));
    };
    this.#server = this.#create(onSocket);
    this.#server.on('listening', () => hooks.listening());
    this.#server.on('error', (error: Error) => hooks.error(error));
    this.#server.on('tlsClientError', (error: Error, socket: SocketLike) => {
      hooks.refused(error, socket.remoteAddress);
      socket.destroy();
    });
    if (this.encrypted) this.#server.on('connection', (raw: net.Socket) => this.#noteAccepted(raw));
  }

  get encrypted(): boolean {
    return this.#server instanceof tls.Server;
  }

  get listening(): boolean {
    return this.#server.listening;
  }

  listen(args: readonly unknown[]): void {
    (this.#server.listen as (...args: unknown[]) => void)(...args);
  }

  address(): net.AddressInfo | string | null {
    return this.#server.address();
  }

  /** Takes no new connections. `done` once those that are there are closed. */
  close(done: (error?: Error) => void): void {
    this.#server.close(done);
  }

  /** Cuts every connection. */
  destroySockets(): void {
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
    if (createServer !== undefined) return createServer({ ...this.#options.tls, ...serverOptions }, onSocket);
    if (this.#options.tls === undefined) return net.createServer(serverOptions, onSocket);
    return tls.createServer(
      { handshakeTimeout: handshakeTimeoutMs, ...serverOptions, ...this.#options.tls },
      onSocket,
    );
  }

  #noteAccepted(raw: net.Socket): void {
    const key = keyOf(raw);
    this.#accepted.set(key, this.#options.clock.now());
    raw.once('close', () => this.#accepted.delete(key));
  }

  #takeAccepted(socket: SocketLike): number {
    const key = keyOf(socket);
    const since = this.#accepted.get(key) ?? this.#options.clock.now();
    this.#accepted.delete(key);
    return since;
  }
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

export type { TlsOptions };
