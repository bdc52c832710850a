/**
 * The server, as users see it: listens, and emits the server's events. A connection goes through the waiting line and the
 * handshake (admission.ts) to its session (sessions.ts); what goes to all sessions at once is paced by fan-out.ts.
 */
import { encodePlain, encodePrepared, prepare } from '../codec/payload.js';
import { NyotaError, textOf, warn } from '../errors.js';
import { type AddressInfo, isLoopback, Listener } from '../net/listener.js';
import { invalidOption } from '../options.js';
import type { AnyContract, Names, SentArgs, ToClient } from '../peer/contract.js';
import { checkEventName, checkListener, LifecycleEmitter } from '../peer/listeners.js';
import { Admissions } from './admission.js';
import { FanOut } from './fan-out.js';
import { type ResolvedServerOptions, readServerOptions, type ServerOptions } from './options.js';
import type { Session } from './session.js';
import { type OnSession, Sessions } from './sessions.js';

export interface ServerEvents<C = AnyContract> {
  listening: () => void;
  /** A session began, or was brought back from a store. */
  session: (session: Session<C>, resumed: boolean) => void;
  /** A connection was refused or broken off; nothing else is affected. */
  clientError: (error: NyotaError, info: { remoteAddress: string | undefined }) => void;
  error: (error: NyotaError) => void;
  close: () => void;
}

/** What a server counts. */
export interface ServerStats {
  /** Sessions held, and how many of them have a connection. */
  readonly sessions: number;
  readonly connected: number;
  /** Connections in their handshake, and those that wait for their turn to begin it. */
  readonly unauthenticated: number;
  readonly sessionsStarted: number;
  readonly sessionsResumed: number;
  readonly sessionsExpired: number;
  /** Connections that were refused, or broke off in their handshake. */
  readonly refused: number;
}

let newServer: <C>(options: ResolvedServerOptions, onSession: OnSession<C> | undefined) => Server<C>;

export class Server<C = AnyContract> implements AsyncDisposable {
  readonly #options: ResolvedServerOptions;
  readonly #lifecycle = new LifecycleEmitter(this);
  readonly #listener: Listener;
  readonly #sessions: Sessions<C>;
  readonly #admissions: Admissions<C>;
  readonly #fanOut: FanOut;
  #state: 'new' | 'open' | 'draining' | 'closed' = 'new';
  #closing: Promise<void> | undefined;
  #warned = false;

  static {
    newServer = (options, onSession) => new Server(options, onSession);
  }

