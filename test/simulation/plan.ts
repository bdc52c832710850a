/**
 * What happens in a simulated run: the world it takes place in, and the steps, all drawn from the seed before it begins.
 * A step carries all of its own numbers, so that a plan with steps left out is still a plan.
 */
import { Random } from './random.js';
import type { FrameFault } from './sim-link.js';
import type { DialMode } from './sim-network.js';

export interface World {
  readonly seed: number;
  readonly clients: number;
  readonly servers: number;
  /** Sessions outlive their server's process. */
  readonly durable: boolean;
  /** Clients keep their sessions too. */
  readonly clientStores: boolean;
  readonly serverDiskMs: readonly [min: number, max: number];
  readonly clientDiskMs: readonly [min: number, max: number];
  readonly latencyMs: readonly [min: number, max: number];
  readonly slicing: number;
  readonly windowBytes: number;
  readonly resumeWindowMs: number;
  readonly maxOutboxFrames: number;
  readonly maxOutboxBytes: number;
  readonly highWaterBytes: number;
  readonly maxRunningHandlers: number;
  /** Links may lose, repeat and swap frames before they are cut. */
  readonly spoils: boolean;
  /** Sides replay from further back than they need. */
  readonly replaysMore: boolean;
  /** The size of the largest messages: above 64 KiB they take other ways through the code. */
  readonly largestBytes: number;
}

export type Side = 'client' | 'server';
export type Listening = 'now' | 'later' | 'throws' | 'answers' | 'pauses' | 'commits';
export type CrashMode = 'flush' | 'reset' | 'silent';

export type Step =
  | { readonly do: 'wait'; readonly ms: number }
  | {
      readonly do: 'send';
      readonly from: Side;
      readonly client: number;
      readonly count: number;
      readonly listening: Listening;
      readonly size: number;
      readonly ack: boolean;
      readonly ttlMs: number;
      readonly abortMs: number;
    }
  | {
      readonly do: 'request';
      readonly from: Side;
      readonly client: number;
      readonly listening: Listening;
      readonly timeoutMs: number;
      readonly abortMs: number;
    }
  | {
      readonly do: 'set';
      readonly from: Side;
      readonly client: number;
      readonly key: 'own' | 'x' | 'y';
      readonly ttlMs: number;
    }
  | {
      readonly do: 'delete' | 'update';
      readonly from: Side;
      readonly client: number;
      readonly key: 'x' | 'y';
    }
  | { readonly do: 'pause'; readonly at: Side; readonly client: number; readonly ms: number }
  | {
      readonly do: 'cut';
      readonly client: number;
      readonly clientMs: number | undefined;
      readonly serverMs: number | undefined;
    }
  | { readonly do: 'stall'; readonly client: number; readonly up: boolean; readonly ms: number }
  | {
      readonly do: 'spoil';
      readonly client: number;
      readonly up: boolean;
      readonly fault: FrameFault;
      readonly ms: number;
    }
  | { readonly do: 'dials'; readonly modes: readonly DialMode[] }
  | { readonly do: 'crash'; readonly server: number; readonly how: CrashMode; readonly downMs: number }
  | { readonly do: 'crash-client'; readonly client: number; readonly how: CrashMode; readonly downMs: number }
  | { readonly do: 'freeze'; readonly at: Side; readonly which: number; readonly ms: number }
  | { readonly do: 'jump'; readonly ms: number }
  | { readonly do: 'reconnect'; readonly client: number }
  | { readonly do: 'disconnect'; readonly client: number; readonly ms: number }
  | { readonly do: 'invalidate'; readonly client: number }
  | { readonly do: 'drain-server'; readonly server: number; readonly downMs: number }
  | { readonly do: 'disk-full'; readonly server: number };

export interface Plan {
  readonly world: World;
  readonly steps: readonly Step[];
}

/** The faults among the steps: what a shrunk trace is made of. */
export function isFault(step: Step): boolean {
  return !['wait', 'send', 'request', 'set', 'delete', 'update'].includes(step.do);
}

export function makePlan(seed: number): Plan {
  const random = new Random(seed, 0x91a2);
  const world = makeWorld(seed, random);
  const count = random.between(12, 60);
  // Some runs are calm, and some one fault after the other.
  const faults = random.pick([0.05, 0.15, 0.3, 0.5]);
  const steps: Step[] = [];
  for (let i = 0; i < count; i++) {
    steps.push(random.chance(faults) ? makeFault(world, random) : makeWork(world, random));
    if (random.chance(0.6)) steps.push({ do: 'wait', ms: makeWait(random) });
  }
  return { world, steps };
}

