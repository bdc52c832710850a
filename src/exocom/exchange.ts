/**
 * The hub without sockets: relays register, what they send is checked and passed on, and what they have handled is
 * crossed off. Everything it needs from outside is handed in: ports, the clock, ids.
 *
 *   link --message--> ledger (known?) --> intake (allowed? authorized?) --> router --> dispatcher --> instance --> port
 *   link --handled--> instance --> ledger --accepted--> the sender's port
 */
import {
  isName,
  messageKey,
  type Registration,
  readAwaited,
  readEnvelope,
  readHandled,
  readRegistration,
  SECURITY_ROLE,
  sizeOf,
} from '../exorelay/message.js';
import type { Clock, ClockTimer } from '../index.js';
import { Dispatcher } from './dispatcher.js';
import { type HoldLimits, HoldQueue } from './hold-queue.js';
import type { Incoming } from './incoming.js';
import { Instance, type RelayPort } from './instance.js';
import { Intake } from './intake.js';
import type { LaneLimits } from './lane.js';
import { Ledger } from './ledger.js';
import { Link } from './link.js';
import { Monitor } from './monitor.js';
import { type RateLimit, RateMeter } from './rate-meter.js';
import { Recovery } from './recovery.js';
import { type Alarm, type HubWarning, type MessageReport, type Presence, texts } from './reports.js';
import { Requests } from './requests.js';
import { Roster } from './roster.js';
import { Router } from './router.js';
import type { Routing } from './routes.js';
import { SecurityGate } from './security-gate.js';

export interface ExchangeOptions {
  readonly routing: Routing;
  readonly clock: Clock;
  /** The id of this hub process. */
  readonly hub: string;
  newId(): string;
  readonly securityRequired: boolean;
  readonly securityTimeoutMs: number;
  readonly queues: HoldLimits;
  readonly instances: LaneLimits;
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
  readonly #intake: Intake;
  readonly #gate: SecurityGate;
  readonly #recovery: Recovery;
  readonly #rates: RateMeter;
  /** Development mode: messages that nobody has a handler for yet, by name. */
  readonly #unclaimed: HoldQueue<Incoming>;
  #expiry: ClockTimer | undefined;
  #draining = false;

  constructor(options: ExchangeOptions, hooks: ExchangeHooks) {
    this.#options = options;
    this.#hooks = hooks;
    const { clock, routing, newId, queues, securityTimeoutMs, instanceGraceMs } = options;
    const now = (): number => clock.now();
    const roster = new Roster(options.activityIdleMs);
    const dispatcher = new Dispatcher(roster, queues, now);
    const requests = new Requests(options.activityIdleMs);
    const ledger = new Ledger((role, id) => roster.get(role, id)?.port);
    const unclaimed = new HoldQueue<Incoming>(queues);
    const place: Dispatcher['place'] = (delivery) => dispatcher.place(delivery);
    const gate = new SecurityGate(options.securityRequired, {
      ...{ timeoutMs: securityTimeoutMs, clock, newId, place },
    });
    const recovery = new Recovery({
      ...{ clock, readyAt: now() + instanceGraceMs, of: (role: string) => roster.of(role) },
    });
    const router = new Router({
      ...{ routing, dispatcher, ledger, requests, monitor: this.monitor },
      ...{ queueTtlMs: queues.ttlMs, now, newId },
      warn: (warning) => hooks.warning(warning),
      report: (report) => hooks.message(report),
      line: (text) => hooks.line(text),
      keepUnclaimed: (message) => unclaimed.push(message.name, message, message.size, now()),
    });
    this.roster = roster;
    this.dispatcher = dispatcher;
    this.#requests = requests;
    this.#ledger = ledger;
    this.#unclaimed = unclaimed;
    this.#gate = gate;
    this.#recovery = recovery;
    this.#router = router;
    this.#intake = new Intake({ routing, router, ledger, requests, gate, recovery, limits: queues, now });
    this.#rates = new RateMeter(options.rateLimit);
  }

