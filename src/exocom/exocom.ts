/**
 * ExoCom, the hub, as its users see it: listens for relays on a nyota server, carries out over their sessions what the exchange
 * decides (exchange.ts), and tells its operator: events, figures, a monitor port.
 */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'eventemitter3';
import { asError, textOf } from '../errors.js';
import {
  type DeliveredEnvelope,
  type MessageRef,
  type Rejection,
  type RelayContract,
  readRefs,
} from '../exorelay/message.js';
import {
  type ClockTimer,
  createServer,
  NyotaError,
  type Server,
  type ServerOptions,
  type Session,
} from '../index.js';
import { Exchange } from './exchange.js';
import type { RelayPort } from './instances.js';
import { createMetrics, type MonitorAddress, MonitorServer } from './monitor.js';
import { type ExoComOptions, type ResolvedExoComOptions, readExoComOptions, resolvePort } from './options.js';
import { type Alarm, type HubWarning, type MessageReport, type Presence, texts } from './reports.js';
import { hasSecurity, type Routes } from './routes.js';
import { type SenderIdentity, Senders } from './senders.js';
import type { ResponseTimes, RoleTraffic, RouteTraffic } from './traffic.js';

export interface ExoComEvents {
  listening: () => void;
  /** Something was refused, or is not as it should be. */
  warning: (warning: HubWarning) => void;
  /** Traffic looks wrong. */
  alarm: (alarm: Alarm) => void;
  /** A message was passed on, or is kept for those who receive it. */
  message: (report: MessageReport) => void;
  registered: (presence: Presence) => void;
  deregistered: (presence: Presence) => void;
  /** What concerns no service: the port is taken, a store failed. Without a listener: a process warning. */
  error: (error: Error) => void;
  close: () => void;
}

/** What `/config.json` shows. */
export interface ExoComConfig {
  readonly clients: Readonly<
    Record<
      string,
      { readonly instances: readonly { id: string; connected: boolean; since: string; handles: string[] }[] }
    >
  >;
  readonly routes: Routes;
}

export interface ExoComStats {
  readonly roles: Readonly<Record<string, RoleTraffic & { rate: number; responses: ResponseTimes }>>;
  readonly routes: readonly RouteTraffic[];
  /** By role. */
  readonly queues: Readonly<Record<string, { messages: number; bytes: number }>>;
  /** Messages that were taken and are not finished. */
  readonly running: number;
}

type Callback = (this: ExoCom) => void;

export class ExoCom extends EventEmitter<ExoComEvents> implements AsyncDisposable {
  readonly #options: ResolvedExoComOptions;
  readonly #hub = randomUUID();
  readonly #server: Server<RelayContract>;
  readonly #exchange: Exchange;
  readonly #monitorServer: MonitorServer | undefined;
  #state: 'new' | 'starting' | 'open' | 'closed' = 'new';
  #closing: Promise<void> | undefined;
  #toldUnverified = false;

