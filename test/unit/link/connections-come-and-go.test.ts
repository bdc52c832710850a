/** A connection has a generation, and begins where the other side stands (docs/design.md, rules 1 and 12). */
import { describe, expect, it } from 'vitest';
import { Flag } from '../../../src/wire/constants.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { encodePong } from '../../../src/wire/messages.js';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { attached, event, type Written } from '../../support/session-frames.js';
import { SessionPair } from '../../support/session-pair.js';

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

  it('on which nothing comes at all is pinged from the start, and found dead', async () => {
    const pair = new SessionPair({ client: { pingIntervalMs: 1_000, pingTimeoutMs: 500 } });
    pair.connect();
    pair.deliver('server');
    pair.deliver('client');
    await pair.advance(1_499, { deliver: false });
    expect(pair.failures).toEqual([]);
    await pair.advance(1, { deliver: false });
    expect(pair.failures.map(({ role, error }) => [role, error.code])).toEqual([
      ['client', 'NYOTA_PING_TIMEOUT'],
    ]);
  });

  it('leaves behind what was measured and counted on it', () => {
    const peer = attached();
    peer.side.fireTimer();
    const ping = peer.written().find(({ type }) => type === FrameType.PING) as Written;
    const [id] = ping.body as [number];
    peer.now += 30;
    const pong = encodeFrame(FrameType.PONG, {}, encodePong({ id }));
    peer.feed(pong, event(1, 'a'));
    peer.side.send('b');
    const written = peer.pull()?.length ?? 0;
    const { link } = peer.side.core;
    const { bytesSent, bytesReceived } = link.counters;
    link.detach(peer.generation);
    expect([link.roundTripMs, bytesReceived]).toEqual([30, pong.length + event(1, 'a').length]);
    peer.attach(1);
    const more = peer.pull()?.length ?? 0;
    expect([link.roundTripMs, link.counters.bytesSent - bytesSent, written > 0, more > 0]).toEqual([
      30,
      more,
      true,
      true,
    ]);
  });

  it('takes control frames along with an acknowledgement; without one they are nobody’s', () => {
    const peer = attached();
    peer.written();
    const { link } = peer.side.core;
    peer.feed(event(1, 'a'));
    link.control(encodeFrame(FrameType.GOAWAY));
    expect(peer.written().map(({ type }) => type)).toEqual([FrameType.ACK, FrameType.GOAWAY]);
    link.detach(peer.generation);
    peer.side.woken = false;
    link.control(encodeFrame(FrameType.GOAWAY));
    expect(peer.side.woken).toBe(false);
    peer.attach(0);
    expect(peer.written().map(({ type }) => type)).toEqual([FrameType.ACK]);
  });

  it('ends for frames that do not belong into it, and skips optional ones', () => {
    const peer = attached();
    expect(thrownCode(() => peer.feed(encodeFrame(FrameType.OPEN)))).toBe('NYOTA_UNKNOWN_FRAME');
    expect(thrownCode(() => peer.feed(encodeFrame(FrameType.ACK)))).toBe('NYOTA_PROTOCOL_ERROR');
    peer.feed(encodeFrame(0x77 as FrameType, { flags: Flag.OPTIONAL }));
  });
});
