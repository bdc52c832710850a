/**
 * The hub without sockets: the life of a message. Relays register; what they send is checked, decided over in the order in which
 * each of them sent it, and passed on to one instance of every role that receives it; what they have handled is crossed off.
 * Everything it needs from outside is handed in: ports, the clock, ids. Pure but for the timers of that clock.
 *
 *   message -> sent before? -> allowed? -> an answer to a known question? -> [who had it before the restart?] -> [security]
 *           -> routes -> dispatcher -> instance -> port
 *   handled -> instance -> the sender's port: accepted
 */
import {
  type Body,
  type DeliveredEnvelope,
  type Envelope,
  encodeBody,
  HUB_ROLE,
  isName,
  messageKey,
  nestBody,
  type Registration,
  type RejectionCode,
  readAwaited,
  readEnvelope,
  readHandled,
  readRegistration,
  SECURITY_ROLE,
  SecurityMessage,
  sizeOf,
} from '../exorelay/message.js';
import type { Clock, ClockTimer } from '../index.js';
import { Dispatcher } from './dispatcher.js';
import { type HoldLimits, HoldQueue } from './hold-queue.js';
import {
  type Dispatch,
  type DispatchResult,
  Instance,
  Instances,
  type RelayPort,
  type WindowLimits,
} from './instances.js';
import { type Incoming, type Request, Requests, Unfinished } from './messages.js';
import { Recovery } from './recovery.js';
import {
  type Alarm,
  consoleLine,
  type HubWarning,
  type MessageReport,
  type Presence,
  texts,
} from './reports.js';
import { isReserved, type Routing } from './routes.js';
import { readSecurityRequest, SecurityGate } from './security-gate.js';
import { type RateLimit, RateMeter, Traffic } from './traffic.js';

export interface ExchangeOptions {
  readonly routing: Routing;
  readonly clock: Clock;
  /** The id of this hub process. */
  readonly hub: string;
  newId(): string;
  readonly securityRequired: boolean;
  readonly securityTimeoutMs: number;
  readonly queues: HoldLimits;
  readonly instances: WindowLimits;
  readonly activityIdleMs: number;
  readonly instanceGraceMs: number;
  readonly rateLimit: RateLimit;
}

/** What it tells to whoever runs it. */
export interface ExchangeEvents {
  warning(warning: HubWarning): void;
  alarm(alarm: Alarm): void;
  message(report: MessageReport): void;
  registered(presence: Presence): void;
  deregistered(presence: Presence): void;
  line(text: string): void;
}

interface Early {
  readonly session: RelaySession;
  readonly message: Incoming;
}

export class Exchange {
  readonly instances: Instances;
  readonly traffic = new Traffic();
  readonly dispatcher: Dispatcher;
  readonly #options: ExchangeOptions;
  readonly #events: ExchangeEvents;
  readonly #routing: Routing;
  readonly #unfinished: Unfinished;
  readonly #requests: Requests;
  readonly #gate: SecurityGate;
  readonly #recovery: Recovery;
  readonly #rates: RateMeter;
  /** Development mode: messages that nobody has a handler for yet, by name. */
  readonly #unclaimed: HoldQueue<Incoming>;
  /** Replies to what was asked before the hub was restarted, by what they answer, until who asked is back. */
  readonly #early: HoldQueue<Early>;
  #expiry: ClockTimer | undefined;
  #draining = false;

