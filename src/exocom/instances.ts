/**
 * The instances of services: what each has been given and not handled yet, what waits for its turn, and which of a role's
 * instances gets a message: the one that has the activity, while it lives; else the one with the least to do.
 * Touches a relay through its port alone. Pure: time is handed in.
 *
 * Replies have a window of their own: handlers that run wait for them, so they must not wait for those handlers.
 */
import {
  type DeliveredEnvelope,
  type MessageRef,
  messageKey,
  type Rejection,
  type RejectionCode,
} from '../exorelay/message.js';
import { IdleTable } from './idle-table.js';

/** Activities that are remembered, over all roles. */
const MAX_ACTIVITIES = 200_000;

/** How a dispatch ended: the handler has finished (and may have thrown), nobody got the message, or nobody needs it. */
export type DispatchResult =
  | { readonly error: string | undefined }
  | { readonly failed: RejectionCode }
  | { readonly cancelled: true };

export interface Dispatch {
  /** `messageKey(sender, id)`. */
  readonly key: string;
  /** Who receives it. */
  readonly role: string;
  /** As the receiver calls it. */
  readonly envelope: DeliveredEnvelope;
  /** The only instance that can have it: who asked gets the reply. */
  readonly only?: string;
  /** The instance that had it before the hub was restarted, if it is still there. */
  readonly known?: string | undefined;
  readonly size: number;
  /** Whether it is kept while nobody is there to receive it. */
  readonly waits: boolean;
  /** It was given to an instance that died. */
  redelivered: boolean;
  /** An instance has been given it. More than once where one died. */
  given(instance: string): void;
  /** Called once. */
  settled(outcome: DispatchResult): void;
}

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

export interface WindowLimits {
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
  /** `leaving`: it takes no new messages, and finishes what it has. `gone`: it was deregistered. */
  state: 'here' | 'leaving' | 'gone' = 'here';
  #port: RelayPort;
  readonly #messages: Window;
  readonly #replies: Window;
  /** The port takes no more until `drained`. */
  #blocked = false;

