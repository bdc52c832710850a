/**
 * Requests of the other side whose handler is running here. The abort signal is made only where a handler
 * asks for it: most never do, and it costs more than the rest of a request.
 */
import { NyotaError } from '../errors.js';
import { IdMap } from '../link/id-map.js';

/** One running handler. */
export class RunningRequest {
  readonly id: number;
  /** Until when the other side waits; Infinity where it waits for ever. */
  readonly deadline: number;
  /** Its number in the session. */
  readonly seq: number;
  /** A process that died may have handled it before. */
  readonly redelivered: boolean;
  #controller: AbortController | undefined;
  #aborted: NyotaError | undefined;

  constructor(id: number, deadline: number, seq: number, redelivered: boolean) {
    this.id = id;
    this.deadline = deadline;
    this.seq = seq;
    this.redelivered = redelivered;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  get aborted(): boolean {
    return this.#aborted !== undefined;
  }

  abort(reason: NyotaError): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = reason;
    this.#controller?.abort(reason);
  }
}

export class IncomingRequests {
  readonly #running = new IdMap<RunningRequest>();
  #nextDeadline = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#running.size;
  }

  get nextDeadline(): number {
    return this.#running.size === 0 ? Number.POSITIVE_INFINITY : this.#nextDeadline;
  }

  start(id: number, deadline: number, seq: number, redelivered: boolean): RunningRequest {
    const request = new RunningRequest(id, deadline, seq, redelivered);
    this.#running.set(id, request);
    this.#nextDeadline = Math.min(this.#nextDeadline, deadline);
    return request;
  }

  /** False where it was ended before: its reply is not wanted any more. */
  finish(request: RunningRequest): boolean {
    return this.#running.get(request.id) === request && this.#running.delete(request.id);
  }

  /** The other side gave up. Undefined where the handler is not running. */
  cancel(id: number, reason: NyotaError): RunningRequest | undefined {
    const request = this.#running.get(id);
    request?.abort(reason);
    return request;
  }

  /** Tells the handlers whose caller has stopped waiting. */
  expire(now: number): void {
    if (now < this.#nextDeadline) return;
    let next = Number.POSITIVE_INFINITY;
    for (const [, request] of this.#running.entries()) {
      if (request.deadline > now) next = Math.min(next, request.deadline);
      else if (this.#running.get(request.id) !== request)
        continue; // finished by the abort of one before it
      else request.abort(new NyotaError('NYOTA_TIMEOUT', 'the deadline of this request has passed'));
    }
    this.#nextDeadline = next;
  }

  /** The session is over: no reply can be sent any more. */
  abandon(reason: NyotaError): void {
    const all = this.#running.entries();
    this.#running.clear();
    for (const [, request] of all) request.abort(reason);
  }
}
