/**
 * Who asked what, so that replies find the very instance that asked, only those answer who were asked, and those who
 * may still answer hear that nobody waits any more. Pure.
 */
import { IdleTable } from './idle-table.js';

/** Messages that may still be answered. */
const MAX_REQUESTS = 200_000;

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

export class Requests {
  readonly #requests: IdleTable<Request>;

  constructor(idleMs: number) {
    this.#requests = new IdleTable(idleMs, MAX_REQUESTS);
  }

  /** False: another role's message has this id, and its replies are not to be had by it. */
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
