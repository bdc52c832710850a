/**
 * The types of a relay's messages, from an optional contract of message names and payloads. Types only.
 *
 * ```ts
 * interface Messages {
 *   'todos.list': undefined
 *   'todos.listed': Todo[]
 *   'todos.failed': { reason: string }
 * }
 * interface Replies {
 *   'todos.list': 'todos.listed' | 'todos.failed'
 * }
 * const exoRelay = new ExoRelay<Messages, Replies>()
 * ```
 * Without a contract: any name, any payload. Without `Replies`: any message may be the reply to any other.
 */
import type { AnyContract, Encoded } from '../index.js';

/** Any name, any payload. */
export type AnyMessages = AnyContract['state'];
/** Any message of the contract may answer any other. */
export type AnyReplies = Record<never, never>;

/** The names of a contract's messages. */
export type MessageName<M> = Extract<keyof M, string>;
/** What the message of that name carries. */
export type PayloadOf<M, K> = K extends keyof M ? M[K] : never;
/** The names of the replies to a message. */
export type ReplyName<M, R, K> = K extends keyof R ? Extract<R[K], MessageName<M>> : MessageName<M>;
/** The payload as arguments: it may be left out where it may be undefined, and may be encoded already. */
export type PayloadArgs<P, Rest extends readonly unknown[] = []> = undefined extends P
  ? [payload?: P | Encoded<P>, ...rest: Rest]
  : [payload: P | Encoded<P>, ...rest: Rest];

/** A reply: its name, and what it carries. Tell the replies apart by `outcome`. */
export type Outcome<M, N extends string = MessageName<M>> = {
  [K in N]: { readonly outcome: K; readonly payload: PayloadOf<M, K> };
}[N];

/** What `send` and `reply` return: by these the message is known everywhere. */
export interface Sent {
  readonly id: string;
  readonly activityId: string;
}

export interface SendOptions {
  /** Travels with the message, and with its replies. */
  readonly auth?: unknown;
  /** What the message belongs to: all messages of an activity go to the same instance. Default: in a handler that of the message at hand, else a new one. */
  readonly activityId?: string;
}

export interface RequestOptions extends SendOptions {
  /** How long to wait for the reply. Default: the relay's `requestTimeoutMs`, 30 000. 0: for ever. */
  readonly timeoutMs?: number;
  /** Stops waiting; the handler that serves the request sees its own signal aborted. */
  readonly signal?: AbortSignal;
}

export interface StreamOptions<N extends string = string> extends SendOptions {
  /** The outcome, or the outcomes, that the stream ends with. They are part of it. */
  readonly until?: N | readonly N[];
  /** How long to wait for each reply. Default: the relay's `requestTimeoutMs`, 30 000. 0: for ever. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface ReplyOptions {
  /** No further reply to this message follows: whoever sent it can let go of its reply handler. */
  readonly last?: boolean;
}

/** What a reply handler is given besides the payload. */
export interface ReplyContext<N extends string = string> {
  /** The reply's message name. */
  readonly outcome: N;
  /** The reply's own id. */
  readonly id: string;
  readonly activityId: string;
  /** The role that replied. */
  readonly sender: string | undefined;
  readonly auth: unknown;
  /** In ms, from ExoCom's taking the request to its passing on this reply. */
  readonly responseTime: number | undefined;
}

/** Called for each reply. A method's type, so that the payload may be annotated with the type of one outcome. */
export type ReplyHandler<M, N extends string = MessageName<M>> = {
  call(payload: PayloadOf<M, N>, context: ReplyContext<N>): unknown;
}['call'];

/** The calls that a relay and a handler share. */
export interface Calls<M, R> {
  /** Fire and forget. With a reply handler, it is called for each reply. */
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
  /** The first reply, as a promise. */
  request<K extends MessageName<M>>(
    name: K,
    ...args: PayloadArgs<PayloadOf<M, K>, [options?: RequestOptions]>
  ): Promise<Outcome<M, ReplyName<M, R, K>>>;
  /** All replies, until the named outcome. */
  stream<K extends MessageName<M>>(
    name: K,
    ...args: PayloadArgs<PayloadOf<M, K>, [options?: StreamOptions<ReplyName<M, R, K>>]>
  ): AsyncGenerator<Outcome<M, ReplyName<M, R, K>>, void, undefined>;
}

/** What a message handler is given besides the payload. */
export interface HandlerContext<M = AnyMessages, R = AnyReplies, K extends string = string>
  extends Calls<M, R> {
  /** Answers the message at hand, as often as it likes. */
  reply<N extends ReplyName<M, R, K>>(
    name: N,
    ...args: PayloadArgs<PayloadOf<M, N>, [options?: ReplyOptions]>
  ): Sent;
  /** The message at hand. */
  readonly id: string;
  readonly activityId: string;
  /** The role that sent it, verified by ExoCom; undefined for what came to this service's own port. */
  readonly sender: string | undefined;
  readonly auth: unknown;
  /** The security service asks. ExoCom alone can say so. */
  readonly isSecurity: boolean;
  /** It may have been handled before, by an instance that died or before ExoCom was restarted. */
  readonly redelivered: boolean;
  /** Aborted when the sender stops waiting, when the message was given to another instance, or when this relay ends. */
  readonly signal: AbortSignal;
}

export type MessageHandler<M = AnyMessages, R = AnyReplies, K extends string = string> = (
  payload: PayloadOf<M, K>,
  context: HandlerContext<M, R, K>,
) => unknown;
