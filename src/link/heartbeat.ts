/**
 * Whether the other side of a connection still lives, and how long a round trip takes. Pure: time is handed in.
 *
 * Both sides ping. Any byte that arrives counts as life. TCP's keepalive found nothing in 20 s on a dead link,
 * so this is what finds a link that died without a FIN: within the ping interval plus the ping timeout.
 */

export interface HeartbeatOptions {
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
}

/** No peer makes this side ping more often than this. */
const LEAST_PEER_INTERVAL_MS = 20;

export type Pulse = 'quiet' | 'ping' | 'dead';

/** A ping that tells of a pause waits so long: who pauses for every message would flood the other side otherwise. */
const TELL_PAUSE_MS = 100;

/** Share of a new measurement in the smoothed round-trip time: TCP's own, RFC 6298. */
const SMOOTHING = 1 / 8;

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #intervalMs: number;
  #heardAt: number;
  #nextPingAt: number;
  #reading = true;
  #pingId = 0;
  #pingSentAt = 0;
  #roundTripMs: number | undefined;

  constructor(options: HeartbeatOptions, now: number) {
    this.#options = options;
    this.#intervalMs = options.pingIntervalMs;
    this.#heardAt = now;
    this.#nextPingAt = now;
  }

  /** Smoothed; undefined before the first pong. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  heard(now: number): void {
    this.#heardAt = now;
  }

  /**
   * While this side does not read, it can't hear: it judges nobody, and pings at the other side's pace too,
   * so that its own bytes keep telling that it lives. A ping soon tells of the change.
   *
   * @param peerIntervalMs how often the other side pings; 0: never
   */
  setReading(reading: boolean, peerIntervalMs: number, now: number): void {
    this.#reading = reading;
    this.#heardAt = now;
    const own = this.#options.pingIntervalMs;
    // 0: the other side never pings, so it has no pace. What it announces may not make us a flooder.
    const theirs = peerIntervalMs === 0 ? own : Math.max(peerIntervalMs, LEAST_PEER_INTERVAL_MS);
    this.#intervalMs = reading ? own : Math.min(own, theirs);
    this.#nextPingAt = Math.min(this.#nextPingAt, now + TELL_PAUSE_MS);
  }

  get nextDeadline(): number {
    return this.#reading ? Math.min(this.#nextPingAt, this.#deadAt) : this.#nextPingAt;
  }

  tick(now: number): Pulse {
    if (this.#reading && now >= this.#deadAt) {
      // Later than planned by more than the timeout itself: this process stood still (a long synchronous job,
      // SIGSTOP), and what the other side sent meanwhile may wait in the kernel. It gets one more timeout.
      if (now - this.#deadAt < this.#options.pingTimeoutMs / 2) return 'dead';
      this.#heardAt = now - this.#intervalMs;
      this.#nextPingAt = now;
    }
    if (now < this.#nextPingAt) return 'quiet';
    this.#nextPingAt = now + this.#intervalMs;
    return 'ping';
  }

  /** The id for a ping that is sent now. */
  ping(now: number): number {
    this.#pingId = (this.#pingId + 1) >>> 0;
    this.#pingSentAt = now;
    return this.#pingId;
  }

  /** True where the pong answers the last ping. */
  pong(id: number, now: number): boolean {
    if (id !== this.#pingId || this.#pingSentAt === 0) return false;
    const sample = Math.max(0, now - this.#pingSentAt);
    this.#pingSentAt = 0;
    this.#roundTripMs =
      this.#roundTripMs === undefined ? sample : this.#roundTripMs + (sample - this.#roundTripMs) * SMOOTHING;
    return true;
  }

  get #deadAt(): number {
    return this.#heardAt + this.#options.pingIntervalMs + this.#options.pingTimeoutMs;
  }
}
