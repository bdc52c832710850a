/** What a session counts of itself, for `stats()`. Counted where it happens; nothing is estimated. */
export class SessionCounters {
  /** Messages accepted for sending: events, requests, replies, store writes. */
  sent = 0;
  /** Sequenced frames received for the first time. */
  received = 0;
  /** Own messages that the other side acknowledged. */
  acked = 0;
  /** Frames sent again after a reconnect. */
  replayed = 0;
  /** Received again and dropped. */
  duplicatesDropped = 0;
  /** Connections after the first. */
  reconnects = 0;
  bytesSent = 0;
  bytesReceived = 0;
  volatileDropped = 0;
  /** Dropped unsent because their ttlMs was over. */
  expired = 0;
}
