/**
 * The server: listens, lets clients in, and holds their sessions.
 */

import { isThenable } from '../async.js';
import type { ClockTimer } from '../clock.js';
import { encodePlain, encodePrepared, prepare } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import { type AddressInfo, isLoopback, Listener, type SocketLike } from '../net/listener.js';
import { WaitingLine } from '../net/waiting-line.js';
import { invalidOption } from '../options.js';
import { checkEventName, checkListener } from '../peer/checks.js';
import type { AnyContract, Names, SentArgs, ToClient } from '../peer/contract.js';
import { LifecycleEmitter, listenerFailed, warn } from '../peer/lifecycle-emitter.js';
import type { ServerEvents } from '../peer/lifecycle-events.js';
import type { ServerStats } from '../peer/stats.js';
import { Admission, type AdmissionHost, Refusal } from './admission.js';
import { FanOut } from './fan-out.js';
import { Registry } from './registry.js';
import { type ResolvedServerOptions, readServerOptions, type ServerOptions } from './server-options.js';
import type { Session } from './session.js';

/** Runs once for every `Session` object, before any of its events is dispatched. */
export type OnSession<C> = (session: Session<C>, resumed: boolean) => void;

/** So many times `maxUnauthenticated` connections may always wait for their turn. */
const WAITING_FACTOR = 4;
/** Which part of its deadline a handshake may wait for its turn. */
const LONGEST_WAIT = 0.75;
/** Draining sessions are closed over so long, so that their clients don't all come to the next server at once. */
const SPREAD_PER_SESSION_MS = 1;
/** How often a durable store is asked to end what nobody came back for. */
const SWEEP_INTERVAL_MS = 30_000;

export class Server<C = AnyContract> implements AsyncDisposable {
  readonly #options: ResolvedServerOptions;
  readonly #lifecycle = new LifecycleEmitter(this);
  readonly #listener: Listener;
  readonly #registry: Registry<C>;
  readonly #line: WaitingLine;
  readonly #admissions = new Set<Admission>();
  readonly #admissionHost: AdmissionHost;
  readonly #fanOut: FanOut;
  readonly #onSession: OnSession<C> | undefined;
  #refusedCount = 0;
  #state: 'new' | 'open' | 'draining' | 'closed' = 'new';
  #closing: Promise<void> | undefined;
  #warned = false;
  #sweeper: ClockTimer | undefined;

