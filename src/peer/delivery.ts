/**
 * The message that is being handled, as its listener or handler sees it: whether it may have been handled before, the id to
 * tell that by, and a way to keep an effect in the same step as the fact that it was handled (docs/design.md, rule 49). Users
 * see the two interfaces; the classes behind them are not exported, so that nobody but the pump settles one.
 */
import { isThenable } from '../async.js';
import type { RunningRequest } from '../features/requests.js';
import type { DeleteOp, SetOp } from '../features/store/writes.js';
import type { LifecycleEmitter } from './listeners.js';
import type { StoreValues } from './store-values.js';

export interface Delivery {
  /** The same through every redelivery: to tell by it what has been done already. */
  readonly id: string;
  /** True if the message may have been handled before, by a process that died. */
  readonly redelivered: boolean;
  /**
   * Sets an entry of the shared store (undefined: deletes it) in the same step in which the message counts as handled: with
   * a durable store either both are there after a crash, or neither is. Nothing is written where the handler fails.
   * @throws NyotaError as `store.set` does for the key and the value
   */
  readonly commit: (key: string, value: unknown) => void;
}

/** What a request handler is given besides the arguments. */
export interface HandlerContext<P> extends Delivery {
  readonly session: P;
  /** Aborted when the caller cancels, its deadline passes, or the session ends. */
  readonly signal: AbortSignal;
  /** Until when the caller waits, in ms since the epoch; Infinity: for ever. */
  readonly deadline: number;
}

export type Handler = (...args: unknown[]) => unknown;
/** Sends the reply of a request, or the error. */
type Reply = (ok: boolean, value: unknown) => void;

/** The delivery of one message. An event's is made when a listener asks for it. */
export class MessageDelivery implements Delivery {
  readonly #values: StoreValues;
  readonly #sessionId: string;
  readonly #seq: number;
  #writes: Array<SetOp | DeleteOp> | undefined;
  #commit: ((key: string, value: unknown) => void) | undefined;
  readonly redelivered: boolean;

  constructor(values: StoreValues, sessionId: string, seq: number, redelivered: boolean) {
    this.#values = values;
    this.#sessionId = sessionId;
    this.#seq = seq;
    this.redelivered = redelivered;
  }

  get id(): string {
    return `${this.#sessionId}/${this.#seq}`;
  }

  get commit(): (key: string, value: unknown) => void {
    // A function that works without its object; made when it is asked for, which most messages never do.
    this.#commit ??= (key, value) => {
      this.#writes ??= [];
      this.#writes.push(this.#values.writeOf(key, value));
    };
    return this.#commit;
  }

  /** The message is handled: makes the writes. Throws if one of them can't be taken; none is made then. */
  settle(): void {
    if (this.#writes === undefined) return;
    const writes = this.#writes;
    this.#writes = undefined;
    this.#values.writeAll(writes);
  }
}

export class RequestContext<P> extends MessageDelivery implements HandlerContext<P> {
  readonly #request: RunningRequest;
  readonly session: P;

  constructor(values: StoreValues, sessionId: string, session: P, request: RunningRequest) {
    super(values, sessionId, request.seq, request.redelivered);
    this.#request = request;
    this.session = session;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get deadline(): number {
    return this.#request.deadline;
  }
}

/**
 * Writes what the listeners of an event have committed, once all of them are done. An error is reported, since no caller
 * waits for it.
 */
export function settleAfter(
  settling: PromiseLike<unknown> | undefined,
  delivery: MessageDelivery,
  lifecycle: LifecycleEmitter,
): PromiseLike<unknown> | undefined {
  const settle = (): void => {
    try {
      delivery.settle();
    } catch (error) {
      lifecycle.emit('error', error);
    }
  };
  if (settling !== undefined) return settling.then(settle);
  settle();
  return undefined;
}

/** Answers a request: what the handler commits is written before its reply goes out. */
export function runHandler<P>(
  handler: Handler,
  args: readonly unknown[],
  context: RequestContext<P>,
  reply: Reply,
): void {
  let value: unknown;
  try {
    value = handler.apply(context.session, followedBy(args, context));
    if (isThenable(value)) {
      answerLater(value, context, reply);
      return;
    }
  } catch (error) {
    reply(false, error);
    return;
  }
  answer(context, value, reply);
}

/** Not by spreading: an array that grows takes memory for 17. */
function followedBy(args: readonly unknown[], last: unknown): unknown[] {
  const all = new Array<unknown>(args.length + 1);
  for (let i = 0; i < args.length; i++) all[i] = args[i];
  all[args.length] = last;
  return all;
}

function answer(delivery: MessageDelivery, value: unknown, reply: Reply): void {
  try {
    delivery.settle();
  } catch (error) {
    reply(false, error);
    return;
  }
  reply(true, value);
}

/** Apart from `runHandler`, so that a handler that answers at once costs no closures. */
function answerLater(value: PromiseLike<unknown>, delivery: MessageDelivery, reply: Reply): void {
  value.then(
    (settled) => answer(delivery, settled, reply),
    (error: unknown) => reply(false, error),
  );
}
