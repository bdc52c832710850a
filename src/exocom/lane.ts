/**
 * Messages for one instance, in order: those that it has, up to a bound, and those that wait for their turn. Pure.
 */
import type { Delivery } from './delivery.js';

export interface LaneLimits {
  /** Messages that are given out at a time, and their bytes. */
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** Messages that wait for their turn, and their bytes. */
  readonly maxWaiting: number;
  readonly maxWaitingBytes: number;
}

export class Lane {
  readonly #limits: LaneLimits;
  readonly #inFlight = new Map<string, Delivery>();
  #inFlightBytes = 0;
  /** In a Map's order of insertion. */
  #waiting = new Map<string, Delivery>();
  #waitingBytes = 0;

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** False: too many wait already. */
  add(delivery: Delivery): boolean {
    const { maxWaiting, maxWaitingBytes } = this.#limits;
    if (this.#waiting.size >= maxWaiting || this.#waitingBytes + delivery.size > maxWaitingBytes)
      return false;
    this.#wait(delivery);
    return true;
  }

  /** The one whose turn it is; undefined where none waits, or enough are out. */
  next(): Delivery | undefined {
    const { maxInFlight, maxInFlightBytes } = this.#limits;
    // One message is always let through, however large.
    const room = this.#inFlight.size === 0 || this.#inFlightBytes < maxInFlightBytes;
    if (!room || this.#inFlight.size >= maxInFlight) return undefined;
    const [delivery] = this.#waiting.values();
    return delivery;
  }

  /** What `next` returned has been given to the instance, or can't be. */
  advance(delivery: Delivery, given: boolean): void {
    this.drop(delivery.key);
    if (!given) return;
    this.#inFlight.set(delivery.key, delivery);
    this.#inFlightBytes += delivery.size;
  }

  /** The instance has handled it. */
  handled(key: string): Delivery | undefined {
    const delivery = this.#inFlight.get(key);
    if (delivery === undefined) return undefined;
    this.#inFlight.delete(key);
    this.#inFlightBytes -= delivery.size;
    return delivery;
  }

  /** It need not be given any more. Undefined where it does not wait. */
  drop(key: string): Delivery | undefined {
    const delivery = this.#waiting.get(key);
    if (delivery === undefined) return undefined;
    this.#waiting.delete(key);
    this.#waitingBytes -= delivery.size;
    return delivery;
  }

  takeWaiting(): Delivery[] {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#waitingBytes = 0;
    return waiting;
  }

  /** Empties it: what was given out comes first, and is flagged. */
  takeAll(): Delivery[] {
    const given = [...this.#inFlight.values()];
    for (const delivery of given) delivery.redelivered = true;
    this.#inFlight.clear();
    this.#inFlightBytes = 0;
    return [...given, ...this.takeWaiting()];
  }

  /** The instance is to have all of it again. */
  restart(): void {
    for (const delivery of this.takeAll()) this.#wait(delivery);
  }

  #wait(delivery: Delivery): void {
    this.#waiting.set(delivery.key, delivery);
    this.#waitingBytes += delivery.size;
  }
}
