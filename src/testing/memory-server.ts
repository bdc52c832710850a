/**
 * The listening side of a memory network: an emitter that behaves, and is typed, like a net.Server.
 * May import node:net (types), node:events, memory-listen, memory-connection and system-error.
 *
 *      idle ──listen()──▶ listening ──close()──▶ closing ──last connection gone──▶ idle
 */

import { EventEmitter } from 'node:events';
import type { AddressInfo, ListenOptions, Server } from 'node:net';
import type { MemorySocket } from './memory-connection.js';
import { readListenArguments } from './memory-listen.js';
import { nextTick } from './real-timers.js';
import { systemError } from './system-error.js';

/** The names that servers of one network share. */
export interface MemoryPorts {
  /** Gives `target` (0: any free port) to `server`. Undefined: it is taken. */
  bind(target: number | string, server: MemoryServer): number | string | undefined;
  release(target: number | string): void;
}

/** What a server does with each connection, as options of net.createServer say it. */
export interface MemoryServerOptions {
  /** Default false: the server's end ends when the client's does. */
  allowHalfOpen?: boolean | undefined;
  /** Default false. The connection's end starts paused. */
  pauseOnConnect?: boolean | undefined;
}

interface Bound {
  readonly target: number | string;
  readonly host: string;
}

/** Without a host a server says that it listens here: nobody outside of the process can reach it. */
const DEFAULT_HOST = '127.0.0.1';

/** A server of a memory network: give it out wherever a net.Server is taken. */
export class MemoryServer extends EventEmitter implements Server {
  readonly #ports: MemoryPorts;
  readonly #options: MemoryServerOptions;
  readonly #sockets = new Set<MemorySocket>();
  #bound: Bound | undefined;
  #closing = false;
  /** Only there because net.Server has it: a memory server takes every connection. */
  maxConnections = Number.POSITIVE_INFINITY;

  constructor(ports: MemoryPorts, options: MemoryServerOptions) {
    super();
    this.#ports = ports;
    this.#options = options;
  }

  get listening(): boolean {
    return this.#bound !== undefined;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  get allowHalfOpen(): boolean {
    return this.#options.allowHalfOpen === true;
  }

  listen(port?: number, hostname?: string, backlog?: number, listeningListener?: () => void): this;
  listen(port?: number, hostname?: string, listeningListener?: () => void): this;
  listen(port?: number, backlog?: number, listeningListener?: () => void): this;
  listen(port?: number, listeningListener?: () => void): this;
  listen(path: string, backlog?: number, listeningListener?: () => void): this;
  listen(path: string, listeningListener?: () => void): this;
  listen(options: ListenOptions, listeningListener?: () => void): this;
  listen(listeningListener: () => void): this;
  /** Every form of net.Server#listen but handles. A name that is taken: 'error' with EADDRINUSE, as on a real one. */
  listen(...given: unknown[]): this {
    const { target, host = DEFAULT_HOST, signal, callback } = readListenArguments(given);
    if (this.#bound !== undefined) {
      throw Object.assign(new Error('listen was called, and the server was not closed since'), {
        code: 'ERR_SERVER_ALREADY_LISTEN',
      });
    }
    if (callback !== undefined) this.once('listening', callback);
    const bound = this.#ports.bind(target, this);
    if (bound === undefined) {
      const where = typeof target === 'number' ? { address: host, port: target } : { address: target };
      const error = systemError('EADDRINUSE', { syscall: 'listen', ...where });
      nextTick(() => this.emit('error', error));
      return this;
    }
    this.#bound = { target: bound, host };
    this.#closing = false;
    nextTick(() => {
      if (this.#bound !== undefined) this.emit('listening');
    });
    if (signal?.aborted) this.close();
    else signal?.addEventListener('abort', () => this.close(), { once: true });
    return this;
  }

  address(): AddressInfo | string | null {
    if (this.#bound === undefined) return null;
    const { target, host } = this.#bound;
    if (typeof target === 'string') return target;
    return { address: host, family: host.includes(':') ? 'IPv6' : 'IPv4', port: target };
  }

  /** Takes no more connections, and emits 'close' when the last open one has closed. */
  close(callback?: (error?: Error) => void): this {
    if (this.#bound === undefined) {
      const error = Object.assign(new Error('Server is not running.'), { code: 'ERR_SERVER_NOT_RUNNING' });
      if (callback !== undefined) this.once('close', () => callback(error));
    } else {
      if (callback !== undefined) this.once('close', callback);
      this.#ports.release(this.#bound.target);
      this.#bound = undefined;
    }
    this.#closing = true;
    this.#closeWhenEmpty();
    return this;
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    nextTick(() => callback(null, this.#sockets.size));
    return this;
  }

  /** Nothing to hold: memory keeps no process alive. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#bound !== undefined) await new Promise<void>((resolve) => this.close(() => resolve()));
  }

  /** For the network: the server's end of a connection that has been dialled. */
  take(socket: MemorySocket): void {
    if (socket.destroyed) return; // cut before anybody saw it
    if (this.#bound === undefined) {
      socket.on('error', () => {}); // closed between the dial and now: nobody will ever listen to this end
      socket.resetAndDestroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#closing) this.#closeWhenEmpty();
    });
    if (this.#options.pauseOnConnect) socket.pause();
    this.emit('connection', socket);
  }

  #closeWhenEmpty(): void {
    nextTick(() => {
      if (!this.#closing || this.#sockets.size > 0) return;
      this.#closing = false;
      this.emit('close');
    });
  }
}
