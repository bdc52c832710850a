/**
 * What became of each message: which are on their way, and which are finished, so that a message that is sent again is
 * answered and not passed on twice. Tells the sender. Pure.
 */
import type { Rejection, RejectionCode } from '../exorelay/message.js';
import { IdleTable } from './idle-table.js';
import type { Incoming } from './incoming.js';
import type { RelayPort } from './instance.js';

/** How long and how many finished messages are remembered. */
const FINISHED_MS = 10 * 60_000;
const MAX_FINISHED = 100_000;

interface Running {
  /** Deliveries that are not settled, and one more until all of them have been placed. */
  open: number;
  readonly rejections: Rejection[];
}

export class Ledger {
  readonly #running = new Map<string, Running>();
  readonly #finished = new IdleTable<readonly Rejection[]>(FINISHED_MS, MAX_FINISHED);
  readonly #portOf: (role: string, instance: string) => RelayPort | undefined;

  /** @param portOf the way to an instance, where it is there */
  constructor(portOf: (role: string, instance: string) => RelayPort | undefined) {
    this.#portOf = portOf;
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

  /** One more delivery of it is on its way. `settle` follows for each. */
  expect({ key }: Incoming): void {
    const running = this.#running.get(key);
    if (running !== undefined) running.open++;
  }

  /** It was not delivered, or not to everybody: its sender hears why. */
  reject(message: Incoming, code: RejectionCode, reason: string): void {
    const { role, instance, envelope, key } = message;
    const rejection: Rejection = { id: envelope.id, name: envelope.name, reason, code };
    this.#running.get(key)?.rejections.push(rejection);
    this.#portOf(role, instance)?.rejected(rejection);
  }

  /** One delivery, or the placing of them, is done. After the last the sender can forget the message. */
  settle({ key, role, instance, envelope }: Incoming, now: number): void {
    const running = this.#running.get(key);
    if (running === undefined) return;
    running.open--;
    if (running.open > 0) return;
    this.#running.delete(key);
    this.#finished.set(key, running.rejections, now);
    this.#portOf(role, instance)?.accepted(envelope.id);
  }
}
