/**
 * Passes messages on: to one instance of every role that receives them, and replies to the very instance that asked, each
 * under the name that its receiver has for it. Pure.
 */
import {
  type Body,
  type DeliveredEnvelope,
  type Envelope,
  encodeBody,
  HUB_ROLE,
  messageKey,
  nestBody,
  type RejectionCode,
  SECURITY_ROLE,
  SecurityMessage,
} from '../exorelay/message.js';
import type { Delivery, Outcome } from './delivery.js';
import type { Dispatcher } from './dispatcher.js';
import type { Incoming } from './incoming.js';
import type { Ledger } from './ledger.js';
import type { Monitor } from './monitor.js';
import { consoleLine, type HubWarning, type MessageReport, texts } from './reports.js';
import type { Request, Requests } from './requests.js';
import type { Routing } from './routes.js';

export interface RouterParts {
  readonly routing: Routing;
  readonly dispatcher: Dispatcher;
  readonly ledger: Ledger;
  readonly requests: Requests;
  readonly monitor: Monitor;
  readonly queueTtlMs: number;
  now(): number;
  newId(): string;
  warn(warning: HubWarning): void;
  report(report: MessageReport): void;
  line(text: string): void;
  /** Development mode: keeps a message that nobody has a handler for yet. False: there is no room. */
  keepUnclaimed(message: Incoming): boolean;
}

export class Router {
  readonly #parts: RouterParts;

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  /** A message that was checked and authorized, and for which the ledger was begun. Refuses it where nobody receives it. */
  route(message: Incoming): void {
    const { routing } = this.#parts;
    const { request } = message;
    const receivers = routing.receivers(message.name).filter((role) => role !== request?.role);
    if (request?.isSecurity === true) this.#securityResponse(message, request);
    else if (request !== undefined || receivers.length > 0) this.#passOn(message, receivers, request);
    else this.#nobody(message);
  }

  /** It is not passed on: a warning, its sender hears why, and it is done with. */
  refuse(message: Incoming, code: RejectionCode, reason: string): void {
    const { ledger, now } = this.#parts;
    this.reject(message, code, reason);
    ledger.settle(message, now());
  }

  /** Somebody does not get it. */
  reject(message: Incoming, code: RejectionCode, reason: string): void {
    const { ledger, monitor, warn } = this.#parts;
    monitor.refused(message.role, code);
    warn({ message: reason, code, role: message.role });
    ledger.reject(message, code, reason);
  }

  /** The security role said no, or nothing. The sender is answered with that. */
  unauthorized(message: Incoming): void {
    const { role, instance, envelope, name } = message;
    const { monitor, warn, ledger, newId, now, dispatcher } = this.#parts;
    const { id, activityId } = envelope;
    monitor.refused(role, 'EXO_UNAUTHORIZED');
    warn({ message: texts.unauthorized(name, role, activityId), code: 'EXO_UNAUTHORIZED', role });
    const answerId = newId();
    dispatcher.place({
      key: messageKey(HUB_ROLE, answerId),
      role,
      only: instance,
      envelope: {
        id: answerId,
        name: SecurityMessage.UNAUTHORIZED,
        payload: encodeBody({ id, name: envelope.name, activityId }),
        activityId,
        responseTo: id,
        sender: HUB_ROLE,
        timestamp: now(),
      },
      size: 0,
      waits: true,
      redelivered: false,
      given: () => undefined,
      settled: () => undefined,
    });
    ledger.settle(message, now());
  }

