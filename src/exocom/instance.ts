/**
 * One running instance of a service: what it has been given and not handled yet, and what waits for its turn. Pure: it
 * writes to a port that was handed in.
 */
import type { DeliveredEnvelope, MessageRef, Rejection, RejectionCode } from '../exorelay/message.js';
import type { Delivery } from './delivery.js';

/** The way to a relay: one session. */
export interface RelayPort {
  readonly connected: boolean;
  /** `sent`; `slow`: sent, but wait for `drain`; `full`: not sent, wait for `drain`; `impossible`: this message can't be sent. */
  deliver(envelope: DeliveredEnvelope): 'sent' | 'slow' | 'full' | 'impossible';
  registered(): void;
  accepted(id: string): void;
  rejected(rejection: Rejection): void;
  /** Which of these it has begun or finished. Rejects where it does not answer. */
  known(refs: readonly MessageRef[]): Promise<readonly MessageRef[]>;
  /** Stop and start reading what it sends. */
  pause(): void;
  resume(): void;
  /** It is forgotten: what it was sent, it does not run any more. */
  invalidate(): void;
}

export interface InstanceLimits {
  /** Messages that are given out at a time, and their bytes. */
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** Messages that wait for their turn, and their bytes. */
  readonly maxWaiting: number;
  readonly maxWaitingBytes: number;
}

export class Instance {
  readonly role: string;
  readonly id: string;
  /** When it registered, in ms since the epoch. */
  readonly since: number;
  handles: ReadonlySet<string> = new Set();
  /** It was deregistered. */
  gone = false;
  #port: RelayPort;
  readonly #limits: InstanceLimits;
  /** Given out and not handled, in order. */
  readonly #inFlight = new Map<string, Delivery>();
  #inFlightBytes = 0;
  /** Not given out yet, in order. */
  #waiting: Delivery[] = [];
  #waitingBytes = 0;
  #blocked = false;

  constructor(role: string, id: string, port: RelayPort, limits: InstanceLimits, since: number) {
    this.role = role;
    this.id = id;
    this.#port = port;
    this.#limits = limits;
    this.since = since;
  }

  get port(): RelayPort {
    return this.#port;
  }

  /** Messages that it has and that wait for it. */
  get load(): number {
    return this.#inFlight.size + this.#waiting.length;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** False: too many wait for it already. */
  offer(delivery: Delivery): boolean {
    const { maxWaiting, maxWaitingBytes } = this.#limits;
    if (this.#waiting.length >= maxWaiting || this.#waitingBytes + delivery.size > maxWaitingBytes)
      return false;
    this.#waiting.push(delivery);
    this.#waitingBytes += delivery.size;
    this.#pump();
    return true;
  }

  /** Its handler has finished. Undefined where this instance does not have the message. */
  handled(key: string): Delivery | undefined {
    const delivery = this.#inFlight.get(key);
    if (delivery === undefined) return undefined;
    this.#inFlight.delete(key);
    this.#inFlightBytes -= delivery.size;
    this.#pump();
    return delivery;
  }

  /** There is room again on the way to it. */
  drained(): void {
    this.#blocked = false;
    this.#pump();
  }

  /** It has come back with another session: all that it had not handled is sent again, and it tells what it knows. */
  rebind(port: RelayPort): void {
    this.#port = port;
    const again = this.takeAll();
    this.#blocked = false;
    this.#waiting = again;
    for (const delivery of again) this.#waitingBytes += delivery.size;
    this.#pump();
  }

  /** Empties it: what it has not handled, in order; what it was given is flagged. */
  takeAll(): Delivery[] {
    const all = [...this.#inFlight.values(), ...this.#waiting];
    for (const delivery of this.#inFlight.values()) delivery.redelivered = true;
    this.#inFlight.clear();
    this.#inFlightBytes = 0;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return all;
  }

  #pump(): void {
    let given = 0;
    const impossible: Delivery[] = [];
    for (const delivery of this.#waiting) {
      if (!this.#room()) break;
      const { envelope } = delivery;
      const result = this.#port.deliver(delivery.redelivered ? { ...envelope, redelivered: true } : envelope);
      if (result === 'full') {
        this.#blocked = true;
        break;
      }
      given++;
      this.#waitingBytes -= delivery.size;
      if (result === 'impossible') {
        impossible.push(delivery);
        continue;
      }
      this.#inFlight.set(delivery.key, delivery);
      this.#inFlightBytes += delivery.size;
      if (result === 'slow') this.#blocked = true;
    }
    if (given > 0) this.#waiting.splice(0, given);
    const failed: RejectionCode = 'EXO_UNDELIVERABLE';
    for (const delivery of impossible) delivery.settled({ failed });
  }

  #room(): boolean {
    const { maxInFlight, maxInFlightBytes } = this.#limits;
    // One message is always let through, however large.
    const bytes = this.#inFlight.size === 0 || this.#inFlightBytes < maxInFlightBytes;
    return !this.#blocked && this.#inFlight.size < maxInFlight && bytes;
  }
}
