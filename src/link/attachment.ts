/**
 * What a link has only while a connection is attached: the control frames that wait to be written, whether the other side
 * still lives and how long a round trip takes (heartbeat), and how many frames came that carry nothing (flood meter). Gone
 * with its connection. Pure: time is handed in.
 *
 * Both sides ping, and any byte that arrives counts as life (docs/design.md, rule 8). TCP's keepalive found nothing in 20 s
 * on a dead link, so this is what finds a link that died without a FIN: within the ping interval plus the ping timeout.
 */
import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import type { Limits } from '../options.js';
import { Flag, FrameType } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import { encodePing, encodePong, parsePing, parsePong, type WireLimits } from '../wire/messages.js';
import type { FrameView } from './feature.js';

export class Attachment {
  readonly #limits: Limits;
  readonly #heartbeat: Heartbeat;
  readonly #flood: FloodMeter;
  readonly #peerPingIntervalMs: number;
  #control: Buffer[] = [];
  #peerPaused = false;
  /** Pings of ours that were not answered yet. */
  #pingsOut = 0;
  /** When reading was last stopped or started. */
  #readingSince: number;
  /** The highest number that had been sent before: up to it, what goes out is a replay. */
  readonly replayUpTo: number;

  constructor(limits: Limits, theirs: WireLimits, replayUpTo: number, now: number) {
    this.#limits = limits;
    this.#heartbeat = new Heartbeat(limits, now);
    this.#flood = new FloodMeter(theirs.pingIntervalMs);
    this.#peerPingIntervalMs = theirs.pingIntervalMs;
    this.#readingSince = now;
    this.replayUpTo = replayUpTo;
  }

  /** Smoothed, in ms; undefined before the first measurement. */
  get roundTripMs(): number | undefined {
    return this.#heartbeat.roundTripMs;
  }

  /** The other side has said that it does not read for now. */
  get peerPaused(): boolean {
    return this.#peerPaused;
  }

  get nextDeadline(): number {
    return this.#heartbeat.nextDeadline;
  }

  /** True if a control frame waits to be written. */
  get hasControl(): boolean {
    return this.#control.length > 0;
  }

  heard(now: number): void {
    this.#heartbeat.heard(now);
  }

  /** A frame that carries nothing for the user has come. Throws `NYOTA_CONTROL_FLOOD` for one too many. */
  countControl(now: number): void {
    this.#flood.count(now);
  }

  setReading(reading: boolean, now: number): void {
    if (reading) this.#flood.credit(now - this.#readingSince);
    this.#readingSince = now;
    this.#heartbeat.setReading(reading, this.#peerPingIntervalMs, now);
  }

  /** Takes a control frame. True if an answer waits to be written. Throws for a frame that has no place here. */
  receive(frame: FrameView, now: number): boolean {
    // The answer to a ping of ours is no flood, however many come at once after a pause of the other side.
    const answers = frame.type === FrameType.PONG && this.#pingsOut > 0;
    if (answers) this.#pingsOut--;
    else this.countControl(now);
    if (frame.type === FrameType.PING) {
      const { id, paused } = parsePing(this.#body(frame));
      this.#peerPaused = paused;
      this.#control.push(encodeFrame(FrameType.PONG, {}, encodePong({ id })));
      return true;
    }
    if (frame.type === FrameType.PONG) {
      this.#heartbeat.pong(parsePong(this.#body(frame)).id, now);
    } else if ((frame.flags & Flag.OPTIONAL) === 0) {
      throw new NyotaError(
        'NYOTA_UNKNOWN_FRAME',
        `no frame of type 0x${frame.type.toString(16)} belongs here`,
      );
    }
    return false;
  }

  push(frame: Buffer): void {
    this.#control.push(frame);
  }

  /** Does what time alone brings: a ping that is due is queued. */
  tick(now: number, reading: boolean): Pulse {
    const pulse = this.#heartbeat.tick(now);
    if (pulse === 'ping') {
      this.#pingsOut++;
      const id = this.#heartbeat.ping(now);
      this.#control.push(encodeFrame(FrameType.PING, {}, encodePing({ id, paused: !reading })));
    }
    return pulse;
  }

  /** Returns `first` and all that waits as one piece; undefined if there is nothing. */
  take(first: Buffer | undefined): Buffer | undefined {
    const control = this.#control;
    if (first !== undefined) control.unshift(first);
    if (control.length === 0) return undefined;
    this.#control = [];
    return control.length === 1 ? control[0] : Buffer.concat(control);
  }

  #body(frame: FrameView): unknown {
    return decodePayload(frame.source, frame.start, frame.end, this.#limits);
  }
}

export interface HeartbeatOptions {
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
}

/** No peer makes this side ping more often than this. */
const LEAST_PEER_INTERVAL_MS = 20;

export type Pulse = 'quiet' | 'ping' | 'dead';

/**
 * How long a ping that tells of a pause waits: a side that pauses for every message would otherwise flood the other one with
 * pings.
 */
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
    // 0: the other side never pings, so it has no pace. What it announces must not make this side flood it.
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

  /** True if the pong answers the last ping. */
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

export const MAX_CONTROL_FRAMES_PER_SECOND = 100;
const WINDOW_MS = 1000;
/** A shorter ping interval than this allows for no more frames: otherwise a peer could set its own limit. */
const LEAST_INTERVAL_MS = 100;

/**
 * Counts the frames that carry nothing for the user: pings, empty acks, unknown optional ones. A peer that sends more than 100
 * of them a second, beside those its own ping interval explains, is cut off.
 */
export class FloodMeter {
  readonly #allowed: number;
  #windowStart = Number.NEGATIVE_INFINITY;
  #count = 0;
  #credit = 0;

  /** @param pingIntervalMs how often the other side said that it pings; 0 for never */
  constructor(pingIntervalMs: number) {
    const pings = pingIntervalMs === 0 ? 0 : WINDOW_MS / Math.max(pingIntervalMs, LEAST_INTERVAL_MS);
    this.#allowed = MAX_CONTROL_FRAMES_PER_SECOND + Math.ceil(pings);
  }

  /** This side did not read for so long: what came meanwhile arrives at once, and is no flood. */
  credit(ms: number): void {
    this.#credit += Math.ceil((ms / WINDOW_MS) * this.#allowed);
  }

  /** Throws `NYOTA_CONTROL_FLOOD` for one too many. */
  count(now: number): void {
    if (now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = now;
      this.#count = 0;
    }
    if (this.#credit > 0) {
      this.#credit--;
      return;
    }
    if (++this.#count <= this.#allowed) return;
    throw new NyotaError('NYOTA_CONTROL_FLOOD', `more than ${this.#allowed} control frames in a second`);
  }
}
