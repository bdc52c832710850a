/**
 * Sending: `send`, `request` and `stream`, for the relay and for handlers, and who waits for which reply.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, type ClockTimer, NyotaError } from '../index.js';
import { optionsFault, replyHandlerFault, sendFault } from './checks.js';
import type { RequestOptions, SendOptions, Sent, StreamOptions } from './contract.js';
import {
  type AwaitedReply,
  type Body,
  type Envelope,
  encodeBody,
  type Message,
  type Rejection,
} from './message.js';
import type { ResolvedRelayOptions } from './options.js';
import type { Outbox, Outgoing } from './outbox.js';
import { PendingReplies, type PendingReply } from './pending-replies.js';
import { isPartial, rejectionError } from './rejections.js';
import { ReplyChannel } from './reply-channel.js';

/** In whose handler something is sent. */
export interface Origin {
  readonly activityId?: string;
  readonly causedBy?: string;
}

/** What a message of this relay's becomes part of. */
export interface Headers extends Origin {
  readonly auth?: Body;
  readonly responseTo?: string;
  readonly last?: boolean;
}

export interface AnyOutcome {
  readonly outcome: string;
  readonly payload: unknown;
}

type AnyReplyHandler = (payload: unknown, context: object) => unknown;

export interface MessengerHooks {
  /** There is something in the outbox. */
  flush(): void;
  /** Nobody wants the replies to that message any more. */
  cancel(id: string): void;
  /** Undefined while messages are taken. */
  closedError(): NyotaError | undefined;
  error(error: Error): void;
  settled(): void;
}

const SEND_OPTIONS = ['auth', 'activityId'];
const REQUEST_OPTIONS = [...SEND_OPTIONS, 'timeoutMs', 'signal'];
const STREAM_OPTIONS = [...REQUEST_OPTIONS, 'until'];
/** Deadlines are looked at this often at most. */
const TICK_MS = 5;

