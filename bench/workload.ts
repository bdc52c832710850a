/** What is sent: the event of a shop, or a large Buffer. */

export const EVENT = 'order.created';

export interface Order {
  readonly id: number;
  readonly user: string;
  readonly amount: number;
  readonly tags: readonly [string, string];
  readonly ok: boolean;
}

/** A new object for every event, as a program would have it. */
export function makeOrder(id: number): Order {
  return { id, user: `user-${id % 1000}`, amount: (id % 10_000) / 4, tags: ['new', 'priority'], ok: true };
}

export const MIB = 1024 * 1024;

/** So many events are sent in one go, for every library, before the event loop gets its turn. */
export const BATCH = 128;

/** The machine's clock, in ms: the same for all its processes. */
export function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Lets the event loop take a turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
