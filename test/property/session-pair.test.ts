/**
 * The guarantees of docs/design.md, G1 to G4 and G6, on the state machine alone: whatever is sent, asked, written, paused and cut,
 * in any order, at the end each event was dispatched once and in order, each acknowledgement was told once, each
 * request is settled, the stores are equal, and nothing is left behind.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LimitOptions } from '../../src/options.js';
import { SessionPair } from '../support/session-pair.js';
import { anyStep, SessionRun, type Step } from '../support/session-run.js';

async function run(steps: readonly Step[], limits: LimitOptions, laneBytes: number): Promise<void> {
  const pair = new SessionPair({ client: limits, server: limits, laneBytes });
  const session = new SessionRun(pair);
  pair.connect();
  for (const step of steps) await session.apply(step);
  expect(await session.finish()).toEqual([]);
}

const steps = fc.array(anyStep, { minLength: 5, maxLength: 80, size: 'max' });

describe('a session of two sides, in random runs', () => {
  it('keeps every promise with the default limits', async () => {
    await fc.assert(
      fc.asyncProperty(steps, (drawn) => run(drawn, {}, 64 * 1024)),
      { numRuns: 200 },
    );
  }, 60_000);

  it('keeps every promise with one handler at a time, little room, and short heartbeats', async () => {
    const tight: LimitOptions = {
      maxRunningHandlers: 1,
      highWaterBytes: 200,
      pingIntervalMs: 300,
      pingTimeoutMs: 200,
    };
    await fc.assert(
      fc.asyncProperty(steps, (drawn) => run(drawn, tight, 100)),
      { numRuns: 200 },
    );
  }, 60_000);
});