function makeWorld(seed: number, random: Random): World {
  const durable = random.chance(0.6);
  const small = random.chance(0.25);
  const disk = (): [number, number] =>
    random.pick<[number, number]>([
      [0, 0],
      [1, 3],
      [5, 40],
      [0, 300],
    ]);
  return {
    seed,
    clients: random.pick([1, 1, 1, 2]),
    servers: durable ? random.pick([1, 1, 2]) : 1,
    durable,
    clientStores: random.chance(0.35),
    serverDiskMs: disk(),
    clientDiskMs: disk(),
    latencyMs: random.pick<[number, number]>([
      [0, 1],
      [1, 10],
      [20, 120],
    ]),
    slicing: random.pick([0, 0.1, 0.7]),
    windowBytes: random.pick([1_024, 64 * 1024]),
    resumeWindowMs: random.pick([3_000, 20_000, 20_000]),
    maxOutboxFrames: small ? 12 : 65_536,
    maxOutboxBytes: small ? 4 * 1024 : 1024 * 1024,
    highWaterBytes: small ? 1_024 : 64 * 1024,
    maxRunningHandlers: random.pick([2, 16, 1_024]),
    spoils: random.chance(0.3),
    replaysMore: random.chance(0.2),
    largestBytes: seed % 8 === 0 ? 70_000 : 2_000,
  };
}

function makeWait(random: Random): number {
  return random.pick([0, 1, 5, 20, 60, 200, 200, 1_000]);
}

function makeWork(world: World, random: Random): Step {
  const from: Side = random.pick(['client', 'server']);
  const client = random.int(world.clients);
  const kind = random.int(20);
  if (kind < 11) {
    return {
      do: 'send',
      from,
      client,
      count: random.pick([1, 1, 2, 3, 8, 40]),
      listening: random.pick(['now', 'now', 'later', 'later', 'throws', 'answers', 'pauses', 'commits']),
      size: random.pick([0, 0, 10, 300, world.largestBytes]),
      ack: random.chance(0.4),
      ttlMs: random.chance(0.1) ? random.pick([1, 50, 1_000]) : 0,
      abortMs: random.chance(0.05) ? random.between(1, 500) : 0,
    };
  }
  if (kind < 15) {
    return {
      do: 'request',
      from,
      client,
      listening: random.pick(['now', 'later', 'later', 'throws', 'commits']),
      timeoutMs: random.pick([0, 0, 300, 5_000]),
      abortMs: random.chance(0.1) ? random.between(1, 500) : 0,
    };
  }
  if (kind < 18) {
    const key = random.pick<'own' | 'x' | 'y'>(['own', 'own', 'x', 'y']);
    return {
      do: 'set',
      from,
      client,
      key,
      ttlMs: key !== 'own' && random.chance(0.3) ? random.pick([100, 2_000]) : 0,
    };
  }
  return { do: random.pick(['delete', 'update']), from, client, key: random.pick(['x', 'y']) };
}

function makeFault(world: World, random: Random): Step {
  const client = random.int(world.clients);
  const server = random.int(world.servers);
  const told = (): number | undefined => random.pick([0, 0, 3, 100, 4_000, undefined]);
  const how: CrashMode = random.pick(['flush', 'reset', 'silent']);
  const kind = random.int(32);
  if (kind < 10) return { do: 'cut', client, clientMs: told(), serverMs: told() };
  if (kind < 12) return { do: 'stall', client, up: random.chance(0.5), ms: random.pick([50, 1_500, 7_000]) };
  if (kind < 14) {
    if (!world.spoils) return { do: 'reconnect', client };
    const fault = random.pick<FrameFault>(['drop', 'repeat', 'swap']);
    return { do: 'spoil', client, up: random.chance(0.5), fault, ms: random.between(0, 400) };
  }
  if (kind < 16) {
    const modes: DialMode[] = [];
    for (let i = random.between(1, 4); i > 0; i--) modes.push(random.pick(['refuse', 'hang', 'late', 'ok']));
    return { do: 'dials', modes };
  }
  if (kind < 20) return { do: 'crash', server, how, downMs: random.pick([0, 100, 1_000, 8_000]) };
  if (kind < 22) return { do: 'crash-client', client, how, downMs: random.pick([0, 100, 1_000, 8_000]) };
  if (kind < 24) {
    const at: Side = random.pick(['client', 'server']);
    return {
      do: 'freeze',
      at,
      which: at === 'client' ? client : server,
      ms: random.pick([100, 1_200, 6_000]),
    };
  }
  if (kind < 25) return { do: 'jump', ms: random.pick([500, 3_000, 30_000, 3_600_000]) };
  if (kind < 27) return { do: 'reconnect', client };
  if (kind < 28) return { do: 'disconnect', client, ms: random.pick([50, 1_000, 6_000]) };
  if (kind < 29) return { do: 'invalidate', client };
  if (kind < 30) return { do: 'drain-server', server, downMs: random.pick([0, 500, 5_000]) };
  if (kind < 31) return { do: 'disk-full', server };
  return { do: 'pause', at: random.pick(['client', 'server']), client, ms: random.pick([30, 500, 3_000]) };
}
