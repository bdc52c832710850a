/**
 * Sending, for the relay and for its handlers: `send`, `request`, `stream` and `reply`, each with its message kept until ExoCom
 * has accepted it, and who waits for which reply.
 *
 *   send, request, stream, reply --> kept --flush--> handed to ExoCom --accepted--> forgotten
 *                `-- waits for replies: until the last one, or until nothing was heard for too long
 */
import { randomUUID } from 'node:crypto';
import type { QuietWaiters } from '../async.js';
import { type Clock, type ClockTimer, type ErrorCode, NyotaError } from '../index.js';
import { type AnyReplyHandler, optionsFault, readSendArguments, sendFault } from './arguments.js';
import type {
  AnyMessages,
  AnyReplies,
  Calls,
  RequestOptions,
  SendOptions,
  Sent,
  StreamOptions,
} from './contract.js';
import type { HubConnection } from './hub-connection.js';
import {
  type AwaitedReply,
  type Body,
  type Envelope,
  encodeBody,
  type Message,
  type Rejection,
  type RejectionCode,
} from './message.js';
import type { ResolvedRelayOptions } from './options.js';
import { Unaccepted } from './unaccepted.js';

/** In whose handler something is sent. */
interface Origin {
  readonly activityId?: string;
  readonly causedBy?: string;
}

/** What else than its name and payload goes into a message. */
interface Headers {
  readonly auth?: Body;
  readonly causedBy?: string;
  readonly responseTo?: string;
  readonly last?: boolean;
}

interface AnyOutcome {
  readonly outcome: string;
  readonly payload: unknown;
}

/** Deadlines are looked at this often at most. */
const TICK_MS = 5;

