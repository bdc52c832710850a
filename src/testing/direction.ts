/** The two directions of a connection, as all testing tools name them. May import errors only. */

import { NyotaError } from '../errors.js';

/** One way: `up` is from the client to the server, `down` from the server to the client. */
export type OneWay = 'up' | 'down';

/** Which way a fault works. */
export type Direction = OneWay | 'both';

const WAYS = { up: ['up'], down: ['down'], both: ['up', 'down'] } as const satisfies Record<
  Direction,
  readonly OneWay[]
>;

/** The single ways that a direction stands for. Throws `NYOTA_INVALID_ARGUMENT` for any other word. */
export function waysOf(direction: Direction): readonly OneWay[] {
  if (Object.hasOwn(WAYS, direction)) return WAYS[direction];
  const given = JSON.stringify(direction) ?? String(direction);
  throw new NyotaError('NYOTA_INVALID_ARGUMENT', `a direction is 'up', 'down' or 'both', not ${given}`);
}
