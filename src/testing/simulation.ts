/**
 * A seeded simulation: hours of a service on a bad network in a second, the same ones again for the same seed.
 * May import the other testing tools' files and errors. It puts a fake clock and a memory network together, and breaks
 * the network's connections between the clock's steps.
 *
 * Two streams of random numbers come from the seed: what the test draws does not change which faults there are.
 */

import { NyotaError } from '../errors.js';
import { checkCount, checkNumber } from './check.js';
import type { Direction } from './direction.js';
import { createFakeClock, type FakeClock } from './fake-clock.js';
import type { MemoryConnection } from './memory-connection.js';
import { createMemoryNetwork, type MemoryNetwork } from './memory-network.js';
import { MAX_SEED, seededRandom } from './seeded-random.js';
import { systemError } from './system-error.js';

/**
 * - `cut`: a connection is reset, with what was under way in the step before; its port or path then refuses new ones
 * - `stall`: a direction of a connection, or both, keeps its bytes, and delivers them afterwards
 * - `drop`: a connection loses all bytes and closes, and is reset afterwards
 * - `slice`: a connection delivers 1 to 64 bytes at a time
 */
export type SimulationFault = 'cut' | 'stall' | 'drop' | 'slice';

export interface SimulationFaultOptions {
  /** From 0 to 1: how likely it is in each step that one connection, picked by the seed, gets this fault. */
  probability?: number;
  /** How long it lasts at least, in virtual milliseconds. */
  minMs?: number;
  /** How long it lasts at most, in virtual milliseconds. */
  maxMs?: number;
}

export interface SimulationOptions {
  /** A whole number from 0 to 4 294 967 295. */
  seed: number;
  /**
   * What happens to connections: for each kind its probability, or `{ probability, minMs, maxMs }`. What is left out has its
   * default: cut 0.01 (0 to 5 000 ms), stall 0.01 (100 to 30 000), drop 0.005 (1 000 to 30 000), slice 0.01 (1 000 to
   * 60 000). False: no faults.
   */
  faults?: { readonly [K in SimulationFault]?: number | SimulationFaultOptions } | false;
  /** The longest step in virtual milliseconds; each is 1 to `stepMs` long, as the seed has it. Default 100. */
  stepMs?: number;
}

/** One line of the trace. Which of the optional fields are there depends on `what`. */
export interface SimulationEntry {
  /** The virtual time. */
  readonly atMs: number;
  /**
   * `connect`: a connection was made; `close`: one of its ends is closed; `cut`, `stall`, `drop` and `slice`: the fault began;
   * `unstall`, `undrop` (reset after a drop) and `unslice`: it is over; `refuse`: a dial found its target refusing;
   * `accept`: the target takes connections again; `heal`: `heal()` was called.
   */
  readonly what:
    | SimulationFault
    | `un${Exclude<SimulationFault, 'cut'>}`
    | 'connect'
    | 'close'
    | 'refuse'
    | 'accept'
    | 'heal';
  /** Connections are numbered from 1, in the order they were made. */
  readonly connection?: number;
  /** The port or path that was dialled. */
  readonly target?: number | string;
  /** Whose end was closed. */
  readonly end?: 'client' | 'server';
  /** Which way a stall works, or which way a cut lost what was under way. */
  readonly direction?: Direction;
  /** A slice's size. */
  readonly bytes?: number;
  /** How long the fault lasts, or the target of a cut connection refuses others. */
  readonly forMs?: number;
}

export interface Simulation {
  readonly seed: number;
  /** Random numbers for the test and for the `random` option of clients. Not those that the faults come from. */
  readonly random: () => number;
  /** For the `clock` option of servers and clients. It moves in `run`; `clock.advance` moves it without new faults. */
  readonly clock: FakeClock;
  /** `createServer` and `createConnection` are for the options of the same names. */
  readonly network: MemoryNetwork;
  /**
   * Moves the virtual time on by `ms` (at most 2 147 483 647), in seeded steps, with faults that begin and end between
   * them. A fault may outlast the run, and ends in a later one. Calls that overlap are done one after the other.
   * Rejects with what a timer's function throws, and with `NYOTA_INVALID_ARGUMENT`.
   */
  run(ms: number): Promise<void>;
  /** Ends all faults, those that were put on `network` by hand too. Later runs begin none, until `unheal`. */
  heal(): void;
  /** Takes `heal` back: runs begin faults again. */
  unheal(): void;
  /** What was done, and when: the last 100 000 entries. A copy. */
  readonly trace: readonly SimulationEntry[];
  /** One of `items`, by `random`. Throws `NYOTA_INVALID_ARGUMENT` where there are none. */
  pick<T>(items: readonly T[]): T;
}

/** A fault that is on. */
interface ActiveFault {
  readonly kind: SimulationFault;
  readonly untilMs: number;
  /** The one it works on; a target that refuses has none. */
  readonly connection?: MemoryConnection;
  readonly refuses?: number | string;
  /** Its time is over, or (`healed`) it is ended before. */
  end(healed: boolean): void;
}