  /** Use `createServer`. */
  constructor(options: ResolvedServerOptions, onSession: OnSession<C> | undefined) {
    this.#options = options;
    this.#onSession = onSession;
    this.#fanOut = new FanOut(options.clock);
    this.#registry = new Registry<C>(options, {
      isOpen: () => this.#state === 'open',
      begun: (session, resumed) => this.#begun(session, resumed),
      report: (error) => this.#lifecycle.emit('error', error),
      misbehaved: (error, remoteAddress) => this.#lifecycle.emit('clientError', error, { remoteAddress }),
    });
    this.#admissionHost = this.#hostAdmissions();
    this.#line = this.#openLine();
    this.#listener = new Listener(
      { ...options, handshakeTimeoutMs: options.limits.handshakeTimeoutMs },
      {
        arrived: (arrival) => {
          // While it drains, a session's client may come back.
          if (this.#state === 'closed') arrival.refuse(closingError());
          else this.#line.arrive(arrival);
        },
        left: (arrival) => this.#line.leave(arrival),
        socket: (socket, since, refusal) => this.#accept(socket, since, refusal),
        listening: () => this.#onListening(),
        refused: (error, remoteAddress) => {
          this.#refused(error, remoteAddress);
          this.#line.placeFreed(false);
        },
        closed: () => this.#onClosed(),
        error: (error) => this.#lifecycle.emit('error', error),
      },
    );
  }

  /** The sessions at hand, by id, those that wait for their client included. */
  get sessions(): ReadonlyMap<string, Session<C>> {
    return this.#registry.sessions;
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
      throw new NyotaError(
        'NYOTA_INVALID_OPTION',
        `listen: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
    this.#state = 'open';
    return this;
  }

  address(): AddressInfo | string | null {
    return this.#listener.address();
  }

  on<K extends keyof ServerEvents<C>>(event: K, listener: ServerEvents<C>[K]): this {
    this.#lifecycle.listeners.on(event, checkListener(event, listener));
    return this;
  }

  once<K extends keyof ServerEvents<C>>(event: K, listener: ServerEvents<C>[K]): this {
    this.#lifecycle.listeners.once(event, checkListener(event, listener));
    return this;
  }

  /** Without a listener: all of the event. */
  off<K extends keyof ServerEvents<C>>(event: K, listener?: ServerEvents<C>[K]): this {
    this.#lifecycle.listeners.off(event, listener === undefined ? undefined : checkListener(event, listener));
    return this;
  }

  /** The same as `off`, with a listener: what `once` of `node:events` calls. */
  removeListener(event: string, listener: unknown): this {
    this.#lifecycle.listeners.off(event, checkListener(event, listener));
    return this;
  }

  /**
   * Emits an event at every session's client, encoded once. False where one of them is above its high-water mark, or
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
    return this.#fanOut.send(this.sessions.values(), body);
  }

  stats(): ServerStats {
    let connected = 0;
    for (const session of this.sessions.values()) if (session.connected) connected++;
    return {
      sessions: this.sessions.size,
      connected,
      unauthenticated: this.#unfinished + this.#line.size,
      ...this.#registry.counts,
      refused: this.#refusedCount,
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
    this.#line.clear();
    this.#fanOut.stop();
    for (const admission of [...this.#admissions]) admission.destroy();
    for (const session of [...this.sessions.values()]) session.leave();
    this.#listener.destroySockets();
    this.#closing ??= this.#stopListening().then(() => this.#closeStore());
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
    const { limits, clock } = this.#options;
    this.#refuseUnfinished();
    const sessions = [...this.sessions.values()];
    const spreadMs = Math.min(limits.drainTimeoutMs / 2, sessions.length * SPREAD_PER_SESSION_MS);
    for (const session of sessions) session.goAway(limits.drainTimeoutMs);
    await Promise.all(
      sessions.map((session, i) => {
        const waitMs = Math.floor((spreadMs * i) / sessions.length);
        const slot = (): Promise<void> =>
          waitMs === 0 ? Promise.resolve() : new Promise((resolve) => void clock.setTimeout(resolve, waitMs));
        return session.finish(closingError(), slot);
      }),
    );
    // Those that came back while the others drained, some of them from a slow store.
    for (;;) {
      const { admitting } = this.#registry;
      if (admitting === undefined && this.sessions.size === 0) break;
      await admitting;
      for (const session of [...this.sessions.values()]) await session.finish(closingError());
    }
    this.#state = 'closed';
    this.#refuseUnfinished();
    await this.#stopListening();
    await this.#closeStore();
  }

  async #closeStore(): Promise<void> {
    if (this.#sweeper !== undefined) this.#options.clock.clearTimeout(this.#sweeper);
    this.#sweeper = undefined;
    try {
      await this.#registry.ending;
      await this.#options.store.close();
    } catch (cause) {
      this.#lifecycle.emit(
        'error',
        new NyotaError('NYOTA_STORE_FAILED', 'closing the store failed', { cause }),
      );
    }
  }

  /** Ends the sessions in the store that nobody came back for, now and from time to time. */
  async #sweep(): Promise<void> {
    const { store, clock } = this.#options;
    try {
      await store.sweep(clock.now());
    } catch (cause) {
      this.#lifecycle.emit(
        'error',
        new NyotaError('NYOTA_STORE_FAILED', 'sweeping the store failed', { cause }),
      );
    }
    if (this.#state !== 'open') return;
    this.#sweeper = clock.setTimeout(() => void this.#sweep(), SWEEP_INTERVAL_MS);
    this.#sweeper.unref?.();
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

  /** Connections in their handshake, that of TLS included. */
  get #unfinished(): number {
    return this.#admissions.size + this.#listener.handshakes;
  }

  #openLine(): WaitingLine {
    const { clock, maxUnauthenticated, maxSessions, limits } = this.#options;
    return new WaitingLine({
      clock,
      hasPlace: () => this.#unfinished < maxUnauthenticated,
      // As many as would have a connection each if all sessions came back at once.
      takesMore: (waiting) =>
        waiting < WAITING_FACTOR * maxUnauthenticated ||
        this.#listener.open <= maxSessions + maxUnauthenticated,
      // Enough is left of the deadline for the handshake itself.
      longestWaitMs: LONGEST_WAIT * limits.handshakeTimeoutMs,
    });
  }

  #accept(socket: SocketLike, since: number, refusal: NyotaError | undefined): void {
    const admission = new Admission(this.#admissionHost, socket, since);
    this.#admissions.add(admission);
    // One whose TLS handshake ended while the server closed.
    const error = refusal ?? (this.#state === 'closed' ? closingError() : undefined);
    if (error !== undefined) admission.refuse(new Refusal(error));
  }

  #refuseUnfinished(): void {
    this.#line.refuseAll(closingError());
    for (const admission of [...this.#admissions]) admission.refuse(new Refusal(closingError()));
    this.#listener.destroyHandshakes();
  }

  #begun(session: Session<C>, resumed: boolean): void {
    const failed = (cause: unknown): void => this.#lifecycle.emit('error', listenerFailed('session', cause));
    try {
      const result: unknown = this.#onSession?.call(this, session, resumed);
      if (isThenable(result)) result.then(undefined, failed);
    } catch (cause) {
      failed(cause);
    }
    this.#lifecycle.emit('session', session, resumed);
  }

  #refused(error: NyotaError, remoteAddress: string | undefined): void {
    this.#refusedCount++;
    this.#lifecycle.emit('clientError', error, { remoteAddress });
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
    if (this.#options.store.durable) void this.#sweep();
    this.#lifecycle.emit('listening');
  }

  #hostAdmissions(): AdmissionHost {
    return {
      limits: this.#options.limits,
      clock: this.#options.clock,
      authenticate: this.#options.authenticate,
      unauthenticatedBytes: 0,
      admit: (connection, open, identity) => this.#registry.admit(connection, open, identity),
      refused: (error, remoteAddress) => this.#refused(error, remoteAddress),
      finished: (admission, admitted) => {
        this.#admissions.delete(admission);
        this.#line.placeFreed(admitted);
      },
    };
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
  if (typeof first === 'function') return new Server<C>(readServerOptions({}), first);
  if (typeof first === 'object') return new Server<C>(readServerOptions(first), second);
  const server = new Server<C>(readServerOptions({}), second);
  return server.listen(first);
}