  private constructor(options: ResolvedServerOptions, onSession: OnSession<C> | undefined) {
    this.#options = options;
    this.#fanOut = new FanOut(options.clock);
    this.#sessions = new Sessions(options, this.#lifecycle, onSession);
    this.#listener = new Listener(
      { ...options, handshakeTimeoutMs: options.limits.handshakeTimeoutMs },
      {
        arrived: (arrival) => this.#admissions.arrived(arrival),
        left: (arrival) => this.#admissions.left(arrival),
        socket: (socket, since, refusal) => this.#admissions.begin(socket, since, refusal),
        refused: (error, remoteAddress) => this.#admissions.tlsFailed(error, remoteAddress),
        listening: () => this.#onListening(),
        closed: () => this.#onClosed(),
        error: (error) => this.#lifecycle.emit('error', error),
      },
    );
    this.#admissions = new Admissions(options, this.#sessions, this.#lifecycle, this.#listener);
  }

  /** The sessions at hand, by id, those that wait for their client included. */
  get sessions(): ReadonlyMap<string, Session<C>> {
    return this.#sessions.held;
  }

  get listening(): boolean {
    return this.#listener.listening;
  }

  /** Takes every form that `net.Server#listen` takes. In a callback `this` is this server. */
  listen(...args: [...unknown[], callback: (this: this) => void]): this;
  listen(...args: unknown[]): this;
  listen(...args: unknown[]): this {
    if (this.#state === 'draining' || this.#state === 'closed') {
      throw new NyotaError('NYOTA_CLOSED', 'the server is closed: create a new one');
    }
    const callback = args[args.length - 1];
    const forwarded =
      typeof callback === 'function' ? [...args.slice(0, -1), () => callback.call(this)] : args;
    try {
      this.#listener.listen(forwarded);
    } catch (cause) {
      throw new NyotaError('NYOTA_INVALID_OPTION', `listen: ${textOf(cause)}`, { cause });
    }
    this.#state = 'open';
    return this;
  }

  address(): AddressInfo | string | null {
    return this.#listener.address();
  }

  on<K extends keyof ServerEvents<C>>(event: K, listener: ServerEvents<C>[K]): this {
    this.#lifecycle.on(event, checkListener(event, listener));
    return this;
  }

  once<K extends keyof ServerEvents<C>>(event: K, listener: ServerEvents<C>[K]): this {
    this.#lifecycle.once(event, checkListener(event, listener));
    return this;
  }

  /** Without a listener: all of the event. */
  off<K extends keyof ServerEvents<C>>(event: K, listener?: ServerEvents<C>[K]): this {
    this.#lifecycle.off(event, listener === undefined ? undefined : checkListener(event, listener));
    return this;
  }

  /** The same as `off`, with a listener: what `once` of `node:events` calls. */
  removeListener(event: string, listener: unknown): this {
    this.#lifecycle.off(event, checkListener(event, listener));
    return this;
  }

  /**
   * Emits an event at every session's client, encoded once. False if one of them is above its high-water mark, or
   * could not take it: that session's `error` says why.
   * @throws NyotaError what `session.send` throws for the event itself
   */
  send<K extends Names<ToClient<C>>>(event: K, ...args: SentArgs<ToClient<C>, K>): boolean {
    checkEventName(event);
    if (this.#state === 'closed') throw new NyotaError('NYOTA_CLOSED', 'the server is closed');
    const { limits } = this.#options;
    // A copy: listeners that run in between may encode something of their own.
    const body = Buffer.from(
      encodePlain([event, args], limits) ?? encodePrepared([event, prepare(args, limits, 'args', 1, 2)]),
    );
    return this.#fanOut.send(() => this.#sessions.sendShared(body));
  }

  stats(): ServerStats {
    return {
      sessions: this.sessions.size,
      connected: this.#sessions.connected,
      unauthenticated: this.#admissions.size,
      ...this.#sessions.counts,
      refused: this.#admissions.refusedCount,
    };
  }

  /**
   * Graceful: takes no new sessions, tells the clients, lets handlers and acknowledgements finish within
   * `drainTimeoutMs`, and closes the connections one after the other. Resolves once all is closed.
   */
  close(callback?: (error?: Error) => void): Promise<void> {
    this.#closing ??= this.#close();
    if (callback !== undefined) this.#closing.then(() => callback(), callback);
    return this.#closing;
  }

  /** Abrupt: every connection is cut, and every session that no durable store keeps ends, at once. */
  destroy(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#fanOut.stop();
    this.#admissions.destroy(closingError());
    this.#sessions.destroy();
    this.#listener.destroySockets();
    this.#closing ??= this.#stopListening().then(() => this.#sessions.closeStore());
  }

  /** Holds the process while it listens; the default. */
  ref(): this {
    this.#listener.ref();
    return this;
  }

  unref(): this {
    this.#listener.unref();
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'draining';
    // While it drains, a session's client may come back.
    this.#admissions.refuseAll(closingError());
    await this.#sessions.close(closingError());
    this.#state = 'closed';
    this.#admissions.close(closingError());
    await this.#stopListening();
    await this.#sessions.closeStore();
  }

  #stopListening(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#lifecycle.emit('close');
        resolve();
      };
      // A server that never listened has nothing to close.
      if (this.#listener.listening) this.#listener.close(done);
      else process.nextTick(done);
    });
  }

  /** The listening socket is closed: by us, or by the signal that `listen` was given. */
  #onClosed(): void {
    if (this.#state === 'open') void this.close();
  }

  #onListening(): void {
    const address = this.address();
    const open = this.#options.authenticate === undefined && !this.#listener.encrypted;
    if (open && !isLoopback(address) && !this.#warned) {
      this.#warned = true;
      const where =
        typeof address === 'object' && address !== null
          ? `${address.address} port ${address.port}`
          : String(address);
      warn(
        new NyotaError(
          'NYOTA_UNAUTHORIZED',
          `listening on ${where} with neither 'tls' nor 'authenticate': anybody who reaches it may connect`,
        ),
      );
    }
    this.#sessions.startSweeping();
    this.#lifecycle.emit('listening');
  }
}

function closingError(): NyotaError {
  return new NyotaError('NYOTA_SERVER_CLOSING', 'the server is closing');
}

/**
 * Makes a server, not yet listening. `onSession(session, resumed)` runs once for every session, before any of its events.
 * With a port instead of options it also listens.
 * @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes
 */
export function createServer<C = AnyContract>(onSession?: OnSession<C>): Server<C>;
export function createServer<C = AnyContract>(options: ServerOptions, onSession?: OnSession<C>): Server<C>;
export function createServer<C = AnyContract>(port: number | string, onSession?: OnSession<C>): Server<C>;
export function createServer<C = AnyContract>(
  first: ServerOptions | OnSession<C> | number | string = {},
  second?: OnSession<C>,
): Server<C> {
  if (second !== undefined && typeof second !== 'function')
    throw invalidOption('onSession', 'a function', second);
  if (typeof first === 'function') return newServer<C>(readServerOptions({}), first);
  if (typeof first === 'object') return newServer<C>(readServerOptions(first), second);
  const server = newServer<C>(readServerOptions({}), second);
  return server.listen(first);
}