  constructor(role: string, id: string, port: RelayPort, limits: WindowLimits, since: number) {
    this.role = role;
    this.id = id;
    this.#port = port;
    this.since = since;
    this.#messages = new Window(limits);
    // A slow reader of a stream holds back the replies that it was given, and nothing else.
    this.#replies = new Window({ ...limits, maxInFlight: limits.maxWaiting });
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
  offer(dispatch: Dispatch): boolean {
    const window = dispatch.only === undefined ? this.#messages : this.#replies;
    if (!window.add(dispatch)) return false;
    this.#pump(window);
    return true;
  }

  /** Its handler has finished. Undefined where this instance does not have the message. */
  handled(key: string): Dispatch | undefined {
    for (const window of [this.#messages, this.#replies]) {
      const dispatch = window.handled(key);
      if (dispatch === undefined) continue;
      this.#pump(window);
      return dispatch;
    }
    return undefined;
  }

  /** It need not have it any more. Undefined where it does not wait. */
  drop(key: string): Dispatch | undefined {
    return this.#messages.drop(key) ?? this.#replies.drop(key);
  }

  /** There is room again on the way to it. */
  drained(): void {
    this.#blocked = false;
    this.#pump(this.#replies);
    this.#pump(this.#messages);
  }

  /** It takes no new messages. Returns those that it was not given yet. */
  leave(): Dispatch[] {
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
  takeAll(): Dispatch[] {
    return [...this.#messages.takeAll(), ...this.#replies.takeAll()];
  }

  #pump(window: Window): void {
    for (let dispatch = this.#next(window); dispatch !== undefined; dispatch = this.#next(window)) {
      const { envelope, redelivered } = dispatch;
      const result = this.#port.deliver(redelivered ? { ...envelope, redelivered: true } : envelope);
      this.#blocked = result === 'full' || result === 'slow';
      if (result === 'full') return;
      window.advance(dispatch, result !== 'impossible');
      if (result === 'impossible') dispatch.settled({ failed: 'EXO_UNDELIVERABLE' });
      else dispatch.given(this.id);
    }
  }

  #next(window: Window): Dispatch | undefined {
    return this.#blocked ? undefined : window.next();
  }
}

/** Messages for one instance, in order: those that it has, up to a bound, and those that wait for their turn. */
class Window {
  readonly #limits: WindowLimits;
  readonly #inFlight = new Map<string, Dispatch>();
  #inFlightBytes = 0;
  /** In a Map's order of insertion. */
  #waiting = new Map<string, Dispatch>();
  #waitingBytes = 0;

  constructor(limits: WindowLimits) {
    this.#limits = limits;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** False: too many wait already. */
  add(dispatch: Dispatch): boolean {
    const { maxWaiting, maxWaitingBytes } = this.#limits;
    if (this.#waiting.size >= maxWaiting || this.#waitingBytes + dispatch.size > maxWaitingBytes)
      return false;
    this.#wait(dispatch);
    return true;
  }

  /** The one whose turn it is; undefined where none waits, or enough are out. */
  next(): Dispatch | undefined {
    const { maxInFlight, maxInFlightBytes } = this.#limits;
    // One message is always let through, however large.
    const room = this.#inFlight.size === 0 || this.#inFlightBytes < maxInFlightBytes;
    if (!room || this.#inFlight.size >= maxInFlight) return undefined;
    const [dispatch] = this.#waiting.values();
    return dispatch;
  }

  /** What `next` returned has been given to the instance, or can't be. */
  advance(dispatch: Dispatch, given: boolean): void {
    this.drop(dispatch.key);
    if (!given) return;
    this.#inFlight.set(dispatch.key, dispatch);
    this.#inFlightBytes += dispatch.size;
  }

  /** The instance has handled it. */
  handled(key: string): Dispatch | undefined {
    const dispatch = this.#inFlight.get(key);
    if (dispatch === undefined) return undefined;
    this.#inFlight.delete(key);
    this.#inFlightBytes -= dispatch.size;
    return dispatch;
  }

  /** It need not be given any more. Undefined where it does not wait. */
  drop(key: string): Dispatch | undefined {
    const dispatch = this.#waiting.get(key);
    if (dispatch === undefined) return undefined;
    this.#waiting.delete(key);
    this.#waitingBytes -= dispatch.size;
    return dispatch;
  }

  takeWaiting(): Dispatch[] {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#waitingBytes = 0;
    return waiting;
  }

  /** Empties it: what was given out comes first, and is flagged. */
  takeAll(): Dispatch[] {
    const given = [...this.#inFlight.values()];
    for (const dispatch of given) dispatch.redelivered = true;
    this.#inFlight.clear();
    this.#inFlightBytes = 0;
    return [...given, ...this.takeWaiting()];
  }

  /** The instance is to have all of it again. */
  restart(): void {
    for (const dispatch of this.takeAll()) this.#wait(dispatch);
  }

  #wait(dispatch: Dispatch): void {
    this.#waiting.set(dispatch.key, dispatch);
    this.#waitingBytes += dispatch.size;
  }
}

/** The instances that are registered, by role. */
export class Instances {
  readonly #roles = new Map<string, Map<string, Instance>>();
  /** Role and activity to the instance that has it. */
  readonly #activities: IdleTable<Instance>;

  constructor(activityIdleMs: number) {
    this.#activities = new IdleTable(activityIdleMs, MAX_ACTIVITIES);
  }

  get(role: string, id: string): Instance | undefined {
    return this.#roles.get(role)?.get(id);
  }

  of(role: string): readonly Instance[] {
    return [...(this.#roles.get(role)?.values() ?? [])];
  }

  has(role: string): boolean {
    return this.#roles.has(role);
  }

  get roles(): readonly string[] {
    return [...this.#roles.keys()];
  }

  add(instance: Instance): void {
    const instances = this.#roles.get(instance.role) ?? new Map<string, Instance>();
    instances.set(instance.id, instance);
    this.#roles.set(instance.role, instances);
  }

  /** What it had of activities goes to others from now on. */
  remove(instance: Instance): void {
    instance.state = 'gone';
    const instances = this.#roles.get(instance.role);
    if (instances?.get(instance.id) !== instance) return;
    instances.delete(instance.id);
    if (instances.size === 0) this.#roles.delete(instance.role);
  }

  /** An instance took part in an activity: what else comes of it for its role goes there. The first one stays. */
  bind(instance: Instance, activityId: string, now: number): void {
    const key = messageKey(instance.role, activityId);
    const bound = this.#activities.get(key, now);
    if (bound?.state !== 'here') this.#activities.set(key, instance, now);
  }

  /**
   * The instance of this role for a message of this name (its own) and activity; undefined where none is there.
   * @param preferred the id of the one that should have it, if it is there
   */
  choose(
    role: string,
    name: string,
    activityId: string,
    now: number,
    preferred?: string,
  ): Instance | undefined {
    const instances = this.#roles.get(role);
    if (instances === undefined) return undefined;
    const key = messageKey(role, activityId);
    const wanted = preferred === undefined ? undefined : instances.get(preferred);
    if (wanted !== undefined) {
      this.bind(wanted, activityId, now);
      return wanted;
    }
    const bound = this.#activities.get(key, now);
    if (bound?.state === 'here') return bound;
    const here = [...instances.values()].filter(({ state }) => state === 'here');
    const chosen = leastBusy(here, name);
    if (chosen !== undefined) this.#activities.set(key, chosen, now);
    return chosen;
  }
}

/** Of those that have a handler if any has, and that are connected if any is. Of equals the one that is longest there. */
function leastBusy(instances: readonly Instance[], name: string): Instance | undefined {
  const able = preferable(instances, (instance) => instance.handles.has(name));
  const there = preferable(able, (instance) => instance.port.connected);
  let best: Instance | undefined;
  for (const instance of there) if (best === undefined || instance.load < best.load) best = instance;
  return best;
}

function preferable(
  instances: readonly Instance[],
  is: (instance: Instance) => boolean,
): readonly Instance[] {
  const some = instances.filter(is);
  return some.length > 0 ? some : instances;
}