  /** Messages that were taken and are not finished. */
  get running(): number {
    return this.#ledger.running;
  }

  /** Development mode's messages that nobody has a handler for yet. */
  get unclaimed(): { messages: number; bytes: number } {
    return { messages: this.#unclaimed.length, bytes: this.#unclaimed.bytes };
  }

  /** A relay has authenticated. Nothing of it counts before it registers: it then sends all again that is not accepted. */
  open(role: string, port: RelayPort): Link {
    return new Link(role, port);
  }

  /** Again for the same instance: its handlers may be others, or it has come back with a new session. */
  register(link: Link, raw: unknown): void {
    const registration = readRegistration(raw);
    const { role, port } = link;
    if (registration === undefined || (link.instance ?? registration.instance) !== registration.instance) {
      const message = `Service '${role}' sent a registration that makes no sense`;
      this.#hooks.warning({ message, code: 'EXO_BAD_REGISTRATION', role });
      return;
    }
    const instance = this.#instanceOf(link, registration);
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
  awaiting(link: Link, raw: unknown): void {
    const { instance, role } = link;
    if (instance === undefined) return;
    const { routing } = this.#options;
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
    this.#intake.awaited(ids);
    this.#arm();
  }

  message(link: Link, raw: unknown): void {
    const { instance, role, port } = link;
    if (instance === undefined || this.#draining) return;
    const now = this.#now();
    this.#count(link, now);
    const envelope = readEnvelope(raw);
    if (typeof envelope === 'string') {
      this.#malformed(link, raw, envelope);
      return;
    }
    const key = messageKey(role, envelope.id);
    if (this.#ledger.repeated(key, envelope.id, port, now)) return;
    this.monitor.sent(role, now);
    const name = this.#options.routing.publicName(role, envelope.name);
    const size = sizeOf(envelope);
    const message: Incoming = { key, role, instance, envelope, name, size, at: now, isSecurity: false };
    this.#bind(instance, role, envelope.activityId, now);
    this.#ledger.begin(message);
    this.#intake.take(link, message);
    this.#arm();
  }

  handled(link: Link, raw: unknown): void {
    const handled = readHandled(raw);
    if (handled === undefined) return;
    const { sender, id, error } = handled;
    this.#at(link)?.handled(messageKey(sender, id))?.settled({ error });
    this.#arm();
  }

  /** Its sender waits no longer: the message is taken back, or whoever has it is told. */
  cancel(link: Link, raw: unknown): void {
    const { id } = (typeof raw === 'object' && raw !== null ? raw : {}) as { id?: unknown };
    const instance = this.#at(link);
    if (instance === undefined || !isName(id)) return;
    const { role } = instance;
    const key = messageKey(role, id);
    for (const message of this.#unclaimed.take((_name, { key: other }) => other === key)) {
      this.#ledger.settle(message, this.#now());
    }
    const request = this.#requests.get(id, this.#now());
    if (request === undefined || request.role !== role || request.instance !== instance.id) return;
    request.cancelled = true;
    this.dispatcher.cancel(key, request.asked ?? []);
    for (const [holder, at] of request.holders)
      this.roster.get(holder, at)?.port.cancel({ sender: role, id });
  }

  /** It takes no new messages. Its session closes when it has finished. */
  leave(link: Link): void {
    const instance = this.#at(link);
    if (instance !== undefined && !this.#draining) this.dispatcher.leaving(instance);
    this.#arm();
  }

  drained(link: Link): void {
    this.#at(link)?.drained();
  }

  /**
   * A session is over for good. Where its instance has not come back with another one, it is gone.
   * @param byItself its relay has closed it, and will not come back
   */
  closed(link: Link, byItself: boolean): void {
    const instance = this.#at(link);
    if (this.#draining || instance === undefined) return;
    this.dispatcher.departed(instance, byItself);
    if (!this.roster.has(link.role)) this.#rates.forget(link.role);
    this.#hooks.deregistered({ role: instance.role, instance: instance.id });
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

  /** The instance of a link, if this link is still its way. */
  #at({ role, instance, port }: Link): Instance | undefined {
    const found = instance === undefined ? undefined : this.roster.get(role, instance);
    return found?.port === port ? found : undefined;
  }

  #instanceOf(link: Link, { instance: id, before }: Registration): Instance {
    const { role, port } = link;
    const known = this.roster.get(role, id);
    if (known?.port === port) return known;
    const { hub, instances } = this.#options;
    link.instance = id;
    link.moved = before !== undefined && before !== hub;
    if (known !== undefined) {
      const old = known.port;
      known.rebind(port);
      old.invalidate();
      return known;
    }
    const instance = new Instance(role, id, port, instances, this.#now());
    this.roster.add(instance);
    this.#hooks.registered({ role, instance: id });
    return instance;
  }

  #learn(role: string): void {
    const names = this.roster.of(role).flatMap((instance) => [...instance.handles]);
    this.#options.routing.learn(role, names);
  }

  /** The sender's own role has the activity too: what comes back of it goes to this instance. */
  #bind(instance: string, role: string, activityId: string, now: number): void {
    const found = this.roster.get(role, instance);
    if (found !== undefined) this.roster.bind(found, activityId, now);
  }

  /** Development mode: somebody may have come for what nobody had a handler for. */
  #claim(): void {
    if (this.#unclaimed.length === 0) return;
    const { routing } = this.#options;
    const claimed = this.#unclaimed.take((name) => routing.receivers(name).length > 0);
    for (const message of claimed) this.#router.route(message);
  }

  #malformed({ role, port }: Link, raw: unknown, reason: string): void {
    this.monitor.refused(role, 'EXO_BAD_MESSAGE');
    this.#hooks.warning({ message: `Service '${role}': ${reason}`, code: 'EXO_BAD_MESSAGE', role });
    const { id, name } = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>;
    if (typeof id !== 'string') return;
    port.rejected({ id, name: typeof name === 'string' ? name : '', reason, code: 'EXO_BAD_MESSAGE' });
    port.accepted(id);
  }

  #count(link: Link, now: number): void {
    const { role, port } = link;
    const { rateLimit, clock } = this.#options;
    const { limit, waitMs, alarm } = this.#rates.count(role, now);
    const throttled = rateLimit.throttle === true;
    if (alarm) {
      const message = `Service '${role}' sends more than ${limit} messages a second`;
      this.monitor.alarmed(role);
      this.#hooks.alarm({ code: 'EXO_RATE', message, role, limit, throttled });
    }
    if (waitMs === 0 || !throttled || link.throttled) return;
    link.throttled = true;
    port.pause();
    const timer = clock.setTimeout(() => {
      link.throttled = false;
      port.resume();
    }, waitMs);
    timer.unref?.();
  }

  /** One timer for all that may become too old. */
  #arm(): void {
    if (this.#expiry !== undefined || this.#draining) return;
    const { clock } = this.#options;
    const times = [this.dispatcher.nextExpiry, this.#unclaimed.nextExpiry, this.#intake.nextExpiry];
    const next = Math.min(...times.map((time) => time ?? Number.POSITIVE_INFINITY));
    if (next === Number.POSITIVE_INFINITY) return;
    this.#expiry = clock.setTimeout(() => this.#expire(), Math.max(0, next - clock.now()));
    this.#expiry.unref?.();
  }

  #expire(): void {
    this.#expiry = undefined;
    const now = this.#now();
    this.dispatcher.expire(now);
    this.#intake.expire(now);
    const { ttlMs } = this.#options.queues;
    for (const message of this.#unclaimed.expire(now)) {
      this.#router.refuse(message, 'EXO_QUEUE_EXPIRED', texts.unclaimed(message.name, ttlMs));
    }
    this.#arm();
  }

  #now(): number {
    return this.#options.clock.now();
  }
}
