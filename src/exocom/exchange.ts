/**
 * The hub without sockets: relays register, what they send is checked, decided over and passed on, and what they have
 * handled is crossed off. Everything it needs from outside is handed in.
 *
 *   message -> known? -> rate -> allowed? -> [where was it before the restart?] -> [security] -> router
 */

import {
  type DeliveredEnvelope,
  type Envelope,
  messageKey,
  type Registration,
  readAwaited,
  readEnvelope,
  readHandled,
  readRegistration,
  SECURITY_ROLE,
  SecurityMessage,
} from '../exorelay/message.js';
import type { Clock, ClockTimer } from '../index.js';
import { Dispatcher } from './dispatcher.js';
import { type HoldLimits, HoldQueue } from './hold-queue.js';
import type { Incoming } from './incoming.js';
import { Instance, type InstanceLimits, type RelayPort } from './instance.js';
import { Ledger } from './ledger.js';
import { Link } from './link.js';
import { sizeOf } from './message-size.js';
import { Monitor } from './monitor.js';
import { type RateLimit, RateMeter } from './rate-meter.js';
import { Recovery } from './recovery.js';
import { type Alarm, type HubWarning, type MessageReport, type Presence, texts } from './reports.js';
import { Requests } from './requests.js';
import { Roster } from './roster.js';
import { Router } from './router.js';
import { isReserved, type Routing } from './routes.js';
import { readSecurityRequest, SecurityGate } from './security-gate.js';

export interface ExchangeOptions {
  readonly routing: Routing;
  readonly clock: Clock;
  /** The id of this hub process. */
  readonly hub: string;
  newId(): string;
  readonly securityRequired: boolean;
  readonly securityTimeoutMs: number;
  readonly queues: HoldLimits;
  readonly instances: InstanceLimits;
  readonly activityIdleMs: number;
  readonly instanceGraceMs: number;
  readonly rateLimit: RateLimit;
}

/** What it tells to whoever runs it. */
export interface ExchangeHooks {
  warning(warning: HubWarning): void;
  alarm(alarm: Alarm): void;
  message(report: MessageReport): void;
  registered(presence: Presence): void;
  deregistered(presence: Presence): void;
  line(text: string): void;
}

export class Exchange {
  readonly roster: Roster;
  readonly monitor = new Monitor();
  readonly dispatcher: Dispatcher;
  readonly #options: ExchangeOptions;
  readonly #hooks: ExchangeHooks;
  readonly #ledger: Ledger;
  readonly #requests: Requests;
  readonly #router: Router;
  readonly #gate: SecurityGate;
  readonly #recovery: Recovery;
  readonly #rates: RateMeter;
  /** Development mode: messages that nobody has a handler for yet, by name. */
  readonly #unclaimed: HoldQueue<Incoming>;
  /** Replies to what was asked before the hub was restarted, by what they answer. */
  readonly #early: HoldQueue<Incoming>;
  #expiry: ClockTimer | undefined;
  #stopped = false;