type FaultRules = Readonly<Record<SimulationFault, Readonly<Required<SimulationFaultOptions>>>>;

const DEFAULT_FAULTS: FaultRules = {
  cut: { probability: 0.01, minMs: 0, maxMs: 5_000 },
  stall: { probability: 0.01, minMs: 100, maxMs: 30_000 },
  drop: { probability: 0.005, minMs: 1_000, maxMs: 30_000 },
  slice: { probability: 0.01, minMs: 1_000, maxMs: 60_000 },
};
const FAULTS = Object.keys(DEFAULT_FAULTS) as SimulationFault[];
const DIRECTIONS: readonly Direction[] = ['up', 'down', 'both'];
const DEFAULT_STEP_MS = 100;
const MAX_MS = 2 ** 31 - 1;
const MAX_SLICE_BYTES = 64;
const MAX_TRACE = 100_000;
/** An arbitrary number, so that the faults draw from another stream than the test does. */
const FAULT_STREAM = 0x9e3779b9;

function invalid(text: string): NyotaError {
  return new NyotaError('NYOTA_INVALID_ARGUMENT', text);
}

function readFault(kind: SimulationFault, given: number | SimulationFaultOptions | undefined) {
  const rule = DEFAULT_FAULTS[kind];
  if (given === undefined) return rule;
  if (typeof given !== 'number' && (typeof given !== 'object' || given === null))
    throw invalid(`faults.${kind} takes a probability or an object, not ${String(given)}`);
  const fault: SimulationFaultOptions = typeof given === 'number' ? { probability: given } : given;
  const maxMs = checkCount(
    `faults.${kind}.maxMs`,
    fault.maxMs ?? Math.max(rule.maxMs, fault.minMs ?? 0),
    0,
    MAX_MS,
  );
  return {
    probability: checkNumber(`faults.${kind}`, fault.probability ?? rule.probability, 0, 1),
    minMs: checkCount(`faults.${kind}.minMs`, fault.minMs ?? Math.min(rule.minMs, maxMs), 0, maxMs),
    maxMs,
  };
}

function readFaults(given: SimulationOptions['faults'] = {}): FaultRules | undefined {
  if (given === false) return undefined;
  if (typeof given !== 'object' || given === null)
    throw invalid(`faults takes an object or false, not ${String(given)}`);
  const unknown = Object.keys(given).find((kind) => !Object.hasOwn(DEFAULT_FAULTS, kind));
  if (unknown !== undefined) throw invalid(`there is no fault '${unknown}': there are ${FAULTS.join(', ')}`);
  return {
    cut: readFault('cut', given.cut),
    stall: readFault('stall', given.stall),
    drop: readFault('drop', given.drop),
    slice: readFault('slice', given.slice),
  };
}

function pickBy<T>(random: () => number, items: readonly T[]): T {
  if (!Array.isArray(items) || items.length === 0) throw invalid('pick takes an array with something in it');
  return items[Math.floor(random() * items.length)] as T;
}

/**
 * Makes a simulation at virtual time 0, with nothing in it. One at a time in a process: they share the event loop, and
 * so does everything else that is to come in the same order for the same seed.
 *
 * @throws NyotaError `NYOTA_INVALID_ARGUMENT`
 */
