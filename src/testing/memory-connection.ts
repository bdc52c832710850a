/**
 * One connection of a memory network, with the faults that a test puts on it.
 * May import direction, check, memory-lane and memory-socket.
 */

import { checkCount } from './check.js';
import { type Direction, type OneWay, waysOf } from './direction.js';
import { MemoryLane } from './memory-lane.js';
import type { MemorySocket } from './memory-socket.js';
import { connectionReset } from './system-error.js';

/** The faults of one memory connection, or of all connections of a network. */
export interface MemoryFaults {
  /** Closes both ends as by a RST: 'error' with `error` (default: ECONNRESET), then 'close'. What was on its way is lost. */
  cut(error?: Error): void;
  /**
   * Keeps the bytes of a direction (default: both) on their way. Neither end sees anything, not even that the
   * other closed; a writer's write() turns false once the link is full. `unstall` delivers all of it.
   */
  stall(direction?: Direction): void;
  /** Lets a stalled direction (default: both) go on. */
  unstall(direction?: Direction): void;
  /** Delivers at most `bytes` at a time, each piece a 'data' event of its own. Infinity: as they come. */
  slice(bytes: number): void;
  /** Half open, for good: bytes and closes vanish, and neither end hears of it. Only `cut` and the ends' own destroy end it. */
  dropLink(): void;
  /** Turns `stall` and `slice` off. */
  heal(): void;
}

export interface MemoryConnection extends MemoryFaults {
  /** The end that dialled. */
  readonly client: MemorySocket;
  /** The end that the server got. */
  readonly server: MemorySocket;
  /** What the client dialled: a port or a path. */
  readonly target: number | string;
}

/** Where a connection goes, and how much each direction of it holds. */
export interface JoinOptions {
  readonly target: number | string;
  readonly clientPort: number | undefined;
  readonly capacityBytes: number;
}

/** Makes a connection of two ends that have none. The 'connect' events are the caller's to emit. */
export function joinSockets(
  client: MemorySocket,
  server: MemorySocket,
  { target, clientPort, capacityBytes }: JoinOptions,
): MemoryConnection {
  const lanes: Record<OneWay, MemoryLane> = {
    up: new MemoryLane(server, capacityBytes, () => lanes.down.reset()),
    down: new MemoryLane(client, capacityBytes, () => lanes.up.reset()),
  };
  const lanesOf = (direction: Direction) => waysOf(direction).map((way) => lanes[way]);

  const connection: MemoryConnection = {
    client,
    server,
    target,
    cut(error) {
      for (const end of [client, server]) end.destroy(error ?? connectionReset());
    },
    stall(direction = 'both') {
      for (const lane of lanesOf(direction)) lane.stall();
    },
    unstall(direction = 'both') {
      for (const lane of lanesOf(direction)) lane.unstall();
    },
    slice(bytes) {
      checkCount('slice', bytes, 1);
      for (const lane of lanesOf('both')) lane.slice(bytes);
    },
    dropLink() {
      for (const lane of lanesOf('both')) lane.drop();
    },
    heal() {
      connection.unstall();
      connection.slice(Number.POSITIVE_INFINITY);
    },
  };

  const serverPort = typeof target === 'number' ? target : undefined;
  const clientSide = { localPort: clientPort, remotePort: serverPort };
  const serverSide = { localPort: serverPort, remotePort: clientPort };
  client.attach({ connection, outward: lanes.up, inward: lanes.down, ...clientSide });
  server.attach({ connection, outward: lanes.down, inward: lanes.up, ...serverSide });
  return connection;
}