export class Messenger {
  readonly #options: ResolvedRelayOptions;
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #hooks: MessengerHooks;
  readonly #pending: PendingReplies;
  /** Messages that one of several receivers may still answer, though another did not get them. */
  readonly #partlyRejected = new Map<string, Rejection>();
  #timer: ClockTimer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(options: ResolvedRelayOptions, outbox: Outbox, hooks: MessengerHooks) {
    this.#options = options;
    this.#clock = options.clock;
    this.#outbox = outbox;
    this.#hooks = hooks;
    this.#pending = new PendingReplies(options.maxReplyHandlers);
  }

  /** Requests that have not been answered. */
  get requests(): number {
    return this.#pending.holding;
  }

  /** Reply handlers, requests and streams that wait. */
  get waiting(): number {
    return this.#pending.size;
  }

  /** `send(name [, payload] [, options] [, replyHandler])`. Faults are `error` events. */
  send(origin: Origin, name: unknown, args: readonly unknown[]): Sent {
    const { payload, options, handler, fault } = sendArguments(name, args);
    const sent = newMessage(origin, options);
    try {
      if (fault !== undefined) throw fault;
      const headers = headersOf(origin, options);
      this.#post(sent, name as string, payload, headers, handler && this.#replyHandler(sent, name, handler));
    } catch (error) {
      this.#hooks.error(error as NyotaError);
    }
    return sent;
  }

  /** An answer to a message that came over ExoCom. Faults are `error` events. */
  reply(headers: Headers & { activityId: string }, name: unknown, payload: unknown): Sent {
    const sent: Sent = { id: randomUUID(), activityId: headers.activityId };
    try {
      const fault = sendFault(name, payload, 'reply');
      if (fault !== undefined) throw fault;
      this.#post(sent, name as string, payload, headers, undefined);
    } catch (error) {
      this.#hooks.error(error as NyotaError);
    }
    return sent;
  }

  request(origin: Origin, name: unknown, payload: unknown, options?: RequestOptions): Promise<AnyOutcome> {
    return new Promise((resolve, reject) => {
      const fault = sendFault(name, payload, 'request') ?? optionsFault(options, REQUEST_OPTIONS, 'request');
      if (fault !== undefined) throw fault;
      const headers = headersOf(origin, options);
      const sent = newMessage(origin, options);
      const stop = this.#abortable(sent.id, options?.signal);
      const pending: PendingReply = {
        ...sent,
        name: name as string,
        idleMs: this.#timeout(options?.timeoutMs),
        holdsClose: true,
        replied: (reply) => {
          this.#letGo(sent.id);
          stop();
          resolve(outcomeOf(reply));
        },
        ended: (error) => {
          stop();
          reject(error ?? timedOut(name as string));
        },
      };
      try {
        this.#post(sent, name as string, payload, headers, pending);
      } catch (error) {
        stop();
        throw error;
      }
    });
  }

  async *stream(
    origin: Origin,
    name: unknown,
    payload: unknown,
    options?: StreamOptions,
  ): AsyncGenerator<AnyOutcome, void, undefined> {
    const fault = sendFault(name, payload, 'stream') ?? optionsFault(options, STREAM_OPTIONS, 'stream');
    if (fault !== undefined) throw fault;
    const headers = headersOf(origin, options);
    const sent = newMessage(origin, options);
    const until = new Set(options?.until === undefined ? [] : [options.until].flat());
    const channel = new ReplyChannel<AnyOutcome>();
    const stop = this.#abortable(sent.id, options?.signal);
    try {
      this.#post(sent, name as string, payload, headers, {
        ...sent,
        name: name as string,
        idleMs: this.#timeout(options?.timeoutMs),
        holdsClose: false,
        replied: (reply) => {
          const handled = channel.push(outcomeOf(reply));
          if (!until.has(reply.name) && reply.last !== true) return handled;
          this.#letGo(sent.id);
          channel.end();
          return handled;
        },
        ended: (error) => channel.end(error ?? timedOut(name as string)),
      });
      for (let next = await channel.next(); next !== undefined; next = await channel.next()) yield next;
    } finally {
      stop();
      channel.discard();
      // Left early: the service that still replies is told.
      if (this.#letGo(sent.id) !== undefined) this.#hooks.cancel(sent.id);
    }
  }

  /** Who waits for replies to that message, one of which has come. Undefined: nobody. */
  waitingFor(responseTo: string): PendingReply | undefined {
    return this.#pending.touch(responseTo, this.#clock.now());
  }

  /** A reply to that message has come, and can't be read. */
  unreadable(responseTo: string, error: NyotaError): void {
    this.#letGo(responseTo)?.ended(error);
  }

  accepted(id: string): void {
    this.#outbox.remove(id);
    const rejection = this.#partlyRejected.get(id);
    if (rejection === undefined) return;
    this.#partlyRejected.delete(id);
    this.#letGo(id)?.ended(rejectionError(rejection));
  }

  rejected(rejection: Rejection): void {
    const { id } = rejection;
    if (!isPartial(rejection)) this.#letGo(id)?.ended(rejectionError(rejection));
    else if (this.#pending.has(id)) this.#partlyRejected.set(id, rejection);
  }

  /** A message that can't travel at all. */
  unsendable({ envelope }: Outgoing, error: NyotaError): void {
    const pending = this.#letGo(envelope.id);
    if (pending === undefined) this.#hooks.error(error);
    else pending.ended(error);
  }

  /** For ExoCom: the messages that went out before and whose replies are waited for. */
  awaited(): AwaitedReply[] {
    const awaited: AwaitedReply[] = [];
    for (const { id, name, activityId } of this.#pending) {
      const outgoing = this.#outbox.get(id);
      if (outgoing === undefined || outgoing.envelope.redelivered === true)
        awaited.push({ id, name, activityId });
    }
    return awaited;
  }

  /** Nobody waits any more. */
  end(error: NyotaError): void {
    for (const pending of this.#pending.takeAll()) pending.ended(error);
    this.#partlyRejected.clear();
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #post(
    sent: Sent,
    name: string,
    payload: unknown,
    headers: Headers,
    pending: PendingReply | undefined,
  ): void {
    const closed = this.#hooks.closedError();
    if (closed !== undefined) throw closed;
    const now = this.#clock.now();
    const { auth, causedBy, responseTo, last } = headers;
    const envelope: Envelope = {
      ...sent,
      name,
      ...(payload !== undefined && { payload: encodeBody(payload, { name: 'payload' }) }),
      ...(auth !== undefined && { auth }),
      ...(causedBy !== undefined && { causedBy }),
      ...(responseTo !== undefined && { responseTo }),
      ...(last === true && { last }),
      timestamp: Math.round(now),
    };
    if (pending !== undefined) this.#pending.add(pending, now);
    try {
      this.#outbox.add(envelope);
    } catch (error) {
      this.#pending.take(sent.id);
      throw error;
    }
    this.#rearm();
    this.#hooks.flush();
  }

  #replyHandler(sent: Sent, name: unknown, handler: AnyReplyHandler): PendingReply {
    return {
      ...sent,
      name: name as string,
      idleMs: this.#options.replyIdleMs,
      holdsClose: false,
      replied: (reply) => {
        if (reply.last === true) this.#letGo(sent.id);
        const { id, activityId, sender, auth, responseTime } = reply;
        return handler(reply.payload, {
          outcome: reply.name,
          id,
          activityId,
          sender,
          auth,
          responseTime,
        });
      },
      ended: () => {},
    };
  }

  /** Returns what ends it. */
  #abortable(id: string, signal: AbortSignal | undefined): () => void {
    if (signal === undefined) return () => {};
    if (signal.aborted) throw aborted(signal);
    const abort = (): void => {
      const pending = this.#letGo(id);
      if (pending === undefined) return;
      this.#hooks.cancel(id);
      pending.ended(aborted(signal));
    };
    signal.addEventListener('abort', abort);
    return () => signal.removeEventListener('abort', abort);
  }

  #letGo(id: string): PendingReply | undefined {
    const pending = this.#pending.take(id);
    if (pending !== undefined) {
      this.#partlyRejected.delete(id);
      this.#hooks.settled();
    }
    return pending;
  }

  #timeout(timeoutMs: number | undefined): number {
    return (timeoutMs ?? this.#options.requestTimeoutMs) || Number.POSITIVE_INFINITY;
  }

  #rearm(): void {
    const at = this.#pending.nextDeadline;
    if (at >= this.#timerAt || at === Number.POSITIVE_INFINITY) return;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = this.#clock.setTimeout(() => this.#tick(), Math.max(TICK_MS, at - this.#clock.now()));
    this.#timer.unref?.();
  }

  #tick(): void {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    for (const pending of this.#pending.takeExpired(this.#clock.now())) {
      this.#partlyRejected.delete(pending.id);
      this.#hooks.cancel(pending.id);
      pending.ended(undefined);
      this.#hooks.settled();
    }
    this.#rearm();
  }
}

