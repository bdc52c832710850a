/** How many frames that carry nothing a peer may send. */
import { describe, expect, it } from 'vitest';
import { FloodMeter, MAX_CONTROL_FRAMES_PER_SECOND } from '../../../src/link/attachment.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { encodePing } from '../../../src/wire/messages.js';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { ack, attached, event } from '../../support/session-frames.js';

/** How many control frames a meter takes at one moment. */
function taken(meter: FloodMeter, now: number): number {
  for (let count = 0; ; count++) {
    if (count > 100_000) return Number.POSITIVE_INFINITY;
    if (thrownCode(() => meter.count(now)) === 'NYOTA_CONTROL_FLOOD') return count;
  }
}

describe('the flood meter', () => {
  it('takes 100 control frames a second, and those that the ping interval explains', () => {
    expect(taken(new FloodMeter(15_000), 0)).toBe(MAX_CONTROL_FRAMES_PER_SECOND + 1);
    expect(taken(new FloodMeter(100), 0)).toBe(MAX_CONTROL_FRAMES_PER_SECOND + 10);
  });

  it('begins anew with every second', () => {
    const meter = new FloodMeter(15_000);
    taken(meter, 500);
    expect(thrownCode(() => meter.count(1_499))).toBe('NYOTA_CONTROL_FLOOD');
    expect(thrownCode(() => meter.count(1_500))).toBe('nothing thrown');
  });

  it('lets no peer set its own limit: not with 0, nor with 1', () => {
    expect(taken(new FloodMeter(0), 0)).toBe(MAX_CONTROL_FRAMES_PER_SECOND);
    expect(taken(new FloodMeter(1), 0)).toBeLessThanOrEqual(2 * MAX_CONTROL_FRAMES_PER_SECOND);
  });

  it('takes at once what came while this side did not read', () => {
    const meter = new FloodMeter(0);
    meter.credit(10_000);
    expect(taken(meter, 0)).toBe(11 * MAX_CONTROL_FRAMES_PER_SECOND);
  });
});

describe('a connection', () => {
  it('ends for a flood of frames that say nothing, duplicates and empty acks among them', () => {
    const floods: Buffer[][] = [
      [encodeFrame(FrameType.PING, {}, encodePing({ id: 1, paused: false }))],
      [ack(0)],
      [event(1, 'again')],
    ];
    for (const frames of floods) {
      const peer = attached();
      peer.feed(event(1, 'again'));
      const flood = (): void => {
        for (let i = 0; i < 200; i++) peer.feed(...frames);
      };
      expect(thrownCode(flood)).toBe('NYOTA_CONTROL_FLOOD');
    }
  });

  it('takes a replay on each connection for none, however often it comes', () => {
    const peer = attached();
    const replay = Array.from({ length: 150 }, (_, i) => event(i + 1, 'again'));
    for (let connection = 0; connection < 4; connection++) {
      peer.feed(...replay);
      peer.attach();
    }
    expect(peer.side.core.link.counters.duplicatesDropped).toBe(450);
  });

  it('ends for a flood of frames that are no business of the link', () => {
    const peer = attached();
    const { link } = peer.side.core;
    const flood = (generation: number) => (): void => {
      for (let i = 0; i < 200; i++) link.countControl(generation);
    };
    expect(thrownCode(flood(peer.generation - 1))).toBe('nothing thrown');
    expect(thrownCode(flood(peer.generation))).toBe('NYOTA_CONTROL_FLOOD');
  });
});
