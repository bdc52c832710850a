/**
 * The request handlers of a peer: one for each event. Calls them, and sees to it that what they commit is written before
 * their reply goes out. Knows no session: it is handed the request and where the reply goes.
 */

import { isThenable } from '../async.js';
import { NyotaError } from '../errors.js';
import type { RunningRequest } from '../features/requests.js';
import { type Delivery, type DeliveryHost, HandlerContext } from './delivery.js';

export type Handler = (...args: unknown[]) => unknown;
type Done = (ok: boolean, value: unknown) => void;

export class Handlers {
  readonly #byEvent = new Map<string, Handler>();

  /** @throws NyotaError `NYOTA_HANDLER_EXISTS` */
  add(event: string, handler: Handler): void {
    if (this.#byEvent.has(event)) {
      throw new NyotaError(
        'NYOTA_HANDLER_EXISTS',
        `there is already a handler for '${event}'; unhandle it first`,
      );
    }
    this.#byEvent.set(event, handler);
  }

  remove(event: string): void {
    this.#byEvent.delete(event);
  }

  /** Answers a request. False where the event has no handler. */
  run(peer: DeliveryHost, event: string, args: unknown[], request: RunningRequest, done: Done): boolean {
    const handler = this.#byEvent.get(event);
    if (handler === undefined) return false;
    const context = new HandlerContext(peer, peer, request);
    let reply: unknown;
    try {
      reply = handler.apply(peer, followedBy(args, context));
      if (isThenable(reply)) {
        answerLater(reply, context, done);
        return true;
      }
    } catch (error) {
      done(false, error);
      return true;
    }
    answer(context, reply, done);
    return true;
  }
}

/** Not by spreading: an array that grows takes room for 17. */
function followedBy(args: readonly unknown[], last: unknown): unknown[] {
  const all = new Array<unknown>(args.length + 1);
  for (let i = 0; i < args.length; i++) all[i] = args[i];
  all[args.length] = last;
  return all;
}

/** The handler is done: what it commits is written, and its reply goes out. */
function answer(delivery: Delivery, reply: unknown, done: Done): void {
  try {
    delivery.settle();
  } catch (error) {
    done(false, error);
    return;
  }
  done(true, reply);
}

/** Apart from `run`, so that a handler that answers at once costs no closures. */
function answerLater(reply: PromiseLike<unknown>, delivery: Delivery, done: Done): void {
  reply.then(
    (value) => answer(delivery, value, done),
    (error: unknown) => done(false, error),
  );
}