  #passOn(message: Incoming, receivers: readonly string[], request: Request | undefined): void {
    const { requests, ledger, now } = this.#parts;
    const { role, instance, envelope, isSecurity, at } = message;
    const waits = request?.cancelled === false;
    const roles = waits ? [request.role, ...receivers] : receivers;
    const asked = { role, instance, activityId: envelope.activityId, at, isSecurity, asked: new Set(roles) };
    const own = requests.add(envelope.id, asked, now());
    if (own === undefined) {
      this.refuse(message, 'EXO_BAD_MESSAGE', 'another service has a message with this id');
      return;
    }
    if (roles.length > 0) this.#report(message, roles, request);
    if (waits) this.#reply(message, request, own);
    for (const receiver of receivers) {
      this.#deliver(message, receiver, this.#envelopeFor(message, receiver), own);
    }
    this.#answered(message);
    ledger.settle(message, now());
  }

  /** By the routes nobody ever receives it; in development mode somebody may still come. */
  #nobody(message: Incoming): void {
    const { routing, keepUnclaimed } = this.#parts;
    const { name } = message;
    if (routing.strict) this.refuse(message, 'EXO_NO_RECEIVERS', texts.noReceivers(name));
    else if (!keepUnclaimed(message)) this.refuse(message, 'EXO_QUEUE_FULL', texts.full(name, 'nobody'));
  }

  #answered({ envelope, role, request }: Incoming): void {
    const { last, responseTo } = envelope;
    if (request === undefined || last !== true || responseTo === undefined) return;
    this.#parts.requests.answered(responseTo, role, request);
  }

  #reply(message: Incoming, request: Request, own: Request): void {
    const { envelope, role } = message;
    const { responseTo } = envelope;
    const time = this.#responseTime(request);
    if (time !== undefined) this.#parts.monitor.replied(request.role, role, time);
    const reply: DeliveredEnvelope = {
      ...this.#envelopeFor(message, request.role),
      ...(responseTo !== undefined && { responseTo }),
      // The activity is the asker's own, whatever the reply says.
      activityId: request.activityId,
      ...(envelope.last === true && { last: true }),
      ...(time !== undefined && { responseTime: time }),
    };
    this.#deliver(message, request.role, reply, own, request.instance);
  }

  /** A service answers what the security role asked: nobody else hears it, and nobody decides over it. */
  #securityResponse(message: Incoming, request: Request): void {
    const { ledger, now } = this.#parts;
    const { envelope, name, role } = message;
    let payload: Body;
    try {
      const answer = envelope.payload === undefined ? undefined : nestBody(envelope.payload);
      payload = encodeBody({ name, payload: answer, sender: role });
    } catch {
      this.refuse(message, 'EXO_BAD_MESSAGE', texts.unreadable(name, role));
      return;
    }
    const response: DeliveredEnvelope = {
      ...this.#envelopeFor(message, request.role),
      name: SecurityMessage.RESPONSE,
      payload,
      ...(envelope.responseTo !== undefined && { responseTo: envelope.responseTo }),
      activityId: request.activityId,
      ...(envelope.last === true && { last: true }),
      isSecurity: true,
    };
    this.#report({ ...message, isSecurity: true }, [SECURITY_ROLE], request);
    this.#deliver(message, request.role, response, undefined, request.instance);
    this.#answered(message);
    ledger.settle(message, now());
  }

  /** As one who receives it sees it, reply or not: an answer to somebody else's question is just a message. */
  #envelopeFor({ envelope, name, role, isSecurity }: Incoming, receiver: string): DeliveredEnvelope {
    const { id, activityId, auth, timestamp } = envelope;
    const causedBy = envelope.causedBy ?? envelope.responseTo;
    return {
      id,
      name: this.#parts.routing.ownName(receiver, name),
      ...payloadOf(envelope),
      activityId,
      ...(auth !== undefined && { auth }),
      ...(causedBy !== undefined && { causedBy }),
      sender: role,
      ...(isSecurity && { isSecurity }),
      ...(envelope.redelivered === true && { redelivered: true }),
      ...(timestamp !== undefined && { timestamp }),
    };
  }

  /** @param own the message as one that can be answered */
  #deliver(
    message: Incoming,
    receiver: string,
    envelope: DeliveredEnvelope,
    own: Request | undefined,
    only?: string,
  ): void {
    const { ledger, dispatcher, monitor, line, now } = this.#parts;
    ledger.expect(message);
    line(consoleLine(message.role, message.envelope.name, envelope.name, receiver));
    monitor.passed(message.role, message.name, receiver);
    const delivery: Delivery = {
      key: message.key,
      role: receiver,
      envelope,
      ...(only !== undefined && { only }),
      known: message.known?.get(receiver),
      size: message.size,
      waits: true,
      redelivered: false,
      given: (instance) => own?.holders.set(receiver, instance),
      settled: (outcome) => {
        this.#settled(message, delivery, outcome);
        ledger.settle(message, now());
      },
    };
    dispatcher.place(delivery);
  }

  #settled(message: Incoming, delivery: Delivery, outcome: Outcome): void {
    const { monitor } = this.#parts;
    if (delivery.redelivered) monitor.redelivered(delivery.role);
    if ('failed' in outcome)
      this.reject(message, outcome.failed, this.#reason(message, delivery, outcome.failed));
    else if ('error' in outcome && outcome.error !== undefined)
      monitor.failed(message.role, message.name, delivery.role);
  }

  #reason({ name }: Incoming, { role }: Delivery, code: RejectionCode): string {
    if (code === 'EXO_QUEUE_EXPIRED') return texts.expired(name, role, this.#parts.queueTtlMs);
    if (code === 'EXO_QUEUE_FULL') return texts.full(name, role);
    if (code === 'EXO_RECEIVER_GONE') return texts.gone(name, role);
    return texts.undeliverable(name, role);
  }

  #report(message: Incoming, receivers: readonly string[], request: Request | undefined): void {
    const { envelope, role, name, isSecurity } = message;
    const time = request === undefined ? undefined : this.#responseTime(request);
    this.#parts.report({
      id: envelope.id,
      name,
      sender: role,
      receivers,
      activityId: envelope.activityId,
      ...(request !== undefined && envelope.responseTo !== undefined && { responseTo: envelope.responseTo }),
      ...(time !== undefined && { responseTime: time }),
      redelivered: envelope.redelivered === true,
      isSecurity,
    });
  }

  #responseTime({ at }: Request): number | undefined {
    return at === undefined ? undefined : Math.max(0, this.#parts.now() - at);
  }
}

/** A message without a payload stays without one. */
function payloadOf({ payload }: Envelope): { payload?: Body } {
  return payload === undefined ? {} : { payload };
}
