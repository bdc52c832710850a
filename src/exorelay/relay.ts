/**
 * ExoRelay: the one object through which a service talks to all others. It takes the calls and tells the events, and what
 * comes from ExoCom it passes to the part whose business it is: messenger.ts sends, inbound.ts handles, hub-connection.ts
 * registers.
 *
 *   new --listen, connect--> starting --registered--> online --close--> closing --> closed
 */

import { EventEmitter } from 'node:events';
import { QuietWaiters } from '../async.js';
import { warn } from '../errors.js';
import { type Encoded, NyotaError } from '../index.js';
import { toPort } from '../options.js';
import { handlerFault } from './arguments.js';
import type {
  AnyMessages,
  AnyReplies,
  Calls,
  MessageHandler,
  MessageName,
  Outcome,
  PayloadArgs,
  PayloadOf,
  ReplyHandler,
  ReplyName,
  RequestOptions,
  SendOptions,
  Sent,
  StreamOptions,
} from './contract.js';
import { HubConnection } from './hub-connection.js';
import { type AnyHandler, Inbound } from './inbound.js';
import type { Rejection } from './message.js';
import { Messenger } from './messenger.js';
import {
  DEFAULT_RELAY_PORT,
  type ExoRelayOptions,
  type ResolvedRelayOptions,
  readRelayOptions,
} from './options.js';
import { OwnPort } from './own-port.js';

export interface ExoRelayEvents {
  /** Registered with ExoCom, once for each `listen` or `connect`; with the own port, if there is one. */
  online: [port: number | undefined];
  /** Closed. */
  offline: [];
  /** A wrong call, a message without a handler, a handler that threw. Without a listener: a process warning. */
  error: [error: Error];
  /** ExoCom has not delivered a message of this service's. */
  rejected: [rejection: Rejection];
  /** The connection to ExoCom is gone; the relay comes back by itself. */
  disconnect: [reason: NyotaError | undefined];
  /** The connection to ExoCom is there again. */
  reconnect: [];
}

