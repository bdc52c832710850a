/**
 * Real processes that are killed with `kill -9` under load and started again on the same store. What happened is counted from
 * the outside, by the log that the processes have written. NYOTA_KILL_CYCLES=200 for two hundred cycles; NYOTA_SEED repeats one.
 */
import { expect, it } from 'vitest';
import { seededRandom } from '../../src/testing/index.js';
import { useBuild } from '../support/kill-build.js';
import { runCycles, summary } from '../support/kill-cycles.js';
import type { KillSide } from '../support/kill-process.js';
import { inLength } from '../support/length.js';

const given = process.env.NYOTA_KILL_CYCLES;
const seed = Number(process.env.NYOTA_SEED ?? Date.now() % 1_000_000_000);
/** Far more than a cycle takes; a run that hangs says itself what did not come. */
const MS_PER_CYCLE = 3_000;

const dist = useBuild();

it.each<[string, readonly KillSide[], number]>([
  ['a server', ['server'], inLength(6, 3)],
  ['a client', ['client'], inLength(4, 2)],
  ['either', ['server', 'client'], inLength(4, 2)],
])(
  `nothing is lost, and nothing repeated without the flag, where %s is killed (seed ${seed})`,
  async (name, victims, few) => {
    const cycles = given === undefined ? few : Number(given);
    expect(cycles).toBeGreaterThan(0);
    const result = await runCycles({ dist: dist(), victims, cycles, random: seededRandom(seed) });
    console.log(summary(name, result));
    expect(result.problems).toEqual([]);
    expect({ lost: result.lost, repeated: result.repeated }).toEqual({ lost: 0, repeated: 0 });
    // It was under load, in both directions.
    const { client, server } = result.counts;
    expect(Math.min(client.events, server.events)).toBeGreaterThan(cycles * 5);
    expect(client.requests + server.requests).toBeGreaterThan(cycles);
  },
  60_000 + MS_PER_CYCLE * Number(given ?? 10),
);
