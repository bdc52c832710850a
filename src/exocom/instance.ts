/**
 * One running instance of a service: what it has been given and not handled yet, and what waits for its turn. Pure: it
 * writes to a port that was handed in.
 *
 * Replies have a lane of their own: handlers that run wait for them, so they must not wait for those handlers.
 */
import type { DeliveredEnvelope, MessageRef, Rejection } from '../exorelay/message.js';
import type { Delivery } from './delivery.js';
import { Lane, type LaneLimits } from './lane.js';

/** The way to a relay: one session. */
export interface RelayPort {
  readonly connected: boolean;
  /** `sent`; `slow`: sent, but wait for `drain`; `full`: not sent, wait for `drain`; `impossible`: this message can't be sent. */
  deliver(envelope: DeliveredEnvelope): 'sent' | 'slow' | 'full' | 'impossible';
  registered(): void;
  accepted(id: string): void;
  rejected(rejection: Rejection): void;
  /** Whoever sent it waits no longer. */
  cancel(ref: MessageRef): void;
  /** Which of these it has begun or finished. Rejects where it does not answer. */
  known(refs: readonly MessageRef[]): Promise<readonly MessageRef[]>;
  /** Stop and start reading what it sends. */
  pause(): void;
  resume(): void;
  /** It is forgotten: what it was sent, it does not run any more. */
  invalidate(): void;
}

export class Instance {
  readonly role: string;
  readonly id: string;
  /** When it registered, in ms since the epoch. */
  readonly since: number;
  handles: ReadonlySet<string> = new Set();
  /** `leaving`: it takes no new messages, and finishes what it has. `gone`: it was deregistered. */
  state: 'here' | 'leaving' | 'gone' = 'here';
  #port: RelayPort;
  readonly #messages: Lane;
  readonly #replies: Lane;
  /** The port takes no more until `drained`. */
  #blocked = false;

  constructor(role: string, id: string, port: RelayPort, limits: LaneLimits, since: number) {
    this.role = role;
    this.id = id;
    this.#port = port;
    this.since = since;
    this.#messages = new Lane(limits);
    // A slow reader of a stream holds back the replies that it was given, and nothing else.
    this.#replies = new Lane({ ...limits, maxInFlight: limits.maxWaiting });
  }

  get port(): RelayPort {
    return this.#port;
  }

  /** Messages that it has and that wait for it. */
  get load(): number {
    return this.#messages.inFlight + this.#messages.waiting;
  }

  get inFlight(): number {
    return this.#messages.inFlight + this.#replies.inFlight;
  }

  get waiting(): number {
    return this.#messages.waiting + this.#replies.waiting;
  }

  /** False: too many wait for it already. */
  offer(delivery: Delivery): boolean {
    const lane = delivery.only === undefined ? this.#messages : this.#replies;
    if (!lane.add(delivery)) return false;
    this.#pump(lane);
    return true;
  }

  /** Its handler has finished. Undefined where this instance does not have the message. */
  handled(key: string): Delivery | undefined {
    for (const lane of [this.#messages, this.#replies]) {
      const delivery = lane.handled(key);
      if (delivery === undefined) continue;
      this.#pump(lane);
      return delivery;
    }
    return undefined;
  }

  /** It need not have it any more. Undefined where it does not wait. */
  drop(key: string): Delivery | undefined {
    return this.#messages.drop(key) ?? this.#replies.drop(key);
  }

  /** There is room again on the way to it. */
  drained(): void {
    this.#blocked = false;
    this.#pump(this.#replies);
    this.#pump(this.#messages);
  }

  /** It takes no new messages. Returns those that it was not given yet. */
  leave(): Delivery[] {
    this.state = 'leaving';
    return this.#messages.takeWaiting();
  }

  /** It has come back with another session. All that it had not handled is sent again, at the next `drained`; it knows what it had. */
  rebind(port: RelayPort): void {
    this.#port = port;
    this.#blocked = true;
    this.#messages.restart();
    this.#replies.restart();
  }

  /** Empties it: what it has not handled; what it was given is flagged. */
  takeAll(): Delivery[] {
    return [...this.#messages.takeAll(), ...this.#replies.takeAll()];
  }

  #pump(lane: Lane): void {
    for (let delivery = this.#next(lane); delivery !== undefined; delivery = this.#next(lane)) {
      const { envelope, redelivered } = delivery;
      const result = this.#port.deliver(redelivered ? { ...envelope, redelivered: true } : envelope);
      this.#blocked = result === 'full' || result === 'slow';
      if (result === 'full') return;
      lane.advance(delivery, result !== 'impossible');
      if (result === 'impossible') delivery.settled({ failed: 'EXO_UNDELIVERABLE' });
      else delivery.given(this.id);
    }
  }

  #next(lane: Lane): Delivery | undefined {
    return this.#blocked ? undefined : lane.next();
  }
}
