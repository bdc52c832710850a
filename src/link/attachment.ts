/**
 * What a session has only while a connection is attached: heartbeat, flood meter, and the control frames that wait to be
 * written. Pure: time is handed in.
 */

import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import type { Limits } from '../options.js';
import { Flag, FrameType } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import { encodePing, encodePong, parsePing, parsePong, type WireLimits } from '../wire/messages.js';
import { FloodMeter } from './flood-meter.js';
import type { FrameView } from './frame-view.js';
import { Heartbeat, type Pulse } from './heartbeat.js';

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

  /** True where a control frame waits to be written. */
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

  /** A control frame of the session's. True where an answer waits to be written. Throws for one that belongs nowhere. */
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

  /** What time alone brings; a ping that is due waits to be written then. */
  tick(now: number, reading: boolean): Pulse {
    const pulse = this.#heartbeat.tick(now);
    if (pulse === 'ping') {
      this.#pingsOut++;
      const id = this.#heartbeat.ping(now);
      this.#control.push(encodeFrame(FrameType.PING, {}, encodePing({ id, paused: !reading })));
    }
    return pulse;
  }

  /** All that waits, behind `first`, as one piece; undefined where there is nothing. */
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