  /** @throws NyotaError `NYOTA_INVALID_OPTION`: which option, or which file, place and reason */
  constructor(options: ExoComOptions = {}) {
    super();
    this.#options = readExoComOptions(options, process.env);
    this.#exchange = this.#makeExchange();
    this.#server = createServer<RelayContract>(this.#serverOptions(), (session) => this.#serve(session));
    this.#server.on('error', (error) => this.#failed(error));
    this.#server.on('clientError', (error, { remoteAddress }) => {
      // Told with its reason already: the error that the relay gets has none.
      if (error.code !== 'NYOTA_UNAUTHORIZED') this.#refused(remoteAddress, error.message);
    });
    const { monitorPort } = this.#options;
    if (monitorPort !== undefined) this.#monitorServer = this.#makeMonitor();
  }

  /** Without a port: EXOCOM_PORT, else 3010; 0: any free one. The callback is called once, when all is up. */
  listen(callback?: Callback): this;
  listen(port: number | string | undefined, callback?: Callback): this;
  listen(port: number | string | undefined, host: string | undefined, callback?: Callback): this;
  listen(...args: readonly unknown[]): this {
    const callback = args.find((arg): arg is Callback => typeof arg === 'function');
    const [port, host] = args.filter((arg) => typeof arg !== 'function');
    const resolved = resolvePort(port, process.env);
    this.#state = 'starting';
    this.#warnOfStrangers();
    const where = host === undefined ? [resolved] : [resolved, host];
    this.#server.listen(...where, () => void this.#listening(callback));
    return this;
  }

  address(): ReturnType<Server['address']> {
    return this.#server.address();
  }

  /** Of the monitor port; null without one, and before it listens. */
  monitorAddress(): MonitorAddress {
    return this.#monitorServer?.address() ?? null;
  }

  /** The clients with their instances, and the routes. */
  config(): ExoComConfig {
    const { instances } = this.#exchange;
    const clients = instances.roles.map((role) => {
      const running = instances.of(role).map(({ id, port, since, handles }) => {
        return { id, connected: port.connected, since: new Date(since).toISOString(), handles: [...handles] };
      });
      return [role, { instances: running }] as const;
    });
    return { clients: Object.fromEntries(clients), routes: this.#options.routing.toJSON() };
  }

  stats(): ExoComStats {
    const { traffic, dispatcher, running } = this.#exchange;
    return {
      roles: traffic.roles(this.#options.clock.now()),
      routes: traffic.routes(),
      queues: Object.fromEntries(dispatcher.queued()),
      running,
    };
  }

  /** Graceful: the relays finish what they run, and come back to whoever listens here next, with all that is not handled. */
  close(callback?: () => void): Promise<void> {
    this.#closing ??= this.#close();
    if (callback !== undefined) void this.#closing.then(callback);
    return this.#closing;
  }

  /** Abrupt: as if the process died. */
  destroy(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#exchange.stop();
    this.#server.destroy();
    this.#closing ??= this.#closed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    // What handlers finish is still crossed off; what is sent now is not taken any more: it is sent again to the next hub.
    this.#exchange.drain();
    await this.#server.close();
    this.#exchange.stop();
    await this.#closed();
  }

  async #closed(): Promise<void> {
    await this.#monitorServer?.close();
    this.emit('close');
  }

  async #listening(callback: Callback | undefined): Promise<void> {
    const { monitorPort, monitorHost } = this.#options;
    try {
      if (monitorPort !== undefined) await this.#monitorServer?.listen(monitorPort, monitorHost);
    } catch {
      // Told as an `error` already: a hub that can't be watched does not say that it is up.
      return;
    }
    if (this.#state !== 'starting') return;
    this.#state = 'open';
    this.emit('listening');
    callback?.call(this);
  }

  #serve(session: Session<RelayContract>): void {
    const { role } = session.identity as SenderIdentity;
    const { instanceGraceMs, clock } = this.#options;
    const exchange = this.#exchange;
    const relay = exchange.open(role, new SessionPort(session, instanceGraceMs));
    let timer: ClockTimer | undefined;
    const stop = (): void => {
      if (timer !== undefined) clock.clearTimeout(timer);
      timer = undefined;
    };
    session.on('connect', stop);
    let closedByRelay = false;
    session.on('disconnect', (reason) => {
      stop();
      closedByRelay = reason?.code === 'NYOTA_SESSION_CLOSED';
      if (session.state === 'dead') return;
      // What it does not get any more, others may have: so it must not run it later.
      timer = clock.setTimeout(() => session.invalidate(), instanceGraceMs);
      timer.unref?.();
    });
    session.on('close', () => {
      stop();
      exchange.closed(relay, closedByRelay);
    });
    session.on('drain', () => exchange.drained(relay));
    session.on('error', (error) => this.#failed(error));
    session.on('exo.register', (registration) => exchange.register(relay, registration));
    session.on('exo.awaiting', (awaited) => exchange.awaiting(relay, awaited));
    session.on('exo.message', (envelope) => exchange.message(relay, envelope));
    session.on('exo.handled', (handled) => exchange.handled(relay, handled));
    session.on('exo.cancel', (cancel) => exchange.cancel(relay, cancel));
    session.on('exo.leave', () => exchange.leave(relay));
    session.send('exo.hello', { hub: this.#hub });
  }

  #serverOptions(): ServerOptions {
    const { tls, store, clock, server, tokens, development, routing } = this.#options;
    const senders = new Senders({
      ...{ tokens, development, routing },
      unverified: (role) => {
        if (this.#toldUnverified) return;
        this.#toldUnverified = true;
        this.#warn({ message: texts.unverified(role), code: 'EXO_UNVERIFIED', role });
      },
    });
    return {
      ...server,
      ...(tls !== undefined && { tls }),
      ...(store !== undefined && { store }),
      clock,
      authenticate: (credentials, info) => {
        try {
          return senders.authenticate(credentials, info);
        } catch (error) {
          this.#refused(info.remoteAddress, textOf(error));
          throw error;
        }
      },
    };
  }

  #makeExchange(): Exchange {
    const { clock, routing, security, queueTtlMs, queueMaxMessages, queueMaxBytes, log } = this.#options;
    const { securityTimeoutMs, maxInFlight, activityIdleMs, instanceGraceMs, rateLimit } = this.#options;
    return new Exchange(
      {
        ...{ routing, clock, hub: this.#hub, newId: randomUUID, securityTimeoutMs },
        ...{ activityIdleMs, instanceGraceMs, rateLimit },
        securityRequired: security ?? hasSecurity(routing),
        queues: { ttlMs: queueTtlMs, maxMessages: queueMaxMessages, maxBytes: queueMaxBytes },
        instances: {
          ...{ maxInFlight, maxInFlightBytes: queueMaxBytes },
          ...{ maxWaiting: queueMaxMessages, maxWaitingBytes: queueMaxBytes },
        },
      },
      {
        warning: (warning) => this.#warn(warning),
        alarm: (alarm) => this.#tell(() => this.emit('alarm', alarm)),
        message: (report) => this.#tell(() => this.emit('message', report)),
        registered: (presence) => this.#tell(() => this.emit('registered', presence)),
        deregistered: (presence) => this.#tell(() => this.emit('deregistered', presence)),
        line: (text) => this.#tell(() => log?.(text)),
      },
    );
  }

  #makeMonitor(): MonitorServer {
    const { clock } = this.#options;
    // At once, so that it sees every reply. Where it can't be had, /metrics says so.
    const metrics = createMetrics(this.#exchange, () => clock.now());
    metrics.catch(() => undefined);
    return new MonitorServer({
      config: () => this.config(),
      metrics: () => metrics,
      ready: () => this.#state === 'open',
      failed: (error) => this.#failed(error),
    });
  }

  /** Routes, and nothing that could prove a role: nobody will be let in. */
  #warnOfStrangers(): void {
    const { routing, tokens, tls, development } = this.#options;
    const certificates = tls?.requestCert === true;
    if (!routing.strict || development || certificates || Object.keys(tokens).length > 0) return;
    const message =
      'there are routes, and neither tokens nor client certificates that could prove a role: every service is refused. ' +
      'Give tokens, or take roles at their word with development: true';
    this.#warn({ message, code: 'EXO_NO_CREDENTIALS' });
  }

  #refused(remoteAddress: string | undefined, reason: string): void {
    const from = remoteAddress ?? 'an unknown address';
    this.#warn({ message: `A connection from ${from} was refused: ${reason}`, code: 'EXO_REFUSED' });
  }

  #warn(warning: HubWarning): void {
    if (this.listenerCount('warning') > 0) {
      this.#tell(() => this.emit('warning', warning));
      return;
    }
    // Those about who is who must not go by unseen.
    if (warning.code !== 'EXO_UNVERIFIED' && warning.code !== 'EXO_NO_CREDENTIALS') return;
    process.emitWarning(warning.message, { type: 'ExoComWarning', code: warning.code });
  }

  /** A user's listener that throws is reported, and stops nothing. */
  #tell(emit: () => unknown): void {
    try {
      emit();
    } catch (cause) {
      this.#failed(asError(cause));
    }
  }

  #failed(error: Error): void {
    try {
      if (this.emit('error', error)) return;
    } catch {
      // A listener of 'error' that throws is not told of its own error.
    }
    process.emitWarning(error.message, { type: 'ExoComWarning', code: 'EXO_ERROR' });
  }
}

