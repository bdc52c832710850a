/**
 * What both sides of a connection agreed on in the handshake. Pure.
 */

import type { PayloadLimits } from '../codec/scan.js';
import type { WireLimits } from '../wire/messages.js';

/** What this side announces, and holds the other side to. */
export function announced(limits: WireLimits): WireLimits {
  return {
    maxFrameBytes: limits.maxFrameBytes,
    maxDepth: limits.maxDepth,
    maxValues: limits.maxValues,
    pingIntervalMs: limits.pingIntervalMs,
  };
}

/** What this side may send: never more than either side accepts. */
export interface SendLimits {
  readonly maxFrameBytes: number;
  readonly payload: PayloadLimits;
}

export function sendLimits(own: WireLimits, theirs: WireLimits = own): SendLimits {
  return {
    maxFrameBytes: Math.min(own.maxFrameBytes, theirs.maxFrameBytes),
    payload: {
      maxDepth: Math.min(own.maxDepth, theirs.maxDepth),
      maxValues: Math.min(own.maxValues, theirs.maxValues),
    },
  };
}
