/**
 * What the hub remembers of messages: which are on their way and which are finished, so that a message that is sent again is
 * answered and not passed on twice; and who asked what, so that replies find the very instance that asked, only those answer
 * who were asked, and those who may still answer hear that nobody waits any more. Pure: time is handed in.
 */
import type { Envelope, Rejection, RejectionCode } from '../exorelay/message.js';
import { IdleTable } from './idle-table.js';
import type { Instances, RelayPort } from './instances.js';

/** How long and how many finished messages are remembered. */
const FINISHED_MS = 10 * 60_000;
const MAX_FINISHED = 100_000;

/** How many messages that may still be answered are remembered. */
const MAX_REQUESTS = 200_000;

/** A message that a service sent, with what the hub knows of it. */
export interface Incoming {
  /** `messageKey(role, id)`. */
  readonly key: string;
  /** Who sent it: the role that authenticated, and the instance. */
  readonly role: string;
  readonly instance: string;
  readonly envelope: Envelope;
  /** What the others call it. */
  readonly name: string;
  /** About how many bytes it takes. */
  readonly size: number;
  /** When it came, in ms since the epoch. */
  readonly at: number;
  /** The security role asks with it: it is not decided over, and its receiver sees what it is. */
  readonly isSecurity: boolean;
  /** What it answers, if it is a reply. */
  request?: Request;
  /** By role, the instance that had it before. */
  known?: ReadonlyMap<string, string>;
}

/** A message as one that can be answered. */
export interface Request {
  /** Who asked. */
  readonly role: string;
  readonly instance: string;
  readonly activityId: string;
  /** When it came, in ms since the epoch; undefined where that was before the hub was restarted. */
  readonly at: number | undefined;
  /** The security role asked: its answer is no ordinary message. */
  readonly isSecurity: boolean;
  /** The roles that may answer; undefined: whoever does, as the hub can't know. */
  readonly asked: Set<string> | undefined;
  /** By role, the instance that was given it last. */
  readonly holders: Map<string, string>;
  /** Nobody waits for the answers any more. */
  cancelled: boolean;
}

interface Running {
  /** Dispatches that are not settled, and one more until all of them have been placed. */
  open: number;
  readonly rejections: Rejection[];
}

/** Messages on their way, and those that are finished. Tells their senders. */
export class Unfinished {
  readonly #running = new Map<string, Running>();
  readonly #finished = new IdleTable<readonly Rejection[]>(FINISHED_MS, MAX_FINISHED);
  readonly #instances: Instances;

  constructor(instances: Instances) {
    this.#instances = instances;
  }

  /** Messages on their way. */
  get running(): number {
    return this.#running.size;
  }

  /** A message that came before: it goes on, or its answer is told again. True: there is nothing else to do. */
  repeated(key: string, id: string, port: RelayPort, now: number): boolean {
    if (this.#running.has(key)) return true;
    const rejections = this.#finished.get(key, now);
    if (rejections === undefined) return false;
    for (const rejection of rejections) port.rejected(rejection);
    port.accepted(id);
    return true;
  }

  /** It is the hub's to deliver. `settle` follows once. */
  begin({ key }: Incoming): void {
    this.#running.set(key, { open: 1, rejections: [] });
  }

  /** One more dispatch of it is on its way. `settle` follows for each. */
  expect({ key }: Incoming): void {
    const running = this.#running.get(key);
    if (running !== undefined) running.open++;
  }

  /** It was not delivered, or not to everybody: its sender hears why. */
  reject(message: Incoming, code: RejectionCode, reason: string): void {
    const { role, instance, envelope, key } = message;
    const rejection: Rejection = { id: envelope.id, name: envelope.name, reason, code };
    this.#running.get(key)?.rejections.push(rejection);
    this.#instances.get(role, instance)?.port.rejected(rejection);
  }

  /** One dispatch, or the placing of them, is done. After the last the sender can forget the message. */
  settle({ key, role, instance, envelope }: Incoming, now: number): void {
    const running = this.#running.get(key);
    if (running === undefined) return;
    running.open--;
    if (running.open > 0) return;
    this.#running.delete(key);
    this.#finished.set(key, running.rejections, now);
    this.#instances.get(role, instance)?.port.accepted(envelope.id);
  }
}

/** Messages that may still be answered. */
export class Requests {
  readonly #requests: IdleTable<Request>;

  constructor(idleMs: number) {
    this.#requests = new IdleTable(idleMs, MAX_REQUESTS);
  }

  /** Undefined: a message of another role has this id, and only that role gets the replies to it. */
  add(id: string, asked: Omit<Request, 'holders' | 'cancelled'>, now: number): Request | undefined {
    const earlier = this.#requests.get(id, now);
    if (earlier !== undefined && earlier.role !== asked.role) return undefined;
    const request = { ...asked, holders: new Map<string, string>(), cancelled: false };
    this.#requests.set(id, request, now);
    return request;
  }

  /** The request that a service of this role may answer. Each reply keeps it alive. */
  answerable(id: string, role: string, now: number): Request | undefined {
    const request = this.#requests.get(id, now);
    return request?.asked === undefined || request.asked.has(role) ? request : undefined;
  }

  get(id: string, now: number): Request | undefined {
    return this.#requests.get(id, now);
  }

  /** A role has sent its last reply. */
  answered(id: string, role: string, request: Request): void {
    request.holders.delete(role);
    request.asked?.delete(role);
    if (request.asked?.size === 0) this.#requests.delete(id);
  }
}
