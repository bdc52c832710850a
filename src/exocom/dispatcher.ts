/**
 * Brings dispatches to instances, or keeps them while nobody of their role is there, and moves on what an instance had
 * when it died. Pure: time is handed in.
 */
import { messageKey, type RejectionCode } from '../exorelay/message.js';
import { type HoldLimits, HoldQueue } from './hold-queue.js';
import { IdleTable } from './idle-table.js';
import type { Dispatch, Instance, Instances } from './instances.js';

/** The key of what any instance may have; no instance has an empty id. */
const ANY = '';
/** Instances that have ended and are remembered. */
const MAX_ENDED = 10_000;

export class Dispatcher {
  readonly #instances: Instances;
  readonly #limits: HoldLimits;
  readonly #now: () => number;
  /** By role: what waits for it to come. */
  readonly #queues = new Map<string, HoldQueue<Dispatch>>();

  /** Instances that have ended by themselves, for as long as replies would be kept for them. */
  readonly #ended: IdleTable<true>;

  constructor(instances: Instances, limits: HoldLimits, now: () => number) {
    this.#ended = new IdleTable(limits.ttlMs, MAX_ENDED);
    this.#instances = instances;
    this.#limits = limits;
    this.#now = now;
  }

  place(dispatch: Dispatch): void {
    const instance = this.#choose(dispatch);
    if (instance === undefined) this.#keep(dispatch);
    else if (!instance.offer(dispatch)) fail(dispatch, 'EXO_QUEUE_FULL');
  }

  /** An instance has registered: what waits for its role, and for itself, goes out in order. */
  arrived(instance: Instance): void {
    const queue = this.#queues.get(instance.role);
    if (queue === undefined) return;
    const ready = queue.take((key) => key === ANY || key === instance.id);
    this.#tidy(instance.role, queue);
    for (const dispatch of ready) this.place(dispatch);
  }

  /**
   * An instance is gone: what it had not handled goes to the others of its role, or waits.
   * @param forGood it has said that it ends: nobody keeps replies for it
   */
  departed(instance: Instance, forGood: boolean): void {
    this.#instances.remove(instance);
    if (forGood) this.#ended.set(messageKey(instance.role, instance.id), true, this.#now());
    for (const dispatch of instance.takeAll()) this.place(dispatch);
  }

  /** An instance takes no new messages: those that it was not given go to the others of its role, or wait. */
  leaving(instance: Instance): void {
    for (const dispatch of instance.leave()) this.place(dispatch);
  }

  /** Nobody needs that message any more: it is taken back from those who were not given it yet. */
  cancel(key: string, roles: Iterable<string>): void {
    for (const role of roles) {
      const queue = this.#queues.get(role);
      const dropped = queue?.take((_key, dispatch) => dispatch.key === key) ?? [];
      if (queue !== undefined) this.#tidy(role, queue);
      for (const instance of this.#instances.of(role)) dropped.push(...[instance.drop(key) ?? []].flat());
      for (const dispatch of dropped) dispatch.settled({ cancelled: true });
    }
  }

  /** Drops what has waited too long. */
  expire(now: number): void {
    for (const [role, queue] of [...this.#queues]) {
      const tooOld = queue.expire(now);
      this.#tidy(role, queue);
      for (const dispatch of tooOld) {
        fail(dispatch, dispatch.only === undefined ? 'EXO_QUEUE_EXPIRED' : 'EXO_RECEIVER_GONE');
      }
    }
  }

  /** When `expire` has something to do; undefined: nothing waits. */
  get nextExpiry(): number | undefined {
    let next: number | undefined;
    for (const { nextExpiry } of this.#queues.values()) {
      if (nextExpiry !== undefined && (next === undefined || nextExpiry < next)) next = nextExpiry;
    }
    return next;
  }

  /** What waits, by role: for roles that are away, and for instances that are busy. */
  queued(): Map<string, { messages: number; bytes: number }> {
    const found = new Map<string, { messages: number; bytes: number }>();
    for (const [role, { length, bytes }] of this.#queues) found.set(role, { messages: length, bytes });
    for (const role of this.#instances.roles) {
      const entry = found.get(role) ?? { messages: 0, bytes: 0 };
      for (const instance of this.#instances.of(role)) entry.messages += instance.waiting;
      found.set(role, entry);
    }
    return found;
  }

  #choose({ role, only, known, envelope }: Dispatch): Instance | undefined {
    if (only !== undefined) return this.#instances.get(role, only);
    return this.#instances.choose(role, envelope.name, envelope.activityId, this.#now(), known);
  }

  #keep(dispatch: Dispatch): void {
    const { role, only, size, waits } = dispatch;
    const ended = only !== undefined && this.#ended.get(messageKey(role, only), this.#now()) === true;
    if (!waits || ended) {
      fail(dispatch, 'EXO_RECEIVER_GONE');
      return;
    }
    const queue = this.#queues.get(role) ?? new HoldQueue<Dispatch>(this.#limits);
    if (queue.push(only ?? ANY, dispatch, size, this.#now())) this.#queues.set(role, queue);
    else fail(dispatch, 'EXO_QUEUE_FULL');
  }

  #tidy(role: string, queue: HoldQueue<Dispatch>): void {
    if (queue.length === 0) this.#queues.delete(role);
  }
}

function fail(dispatch: Dispatch, failed: RejectionCode): void {
  dispatch.settled({ failed });
}
