/**
 * Checks what a service sends before it is passed on: whether it may send it, whether it may answer that, whether the
 * security role agrees; and keeps each sender's messages in order while some of them wait for that. Pure.
 *
 *   allowed? -> an answer to a known question? -> [who had it before the restart?] -> [security] -> router
 */
import {
  type DeliveredEnvelope,
  type Envelope,
  type RejectionCode,
  SECURITY_ROLE,
  SecurityMessage,
} from '../exorelay/message.js';
import { type HoldLimits, HoldQueue } from './hold-queue.js';
import type { Incoming } from './incoming.js';
import type { Ledger } from './ledger.js';
import type { Link } from './link.js';
import type { Recovery } from './recovery.js';
import { texts } from './reports.js';
import type { Requests } from './requests.js';
import type { Router } from './router.js';
import { isReserved, type Routing } from './routes.js';
import { readSecurityRequest, type SecurityGate } from './security-gate.js';

export interface IntakeParts {
  readonly routing: Routing;
  readonly router: Router;
  readonly ledger: Ledger;
  readonly requests: Requests;
  readonly gate: SecurityGate;
  readonly recovery: Recovery;
  /** Bounds of what one sender may have waiting for a decision. */
  readonly limits: HoldLimits;
  now(): number;
}

interface Early {
  readonly link: Link;
  readonly message: Incoming;
}

export class Intake {
  readonly #parts: IntakeParts;
  /** Replies to what was asked before the hub was restarted, by what they answer, until who asked is back. */
  readonly #early: HoldQueue<Early>;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#early = new HoldQueue(parts.limits);
  }

  /** A message for which the ledger was begun. */
  take(link: Link, message: Incoming): void {
    const { role, envelope } = message;
    const { routing, router } = this.#parts;
    if (role === SECURITY_ROLE && isReserved(envelope.name)) {
      this.#fromSecurity(message);
    } else if (
      isReserved(message.name) ||
      isReserved(envelope.name) ||
      !routing.maySend(role, envelope.name)
    ) {
      router.refuse(message, 'EXO_NOT_ALLOWED', texts.notAllowed(role, envelope.name));
    } else if (envelope.responseTo === undefined) {
      this.#admit(link, message);
    } else {
      this.#takeReply(link, message, envelope.responseTo);
    }
  }

  /** Who asked these is back. */
  awaited(ids: ReadonlySet<string>): void {
    for (const { link, message } of this.#early.take((id) => ids.has(id))) this.take(link, message);
  }

  get nextExpiry(): number | undefined {
    return this.#early.nextExpiry;
  }

  /** Lets go of the replies whose asker did not come back. One that is sent again has most likely arrived before the restart. */
  expire(now: number): void {
    for (const { message } of this.#early.expire(now)) {
      if (message.envelope.redelivered === true) this.#parts.ledger.settle(message, now);
      else this.#unknownReply(message);
    }
  }

  #takeReply(link: Link, message: Incoming, responseTo: string): void {
    const { requests, router, now } = this.#parts;
    const request = requests.answerable(responseTo, message.role, now());
    if (request !== undefined) {
      message.request = request;
      // Behind a message that waits for this very answer, an answer to the security role would wait for ever.
      if (request.isSecurity) router.route(message);
      else this.#admit(link, message);
      return;
    }
    const waits = link.moved && requests.get(responseTo, now()) === undefined;
    if (!waits || !this.#early.push(responseTo, { link, message }, message.size, now())) {
      this.#unknownReply(message);
    }
  }

  /** The security role's own messages: its decisions, and its questions. */
  #fromSecurity(message: Incoming): void {
    const { ledger, gate, router, now } = this.#parts;
    const { name, responseTo, payload, ...rest } = message.envelope;
    if (name === SecurityMessage.AUTHORIZED || name === SecurityMessage.UNAUTHORIZED) {
      const yes = name === SecurityMessage.AUTHORIZED;
      if (responseTo !== undefined && gate.answered(responseTo, yes)) ledger.settle(message, now());
      else this.#unknownReply(message);
      return;
    }
    const asked = name === SecurityMessage.REQUEST ? readSecurityRequest(payload) : undefined;
    if (asked !== undefined) {
      const question: Envelope = { ...rest, name, ...('payload' in asked && { payload: asked.payload }) };
      router.route({ ...message, envelope: question, name: asked.name, isSecurity: true });
      return;
    }
    const [code, reason]: [RejectionCode, string] =
      name === SecurityMessage.REQUEST
        ? ['EXO_BAD_MESSAGE', `a '${name}' takes { name, payload }`]
        : ['EXO_NOT_ALLOWED', texts.notAllowed(message.role, name)];
    router.refuse(message, code, reason);
  }

  /** Straight to the router, or in its turn after what has to be found out or decided first. */
  #admit(link: Link, message: Incoming): void {
    const { router, gate, limits } = this.#parts;
    const { order } = link;
    const gated = gate.closed && message.role !== SECURITY_ROLE;
    const redelivered = message.envelope.redelivered === true;
    if (!gated && !redelivered && order.length === 0) {
      router.route(message);
    } else if (order.length >= limits.maxMessages || order.bytes + message.size > limits.maxBytes) {
      router.refuse(message, 'EXO_OVERLOADED', texts.overloaded(message.role));
    } else {
      this.#decide(link, message, gated, redelivered);
    }
  }

  #decide(link: Link, message: Incoming, gated: boolean, redelivered: boolean): void {
    const { router, gate, recovery, routing } = this.#parts;
    const ticket = link.order.enter(message.size, () => router.route(message));
    const authorize = (): void => {
      if (!gated) {
        ticket.open();
        return;
      }
      gate.authorize(publicEnvelope(message), (authorized) => {
        if (!authorized) router.unauthorized(message);
        if (authorized) ticket.open();
        else ticket.drop();
      });
    };
    if (!redelivered) {
      authorize();
      return;
    }
    const { role, envelope, name } = message;
    const receivers = (): readonly string[] => routing.receivers(name);
    recovery.find({ sender: role, id: envelope.id }, receivers, (known) => {
      message.known = known;
      authorize();
    });
  }

  #unknownReply(message: Incoming): void {
    const { role, envelope } = message;
    this.#parts.router.refuse(message, 'EXO_UNKNOWN_REPLY', texts.unknownReply(role, envelope.name));
  }
}

/** The whole message, as the security role gets it: by its public name, and with who really sent it. */
function publicEnvelope({ envelope, name, role }: Incoming): DeliveredEnvelope {
  return { ...envelope, name, sender: role };
}
