/**
 * Asks the security role about messages, and takes everything that is not a clear yes for a no: no answer in time, nobody
 * there, a handler that failed. Pure: dispatches, timers and ids are handed in.
 */

import {
  type Body,
  type DeliveredEnvelope,
  decodeBody,
  encodeBody,
  HUB_ROLE,
  messageKey,
  nestBody,
  SECURITY_ROLE,
  SecurityMessage,
  sizeOf,
} from '../exorelay/message.js';
import type { Clock, ClockTimer } from '../index.js';
import type { Dispatch } from './instances.js';

export interface GateOptions {
  readonly timeoutMs: number;
  readonly clock: Clock;
  newId(): string;
  place(dispatch: Dispatch): void;
}

interface Question {
  readonly timer: ClockTimer;
  readonly decide: (authorized: boolean) => void;
}

export class SecurityGate {
  readonly #options: GateOptions;
  /** Once a security service was required or seen, nothing passes without it. */
  #closed: boolean;
  /** By the id of the authorization message. Bounded by the messages that wait for a decision. */
  readonly #questions = new Map<string, Question>();

  /** @param required whether it decides before a security service was ever seen */
  constructor(required: boolean, options: GateOptions) {
    this.#closed = required;
    this.#options = options;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** A security service has registered: from now on it decides, also while it is away. */
  seen(): void {
    this.#closed = true;
  }

  /** Asks about a message, which carries its public name. `decide` is called once, maybe at once. */
  authorize(message: DeliveredEnvelope, decide: (authorized: boolean) => void): void {
    const { clock, timeoutMs, newId, place } = this.#options;
    let payload: Body;
    try {
      payload = wholeMessage(message);
    } catch {
      decide(false); // nobody can read it, and so nobody can allow it
      return;
    }
    const id = newId();
    const timer = clock.setTimeout(() => this.#settle(id, false), timeoutMs);
    timer.unref?.();
    this.#questions.set(id, { timer, decide });
    const envelope: DeliveredEnvelope = {
      id,
      name: SecurityMessage.AUTHORIZE,
      payload,
      // An activity of its own: it is nobody else's business, and any security instance can answer.
      activityId: newId(),
      sender: HUB_ROLE,
      timestamp: clock.now(),
    };
    place({
      key: messageKey(HUB_ROLE, id),
      role: SECURITY_ROLE,
      envelope,
      size: sizeOf(envelope),
      waits: false,
      redelivered: false,
      given: () => undefined,
      settled: (outcome) => {
        // Handled without an error: its answer comes as a message, or not at all.
        if (!('error' in outcome) || outcome.error !== undefined) this.#settle(id, false);
      },
    });
  }

  /** The security role has answered. False: nobody asked that. */
  answered(id: string, authorized: boolean): boolean {
    return this.#settle(id, authorized);
  }

  /** The hub ends: nothing is decided any more. */
  stop(): void {
    for (const { timer } of this.#questions.values()) this.#options.clock.clearTimeout(timer);
    this.#questions.clear();
  }

  #settle(id: string, authorized: boolean): boolean {
    const question = this.#questions.get(id);
    if (question === undefined) return false;
    this.#questions.delete(id);
    this.#options.clock.clearTimeout(question.timer);
    question.decide(authorized);
    return true;
  }
}

/** A message as the payload of the one that asks about it, with its own payload and auth as values. */
function wholeMessage({ payload, auth, ...rest }: DeliveredEnvelope): Body {
  return encodeBody({
    ...rest,
    ...(payload !== undefined && { payload: nestBody(payload) }),
    ...(auth !== undefined && { auth: nestBody(auth) }),
  });
}

/** What a `security request` asks, or undefined where it is none. */
export function readSecurityRequest(body: Body | undefined): { name: string; payload?: Body } | undefined {
  let asked: unknown;
  try {
    asked = body === undefined ? undefined : decodeBody(body);
  } catch {
    return undefined;
  }
  if (typeof asked !== 'object' || asked === null) return undefined;
  const { name } = asked as { name?: unknown };
  if (typeof name !== 'string' || name === '') return undefined;
  return { name, ...('payload' in asked && { payload: encodeBody(asked.payload) }) };
}