export class Messenger {
  readonly unaccepted: Unaccepted;
  readonly #options: ResolvedRelayOptions;
  readonly #clock: Clock;
  readonly #hub: HubConnection;
  readonly #quiet: QuietWaiters;
  readonly #report: (error: Error) => void;
  readonly #pending: PendingReplies;
  /** Messages that one of several receivers may still answer, though another did not get them. */
  readonly #partlyRejected = new Map<string, Rejection>();
  /** Why nothing is taken any more. */
  #closed: NyotaError | undefined;
  #timer: ClockTimer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(
    options: ResolvedRelayOptions,
    hub: HubConnection,
    quiet: QuietWaiters,
    report: (error: Error) => void,
  ) {
    this.unaccepted = new Unaccepted(options);
    this.#options = options;
    this.#clock = options.clock;
    this.#hub = hub;
    this.#quiet = quiet;
    this.#report = report;
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

  /** A handler's calls: what they send carries which message caused it. */
  callsFrom(origin: Origin): Calls<AnyMessages, AnyReplies> {
    const calls = {
      send: (name: unknown, ...args: unknown[]) => this.send(origin, name, args),
      request: (name: unknown, payload?: unknown, options?: RequestOptions) =>
        this.request(origin, name, payload, options),
      stream: (name: unknown, payload?: unknown, options?: StreamOptions) =>
        this.stream(origin, name, payload, options),
    };
    return calls as Calls<AnyMessages, AnyReplies>;
  }

  /** `send(name [, payload] [, options] [, replyHandler])`. Faults are `error` events. */
  send(origin: Origin, name: unknown, args: readonly unknown[]): Sent {
    const { payload, options, handler, fault } = readSendArguments(name, args);
    const sent = newMessage(origin, options);
    try {
      if (fault !== undefined) throw fault;
      const pending = handler && this.#replyHandler(sent, name as string, handler);
      this.#post(sent, name as string, payload, headersOf(origin, options), pending);
    } catch (error) {
      this.#report(error as NyotaError);
    }
    return sent;
  }

  /** An answer to a message that came over ExoCom. Faults are `error` events. */
  reply(activityId: string, headers: Headers, name: unknown, payload: unknown): Sent {
    const sent: Sent = { id: randomUUID(), activityId };
    try {
      const fault = sendFault(name, payload, 'reply');
      if (fault !== undefined) throw fault;
      this.#post(sent, name as string, payload, headers, undefined);
    } catch (error) {
      this.#report(error as NyotaError);
    }
    return sent;
  }

  request(origin: Origin, name: unknown, payload: unknown, options?: RequestOptions): Promise<AnyOutcome> {
    return new Promise((resolve, reject) => {
      const fault = sendFault(name, payload, 'request') ?? optionsFault(options, 'request');
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
    const fault = sendFault(name, payload, 'stream') ?? optionsFault(options, 'stream');
    if (fault !== undefined) throw fault;
    const headers = headersOf(origin, options);
    const sent = newMessage(origin, options);
    const until = new Set(options?.until === undefined ? [] : [options.until].flat());
    const replies = new ReplyChannel<AnyOutcome>();
    const stop = this.#abortable(sent.id, options?.signal);
    try {
      this.#post(sent, name as string, payload, headers, {
        ...sent,
        name: name as string,
        idleMs: this.#timeout(options?.timeoutMs),
        holdsClose: false,
        replied: (reply) => {
          const handled = replies.push(outcomeOf(reply));
          if (!until.has(reply.name) && reply.last !== true) return handled;
          this.#letGo(sent.id);
          replies.end();
          return handled;
        },
        ended: (error) => replies.end(error ?? timedOut(name as string)),
      });
      for (let next = await replies.next(); next !== undefined; next = await replies.next()) yield next;
    } finally {
      stop();
      replies.discard();
      // Left early: the service that still replies is told.
      if (this.#letGo(sent.id) !== undefined) this.#cancel(sent.id);
    }
  }

  /** Hands ExoCom what is kept, as far as its session should hold it. */
  flush(): void {
    while (this.#hub.hasRoom) {
      const outgoing = this.unaccepted.take();
      if (outgoing?.handed === undefined) return;
      const { envelope, handed } = outgoing;
      try {
        if (!this.#hub.message(envelope, handed.signal)) this.unaccepted.putBack(outgoing);
      } catch (error) {
        this.unaccepted.remove(envelope.id);
        const pending = this.#letGo(envelope.id);
        if (pending === undefined) this.#report(error as NyotaError);
        else pending.ended(error as NyotaError);
      }
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
    this.unaccepted.remove(id);
    const rejection = this.#partlyRejected.get(id);
    if (rejection !== undefined) {
      this.#partlyRejected.delete(id);
      this.#letGo(id)?.ended(rejectionError(rejection));
    }
    this.flush();
    this.#quiet.ask();
  }

  rejected(rejection: Rejection): void {
    const { id, code } = rejection;
    if (!PARTIAL.has(code)) this.#letGo(id)?.ended(rejectionError(rejection));
    else if (this.#pending.has(id)) this.#partlyRejected.set(id, rejection);
  }

  /** For ExoCom: the messages that went out before and whose replies are waited for. */
  awaited(): AwaitedReply[] {
    const awaited: AwaitedReply[] = [];
    for (const { id, name, activityId } of this.#pending) {
      const outgoing = this.unaccepted.get(id);
      if (outgoing === undefined || outgoing.envelope.redelivered === true)
        awaited.push({ id, name, activityId });
    }
    return awaited;
  }

  /** Nothing is taken any more. */
  close(error: NyotaError): void {
    this.#closed = error;
  }

  /** Nobody waits any more, and nothing is kept. */
  end(error: NyotaError): void {
    this.close(error);
    for (const pending of this.#pending.takeAll()) pending.ended(error);
    this.#partlyRejected.clear();
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.unaccepted.clear();
  }

  #post(
    sent: Sent,
    name: string,
    payload: unknown,
    { auth, causedBy, responseTo, last }: Headers,
    pending: PendingReply | undefined,
  ): void {
    if (this.#closed !== undefined) throw this.#closed;
    const now = this.#clock.now();
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
      this.unaccepted.add(envelope);
    } catch (error) {
      this.#pending.take(sent.id);
      throw error;
    }
    this.#rearm();
    this.flush();
  }

  #replyHandler(sent: Sent, name: string, handler: AnyReplyHandler): PendingReply {
    return {
      ...sent,
      name,
      idleMs: this.#options.replyIdleMs,
      holdsClose: false,
      replied: (reply) => {
        if (reply.last === true) this.#letGo(sent.id);
        const { id, activityId, sender, auth, responseTime } = reply;
        return handler(reply.payload, { outcome: reply.name, id, activityId, sender, auth, responseTime });
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
      this.#cancel(id);
      pending.ended(aborted(signal));
    };
    signal.addEventListener('abort', abort);
    return () => signal.removeEventListener('abort', abort);
  }

  /** Nobody here wants that message's replies any more. It is taken back where it has not gone out. */
  #cancel(id: string): void {
    const outgoing = this.unaccepted.remove(id);
    outgoing?.handed?.abort();
    const neverSent = outgoing !== undefined && outgoing.handed === undefined;
    if (!neverSent) this.#hub.cancel(id);
  }

  #letGo(id: string): PendingReply | undefined {
    const pending = this.#pending.take(id);
    if (pending !== undefined) {
      this.#partlyRejected.delete(id);
      this.#quiet.ask();
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
      this.#cancel(pending.id);
      pending.ended(undefined);
      this.#quiet.ask();
    }
    this.#rearm();
  }
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

/** What ExoCom's refusals mean to whoever waits for a reply. */
const REFUSALS: Readonly<Record<RejectionCode, ErrorCode>> = {
  EXO_NOT_ALLOWED: 'NYOTA_UNAUTHORIZED',
  EXO_NO_RECEIVERS: 'NYOTA_NO_HANDLER',
  EXO_UNKNOWN_REPLY: 'NYOTA_NO_HANDLER',
  EXO_RECEIVER_GONE: 'NYOTA_NO_HANDLER',
  EXO_QUEUE_EXPIRED: 'NYOTA_EXPIRED',
  EXO_QUEUE_FULL: 'NYOTA_SERVER_BUSY',
  EXO_OVERLOADED: 'NYOTA_SERVER_BUSY',
  EXO_BAD_MESSAGE: 'NYOTA_INVALID_ARGUMENT',
  EXO_UNDELIVERABLE: 'NYOTA_FRAME_TOO_LARGE',
};

/** One of several receivers may have taken the message all the same. */
const PARTIAL: ReadonlySet<RejectionCode> = new Set([
  'EXO_RECEIVER_GONE',
  'EXO_QUEUE_EXPIRED',
  'EXO_QUEUE_FULL',
  'EXO_UNDELIVERABLE',
]);

/** Its cause is the rejection. */
function rejectionError(rejection: Rejection): NyotaError {
  const code = Object.hasOwn(REFUSALS, rejection.code) ? REFUSALS[rejection.code] : 'NYOTA_NO_HANDLER';
  return new NyotaError(code, rejection.reason, { cause: rejection });
}

/** Somebody who waits for the replies to one message: a reply handler, a request or a stream. */
export interface PendingReply {
  readonly id: string;
  readonly name: string;
  readonly activityId: string;
  /** How long it waits, since it began or since the last reply. Infinity: for ever. */
  readonly idleMs: number;
  /** A graceful close waits for it. */
  readonly holdsClose: boolean;
  /** A reply has come. A promise where it is handled only later. */
  replied(reply: Message): unknown;
  /** No reply will come any more. Undefined: it has waited long enough. */
  ended(error: NyotaError | undefined): void;
}

interface Entry {
  readonly pending: PendingReply;
  dueAt: number;
}

/** Who waits for replies, by the id of what they sent. Each waits for so long after what it heard last. Pure: time is handed in. */
export class PendingReplies {
  readonly #max: number;
  readonly #entries = new Map<string, Entry>();
  /** Nothing is due before this. A lower bound: it is made exact when it is reached. */
  #nextDue = Number.POSITIVE_INFINITY;
  #holding = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** How many a graceful close waits for. */
  get holding(): number {
    return this.#holding;
  }

  get nextDeadline(): number {
    return this.#nextDue;
  }

  /** @throws NyotaError `NYOTA_OUTBOX_FULL` where too many wait already */
  add(pending: PendingReply, now: number): void {
    if (this.#entries.size >= this.#max) {
      throw new NyotaError(
        'NYOTA_OUTBOX_FULL',
        `${this.#max} messages wait for their replies already (maxReplyHandlers)`,
      );
    }
    const dueAt = now + pending.idleMs;
    this.#entries.set(pending.id, { pending, dueAt });
    if (pending.holdsClose) this.#holding++;
    this.#nextDue = Math.min(this.#nextDue, dueAt);
  }

  /** Who waits for the replies to that message, which has just been replied to. */
  touch(id: string, now: number): PendingReply | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    entry.dueAt = now + entry.pending.idleMs;
    return entry.pending;
  }

  take(id: string): PendingReply | undefined {
    const pending = this.#entries.get(id)?.pending;
    if (pending === undefined) return undefined;
    this.#entries.delete(id);
    if (pending.holdsClose) this.#holding--;
    return pending;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  /** Takes out all that have waited long enough. */
  takeExpired(now: number): PendingReply[] {
    if (now < this.#nextDue) return [];
    const expired: PendingReply[] = [];
    this.#nextDue = Number.POSITIVE_INFINITY;
    for (const [id, { pending, dueAt }] of this.#entries) {
      if (dueAt <= now) {
        this.take(id);
        expired.push(pending);
      } else {
        this.#nextDue = Math.min(this.#nextDue, dueAt);
      }
    }
    return expired;
  }

  takeAll(): PendingReply[] {
    const all = [...this.#entries.values()].map(({ pending }) => pending);
    this.#entries.clear();
    this.#holding = 0;
    this.#nextDue = Number.POSITIVE_INFINITY;
    return all;
  }

  *[Symbol.iterator](): IterableIterator<PendingReply> {
    for (const { pending } of this.#entries.values()) yield pending;
  }
}

/** Replies that are taken in ahead of a stream's reader. */
const AHEAD = 256;

interface Queued<T> {
  readonly reply: T;
  readonly read: (() => void) | undefined;
}

/**
 * Replies on their way to a stream's reader. Those that are far ahead of it count as handled only once they are read, and so the
 * service that sends them is slowed down (`drained()`) instead of this process being filled. Pure: a queue with one reader.
 */
export class ReplyChannel<T> {
  #queue: Queued<T>[] = [];
  #end: { readonly error: NyotaError | undefined } | undefined;
  #wake: (() => void) | undefined;

  /** A promise where the reply is handled only once it is read. */
  push(reply: T): Promise<void> | undefined {
    if (this.#end !== undefined) return undefined;
    if (this.#queue.length < AHEAD) {
      this.#queue.push({ reply, read: undefined });
      this.#wake?.();
      return undefined;
    }
    return new Promise((resolve) => this.#queue.push({ reply, read: resolve }));
  }

  /** Nothing follows. What has come can still be read; then the reader gets the error, if there is one. */
  end(error?: NyotaError): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** The reader has left: what is queued counts as handled. */
  discard(): void {
    this.end();
    for (const { read } of this.#queue.splice(0)) read?.();
  }

  /** The next reply; undefined at the end. */
  async next(): Promise<T | undefined> {
    while (this.#queue.length === 0) {
      if (this.#end?.error !== undefined) throw this.#end.error;
      if (this.#end !== undefined) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    const queued = this.#queue.shift();
    queued?.read?.();
    return queued?.reply;
  }
}
