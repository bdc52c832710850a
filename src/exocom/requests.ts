/**
 * Who asked what, so that replies find the very instance that asked, and only those answer who were asked. Pure.
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
  /** The roles that were asked; undefined: whoever receives it, as far as the hub can tell. */
  readonly asked: Set<string> | undefined;
}

export class Requests {
  readonly #requests: IdleTable<Request>;

  constructor(idleMs: number) {
    this.#requests = new IdleTable(idleMs, MAX_REQUESTS);
  }

  /** False: another role's message has this id, and its replies are not to be had by it. */
  add(id: string, request: Request, now: number): boolean {
    const earlier = this.#requests.get(id, now);
    if (earlier !== undefined && earlier.role !== request.role) return false;
    this.#requests.set(id, request, now);
    return true;
  }

  /** The request that a service of this role may answer. Each reply keeps it alive. */
  answerable(id: string, role: string, now: number): Request | undefined {
    const request = this.#requests.get(id, now);
    return request?.asked === undefined || request.asked.has(role) ? request : undefined;
  }

  has(id: string, now: number): boolean {
    return this.#requests.get(id, now) !== undefined;
  }

  /** A role has got the request, and may answer it. */
  asked(id: string, role: string, now: number): void {
    this.#requests.get(id, now)?.asked?.add(role);
  }
}