export function createSimulation(options: SimulationOptions): Simulation {
  if (typeof options !== 'object' || options === null) throw invalid('createSimulation takes { seed }');
  const seed = checkCount('seed', options.seed, 0, MAX_SEED);
  const stepMs = checkCount('stepMs', options.stepMs ?? DEFAULT_STEP_MS, 1, MAX_MS);
  const rules = readFaults(options.faults);
  const random = seededRandom(seed);
  const chance = seededRandom((seed ^ FAULT_STREAM) >>> 0);
  const clock = createFakeClock();
  const memory = createMemoryNetwork();
  const numbers = new WeakMap<MemoryConnection, number>();
  let lastNumber = 0;
  let active: ActiveFault[] = [];
  let healed = false;
  let log: SimulationEntry[] = [];
  let lastRun: Promise<unknown> = Promise.resolve();

  const note = (
    what: SimulationEntry['what'],
    details: Omit<SimulationEntry, 'atMs' | 'what'> = {},
  ): void => {
    log.push({ atMs: clock.now(), what, ...details });
    if (log.length >= 2 * MAX_TRACE) log = log.slice(-MAX_TRACE);
  };
  const noteOf = (
    connection: MemoryConnection,
    what: SimulationEntry['what'],
    details: Omit<SimulationEntry, 'atMs' | 'what'> = {},
  ): void => note(what, { connection: numbers.get(connection) ?? 0, ...details });
  const between = (min: number, max: number): number => min + Math.floor(chance() * (max - min + 1));
  const refused = (target: number | string): boolean => active.some((fault) => fault.refuses === target);

  const network: MemoryNetwork = {
    ...memory,
    createConnection(connectOptions, onConnect) {
      const socket = memory.createConnection(connectOptions, onConnect);
      const { path, port } = connectOptions as { path?: unknown; port?: unknown };
      const target = typeof path === 'string' ? path : Number(port);
      if (refused(target)) {
        note('refuse', { target });
        const where =
          typeof target === 'string' ? { address: target } : { address: '127.0.0.1', port: target };
        return socket.destroy(systemError('ECONNREFUSED', { syscall: 'connect', ...where }));
      }
      socket.once('connect', () => {
        const { connection } = socket;
        if (connection === undefined) return;
        lastNumber += 1;
        numbers.set(connection, lastNumber);
        noteOf(connection, 'connect', { target });
        for (const end of ['client', 'server'] as const)
          connection[end].once('close', () => noteOf(connection, 'close', { end }));
      });
      return socket;
    },
  };

  const begin = (kind: SimulationFault, connection: MemoryConnection, forMs: number): void => {
    const nowMs = clock.now();
    const fault = { kind, connection, untilMs: nowMs + forMs };
    if (kind === 'stall') {
      const direction = pickBy(chance, DIRECTIONS);
      connection.stall(direction);
      noteOf(connection, kind, { direction, forMs });
      const end = (): void => {
        connection.unstall(direction);
        noteOf(connection, 'unstall', { direction });
      };
      active.push({ ...fault, end });
    } else if (kind === 'slice') {
      const bytes = between(1, MAX_SLICE_BYTES);
      connection.slice(bytes);
      noteOf(connection, kind, { bytes, forMs });
      const end = (): void => {
        connection.slice(Number.POSITIVE_INFINITY);
        noteOf(connection, 'unslice');
      };
      active.push({ ...fault, end });
    } else if (kind === 'drop') {
      connection.dropLink();
      noteOf(connection, kind, { forMs });
      const end = (): void => {
        noteOf(connection, 'undrop');
        connection.cut();
      };
      active.push({ ...fault, end });
    } else {
      beginCut(connection, forMs);
    }
  };

  /**
   * Holds back what is sent in the step before a cut, so that the cut finds it under way. Otherwise a cut would never lose
   * anything.
   */
  const beginCut = (connection: MemoryConnection, forMs: number): void => {
    const direction = pickBy(chance, DIRECTIONS);
    connection.stall(direction);
    const end = (isHealed: boolean): void => {
      if (isHealed) {
        connection.unstall(direction);
        return;
      }
      noteOf(connection, 'cut', { direction, forMs });
      connection.cut();
      if (forMs > 0) beginRefusing(connection.target, forMs);
    };
    active.push({ kind: 'cut', connection, untilMs: clock.now() + between(1, stepMs), end });
  };

  const beginRefusing = (target: number | string, forMs: number): void => {
    const end = (): void => {
      if (!refused(target)) note('accept', { target });
    };
    active.push({ kind: 'cut', refuses: target, untilMs: clock.now() + forMs, end });
  };

  const beginFaults = (): void => {
    if (rules === undefined || healed) return;
    for (const kind of FAULTS) {
      const { probability, minMs, maxMs } = rules[kind];
      if (chance() >= probability) continue;
      const free = [...memory.connections].filter(
        (connection) => !active.some((fault) => fault.kind === kind && fault.connection === connection),
      );
      if (free.length > 0) begin(kind, pickBy(chance, free), between(minMs, maxMs));
    }
  };

  const isOver = ({ connection }: ActiveFault): boolean =>
    connection !== undefined && !memory.connections.has(connection);

  const endFaults = (isHealed: boolean): void => {
    const nowMs = clock.now();
    const due = active.filter((fault) => isHealed || fault.untilMs <= nowMs || isOver(fault));
    active = active.filter((fault) => !due.includes(fault));
    for (const fault of due) if (!isOver(fault)) fault.end(isHealed);
  };

  const runFor = async (ms: number): Promise<void> => {
    const endMs = clock.now() + ms;
    await clock.advance(0);
    while (clock.now() < endMs) {
      beginFaults();
      const nowMs = clock.now();
      const nextMs = Math.min(nowMs + between(1, stepMs), endMs, ...active.map((fault) => fault.untilMs));
      await clock.advance(Math.max(0, nextMs - nowMs));
      endFaults(false);
    }
    await clock.advance(0); // what the last step's faults cause belongs to this run
  };

  return {
    seed,
    random,
    clock,
    network,
    async run(ms) {
      checkNumber('run', ms, 0, MAX_MS);
      const done = lastRun.then(() => runFor(ms));
      lastRun = done.catch(() => undefined);
      await done;
    },
    heal() {
      healed = true;
      note('heal');
      endFaults(true);
      memory.heal();
    },
    unheal() {
      healed = false;
    },
    get trace() {
      return log.slice(-MAX_TRACE);
    },
    pick: (items) => pickBy(random, items),
  };
}
