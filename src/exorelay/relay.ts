/**
 * ExoRelay: the one object through which a service talks to all others. A thin class: it takes the calls, tells
 * the events, and ties the parts together.
 *
 *   new --listen, connect--> starting --registered--> online --close--> closing --> closed
 */

import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { QuietWaiters } from '../async.js';
import { warn } from '../errors.js';
import { NyotaError } from '../index.js';
import { handlerFault } from './checks.js';
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
import { directReply } from './direct-reply.js';
import { HubLink } from './hub-link.js';
import { type AnyHandler, Inbound } from './inbound.js';
import type { Message, Rejection } from './message.js';
import { Messenger, type Origin } from './messenger.js';
import {
  DEFAULT_RELAY_PORT,
  type ExoRelayOptions,
  type ResolvedRelayOptions,
  readPort,
  readRelayOptions,
} from './options.js';
import { Outbox } from './outbox.js';
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
  readonly #instance = randomUUID();
  readonly #outbox: Outbox;
  readonly #messenger: Messenger;
  readonly #inbound: Inbound;
  readonly #link: HubLink;
  readonly #quiet = new QuietWaiters();
  #ownPort: OwnPort | undefined;
  #port: number | undefined;
  #state: 'new' | 'starting' | 'online' | 'closing' | 'closed' = 'new';
  #closing: Promise<void> | undefined;

  /** @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes */
  constructor(options: ExoRelayOptions = {}) {
    super();
    this.#options = readRelayOptions(options, process.env);
    const error = (thrown: Error): void => this.#report(thrown);
    const settled = (): void => this.#quiet.ask();
    this.#outbox = new Outbox(this.#options);
    this.#messenger = new Messenger(this.#options, this.#outbox, {
      flush: () => this.#link.flush(),
      cancel: (id) => this.#link.cancel(id),
      closedError: () => (this.#state === 'closed' ? closedError() : undefined),
      error,
      settled,
    });
    this.#inbound = new Inbound(this.#options, this.#messenger, (origin) => this.#callsOf(origin), {
      handled: (handled, confirmed) => this.#link.handled(handled, confirmed),
      error,
      settled,
    });
    this.#link = this.#makeLink();
  }

  /** The role. */
  get serviceName(): string {
    return this.#options.serviceName;
  }

  /** True while ExoCom can be reached. */
  get connected(): boolean {
    return this.#link.connected;
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
    const number = readPort(port);
    if (number === undefined) {
      this.#report(
        new NyotaError('NYOTA_INVALID_ARGUMENT', 'Non-numerical port provided to ExoRelay#listen'),
      );
      return this;
    }
    if (!this.#mayStart('listen')) return this;
    this.#ownPort = new OwnPort(this.#options, {
      message: (message, respond) =>
        this.#inbound.direct(message, (name, payload, last) =>
          this.#respondDirectly(message, name, payload, last, respond),
        ),
      malformed: (text) => this.#report(new NyotaError('NYOTA_INVALID_ARGUMENT', text)),
      listening: (listening) => {
        this.#port = listening;
        this.#link.start();
      },
      error: (error) => {
        this.#report(error);
        // The port can't be had: another may be tried.
        if (this.#port === undefined && this.#state === 'starting') this.#state = 'new';
      },
    });
    this.#ownPort.listen(number, this.#options.listenHost);
    return this;
  }

  /** Registers with ExoCom, without a port of its own; then `online`. */
  connect(): this {
    if (this.#mayStart('connect')) this.#link.start();
    return this;
  }

  /** The one handler of a message. Faults are `error` events. */
  registerHandler<K extends MessageName<M>>(name: K, handler: MessageHandler<M, R, K>): this {
    const fault = handlerFault(name, handler, this.#inbound.handlers);
    if (fault !== undefined) {
      this.#report(fault);
      return this;
    }
    this.#inbound.handlers.set(name, handler as unknown as AnyHandler);
    this.#link.reregister();
    return this;
  }

  registerHandlers(handlers: { readonly [K in MessageName<M>]?: MessageHandler<M, R, K> }): this {
    for (const [name, handler] of Object.entries(handlers)) {
      this.registerHandler(name as MessageName<M>, handler as MessageHandler<M, R, MessageName<M>>);
    }
    return this;
  }

  hasHandler(name: MessageName<M>): boolean {
    return this.#inbound.handlers.has(name);
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
    payload: PayloadOf<M, K>,
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
    return this.#outbox.drained();
  }

  /** What is under way. */
  stats(): { unaccepted: number; unacceptedBytes: number; waitingForReplies: number; handlersIdle: boolean } {
    return {
      unaccepted: this.#outbox.size,
      unacceptedBytes: this.#outbox.bytes,
      waitingForReplies: this.#messenger.waiting,
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
    this.#link.destroy();
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
    this.#link.leave();
    const done = (): boolean =>
      this.#state === 'closed' ||
      (this.#inbound.idle && this.#messenger.requests === 0 && (this.#outbox.size === 0 || was === 'new'));
    const { clock, drainTimeoutMs } = this.#options;
    if (!done()) await this.#quiet.wait(done, clock, drainTimeoutMs);
    // It was destroyed meanwhile.
    if ((this.#state as string) === 'closed') return;
    this.#state = 'closed';
    this.#inbound.settleReplies();
    await this.#link.close();
    await this.#ownPort?.close();
    if (this.#outbox.size > 0) {
      const text = `closed, and ExoCom has not accepted ${this.#outbox.size} messages`;
      this.#report(new NyotaError('NYOTA_CLOSED', text));
    }
    this.#finish(was !== 'new');
  }

  #finish(wasStarted: boolean): void {
    const error = closedError();
    this.#inbound.end(error);
    this.#messenger.end(error);
    this.#outbox.clear();
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

  #makeLink(): HubLink {
    return new HubLink(this.#options, this.#outbox, {
      registration: () => ({ instance: this.#instance, handles: [...this.#inbound.handlers.keys()] }),
      awaited: () => this.#messenger.awaited(),
      known: (refs) => this.#inbound.known(refs),
      deliver: (envelope) => this.#inbound.deliver(envelope),
      cancelled: (ref) => this.#inbound.cancelled(ref),
      accepted: (id) => {
        this.#messenger.accepted(id);
        this.#link.flush();
        this.#quiet.ask();
      },
      rejected: (rejection) => {
        this.#messenger.rejected(rejection);
        this.emit('rejected', rejection);
      },
      revoked: () => {
        this.#outbox.removeRepliesTo(this.#inbound.revoke());
      },
      unsendable: (outgoing, error) => this.#messenger.unsendable(outgoing, error),
      registered: () => {
        if (this.#state !== 'starting') {
          if (this.#state === 'online') this.emit('reconnect');
          return;
        }
        this.#state = 'online';
        this.emit('online', this.#port);
      },
      disconnected: (reason) => {
        if (this.#state === 'online') this.emit('disconnect', reason);
      },
      resumed: () => this.emit('reconnect'),
      error: (error) => this.#report(error),
    });
  }

  /** A handler's calls: what they send carries which message caused it. */
  #callsOf(origin: Origin): Calls<AnyMessages, AnyReplies> {
    const messenger = this.#messenger;
    const calls = {
      send: (name: unknown, ...args: unknown[]) => messenger.send(origin, name, args),
      request: (name: unknown, payload?: unknown, options?: RequestOptions) =>
        messenger.request(origin, name, payload, options),
      stream: (name: unknown, payload?: unknown, options?: StreamOptions) =>
        messenger.stream(origin, name, payload, options),
    };
    return calls as Calls<AnyMessages, AnyReplies>;
  }

  #respondDirectly(
    to: Message,
    name: unknown,
    payload: unknown,
    last: boolean,
    respond: (reply: Message) => void,
  ): Sent {
    const { activityId } = to;
    try {
      const from = { sender: this.serviceName, now: this.#options.clock.now() };
      const reply = directReply(to, name, payload, last, from);
      respond(reply);
      return { id: reply.id, activityId };
    } catch (error) {
      this.#report(error as Error);
      return { id: randomUUID(), activityId };
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
