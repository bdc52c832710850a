/** Events: reserved names, those that are encoded once for many sessions, and volatile ones. */
import { describe, expect, it } from 'vitest';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { attached, names, volatile } from '../../support/session-frames.js';

describe('volatile events', () => {
  it('are dispatched where they can be at once, and dropped otherwise', () => {
    const peer = attached();
    peer.feed(volatile('now', [1]));
    peer.side.core.link.pause();
    peer.feed(volatile('dropped'));
    expect(names(peer)).toEqual(['now']);
    expect(peer.side.core.link.counters.volatileDropped).toBe(1);
    expect(thrownCode(() => peer.feed(volatile('close')))).toBe('NYOTA_RESERVED_EVENT');
  });

  it('go out behind what is reliable, and are dropped where too much of that is still unsent', () => {
    const peer = attached('client', { highWaterBytes: 1_000 });
    peer.written();
    const { events, link } = peer.side.core;
    peer.side.send('reliable', ['x'.repeat(990)]);
    expect(events.sendVolatile('v', [])).toBe(false);
    expect(peer.messages().map(({ type }) => type)).toEqual([FrameType.EVENT]);
    expect(events.sendVolatile('v', [])).toBe(true);
    expect(peer.side.woken).toBe(true);
    expect(peer.messages().map(({ type }) => type)).toEqual([FrameType.VOLATILE]);
    expect(link.counters.volatileDropped).toBe(1);
  });

  it('that a cut has dropped take no room on the next connection', () => {
    const peer = attached('client', { highWaterBytes: 1_000 });
    const { events, link } = peer.side.core;
    while (events.sendVolatile('v', ['x'.repeat(200)])) {}
    link.detach(peer.generation);
    peer.attach();
    expect(events.sendVolatile('v', [])).toBe(true);
    expect(peer.messages().map(({ type }) => type)).toEqual([FrameType.ACK, FrameType.VOLATILE]);
  });
});
