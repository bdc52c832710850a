/** What a side announces, and what it sends by the other side's limits (docs/design.md, rules 9 and 19). */
import { describe, expect, it } from 'vitest';
import { encodePrepared } from '../../../src/codec/payload.js';
import type { NyotaError } from '../../../src/errors.js';
import { announced } from '../../../src/link/link.js';
import { readLimits } from '../../../src/options.js';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { ack, ScriptedPeer } from '../../support/session-frames.js';

describe('what both sides agree on', () => {
  const own = readLimits({ maxFrameBytes: 5_000, maxDepth: 10, maxValues: 500, pingIntervalMs: 7 });

  it('announces four limits', () => {
    expect(announced(own)).toEqual({ maxFrameBytes: 5_000, maxDepth: 10, maxValues: 500, pingIntervalMs: 7 });
  });
});

describe('limits that the other side announces', () => {
  const SMALL = { maxFrameBytes: 500, maxDepth: 6, maxValues: 100 };
  const deep = [[[[[[1]]]]]];
  const wide = Array.from({ length: 200 }, (_, i) => i);

  it('hold for what is sent from then on', () => {
    const peer = new ScriptedPeer('client');
    peer.attach(0, SMALL);
    expect(thrownCode(() => peer.side.send('e', ['x'.repeat(600)]))).toBe('NYOTA_FRAME_TOO_LARGE');
    expect(thrownCode(() => peer.side.send('e', [deep]))).toBe('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(thrownCode(() => peer.side.send('e', [wide]))).toBe('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(thrownCode(() => peer.side.core.events.sendVolatile('e', ['x'.repeat(600)]))).toBe(
      'NYOTA_FRAME_TOO_LARGE',
    );
    const { events } = peer.side.core;
    const body = Buffer.from(encodePrepared(['e', [deep]]));
    expect(thrownCode(() => events.sendEncoded(body))).not.toBe('nothing thrown');
  });

  it('change nothing where they are larger than this side’s own: the smaller ones hold', () => {
    const own = { maxFrameBytes: 1_024, maxDepth: 6, maxValues: 100 };
    const peer = new ScriptedPeer('client', own);
    peer.attach(0, { maxFrameBytes: 100_000, maxDepth: 60, maxValues: 10_000 });
    expect(thrownCode(() => peer.side.send('e', ['x'.repeat(2_000)]))).toBe('NYOTA_FRAME_TOO_LARGE');
    expect(thrownCode(() => peer.side.send('e', [deep]))).toBe('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(thrownCode(() => peer.side.send('e', [wide]))).toBe('NYOTA_PAYLOAD_TOO_COMPLEX');
  });

  it('count what is no plain data by the same depth and number', () => {
    const peer = new ScriptedPeer('client');
    peer.attach(0, SMALL);
    const nested = (depth: number, inmost: unknown): unknown =>
      depth === 0 ? inmost : [nested(depth - 1, inmost)];
    const refused = (value: unknown): boolean =>
      thrownCode(() => peer.side.send('e', [value])) !== 'nothing thrown';
    const list = (count: number, last: unknown): unknown[] => [
      ...Array.from({ length: count }, () => 1),
      last,
    ];
    for (let depth = 0; depth < 8; depth++) {
      expect([depth, refused(nested(depth, new Date(0)))]).toEqual([depth, refused(nested(depth, 1))]);
    }
    for (let count = 85; count < 105; count++) {
      expect([count, refused(list(count, new Date(0)))]).toEqual([count, refused(list(count, 1))]);
    }
  });

  it('take back what was queued before, tell its sender, and let the rest through', () => {
    const peer = new ScriptedPeer('client');
    const told: unknown[] = [];
    peer.side.send('large', ['x'.repeat(600)], (error) => told.push(['large', error?.code]));
    peer.side.send('deep', [deep]);
    peer.side.request('wide', [wide], ({ error }) => told.push(['wide', (error as NyotaError).code]));
    peer.side.send('fits', [], (error) => told.push(['fits', error]));
    peer.attach(0, SMALL);
    expect(peer.messages().filter(({ seq }) => seq > 0)).toMatchObject([
      { type: FrameType.SKIP, seq: 1 },
      { type: FrameType.SKIP, seq: 2 },
      { type: FrameType.SKIP, seq: 3 },
      { type: FrameType.EVENT, seq: 4 },
    ]);
    peer.feed(ack(4));
    expect(told).toEqual([
      ['large', 'NYOTA_FRAME_TOO_LARGE'],
      ['wide', 'NYOTA_PAYLOAD_TOO_COMPLEX'],
      ['fits', undefined],
    ]);
    expect(peer.side.reports.map(({ code }) => code)).toContain('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(peer.side.core.requests.pending).toBe(0);
  });
});
