/**
 * Why a session gives up a connection, as errors: numbers that don't fit together, silence, and a side that takes nothing.
 * Pure: made from what is handed in.
 */
import { NyotaError } from '../errors.js';
import type { Limits } from '../options.js';
import type { Outbox } from './outbox.js';

/** Neither side may know less than it once did, nor more than it was told: what another claim to have received amounts to. */
export function divergence(outbox: Outbox, received: number): NyotaError | undefined {
  if (received >= outbox.ackedSeq && received <= outbox.sentSeq) return undefined;
  return new NyotaError(
    'NYOTA_DIVERGED',
    `the other side says it received up to ${received}, but ${outbox.sentSeq} were sent and ${outbox.ackedSeq} acknowledged`,
  );
}

/** An acknowledgement of what was never handed to this connection. */
export function acknowledgedUnsent(ack: number, sent: number): NyotaError {
  return new NyotaError(
    'NYOTA_DIVERGED',
    `the other side acknowledges frame ${ack}, and only ${sent} were sent`,
  );
}

export function stalled(): NyotaError {
  return new NyotaError('NYOTA_STALLED', 'the other side keeps asking and acknowledges nothing');
}

export function silent({ pingIntervalMs, pingTimeoutMs }: Limits): NyotaError {
  const silence = pingIntervalMs + pingTimeoutMs;
  return new NyotaError('NYOTA_PING_TIMEOUT', `nothing was heard of the other side for ${silence} ms`);
}