interface SendArguments {
  readonly payload: unknown;
  readonly options: SendOptions | undefined;
  readonly handler: AnyReplyHandler | undefined;
  readonly fault: NyotaError | undefined;
}

/** `payload`, `options` and `replyHandler`, each of which may be left out. */
function sendArguments(name: unknown, args: readonly unknown[]): SendArguments {
  const onlyHandler = args.length === 1 && typeof args[0] === 'function';
  const payload = onlyHandler ? undefined : args[0];
  const rest = onlyHandler ? args : args.slice(1);
  const hasOptions = typeof rest[0] === 'object' || (rest.length > 1 && rest[0] === undefined);
  const options = hasOptions ? (rest[0] ?? undefined) : undefined;
  const given = hasOptions ? rest.slice(1) : rest;
  const handler = given[0];
  const fault =
    sendFault(name, payload, 'send') ??
    (handler === undefined ? undefined : replyHandlerFault(handler)) ??
    optionsFault(options, SEND_OPTIONS, 'send');
  return {
    payload,
    options: fault === undefined ? (options as SendOptions | undefined) : undefined,
    handler: handler as AnyReplyHandler | undefined,
    fault,
  };
}

function newMessage(origin: Origin, options: SendOptions | undefined): Sent {
  return { id: randomUUID(), activityId: options?.activityId ?? origin.activityId ?? randomUUID() };
}

/** @throws NyotaError where the auth can't travel */
function headersOf({ causedBy }: Origin, options: SendOptions | undefined): Headers {
  const auth = options?.auth;
  return {
    ...(causedBy !== undefined && { causedBy }),
    ...(auth !== undefined && { auth: encodeBody(auth, { name: 'auth' }) }),
  };
}

function outcomeOf({ name, payload }: Message): AnyOutcome {
  return { outcome: name, payload };
}

function timedOut(name: string): NyotaError {
  return new NyotaError('NYOTA_TIMEOUT', `no reply to the message '${name}' in time`);
}

function aborted(signal: AbortSignal): NyotaError {
  return new NyotaError('NYOTA_ABORTED', 'the caller aborted', { cause: signal.reason });
}
