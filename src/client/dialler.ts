/**
 * Where a client connects to: its servers in turn, or the socket and the function that its user brought; and with which
 * credentials. One attempt at a time; sessions are not its business.
 */
import { NyotaError } from '../errors.js';
import type { SocketLike } from '../net/connection.js';
import { dial } from '../net/dial.js';
import type { ResolvedClientOptions } from './client-options.js';
import type { Handles } from './handle-set.js';

export class Dialler {
  readonly #options: ResolvedClientOptions;
  readonly #handles: Handles;
  /** Which of the servers is next; grows with each that failed. */
  #server = 0;
  /** For the first connection, where the user brought it. */
  #socket: SocketLike | undefined;

  constructor(options: ResolvedClientOptions, handles: Handles) {
    this.#options = options;
    this.#handles = handles;
    this.#socket = options.socket;
  }

  /** False once the user's socket is used up and there is nothing else. */
  get canDial(): boolean {
    return (
      this.#socket !== undefined ||
      this.#options.servers.length > 0 ||
      this.#options.createConnection !== undefined
    );
  }

  /** The client is over: a socket that was brought and not used yet is nobody's. */
  dispose(): void {
    this.#socket?.on('error', () => {});
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  /** The next attempt is for the next server. */
  advance(): void {
    this.#server++;
  }

  /** Anew for every attempt. Rejects with `NYOTA_AUTH_FAILED` where the user's function does. */
  async credentials(): Promise<unknown> {
    const { auth } = this.#options;
    if (typeof auth !== 'function') return auth ?? null;
    try {
      return (await auth()) ?? null;
    } catch (cause) {
      throw new NyotaError('NYOTA_AUTH_FAILED', "the client's own auth function failed", { cause });
    }
  }

  /** A connected socket. Rejects with `NYOTA_CONNECT_FAILED` or `NYOTA_CONNECT_TIMEOUT`, and advances then. */
  async open(signal: AbortSignal): Promise<SocketLike> {
    const { servers } = this.#options;
    const own = this.#socket;
    this.#socket = undefined;
    const createConnection = own === undefined ? this.#options.createConnection : (): SocketLike => own;
    // Undefined where only the user's own function knows where to.
    const address = own === undefined ? servers[this.#server % Math.max(1, servers.length)] : undefined;
    try {
      const socket = await dial(address, {
        ...this.#options,
        createConnection,
        signal,
        handles: this.#handles,
      });
      this.#handles.add(socket);
      socket.once('close', () => this.#handles.delete(socket));
      return socket;
    } catch (error) {
      this.advance();
      throw error;
    }
  }
}