/** The way to a relay over its nyota session: what the hub says, and what to do where the relay does not take it. */
class SessionPort implements RelayPort {
  readonly #session: Session<RelayContract>;
  readonly #answerMs: number;

  /** @param answerMs how long the relay may take to say what it knows */
  constructor(session: Session<RelayContract>, answerMs: number) {
    this.#session = session;
    this.#answerMs = Math.max(1, answerMs);
  }

  get connected(): boolean {
    return this.#session.connected;
  }

  deliver(envelope: DeliveredEnvelope): 'sent' | 'slow' | 'full' | 'impossible' {
    if (this.#over) return 'full';
    try {
      return this.#session.send('exo.deliver', envelope) ? 'sent' : 'slow';
    } catch (error) {
      const full = error instanceof NyotaError && ['NYOTA_OUTBOX_FULL', 'NYOTA_CLOSED'].includes(error.code);
      return full ? 'full' : 'impossible';
    }
  }

  registered(): void {
    this.#tell(() => this.#session.send('exo.registered'));
  }

  accepted(id: string): void {
    this.#tell(() => this.#session.send('exo.accepted', { id }));
  }

  rejected(rejection: Rejection): void {
    this.#tell(() => this.#session.send('exo.rejected', rejection));
  }

  cancel(ref: MessageRef): void {
    this.#tell(() => this.#session.send('exo.cancel', ref));
  }

  async known(refs: readonly MessageRef[]): Promise<readonly MessageRef[]> {
    const session = this.#session.with({ timeoutMs: this.#answerMs });
    return readRefs(await session.request('exo.known', refs));
  }

  pause(): void {
    if (!this.#over) this.#session.pause();
  }

  resume(): void {
    if (!this.#over) this.#session.resume();
  }

  invalidate(): void {
    this.#session.invalidate();
  }

  get #over(): boolean {
    return this.#session.state === 'dead';
  }

  /** A relay that does not even take answers has stopped reading: it begins anew, and sends again what it has no answer to. */
  #tell(send: () => unknown): void {
    if (this.#over) return;
    try {
      send();
    } catch {
      this.#session.invalidate();
    }
  }
}
