/** A connection has a generation, and begins where the other side stands (docs/design.md, rules 1 and 12). */
import { describe, expect, it } from 'vitest';
import { Flag } from '../../../src/wire/constants.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { attached, event } from '../../support/session-frames.js';

describe('a connection', () => {
  it('is known by its generation: what an older one says is ignored', () => {
    const peer = attached();
    const old = peer.generation;
    peer.attach();
    const { core } = peer.side;
    expect([
      core.link.detach(old),
      core.link.chunkStart(old, 10),
      core.link.pull(old),
      core.link.state.is,
    ]).toEqual([false, false, undefined, 'attached']);
    peer.generation = old;
    peer.feed(event(1, 'from the old one'));
    expect(peer.side.dispatched).toEqual([]);
    expect(core.link.counters.reconnects).toBe(1);
  });

  it('begins with what the other side has not received, and the volatile ones are gone', () => {
    const peer = attached();
    for (const name of ['a', 'b', 'c']) peer.side.send(name);
    peer.side.core.events.sendVolatile('v', []);
    expect(peer.messages().map(({ type }) => type)).toEqual([
      FrameType.ACK,
      FrameType.EVENT,
      FrameType.EVENT,
      FrameType.EVENT,
      FrameType.VOLATILE,
    ]);
    peer.side.core.events.sendVolatile('dropped', []);
    peer.side.core.link.detach(peer.generation);
    expect(peer.side.core.events.sendVolatile('dropped too', [])).toBe(false);
    peer.attach(2);
    expect(peer.side.core.link.replaying).toBe(true);
    expect(peer.messages().map(({ type, seq }) => [type, seq])).toEqual([
      [FrameType.ACK, 0],
      [FrameType.EVENT, 3],
    ]);
    expect(peer.side.core.link.replaying).toBe(false);
    expect(peer.side.core.link.counters).toMatchObject({ replayed: 1, volatileDropped: 2 });
  });

  it('ends for frames that do not belong into it, and skips optional ones', () => {
    const peer = attached();
    expect(thrownCode(() => peer.feed(encodeFrame(FrameType.OPEN)))).toBe('NYOTA_UNKNOWN_FRAME');
    expect(thrownCode(() => peer.feed(encodeFrame(FrameType.ACK)))).toBe('NYOTA_PROTOCOL_ERROR');
    peer.feed(encodeFrame(0x77 as FrameType, { flags: Flag.OPTIONAL }));
  });
});
