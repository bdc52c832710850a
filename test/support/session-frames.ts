/** A scripted other side for one SessionSide: frames made by hand, fed as one chunk, and what is written back. */

import { decodePayload } from '../../src/codec/payload.js';
import type { NyotaError } from '../../src/errors.js';
import type { Role } from '../../src/features/session-core.js';
import { announced } from '../../src/link/link.js';
import type { LimitOptions } from '../../src/options.js';
import { Flag } from '../../src/wire/constants.js';
import { FrameDecoder } from '../../src/wire/frame-decoder.js';
import { encodeFrame } from '../../src/wire/frame-encoder.js';
import { encodeFields, type WireLimits } from '../../src/wire/messages.js';
import { FrameType } from './frame-type.js';
import { SessionSide, type Settleable, settleable } from './session-side.js';

export const event = (seq: number, name: string, args: unknown[] = [], ackNow = false): Buffer =>
  encodeFrame(FrameType.EVENT, { seq, flags: ackNow ? Flag.ACK_NOW : 0 }, encodeFields([name, args]));

export const volatile = (name: string, args: unknown[] = []): Buffer =>
  encodeFrame(FrameType.VOLATILE, { flags: Flag.OPTIONAL }, encodeFields([name, args]));

export const request = (
  seq: number,
  id: number,
  name: string,
  args: unknown[] = [],
  timeoutMs: number | null = null,
): Buffer => encodeFrame(FrameType.REQUEST, { seq }, encodeFields([id, name, args, timeoutMs]));

export const reply = (seq: number, id: number, value: unknown): Buffer =>
  encodeFrame(FrameType.REPLY, { seq }, encodeFields([id, true, value]));

export const cancel = (seq: number, id: number, code = 'NYOTA_ABORTED'): Buffer =>
  encodeFrame(FrameType.CANCEL, { seq }, encodeFields([id, code]));

export const ack = (seq: number): Buffer => encodeFrame(FrameType.ACK, { ack: seq });

/** A frame that was written, with its body decoded. */
export interface Written {
  readonly type: number;
  readonly seq: number;
  readonly ack: number;
  readonly body: unknown;
}

export class ScriptedPeer {
  readonly side: SessionSide;
  /** What the side gave as a reason to end the connection. */
  readonly failures: NyotaError[] = [];
  now = 1_000;
  generation = 0;

  constructor(role: Role, limits: LimitOptions = {}) {
    this.side = new SessionSide(role, limits, {
      now: () => this.now,
      failed: (_side, error) => this.failures.push(error),
    });
  }

  /** Shakes hands: as a side that has received so much, with these limits instead of the side's own. */
  attach(received = 0, limits: Partial<WireLimits> = {}): void {
    const theirs = { ...announced(this.side.core.link.limits), ...limits };
    this.side.reading = true; // a new connection is read, until the side says otherwise
    this.generation = this.side.core.link.attach(theirs, received);
  }

  /** One chunk. Throws what ends the connection. */
  feed(...frames: Buffer[]): void {
    const { core } = this.side;
    const bytes = Buffer.concat(frames);
    const decoder = new FrameDecoder(16 * 1024 * 1024);
    core.link.chunkStart(this.generation, bytes.length);
    decoder.push(bytes);
    while (decoder.next()) core.link.receive(this.generation, decoder);
    core.link.chunkEnd(this.generation);
  }

  /** All that the side wants written now: nothing where it has not asked for it (`wake`). */
  written(): Written[] {
    const frames: Written[] = [];
    if (!this.side.woken) return frames;
    this.side.woken = false;
    const decoder = new FrameDecoder(32 * 1024 * 1024);
    for (let piece = this.pull(); piece !== undefined; piece = this.pull()) decoder.push(piece);
    while (decoder.next()) {
      const { type, seq, ack: acked, source, start, end } = decoder;
      const body =
        start === end ? undefined : decodePayload(source, start, end, { maxDepth: 512, maxValues: 1e7 });
      frames.push({ type, seq, ack: acked, body });
    }
    return frames;
  }

  /** The same, without pings and pongs. */
  messages(): Written[] {
    return this.written().filter(({ type }) => type !== FrameType.PING && type !== FrameType.PONG);
  }

  pull(): Buffer | undefined {
    return this.side.core.link.pull(this.generation);
  }
}

/** A side that has a connection. */
export function attached(role: Role = 'server', limits: LimitOptions = {}): ScriptedPeer {
  const peer = new ScriptedPeer(role, limits);
  peer.attach();
  return peer;
}

/** Copies of all frames that a side keeps for the other one. */
export function keptFrames({ core }: SessionSide): Buffer[] {
  const frames: Buffer[] = [];
  core.link.outbox.forEach((_seq, frame) => {
    frames.push(Buffer.from(frame));
  });
  return frames;
}

/** The events that the side's listeners have heard. */
export const names = (peer: ScriptedPeer): string[] => peer.side.dispatched.map(({ event: name }) => name);

/** From here on the side's listeners run until they are settled, in the order of their start. */
export function slowListeners(peer: ScriptedPeer): Settleable[] {
  const running: Settleable[] = [];
  peer.side.listener = () => {
    const one = settleable();
    running.push(one);
    return one.promise;
  };
  return running;
}
