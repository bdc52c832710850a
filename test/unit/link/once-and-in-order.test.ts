/** The next number only: what came before is dropped, and what leaves a gap ends the connection (docs/design.md, rule 2). */
import { describe, expect, it } from 'vitest';
import { Flag } from '../../../src/wire/constants.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { attached, event, keptFrames, names, request, ScriptedPeer } from '../../support/session-frames.js';

describe('numbers', () => {
  it('that came before are dropped, and acknowledged again', () => {
    const peer = attached();
    peer.feed(event(1, 'a'), event(2, 'b'));
    peer.written();
    peer.feed(event(1, 'a'), event(2, 'b'), event(3, 'c'));
    expect(names(peer)).toEqual(['a', 'b', 'c']);
    expect(peer.side.core.link.counters.duplicatesDropped).toBe(2);
    expect(peer.messages()).toMatchObject([{ type: FrameType.ACK, ack: 3 }]);
  });

  it('that leave a gap end the connection, and dispatch nothing', () => {
    const peer = attached();
    expect(thrownCode(() => peer.feed(event(2, 'b')))).toBe('NYOTA_SEQUENCE_GAP');
    expect(names(peer)).toEqual([]);
  });

  it('of a frame that is refused are not used up', () => {
    const peer = attached();
    expect(thrownCode(() => peer.feed(event(1, 'connect')))).toBe('NYOTA_RESERVED_EVENT');
    expect(thrownCode(() => peer.feed(request(1, 1, 'error')))).toBe('NYOTA_RESERVED_EVENT');
    expect(thrownCode(() => peer.feed(encodeFrame(0x3f as FrameType, { seq: 1 })))).toBe(
      'NYOTA_UNKNOWN_FRAME',
    );
    peer.feed(event(1, 'fine'));
    expect(names(peer)).toEqual(['fine']);
  });

  it('of unknown optional frames count as handled', () => {
    const peer = attached();
    peer.feed(encodeFrame(0x3f as FrameType, { seq: 1, flags: Flag.OPTIONAL }), event(2, 'next', [], true));
    expect(names(peer)).toEqual(['next']);
    expect(peer.messages()).toMatchObject([{ ack: 2 }]);
  });

  it('of a frame that its feature refuses are not used up: it is asked before the frame counts', () => {
    const server = new ScriptedPeer('server');
    server.side.set('key', 1);
    const peer = attached();
    expect(thrownCode(() => peer.feed(...keptFrames(server.side)))).toBe('NYOTA_PROTOCOL_ERROR');
    expect(peer.side.core.link.inbox.received).toBe(0);
    peer.feed(event(1, 'fine'));
    expect(names(peer)).toEqual(['fine']);
  });
});
