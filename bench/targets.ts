/** What is to be reached, as ratios within one run. Pure. */
import type { MeasureResult } from './rounds.js';

interface Target {
  readonly what: string;
  /** Reached where the ratio is at least, or at most, this. */
  readonly least?: number;
  readonly most?: number;
  /** Undefined where the run has not measured it. */
  readonly ratio: (results: Results) => number | undefined;
}

export interface Verdict {
  readonly what: string;
  readonly goal: string;
  readonly measured: number;
  readonly reached: boolean;
}

class Results {
  readonly #byId: ReadonlyMap<string, MeasureResult>;

  constructor(results: readonly MeasureResult[]) {
    this.#byId = new Map(results.map((result) => [result.id, result]));
  }

  value(id: string, label: string, name?: string): number | undefined {
    const found = this.#byId.get(id)?.contenders.find((one) => one.label === label);
    if (found === undefined) return undefined;
    return name === undefined ? Object.values(found.values)[0] : found.values[name];
  }
}

const over = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : a / b;

/** nyota against another, by the same measure. */
const against = (id: string, other: string, name?: string) => (results: Results) =>
  over(results.value(id, 'nyota', name), results.value(id, other, name));

const TARGETS: readonly Target[] = [
  { what: 'one-way, of the floor', least: 0.7, ratio: against('one-way', 'floor') },
  { what: 'one-way, socket.io', least: 8, ratio: against('one-way', 'socket.io') },
  { what: 'one-way, NATS', least: 3, ratio: against('one-way', 'NATS') },
  { what: 'requests, of the floor', least: 0.7, ratio: against('requests', 'floor') },
  { what: 'requests, socket.io', least: 3, ratio: against('requests', 'socket.io') },
  { what: 'round trip p50, of the floor', most: 1.3, ratio: against('latency', 'floor', 'p50') },
  { what: 'round trip p99, of the floor', most: 1.3, ratio: against('latency', 'floor', 'p99') },
  { what: '1 MiB Buffers, of the floor', least: 0.7, ratio: against('buffers', 'floor') },
  { what: 'fan-out, socket.io', least: 5, ratio: against('fan-out', 'socket.io') },
  { what: 'fan-out in bursts, socket.io', least: 5, ratio: against('fan-out-bursts', 'socket.io') },
  {
    what: 'store writes, of one-way',
    least: 0.4,
    ratio: (results) =>
      over(results.value('store-writes', 'nyota'), results.value('store-writes', 'nyota one-way')),
  },
  {
    what: 'idle session over a bare socket, KiB',
    most: 6,
    ratio: (results) => {
      const session = results.value('memory', 'nyota');
      const socket = results.value('memory', 'bare socket');
      return session === undefined || socket === undefined ? undefined : (session - socket) / 1024;
    },
  },
  {
    what: '10,000 sessions resumed, seconds',
    most: 5,
    ratio: (results) => over(results.value('resume', 'nyota', 'ms'), 1000),
  },
  {
    what: 'durable one-way, of memory',
    least: 0.15,
    ratio: (results) => over(results.value('durable', 'lmdb'), results.value('durable', 'memory')),
  },
  ...['events', 'sessions', 'bytes'].map((what) => ({
    what: `twice the ${what}, time`,
    most: 2.2,
    ratio: (results: Results) =>
      over(results.value('growth', `${what}, twice`), results.value('growth', what)),
  })),
];

/** What of the targets the run has measured. */
export function judge(measured: readonly MeasureResult[]): Verdict[] {
  const results = new Results(measured);
  return TARGETS.flatMap(({ what, least, most, ratio }) => {
    const value = ratio(results);
    if (value === undefined || Number.isNaN(value)) return [];
    const reached = least === undefined ? value <= (most ?? 0) : value >= least;
    return [
      { what, goal: least === undefined ? `at most ${most}` : `at least ${least}`, measured: value, reached },
    ];
  });
}