  constructor(options: ExchangeOptions, hooks: ExchangeHooks) {
    this.#options = options;
    this.#hooks = hooks;
    const { clock, routing, newId, queues } = options;
    const now = (): number => clock.now();
    this.roster = new Roster(options.activityIdleMs);
    this.dispatcher = new Dispatcher(this.roster, queues, now);
    this.#requests = new Requests(options.activityIdleMs);
    this.#ledger = new Ledger((role, id) => this.roster.get(role, id)?.port);
    this.#rates = new RateMeter(options.rateLimit);
    this.#unclaimed = new HoldQueue(queues);
    this.#early = new HoldQueue(queues);
    const place: Dispatcher['place'] = (delivery) => this.dispatcher.place(delivery);
    this.#gate = new SecurityGate(options.securityRequired, {
      ...{ timeoutMs: options.securityTimeoutMs, clock, newId, place },
    });
    this.#recovery = new Recovery({
      clock,
      readyAt: clock.now() + options.instanceGraceMs,
      of: (role) => this.roster.of(role),
    });
    this.#router = new Router({
      ...{ routing, dispatcher: this.dispatcher, ledger: this.#ledger, requests: this.#requests },
      ...{ monitor: this.monitor, queueTtlMs: queues.ttlMs, now, newId },
      warn: (warning) => hooks.warning(warning),
      report: (report) => hooks.message(report),
      line: (text) => hooks.line(text),
      keepUnclaimed: (message) => this.#unclaimed.push(message.name, message, message.size, now()),
    });
  }

  /** Messages that were taken and are not finished. */
  get running(): number {
    return this.#ledger.running;
  }

  /** Development mode's messages that nobody has a handler for yet. */
  get unclaimed(): { messages: number; bytes: number } {
    return { messages: this.#unclaimed.length, bytes: this.#unclaimed.bytes };
  }

  /** A relay has authenticated. Nothing counts before it registers: it sends all again that is not accepted. */
  open(role: string, port: RelayPort): Link {
    return new Link(role, port);
  }

  register(link: Link, raw: unknown): void {
    const registration = readRegistration(raw);
    const again = link.instance;
    if (registration === undefined || (again !== undefined && again.id !== registration.instance)) {
      const message = `Service '${link.role}' sent a registration that makes no sense`;
      this.#hooks.warning({ message, code: 'EXO_BAD_REGISTRATION', role: link.role });
      return;
    }
    const instance = again ?? this.#instanceOf(link, registration);
    instance.handles = new Set(registration.handles);
    this.#learn(link.role);
    if (link.role === SECURITY_ROLE) this.#gate.seen();
    link.port.registered();
    if (instance.port !== link.port) instance.rebind(link.port);
    this.dispatcher.arrived(instance);
    this.#claim();
    this.#arm();
  }

  /** It still waits for replies to what it sent: to this hub, or to one before. */
  awaiting(link: Link, raw: unknown): void {
    const { instance, role } = link;
    if (instance === undefined) return;
    const now = this.#now();
    const ids = new Set<string>();
    for (const { id, activityId } of readAwaited(raw)) {
      if (!this.#requests.has(id, now)) {
        const request = { role, instance: instance.id, activityId, at: undefined, isSecurity: false };
        this.#requests.add(id, { ...request, asked: undefined }, now);
      }
      ids.add(id);
    }
    for (const message of this.#early.take((id) => ids.has(id))) this.#router.route(message);
  }

  message(link: Link, raw: unknown): void {
    const { instance, role } = link;
    if (instance === undefined) return;
    const now = this.#now();
    const envelope = readEnvelope(raw);
    if (typeof envelope === 'string') return this.#malformed(link, raw, envelope);
    const key = messageKey(role, envelope.id);
    if (this.#ledger.repeated(key, envelope.id, link.port, now)) return;
    this.monitor.sent(role, now);
    this.#count(link, now);
    const name = this.#options.routing.publicName(role, envelope.name);
    const size = sizeOf(envelope.payload) + sizeOf(envelope.auth);
    const message = { key, role, instance: instance.id, envelope, name, size, at: now, isSecurity: false };
    this.roster.bind(instance, envelope.activityId, now);
    this.#ledger.begin(message);
    if (role === SECURITY_ROLE && isReserved(envelope.name)) this.#fromSecurity(message);
    else this.#fromService(link, message);
    this.#arm();
  }

  handled(link: Link, raw: unknown): void {
    const handled = readHandled(raw);
    if (handled === undefined) return;
    const { sender, id, error } = handled;
    link.instance?.handled(messageKey(sender, id))?.settled({ error });
  }

  drained(link: Link): void {
    link.instance?.drained();
  }

  /** A session is over for good. Where its instance has not come back with another one, it is gone. */
  closed(link: Link): void {
    const { instance } = link;
    link.instance = undefined;
    if (this.#stopped || instance === undefined) return;
    this.dispatcher.departed(instance);
    if (!this.roster.has(link.role)) this.#rates.forget(link.role);
    this.#hooks.deregistered({ role: instance.role, instance: instance.id });
    this.#arm();
  }

  /** Nothing is decided, kept or passed on any more. */
  stop(): void {
    this.#stopped = true;
    if (this.#expiry !== undefined) this.#options.clock.clearTimeout(this.#expiry);
    this.#gate.stop();
    this.#recovery.stop();
  }

  #instanceOf(link: Link, { instance: id, before }: Registration): Instance {
    const { clock, hub, instances } = this.#options;
    const { role, port } = link;
    link.moved = before !== undefined && before !== hub;
    const known = this.roster.get(role, id);
    const instance = known ?? new Instance(role, id, port, instances, clock.now());
    link.instance = instance;
    if (known === undefined) {
      this.roster.add(instance);
      this.#hooks.registered({ role, instance: id });
    } else {
      // The same relay with a new session: the old one is not its own any more.
      known.port.invalidate();
    }
    return instance;
  }

  #learn(role: string): void {
    const names = this.roster.of(role).flatMap((instance) => [...instance.handles]);
    this.#options.routing.learn(role, names);
  }

  /** Development mode: somebody may have come for what nobody had a handler for. */
  #claim(): void {
    if (this.#unclaimed.length === 0) return;
    const { routing } = this.#options;
    for (const message of this.#unclaimed.take((name) => routing.receivers(name).length > 0)) {
      this.#router.route(message);
    }
  }

  /** The security role's own messages: its decisions, and its questions. */
  #fromSecurity(message: Incoming): void {
    const { envelope } = message;
    const { name, responseTo } = envelope;
    if (name === SecurityMessage.REQUEST) {
      const asked = readSecurityRequest(envelope.payload);
      if (asked === undefined) {
        const reason = `a '${name}' takes { name, payload }`;
        return this.#router.refuse(message, 'EXO_BAD_MESSAGE', reason);
      }
      const { payload: _, ...rest } = envelope;
      const question: Envelope = { ...rest, ...('payload' in asked && { payload: asked.payload }) };
      return this.#router.route({ ...message, envelope: question, name: asked.name, isSecurity: true });
    }
    const decides = name === SecurityMessage.AUTHORIZED || name === SecurityMessage.UNAUTHORIZED;
    if (!decides) {
      return this.#router.refuse(message, 'EXO_NOT_ALLOWED', texts.notAllowed(message.role, name));
    }
    const yes = name === SecurityMessage.AUTHORIZED;
    if (responseTo === undefined || !this.#gate.answered(responseTo, yes)) {
      return this.#router.refuse(message, 'EXO_UNKNOWN_REPLY', texts.unknownReply(message.role, name));
    }
    this.#ledger.settle(message, this.#now());
  }

  #fromService(link: Link, message: Incoming): void {
    const { role, envelope } = message;
    const { routing } = this.#options;
    if (isReserved(envelope.name) || isReserved(message.name) || !routing.maySend(role, envelope.name)) {
      return this.#router.refuse(message, 'EXO_NOT_ALLOWED', texts.notAllowed(role, envelope.name));
    }
    if (envelope.responseTo === undefined) return this.#admit(link, message);
    const request = this.#requests.answerable(envelope.responseTo, role, this.#now());
    // Behind a message that waits for the very answer it would wait for ever.
    if (request?.isSecurity === true) return this.#router.route(message);
    if (request !== undefined) return this.#admit(link, message);
    const known = this.#requests.has(envelope.responseTo, this.#now());
    const kept =
      link.moved && !known && this.#early.push(envelope.responseTo, message, message.size, this.#now());
    if (!kept) this.#router.refuse(message, 'EXO_UNKNOWN_REPLY', texts.unknownReply(role, envelope.name));
  }

  /** Straight to the router, or in its turn after what has to be found out or decided first. */
  #admit(link: Link, message: Incoming): void {
    const { order } = link;
    const { envelope, role, size } = message;
    const gated = this.#gate.closed && role !== SECURITY_ROLE;
    const redelivered = envelope.redelivered === true;
    if (!gated && !redelivered && order.length === 0) return this.#router.route(message);
    const { maxMessages, maxBytes } = this.#options.queues;
    if (order.length >= maxMessages || order.bytes + size > maxBytes) {
      return this.#router.refuse(message, 'EXO_OVERLOADED', texts.overloaded(role));
    }
    const ticket = order.enter(size, () => {
      if (!this.#stopped) this.#router.route(message);
      this.#arm();
    });
    const decide = (): void => {
      if (!gated) return ticket.open();
      this.#gate.authorize(publicEnvelope(message), (authorized) => {
        if (authorized) return ticket.open();
        this.#router.unauthorized(message);
        ticket.drop();
      });
    };
    if (!redelivered) return decide();
    const { routing } = this.#options;
    const roles = (): readonly string[] => routing.receivers(message.name);
    this.#recovery.find({ sender: role, id: envelope.id }, roles, (known) => {
      message.known = known;
      decide();
    });
  }

  #malformed(link: Link, raw: unknown, reason: string): void {
    const { role, port } = link;
    this.monitor.refused(role, 'EXO_BAD_MESSAGE');
    this.#hooks.warning({ message: `Service '${role}': ${reason}`, code: 'EXO_BAD_MESSAGE', role });
    const { id, name } = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>;
    if (typeof id !== 'string') return;
    port.rejected({ id, name: typeof name === 'string' ? name : '', reason, code: 'EXO_BAD_MESSAGE' });
    port.accepted(id);
  }

  #count(link: Link, now: number): void {
    const { role, port } = link;
    const { limit, waitMs, alarm } = this.#rates.count(role, now);
    if (waitMs === 0) return;
    const { rateLimit, clock } = this.#options;
    const throttled = rateLimit.throttle === true;
    if (alarm) {
      const message = `Service '${role}' sends more than ${limit} messages a second`;
      this.monitor.alarmed(role);
      this.#hooks.alarm({ code: 'EXO_RATE', message, role, limit, throttled });
    }
    if (!throttled || link.throttled) return;
    link.throttled = true;
    port.pause();
    clock.setTimeout(() => {
      link.throttled = false;
      port.resume();
    }, waitMs);
  }

  /** One timer for all that may become too old. */
  #arm(): void {
    if (this.#expiry !== undefined || this.#stopped) return;
    const { clock, queues } = this.#options;
    const times = [this.dispatcher.nextExpiry, this.#unclaimed.nextExpiry, this.#early.nextExpiry];
    const next = Math.min(...times.map((time) => time ?? Number.POSITIVE_INFINITY));
    if (next === Number.POSITIVE_INFINITY) return;
    this.#expiry = clock.setTimeout(
      () => {
        this.#expiry = undefined;
        const now = clock.now();
        this.dispatcher.expire(now);
        for (const message of this.#unclaimed.expire(now)) {
          this.#router.refuse(message, 'EXO_QUEUE_EXPIRED', texts.unclaimed(message.name, queues.ttlMs));
        }
        for (const message of this.#early.expire(now)) {
          const reason = texts.unknownReply(message.role, message.envelope.name);
          this.#router.refuse(message, 'EXO_UNKNOWN_REPLY', reason);
        }
        this.#arm();
      },
      Math.max(0, next - clock.now()),
    );
    this.#expiry.unref?.();
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

/** The whole message, as the security role gets it: by its public name, and with who really sent it. */
function publicEnvelope({ envelope, name, role }: Incoming): DeliveredEnvelope {
  return { ...envelope, name, sender: role };
}