export class ExoRelay<M = AnyMessages, R = AnyReplies>
  extends EventEmitter<ExoRelayEvents>
  implements Calls<M, R>, AsyncDisposable
{
  readonly #options: ResolvedRelayOptions;
  readonly #handlers = new Map<string, AnyHandler>();
  /** Who waits until handlers, requests and messages are done with. */
  readonly #quiet = new QuietWaiters();
  readonly #hub: HubConnection;
  readonly #messenger: Messenger;
  readonly #inbound: Inbound;
  #ownPort: OwnPort | undefined;
  #port: number | undefined;
  #state: 'new' | 'starting' | 'online' | 'closing' | 'closed' = 'new';
  #closing: Promise<void> | undefined;

  /** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes */
  constructor(options: ExoRelayOptions = {}) {
    super();
    const resolved = readRelayOptions(options, process.env);
    const report = (error: Error): void => this.#report(error);
    const hub = new HubConnection(resolved, this.#handlers, report);
    const messenger = new Messenger(resolved, hub, this.#quiet, report);
    this.#options = resolved;
    this.#hub = hub;
    this.#messenger = messenger;
    this.#inbound = new Inbound(resolved, this.#handlers, messenger, hub, this.#quiet, report);
  }

  /** The role. */
  get serviceName(): string {
    return this.#options.serviceName;
  }

  /** True while ExoCom can be reached. */
  get connected(): boolean {
    return this.#hub.connected;
  }

  /** The own port; undefined where there is none (yet). */
  get port(): number | undefined {
    return this.#port;
  }

  /**
   * Opens this service's own port (for the status check, and for messages that are sent here directly) and registers with
   * ExoCom; then `online`. Faults are `error` events.
   *
   * @param port default: `EXORELAY_PORT`, then 4000; 0: any free one
   */
  listen(port: number | string | undefined = this.#options.listenPort ?? DEFAULT_RELAY_PORT): this {
    const number = toPort(port);
    if (number === undefined) {
      this.#report(
        new NyotaError('NYOTA_INVALID_ARGUMENT', 'Non-numerical port provided to ExoRelay#listen'),
      );
      return this;
    }
    if (!this.#mayStart('listen')) return this;
    this.#ownPort = new OwnPort(this.#options, this.#inbound, (error) => this.#report(error));
    this.#ownPort.listen(number).then(
      (listening) => {
        this.#port = listening;
        this.#start();
      },
      (error: NyotaError) => {
        this.#report(error);
        // The port can't be had: another may be tried.
        if (this.#state === 'starting') this.#state = 'new';
      },
    );
    return this;
  }

  /** Registers with ExoCom, without a port of its own; then `online`. */
  connect(): this {
    if (this.#mayStart('connect')) this.#start();
    return this;
  }

  /** The one handler of a message. Faults are `error` events. */
  registerHandler<K extends MessageName<M>>(name: K, handler: MessageHandler<M, R, K>): this {
    const fault = handlerFault(name, handler, this.#handlers);
    if (fault !== undefined) {
      this.#report(fault);
      return this;
    }
    this.#handlers.set(name, handler as unknown as AnyHandler);
    this.#hub.reregister();
    return this;
  }

  registerHandlers(handlers: { readonly [K in MessageName<M>]?: MessageHandler<M, R, K> }): this {
    for (const [name, handler] of Object.entries(handlers)) {
      this.registerHandler(name as MessageName<M>, handler as MessageHandler<M, R, MessageName<M>>);
    }
    return this;
  }

  hasHandler(name: MessageName<M>): boolean {
    return this.#handlers.has(name);
  }

  send<K extends MessageName<M>>(
    name: K,
    ...args: undefined extends PayloadOf<M, K> ? [replyHandler: ReplyHandler<M, ReplyName<M, R, K>>] : never
  ): Sent;
  send<K extends MessageName<M>>(
    name: K,
    ...args: PayloadArgs<PayloadOf<M, K>, [replyHandler?: ReplyHandler<M, ReplyName<M, R, K>>]>
  ): Sent;
  send<K extends MessageName<M>>(
    name: K,
    payload: PayloadOf<M, K> | Encoded<PayloadOf<M, K>>,
    options: SendOptions | undefined,
    replyHandler?: ReplyHandler<M, ReplyName<M, R, K>>,
  ): Sent;
  /**
   * Sends a message: `send(name [, payload] [, options] [, replyHandler])`. Fire and forget: kept until ExoCom has
   * accepted it. Faults are `error` events; the ids returned are then of a message that never went out.
   */
  send(name: unknown, ...args: unknown[]): Sent {
    return this.#messenger.send({}, name, args);
  }

  /**
   * Sends a message and resolves with the first reply.
   * Rejects with a NyotaError: `NYOTA_TIMEOUT`, `NYOTA_ABORTED`, `NYOTA_CLOSED`; what is wrong with the call; and what
   * ExoCom refused (its cause is the rejection): `NYOTA_UNAUTHORIZED`, `NYOTA_NO_HANDLER`, `NYOTA_EXPIRED`, `NYOTA_SERVER_BUSY`.
   */
  request<K extends MessageName<M>>(
    name: K,
    ...args: PayloadArgs<PayloadOf<M, K>, [options?: RequestOptions]>
  ): Promise<Outcome<M, ReplyName<M, R, K>>> {
    const [payload, options] = args as [unknown, RequestOptions?];
    return this.#messenger.request({}, name, payload, options) as Promise<Outcome<M, ReplyName<M, R, K>>>;
  }

  /**
   * Sends a message, once the first reply is asked for, and yields its replies: up to the outcome(s) of `until`, or the
   * one that says that it is the last. Left early, the service that replies sees its handler's signal aborted. Throws as `request` rejects.
   */
  stream<K extends MessageName<M>>(
    name: K,
    ...args: PayloadArgs<PayloadOf<M, K>, [options?: StreamOptions<ReplyName<M, R, K>>]>
  ): AsyncGenerator<Outcome<M, ReplyName<M, R, K>>, void, undefined> {
    const [payload, options] = args as [unknown, StreamOptions?];
    return this.#messenger.stream({}, name, payload, options) as AsyncGenerator<
      Outcome<M, ReplyName<M, R, K>>,
      void,
      undefined
    >;
  }

  /** Resolves once ExoCom has accepted so much that more should be sent: for whoever sends a lot. */
  drained(): Promise<void> {
    return this.#messenger.unaccepted.drained();
  }

  /** What is under way. */
  stats(): { unaccepted: number; unacceptedBytes: number; waitingForReplies: number; handlersIdle: boolean } {
    const { unaccepted, waiting } = this.#messenger;
    return {
      unaccepted: unaccepted.size,
      unacceptedBytes: unaccepted.bytes,
      waitingForReplies: waiting,
      handlersIdle: this.#inbound.idle,
    };
  }

  /**
   * Graceful: takes no new messages, and within `drainTimeoutMs` lets handlers finish, requests be answered and ExoCom
   * accept what was sent. Then `offline`.
   */
  close(callback?: (error?: Error) => void): Promise<void> {
    this.#closing ??= this.#close();
    if (callback !== undefined) this.#closing.then(() => callback(), callback);
    return this.#closing;
  }

  /** A crash: the sockets go, nothing is finished. */
  destroy(): void {
    if (this.#state === 'closed') return;
    const was = this.#state;
    this.#state = 'closed';
    this.#hub.destroy();
    this.#ownPort?.destroy();
    this.#finish(was !== 'new');
    this.#quiet.ask();
    this.#closing ??= Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    if (this.#state === 'closed') return;
    const was = this.#state;
    this.#state = 'closing';
    this.#inbound.leave();
    this.#hub.leave();
    const { unaccepted } = this.#messenger;
    const done = (): boolean =>
      this.#state === 'closed' ||
      (this.#inbound.idle && this.#messenger.requests === 0 && (unaccepted.size === 0 || was === 'new'));
    const { clock, drainTimeoutMs } = this.#options;
    if (!done()) await this.#quiet.wait(done, clock, drainTimeoutMs);
    // It was destroyed meanwhile.
    if ((this.#state as string) === 'closed') return;
    this.#state = 'closed';
    this.#messenger.close(closedError());
    this.#inbound.settleReplies();
    await this.#hub.close();
    await this.#ownPort?.close();
    if (unaccepted.size > 0) {
      const text = `closed, and ExoCom has not accepted ${unaccepted.size} messages`;
      this.#report(new NyotaError('NYOTA_CLOSED', text));
    }
    this.#finish(was !== 'new');
  }

  #finish(wasStarted: boolean): void {
    const error = closedError();
    this.#inbound.end(error);
    this.#messenger.end(error);
    if (wasStarted) this.emit('offline');
  }

  #mayStart(call: string): boolean {
    if (this.#state === 'new') {
      this.#state = 'starting';
      return true;
    }
    const closed = this.#state === 'closing' || this.#state === 'closed';
    this.#report(
      closed
        ? closedError()
        : new NyotaError('NYOTA_INVALID_ARGUMENT', `ExoRelay#${call}: this relay was started before`),
    );
    return false;
  }

  /** Connects to ExoCom, and passes on what comes from there. No listener returns a promise: what handlers do holds nothing up. */
  #start(): void {
    const hub = this.#hub;
    const messenger = this.#messenger;
    const inbound = this.#inbound;
    const client = hub.connect();
    if (client === undefined) return;
    client.on('session', ({ reason }) => {
      if (reason !== undefined && hub.begunAnew()) messenger.unaccepted.restart();
    });
    // ExoCom has given up on the session: its messages went to other instances.
    client.on('sessionInvalidated', () => void messenger.unaccepted.removeRepliesTo(inbound.revoke()));
    client.on('connect', ({ resumed }) => {
      if (!resumed || !hub.registered) return;
      messenger.flush();
      this.emit('reconnect');
    });
    client.on('disconnect', (reason) => {
      if (this.#state === 'online') this.emit('disconnect', reason);
    });
    client.on('drain', () => {
      hub.drained();
      messenger.flush();
    });
    client.on('error', (error) => this.#report(error));
    client.on('exo.hello', ({ hub: id }) => {
      if (!hub.begunAnew(id)) return;
      messenger.unaccepted.restart();
      hub.register(messenger.awaited());
    });
    client.on('exo.registered', () => {
      if (!hub.confirmed()) return;
      messenger.flush();
      this.#registered();
    });
    client.on('exo.deliver', (envelope) => inbound.deliver(envelope));
    client.on('exo.cancel', (ref) => inbound.cancelled(ref));
    client.on('exo.accepted', ({ id }) => messenger.accepted(id));
    client.on('exo.rejected', (rejection) => {
      messenger.rejected(rejection);
      this.emit('rejected', rejection);
    });
    client.handle('exo.known', (refs) => inbound.known(refs));
  }

  #registered(): void {
    if (this.#state === 'starting') {
      this.#state = 'online';
      this.emit('online', this.#port);
    } else if (this.#state === 'online') {
      this.emit('reconnect');
    }
  }

  #report(error: Error): void {
    if (this.listenerCount('error') > 0) this.emit('error', error);
    else warn(error, 'ExoRelayWarning', 'NYOTA_LISTENER_FAILED');
  }
}

function closedError(): NyotaError {
  return new NyotaError('NYOTA_CLOSED', 'the relay is closed');
}
