/**
 * The message that is being handled, as its listener or handler sees it: whether it may have been handled before, the id
 * to tell that by, and a way to keep an effect in the same step as the fact that it was handled.
 */
import type { NyotaError } from '../errors.js';
import type { RunningRequest } from '../features/requests.js';
import type { DeleteOp, SetOp } from '../features/store/writes.js';
import type { SharedStore } from './shared-store.js';

/** What a delivery needs of its peer. */
export interface DeliveryHost {
  readonly id: string;
  /** Of any contract: keys and values are checked as they come. */
  readonly store: Pick<SharedStore<unknown>, 'writeOf' | 'writeAll'>;
}

export class Delivery {
  readonly #host: DeliveryHost;
  readonly #seq: number;
  #writes: Array<SetOp | DeleteOp> | undefined;
  #commit: ((key: string, value: unknown) => void) | undefined;
  /** True where the message may have been handled before, by a process that died. */
  readonly redelivered: boolean;

  /** Made by a peer. */
  constructor(host: DeliveryHost, seq: number, redelivered: boolean) {
    this.#host = host;
    this.#seq = seq;
    this.redelivered = redelivered;
  }

  /** The same through every redelivery: to tell by it what has been done already. */
  get id(): string {
    return `${this.#host.id}/${this.#seq}`;
  }

  /**
   * Sets an entry of the shared store (undefined: deletes it) in the same step in which the message counts as handled: with
   * a durable store either both are there after a crash, or neither is. Nothing is written where the handler fails.
   * @throws NyotaError as `store.set` does for the key and the value
   */
  get commit(): (key: string, value: unknown) => void {
    // A function that may be taken out of its object; made where it is asked for, which most messages never do.
    this.#commit ??= (key, value) => {
      this.#writes ??= [];
      this.#writes.push(this.#host.store.writeOf(key, value));
    };
    return this.#commit;
  }

  /** For the peer: the message is handled now. Throws what keeps the writes from being taken; none is made then. */
  settle(): void {
    if (this.#writes === undefined) return;
    const writes = this.#writes;
    this.#writes = undefined;
    this.#host.store.writeAll(writes);
  }
}

/** What a request handler is given besides the arguments. */
export class HandlerContext<P> extends Delivery {
  readonly #request: RunningRequest;
  readonly session: P;

  /** Made by a peer. */
  constructor(host: DeliveryHost, session: P, request: RunningRequest) {
    super(host, request.seq, request.redelivered);
    this.#request = request;
    this.session = session;
  }

  /** Aborted when the caller cancels, its deadline passes, or the session ends. */
  get signal(): AbortSignal {
    return this.#request.signal;
  }

  /** Until when the caller waits, in ms since the epoch; Infinity: for ever. */
  get deadline(): number {
    return this.#request.deadline;
  }
}

/** What the listeners of a message commit is written once they are done; what keeps it from that is told to nobody's caller. */
export function settleAfter(
  settling: PromiseLike<unknown> | undefined,
  delivery: Delivery,
  report: (error: NyotaError) => void,
): PromiseLike<unknown> | undefined {
  const settle = (): void => {
    try {
      delivery.settle();
    } catch (error) {
      report(error as NyotaError);
    }
  };
  if (settling !== undefined) return settling.then(settle);
  settle();
  return undefined;
}