  constructor(options: ExchangeOptions, events: ExchangeEvents) {
    this.#options = options;
    this.#events = events;
    const { clock, routing, newId, queues, securityTimeoutMs, instanceGraceMs, activityIdleMs } = options;
    this.#routing = routing;
    this.instances = new Instances(activityIdleMs);
    this.dispatcher = new Dispatcher(this.instances, queues, () => clock.now());
    this.#requests = new Requests(activityIdleMs);
    this.#unfinished = new Unfinished(this.instances);
    this.#unclaimed = new HoldQueue(queues);
    this.#early = new HoldQueue(queues);
    this.#gate = new SecurityGate(options.securityRequired, {
      ...{ timeoutMs: securityTimeoutMs, clock, newId },
      place: (dispatch) => this.dispatcher.place(dispatch),
    });
    this.#recovery = new Recovery(this.instances, clock, clock.now() + instanceGraceMs);
    this.#rates = new RateMeter(options.rateLimit);
  }

  /** Messages that were taken and are not finished. */
  get running(): number {
    return this.#unfinished.running;
  }

  /** Development mode's messages that nobody has a handler for yet. */
  get unclaimed(): { messages: number; bytes: number } {
    return { messages: this.#unclaimed.length, bytes: this.#unclaimed.bytes };
  }

  /** A relay has authenticated. Nothing of it counts before it registers: it then sends all again that is not accepted. */
  open(role: string, port: RelayPort): RelaySession {
    return new RelaySession(role, port);
  }

  /** Again for the same instance: its handlers may be others, or it has come back with a new session. */
  register(session: RelaySession, raw: unknown): void {
    const registration = readRegistration(raw);
    const { role, port } = session;
    if (registration === undefined || (session.instance ?? registration.instance) !== registration.instance) {
      const message = `Service '${role}' sent a registration that makes no sense`;
      this.#events.warning({ message, code: 'EXO_BAD_REGISTRATION', role });
      return;
    }
    const instance = this.#instanceOf(session, registration);
    instance.handles = new Set(registration.handles);
    this.#learn(role);
    if (role === SECURITY_ROLE) this.#gate.seen();
    port.registered();
    instance.drained();
    this.dispatcher.arrived(instance);
    this.#claim();
    this.#arm();
  }

  /** It still waits for replies to what it sent: to this hub, or to one before. */
  awaiting(session: RelaySession, raw: unknown): void {
    const { instance, role } = session;
    if (instance === undefined) return;
    const routing = this.#routing;
    const now = this.#now();
    const ids = new Set<string>();
    for (const { id, name, activityId } of readAwaited(raw)) {
      ids.add(id);
      this.#bind(instance, role, activityId, now);
      if (this.#requests.get(id, now) !== undefined) continue;
      // Without routes nobody knows who was asked.
      const asked = routing.strict ? new Set(routing.receivers(routing.publicName(role, name))) : undefined;
      this.#requests.add(id, { role, instance, activityId, at: undefined, isSecurity: false, asked }, now);
    }
    this.#askerIsBack(ids);
    this.#arm();
  }

  message(session: RelaySession, raw: unknown): void {
    const { instance, role, port } = session;
    if (instance === undefined || this.#draining) return;
    const now = this.#now();
    this.#count(session, now);
    const envelope = readEnvelope(raw);
    if (typeof envelope === 'string') {
      this.#malformed(session, raw, envelope);
      return;
    }
    const key = messageKey(role, envelope.id);
    if (this.#unfinished.repeated(key, envelope.id, port, now)) return;
    this.traffic.sent(role, now);
    const name = this.#routing.publicName(role, envelope.name);
    const size = sizeOf(envelope);
    const message: Incoming = { key, role, instance, envelope, name, size, at: now, isSecurity: false };
    this.#bind(instance, role, envelope.activityId, now);
    this.#unfinished.begin(message);
    this.#take(session, message);
    this.#arm();
  }

  handled(session: RelaySession, raw: unknown): void {
    const handled = readHandled(raw);
    if (handled === undefined) return;
    const { sender, id, error } = handled;
    this.#at(session)?.handled(messageKey(sender, id))?.settled({ error });
    this.#arm();
  }

  /** Its sender waits no longer: the message is taken back, or whoever has it is told. */
  cancel(session: RelaySession, raw: unknown): void {
    const { id } = (typeof raw === 'object' && raw !== null ? raw : {}) as { id?: unknown };
    const instance = this.#at(session);
    if (instance === undefined || !isName(id)) return;
    const { role } = instance;
    const key = messageKey(role, id);
    for (const message of this.#unclaimed.take((_name, { key: other }) => other === key)) {
      this.#unfinished.settle(message, this.#now());
    }
    const request = this.#requests.get(id, this.#now());
    if (request === undefined || request.role !== role || request.instance !== instance.id) return;
    request.cancelled = true;
    this.dispatcher.cancel(key, request.asked ?? []);
    for (const [holder, at] of request.holders)
      this.instances.get(holder, at)?.port.cancel({ sender: role, id });
  }

  /** It takes no new messages. Its session closes when it has finished. */
  leave(session: RelaySession): void {
    const instance = this.#at(session);
    if (instance !== undefined && !this.#draining) this.dispatcher.leaving(instance);
    this.#arm();
  }

  drained(session: RelaySession): void {
    this.#at(session)?.drained();
  }

  /**
   * A session is over for good. Where its instance has not come back with another one, it is gone.
   * @param byItself its relay has closed it, and will not come back
   */
  closed(session: RelaySession, byItself: boolean): void {
    const instance = this.#at(session);
    if (this.#draining || instance === undefined) return;
    this.dispatcher.departed(instance, byItself);
    if (!this.instances.has(session.role)) this.#rates.forget(session.role);
    this.#events.deregistered({ role: instance.role, instance: instance.id });
    this.#arm();
  }

  /** What is sent from now on is not taken: it is sent again to the next hub. What handlers finish is still crossed off. */
  drain(): void {
    this.#draining = true;
  }

  /** Nothing is decided, kept or passed on any more. */
  stop(): void {
    this.#draining = true;
    if (this.#expiry !== undefined) this.#options.clock.clearTimeout(this.#expiry);
    this.#gate.stop();
    this.#recovery.stop();
  }

  /** The instance of a session, if this session is still its way. */
  #at({ role, instance, port }: RelaySession): Instance | undefined {
    const found = instance === undefined ? undefined : this.instances.get(role, instance);
    return found?.port === port ? found : undefined;
  }

  #instanceOf(session: RelaySession, { instance: id, before }: Registration): Instance {
    const { role, port } = session;
    const known = this.instances.get(role, id);
    if (known?.port === port) return known;
    const { hub, instances } = this.#options;
    session.instance = id;
    session.moved = before !== undefined && before !== hub;
    if (known !== undefined) {
      const old = known.port;
      known.rebind(port);
      old.invalidate();
      return known;
    }
    const instance = new Instance(role, id, port, instances, this.#now());
    this.instances.add(instance);
    this.#events.registered({ role, instance: id });
    return instance;
  }

  #learn(role: string): void {
    const names = this.instances.of(role).flatMap((instance) => [...instance.handles]);
    this.#routing.learn(role, names);
  }

  /** The sender's own role has the activity too: what comes back of it goes to this instance. */
  #bind(instance: string, role: string, activityId: string, now: number): void {
    const found = this.instances.get(role, instance);
    if (found !== undefined) this.instances.bind(found, activityId, now);
  }

  /** Development mode: somebody may have come for what nobody had a handler for. */
  #claim(): void {
    if (this.#unclaimed.length === 0) return;
    const routing = this.#routing;
    const claimed = this.#unclaimed.take((name) => routing.receivers(name).length > 0);
    for (const message of claimed) this.#route(message);
  }

  #malformed({ role, port }: RelaySession, raw: unknown, reason: string): void {
    this.traffic.refused(role, 'EXO_BAD_MESSAGE');
    this.#events.warning({ message: `Service '${role}': ${reason}`, code: 'EXO_BAD_MESSAGE', role });
    const { id, name } = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>;
    if (typeof id !== 'string') return;
    port.rejected({ id, name: typeof name === 'string' ? name : '', reason, code: 'EXO_BAD_MESSAGE' });
    port.accepted(id);
  }

  #count(session: RelaySession, now: number): void {
    const { role, port } = session;
    const { rateLimit, clock } = this.#options;
    const { limit, waitMs, alarm } = this.#rates.count(role, now);
    const throttled = rateLimit.throttle === true;
    if (alarm) {
      const message = `Service '${role}' sends more than ${limit} messages a second`;
      this.traffic.alarmed(role);
      this.#events.alarm({ code: 'EXO_RATE', message, role, limit, throttled });
    }
    if (waitMs === 0 || !throttled || session.throttled) return;
    session.throttled = true;
    port.pause();
    const timer = clock.setTimeout(() => {
      session.throttled = false;
      port.resume();
    }, waitMs);
    timer.unref?.();
  }

  // Deciding: may it be sent, does it answer a known question, who had it before, does the security role agree?

  /** A message of which it is remembered that it is on its way. */
  #take(session: RelaySession, message: Incoming): void {
    const { role, envelope } = message;
    if (role === SECURITY_ROLE && isReserved(envelope.name)) {
      this.#fromSecurity(message);
    } else if (
      isReserved(message.name) ||
      isReserved(envelope.name) ||
      !this.#routing.maySend(role, envelope.name)
    ) {
      this.#refuse(message, 'EXO_NOT_ALLOWED', texts.notAllowed(role, envelope.name));
    } else if (envelope.responseTo === undefined) {
      this.#admit(session, message);
    } else {
      this.#takeReply(session, message, envelope.responseTo);
    }
  }

  /** Who asked these is back. */
  #askerIsBack(ids: ReadonlySet<string>): void {
    for (const { session, message } of this.#early.take((id) => ids.has(id))) this.#take(session, message);
  }

  /** Lets go of the replies whose asker did not come back. One that is sent again has most likely arrived before the restart. */
  #expireEarly(now: number): void {
    for (const { message } of this.#early.expire(now)) {
      if (message.envelope.redelivered === true) this.#unfinished.settle(message, now);
      else this.#unknownReply(message);
    }
  }

  #takeReply(session: RelaySession, message: Incoming, responseTo: string): void {
    const request = this.#requests.answerable(responseTo, message.role, this.#now());
    if (request !== undefined) {
      message.request = request;
      // Behind a message that waits for this very answer, an answer to the security role would wait for ever.
      if (request.isSecurity) this.#route(message);
      else this.#admit(session, message);
      return;
    }
    const waits = session.moved && this.#requests.get(responseTo, this.#now()) === undefined;
    if (!waits || !this.#early.push(responseTo, { session, message }, message.size, this.#now())) {
      this.#unknownReply(message);
    }
  }

  /** The security role's own messages: its decisions, and its questions. */
  #fromSecurity(message: Incoming): void {
    const { name, responseTo, payload, ...rest } = message.envelope;
    if (name === SecurityMessage.AUTHORIZED || name === SecurityMessage.UNAUTHORIZED) {
      const yes = name === SecurityMessage.AUTHORIZED;
      if (responseTo !== undefined && this.#gate.answered(responseTo, yes))
        this.#unfinished.settle(message, this.#now());
      else this.#unknownReply(message);
      return;
    }
    const asked = name === SecurityMessage.REQUEST ? readSecurityRequest(payload) : undefined;
    if (asked !== undefined) {
      const question: Envelope = { ...rest, name, ...('payload' in asked && { payload: asked.payload }) };
      this.#route({ ...message, envelope: question, name: asked.name, isSecurity: true });
      return;
    }
    const [code, reason]: [RejectionCode, string] =
      name === SecurityMessage.REQUEST
        ? ['EXO_BAD_MESSAGE', `a '${name}' takes { name, payload }`]
        : ['EXO_NOT_ALLOWED', texts.notAllowed(message.role, name)];
    this.#refuse(message, code, reason);
  }

  /** Passes it on at once; or in its turn, where it or one before it has to be decided over first. */
  #admit(session: RelaySession, message: Incoming): void {
    const { order } = session;
    const gated = this.#gate.closed && message.role !== SECURITY_ROLE;
    const redelivered = message.envelope.redelivered === true;
    if (!gated && !redelivered && order.length === 0) {
      this.#route(message);
    } else if (
      order.length >= this.#options.queues.maxMessages ||
      order.bytes + message.size > this.#options.queues.maxBytes
    ) {
      this.#refuse(message, 'EXO_OVERLOADED', texts.overloaded(message.role));
    } else {
      this.#decide(session, message, gated, redelivered);
    }
  }

  #decide(session: RelaySession, message: Incoming, gated: boolean, redelivered: boolean): void {
    const ticket = session.order.enter(message.size, () => this.#route(message));
    const authorize = (): void => {
      if (!gated) {
        ticket.open();
        return;
      }
      this.#gate.authorize(publicEnvelope(message), (authorized) => {
        if (!authorized) this.#unauthorized(message);
        if (authorized) ticket.open();
        else ticket.drop();
      });
    };
    if (!redelivered) {
      authorize();
      return;
    }
    const { role, envelope, name } = message;
    const receivers = (): readonly string[] => this.#routing.receivers(name);
    this.#recovery.find({ sender: role, id: envelope.id }, receivers, (known) => {
      message.known = known;
      authorize();
    });
  }

  #unknownReply(message: Incoming): void {
    const { role, envelope } = message;
    this.#refuse(message, 'EXO_UNKNOWN_REPLY', texts.unknownReply(role, envelope.name));
  }

  // Passing on: to one instance of every role that receives it, and replies to the very instance that asked.

  /** A message that was checked and authorized, and is remembered as on its way. Refuses it where nobody receives it. */
  #route(message: Incoming): void {
    const { request } = message;
    const receivers = this.#routing.receivers(message.name).filter((role) => role !== request?.role);
    if (request?.isSecurity === true) this.#securityResponse(message, request);
    else if (request !== undefined || receivers.length > 0) this.#passOn(message, receivers, request);
    else this.#nobody(message);
  }

  /** It is not passed on: a warning, its sender hears why, and it is done with. */
  #refuse(message: Incoming, code: RejectionCode, reason: string): void {
    this.#reject(message, code, reason);
    this.#unfinished.settle(message, this.#now());
  }

  /** Somebody does not get it. */
  #reject(message: Incoming, code: RejectionCode, reason: string): void {
    this.traffic.refused(message.role, code);
    this.#events.warning({ message: reason, code, role: message.role });
    this.#unfinished.reject(message, code, reason);
  }

  /** The security role said no, or nothing. The sender is answered with that. */
  #unauthorized(message: Incoming): void {
    const { role, instance, envelope, name } = message;
    const { id, activityId } = envelope;
    this.traffic.refused(role, 'EXO_UNAUTHORIZED');
    this.#events.warning({
      message: texts.unauthorized(name, role, activityId),
      code: 'EXO_UNAUTHORIZED',
      role,
    });
    const answerId = this.#options.newId();
    this.dispatcher.place({
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
        timestamp: this.#now(),
      },
      size: 0,
      waits: true,
      redelivered: false,
      given: () => undefined,
      settled: () => undefined,
    });
    this.#unfinished.settle(message, this.#now());
  }

  #passOn(message: Incoming, receivers: readonly string[], request: Request | undefined): void {
    const { role, instance, envelope, isSecurity, at } = message;
    const waits = request?.cancelled === false;
    const roles = waits ? [request.role, ...receivers] : receivers;
    const asked = { role, instance, activityId: envelope.activityId, at, isSecurity, asked: new Set(roles) };
    const own = this.#requests.add(envelope.id, asked, this.#now());
    if (own === undefined) {
      this.#refuse(message, 'EXO_BAD_MESSAGE', 'another service has a message with this id');
      return;
    }
    if (roles.length > 0) this.#report(message, roles, request);
    if (waits) this.#reply(message, request, own);
    for (const receiver of receivers) {
      this.#deliver(message, receiver, this.#envelopeFor(message, receiver), own);
    }
    this.#answered(message);
    this.#unfinished.settle(message, this.#now());
  }

  /** By the routes nobody ever receives it; in development mode somebody may still come. */
  #nobody(message: Incoming): void {
    const { name } = message;
    if (this.#routing.strict) this.#refuse(message, 'EXO_NO_RECEIVERS', texts.noReceivers(name));
    else if (!this.#keepUnclaimed(message))
      this.#refuse(message, 'EXO_QUEUE_FULL', texts.full(name, 'nobody'));
  }

  #answered({ envelope, role, request }: Incoming): void {
    const { last, responseTo } = envelope;
    if (request === undefined || last !== true || responseTo === undefined) return;
    this.#requests.answered(responseTo, role, request);
  }

  #reply(message: Incoming, request: Request, own: Request): void {
    const { envelope, role } = message;
    const { responseTo } = envelope;
    const time = this.#responseTime(request);
    if (time !== undefined) this.traffic.replied(request.role, role, time);
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
    const { envelope, name, role } = message;
    let payload: Body;
    try {
      const answer = envelope.payload === undefined ? undefined : nestBody(envelope.payload);
      payload = encodeBody({ name, payload: answer, sender: role });
    } catch {
      this.#refuse(message, 'EXO_BAD_MESSAGE', texts.unreadable(name, role));
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
    this.#unfinished.settle(message, this.#now());
  }

  /** As one who receives it sees it, reply or not: an answer to somebody else's question is just a message. */
  #envelopeFor({ envelope, name, role, isSecurity }: Incoming, receiver: string): DeliveredEnvelope {
    const { id, activityId, auth, timestamp } = envelope;
    const causedBy = envelope.causedBy ?? envelope.responseTo;
    return {
      id,
      name: this.#routing.ownName(receiver, name),
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
    this.#unfinished.expect(message);
    this.#events.line(consoleLine(message.role, message.envelope.name, envelope.name, receiver));
    this.traffic.passed(message.role, message.name, receiver);
    const dispatch: Dispatch = {
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
        this.#settled(message, dispatch, outcome);
        this.#unfinished.settle(message, this.#now());
      },
    };
    this.dispatcher.place(dispatch);
  }

  #settled(message: Incoming, dispatch: Dispatch, outcome: DispatchResult): void {
    if (dispatch.redelivered) this.traffic.redelivered(dispatch.role);
    if ('failed' in outcome)
      this.#reject(message, outcome.failed, this.#reason(message, dispatch, outcome.failed));
    else if ('error' in outcome && outcome.error !== undefined)
      this.traffic.failed(message.role, message.name, dispatch.role);
  }

  #reason({ name }: Incoming, { role }: Dispatch, code: RejectionCode): string {
    if (code === 'EXO_QUEUE_EXPIRED') return texts.expired(name, role, this.#options.queues.ttlMs);
    if (code === 'EXO_QUEUE_FULL') return texts.full(name, role);
    if (code === 'EXO_RECEIVER_GONE') return texts.gone(name, role);
    return texts.undeliverable(name, role);
  }

  #report(message: Incoming, receivers: readonly string[], request: Request | undefined): void {
    const { envelope, role, name, isSecurity } = message;
    const time = request === undefined ? undefined : this.#responseTime(request);
    this.#events.message({
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
    return at === undefined ? undefined : Math.max(0, this.#now() - at);
  }

  /** Development mode: keeps a message that nobody has a handler for yet. False: there is no room. */
  #keepUnclaimed(message: Incoming): boolean {
    return this.#unclaimed.push(message.name, message, message.size, this.#now());
  }

  // Time.

  /** One timer for all that may become too old. */
  #arm(): void {
    if (this.#expiry !== undefined || this.#draining) return;
    const { clock } = this.#options;
    const times = [this.dispatcher.nextExpiry, this.#unclaimed.nextExpiry, this.#early.nextExpiry];
    const next = Math.min(...times.map((time) => time ?? Number.POSITIVE_INFINITY));
    if (next === Number.POSITIVE_INFINITY) return;
    this.#expiry = clock.setTimeout(() => this.#expire(), Math.max(0, next - clock.now()));
    this.#expiry.unref?.();
  }

  #expire(): void {
    this.#expiry = undefined;
    const now = this.#now();
    this.dispatcher.expire(now);
    this.#expireEarly(now);
    const { ttlMs } = this.#options.queues;
    for (const message of this.#unclaimed.expire(now)) {
      this.#refuse(message, 'EXO_QUEUE_EXPIRED', texts.unclaimed(message.name, ttlMs));
    }
    this.#arm();
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

/** The whole message, as the security role gets it: by its public name, and with who really sent it. */
function publicEnvelope({ envelope, name, role }: Incoming): DeliveredEnvelope {
  return { ...envelope, name, sender: role };
}

/** A message without a payload stays without one. */
function payloadOf({ payload }: Envelope): { payload?: Body } {
  return payload === undefined ? {} : { payload };
}

/** One session of a relay's, as the hub sees it: who authenticated on it, and what of its messages is being decided over. */
export class RelaySession {
  /** Who authenticated. What its messages claim is ignored. */
  readonly role: string;
  readonly port: RelayPort;
  /** The id of the instance; undefined until it registers. */
  instance: string | undefined;
  /** It was registered at another hub process before: it may answer what this one has never heard of. */
  moved = false;
  /** Messages that wait for a decision, or for those before them. */
  readonly order = new InOrder();
  /** It is being slowed down. */
  throttled = false;

  constructor(role: string, port: RelayPort) {
    this.role = role;
    this.port = port;
  }
}

interface Ticket {
  /** It may run, when its turn comes. */
  open(): void;
  /** It is not to run; those behind it don't wait for it. */
  drop(): void;
}

interface Entry {
  state: 'waiting' | 'open' | 'dropped';
  readonly run: () => void;
  readonly size: number;
}

/**
 * Keeps what one sender sent in order while some of it still has to be decided over: each entry gets a ticket, and runs once
 * its ticket is open and all before it have run or were dropped.
 */
export class InOrder {
  readonly #entries: Entry[] = [];
  #bytes = 0;
  #running = false;

  get length(): number {
    return this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  enter(size: number, run: () => void): Ticket {
    const entry: Entry = { state: 'waiting', run, size };
    this.#entries.push(entry);
    this.#bytes += size;
    const settle = (state: 'open' | 'dropped'): void => {
      if (entry.state !== 'waiting') return;
      entry.state = state;
      this.#advance();
    };
    return { open: () => settle('open'), drop: () => settle('dropped') };
  }

  /** One at a time: what runs may add more, and may open what is behind it. */
  #advance(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#shift(); next !== undefined; next = this.#shift()) {
        if (next.state === 'open') next.run();
      }
    } finally {
      this.#running = false;
    }
  }

  #shift(): Entry | undefined {
    if (this.#entries[0] === undefined || this.#entries[0].state === 'waiting') return undefined;
    const next = this.#entries.shift();
    this.#bytes -= next?.size ?? 0;
    return next;
  }
}
