/** What peers and servers tell about themselves. All of it is counted, nothing estimated. */
import type { SessionCore } from '../features/session-core.js';

export interface PeerStats {
  /** Messages accepted for sending: events, requests, replies, store writes. */
  readonly sent: number;
  /** Messages received for the first time. */
  readonly received: number;
  /** Own messages that the other side has handled. */
  readonly acked: number;
  /** Messages sent again after a reconnect. */
  readonly replayed: number;
  /** Messages that came again and were dropped. */
  readonly duplicatesDropped: number;
  /** Connections after the first. */
  readonly reconnects: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Volatile messages that were dropped. */
  readonly volatileDropped: number;
  /** Messages dropped unsent because their `ttlMs` was over. */
  readonly expired: number;
  /** Messages and bytes that the other side has not acknowledged. */
  readonly outboxFrames: number;
  readonly outboxBytes: number;
  /** Requests that wait for their reply. */
  readonly pendingRequests: number;
  /** Smoothed round-trip time in ms; undefined before the first measurement. */
  readonly roundTripMs: number | undefined;
}

/** What a server counts. */
export interface ServerStats {
  /** Sessions held, and how many of them have a connection. */
  readonly sessions: number;
  readonly connected: number;
  /** Connections in their handshake, and those that wait for their turn to begin it. */
  readonly unauthenticated: number;
  readonly sessionsStarted: number;
  readonly sessionsResumed: number;
  readonly sessionsExpired: number;
  /** Connections that were refused, or broke off in their handshake. */
  readonly refused: number;
}

export function peerStats(core: SessionCore): PeerStats {
  const { link, requests } = core;
  return {
    ...link.counters,
    outboxFrames: link.outbox.frames,
    outboxBytes: link.outbox.bytes,
    pendingRequests: requests.pending,
    roundTripMs: core.link.roundTripMs,
  };
}
