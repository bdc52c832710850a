/** The limits of both sides in a simulated world: small, so that a run of seconds meets all of them. */
import type { LimitOptions } from '../../src/options.js';
import type { World } from './plan.js';

const DRAIN_TIMEOUT_MS = 3_000;

export function limitsOf(world: World): LimitOptions {
  return {
    maxOutboxFrames: world.maxOutboxFrames,
    maxOutboxBytes: world.maxOutboxBytes,
    highWaterBytes: world.highWaterBytes,
    maxRunningHandlers: world.maxRunningHandlers,
    handshakeTimeoutMs: 2_000,
    pingIntervalMs: 1_000,
    pingTimeoutMs: 1_000,
    requestTimeoutMs: 20_000,
    // No clock jumps that far: what this timeout gives up is documented, and tested elsewhere.
    settleTimeoutMs: 100 * 60 * 60 * 1_000,
    stallTimeoutMs: 4_000,
    drainTimeoutMs: DRAIN_TIMEOUT_MS,
  };
}
