/**
 * Which messages this relay has begun and finished, so that none of them runs twice. Pure: time is handed in.
 *
 *   begin --> running --finish--> told --confirmed--> remembered, for 10 minutes
 *                |                 |
 *                `---- revoke -----´--> forgotten: ExoCom has given them to another instance
 */
import { type MessageRef, messageKey } from './message.js';

/** One message that this relay was given. */
export interface Delivery {
  readonly ref: MessageRef;
  /** For the handler's `signal`. */
  readonly abort: AbortController;
  /** Nobody wants its replies any more: it was cancelled, or runs elsewhere. */
  dead: boolean;
  /** The handler has asked for its signal: it may still be at work after it has returned. */
  watched: boolean;
}

/** How long a finished message is remembered, and how many. */
export const REMEMBERED_MS = 10 * 60_000;
export const REMEMBERED_MESSAGES = 100_000;
/** How many handlers that have returned may still hear of a cancellation. */
const MAX_LINGERING = 10_000;

export class Deliveries {
  readonly #running = new Map<string, Delivery>();
  /** Finished; ExoCom has not confirmed that it knows. */
  readonly #told = new Map<string, Delivery>();
  /** Handlers that have returned and may still be replying, from callbacks of their own. */
  readonly #lingering = new Map<string, Delivery>();
  /** Finished, by when; oldest first. */
  readonly #finished = new Map<string, number>();

  stateOf(ref: MessageRef): 'new' | 'running' | 'finished' {
    const key = keyOf(ref);
    if (this.#running.has(key)) return 'running';
    return this.#finished.has(key) ? 'finished' : 'new';
  }

  begin(ref: MessageRef): Delivery {
    const delivery: Delivery = { ref, abort: new AbortController(), dead: false, watched: false };
    this.#running.set(keyOf(ref), delivery);
    return delivery;
  }

  /** False where it was revoked meanwhile: then there is nothing to tell. */
  finish(delivery: Delivery, now: number): boolean {
    const key = keyOf(delivery.ref);
    if (this.#running.get(key) !== delivery) return false;
    this.#running.delete(key);
    this.#told.set(key, delivery);
    this.#finished.delete(key);
    this.#finished.set(key, now);
    this.#forgetOld(now);
    return true;
  }

  /** ExoCom knows that it is finished. */
  confirmed({ ref }: Delivery): void {
    this.#told.delete(keyOf(ref));
  }

  /** The handler has returned and goes on replying. */
  linger(delivery: Delivery): void {
    this.#lingering.set(keyOf(delivery.ref), delivery);
    for (const key of this.#lingering.keys()) {
      if (this.#lingering.size <= MAX_LINGERING) return;
      this.#lingering.delete(key);
    }
  }

  /** No further reply will come. */
  ended({ ref }: Delivery): void {
    this.#lingering.delete(keyOf(ref));
  }

  /** One whose handler is, or may be, at work. */
  find(ref: MessageRef): Delivery | undefined {
    const key = keyOf(ref);
    return this.#running.get(key) ?? this.#lingering.get(key);
  }

  /** Those that have been begun or finished here. */
  known(refs: readonly MessageRef[]): MessageRef[] {
    return refs.filter((ref) => this.stateOf(ref) !== 'new');
  }

  /** ExoCom has given everything that it does not know as finished to other instances. */
  revoke(): Delivery[] {
    const revoked = [...this.#running.values(), ...this.#told.values()];
    this.#running.clear();
    this.#told.clear();
    for (const delivery of revoked) {
      delivery.dead = true;
      this.#finished.delete(keyOf(delivery.ref));
    }
    return revoked;
  }

  /** All whose handlers are, or may be, at work. */
  all(): Delivery[] {
    return [...this.#running.values(), ...this.#lingering.values()];
  }

  #forgetOld(now: number): void {
    for (const [key, at] of this.#finished) {
      if (this.#finished.size <= REMEMBERED_MESSAGES && at > now - REMEMBERED_MS) return;
      this.#finished.delete(key);
      this.#told.delete(key);
      this.#lingering.delete(key);
    }
  }
}

function keyOf({ sender, id }: MessageRef): string {
  return messageKey(sender, id);
}
