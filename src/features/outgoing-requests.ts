/**
 * Requests that wait for their reply. Each settles exactly once: by the reply, its deadline, an abort, or
 * the end of the session. Pure: time is handed in.
 */
import type { NyotaError } from '../errors.js';
import { IdMap } from '../link/id-map.js';

export interface PendingRequest {
  readonly id: number;
  readonly event: string;
  /** Its number in the outbox. */
  seq: number;
  readonly deadline: number;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class OutgoingRequests {
  readonly #pending = new IdMap<PendingRequest>();
  #lastId = 0;
  /** No deadline lies before this. A lower bound: it is made exact when it is reached. */
  #nextDeadline = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#pending.size;
  }

  get nextDeadline(): number {
    return this.#pending.size === 0 ? Number.POSITIVE_INFINITY : this.#nextDeadline;
  }

  /** Ids up to this one may belong to requests of a process before this one. */
  skipTo(id: number): void {
    this.#lastId = Math.max(this.#lastId, id);
  }

  nextId(): number {
    return ++this.#lastId;
  }

  /** True where `nextDeadline` has become sooner. */
  add(request: PendingRequest): boolean {
    const sooner = request.deadline < this.nextDeadline;
    if (sooner) this.#nextDeadline = request.deadline;
    this.#pending.set(request.id, request);
    return sooner;
  }

  /** Takes one out: its caller settles it. Undefined for a late reply. */
  take(id: number): PendingRequest | undefined {
    const request = this.#pending.get(id);
    if (request !== undefined) this.#pending.delete(id);
    return request;
  }

  /** The one that a frame belongs to. Looks at all: for rare occasions. */
  find(seq: number): PendingRequest | undefined {
    for (const [, request] of this.#pending.entries()) if (request.seq === seq) return request;
    return undefined;
  }

  /** Takes out all whose deadline has passed. */
  takeExpired(now: number): PendingRequest[] {
    if (now < this.#nextDeadline) return [];
    const expired: PendingRequest[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [, request] of this.#pending.entries()) {
      if (request.deadline <= now) expired.push(request);
      else next = Math.min(next, request.deadline);
    }
    for (const request of expired) this.#pending.delete(request.id);
    this.#nextDeadline = next;
    return expired;
  }

  /** The frames of those that wait. */
  seqs(): Set<number> {
    return new Set(this.#pending.entries().map(([, { seq }]) => seq));
  }

  /** After the outbox began again: those that went along have new numbers; the others fail, once the result is called. */
  renumber(numbers: ReadonlyMap<number, number>, error: NyotaError): () => void {
    const over: PendingRequest[] = [];
    for (const [, request] of this.#pending.entries()) {
      const seq = numbers.get(request.seq);
      if (seq !== undefined) request.seq = seq;
      else over.push(request);
    }
    for (const { id } of over) this.#pending.delete(id);
    return () => {
      for (const request of over) request.reject(error);
    };
  }

  fail(error: NyotaError): void {
    const all = this.#pending.entries();
    this.#pending.clear();
    for (const [, request] of all) request.reject(error);
  }
}
