/** Attach and detach, acknowledgements on the wire, heartbeats, and the rules that end a connection. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { Flag } from '../../../src/wire/constants.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { encodePing } from '../../../src/wire/messages.js';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { ack, event, ScriptedPeer } from '../../support/session-frames.js';
import { SessionPair } from '../../support/session-pair.js';

const CLOSED = new NyotaError('NYOTA_CLOSED', 'closed');

function attached(role: 'client' | 'server' = 'server', limits = {}): ScriptedPeer {
  const peer = new ScriptedPeer(role, limits);
  peer.attach();
  return peer;
}

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

  it('is refused by a side that knows less than it once did, or more than it was told', () => {
    const peer = attached();
    for (const name of ['a', 'b', 'c']) peer.side.send(name);
    peer.written();
    peer.feed(ack(2));
    const { core } = peer.side;
    expect([1, 2, 3, 4].map((received) => core.link.diverged(received)?.code)).toEqual([
      'NYOTA_DIVERGED',
      undefined,
      undefined,
      'NYOTA_DIVERGED',
    ]);
  });

  it('ends where the other side acknowledges what was not sent on it', () => {
    const peer = attached();
    peer.side.send('a');
    expect(thrownCode(() => peer.feed(ack(1)))).toBe('NYOTA_DIVERGED');
    peer.written();
    peer.feed(ack(1));
    expect(thrownCode(() => peer.feed(ack(2)))).toBe('NYOTA_DIVERGED');
  });

  it('ends for frames that do not belong into it, and skips optional ones', () => {
    const peer = attached();
    expect(thrownCode(() => peer.feed(encodeFrame(FrameType.OPEN)))).toBe('NYOTA_UNKNOWN_FRAME');
    expect(thrownCode(() => peer.feed(encodeFrame(FrameType.ACK)))).toBe('NYOTA_PROTOCOL_ERROR');
    peer.feed(encodeFrame(0x77 as FrameType, { flags: Flag.OPTIONAL }));
  });

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
});

describe('acknowledgements on the wire', () => {
  it('go along with whatever else is written', () => {
    const peer = attached();
    peer.written();
    peer.feed(event(1, 'a'));
    expect(peer.messages()).toEqual([]);
    peer.side.send('b');
    expect(peer.messages()).toMatchObject([{ ack: 1 }, { seq: 1 }]);
  });

  it('wait 50 ms otherwise, and then wake the writer once, not again and again while it can not write', () => {
    const peer = attached();
    peer.side.fireTimer(); // the first ping
    peer.written();
    peer.feed(event(1, 'a'));
    expect(peer.side.timerAt).toBe(1_050);
    peer.now = 1_050;
    peer.side.fireTimer();
    expect(peer.side.woken).toBe(true);
    // Nobody pulls: the connection is blocked. Nothing is due until the next ping.
    expect(peer.side.timerAt).toBeGreaterThan(10_000);
    expect(peer.messages()).toMatchObject([{ type: FrameType.ACK, ack: 1 }]);
    peer.feed(event(2, 'b'));
    expect(peer.side.core.link.nextDeadline).toBe(1_100);
  });

  it('are told again on a new connection, where the last one may not have arrived', () => {
    const peer = attached();
    peer.feed(event(1, 'a', [], true));
    peer.written();
    peer.attach();
    expect(peer.messages()).toMatchObject([{ type: FrameType.ACK, ack: 1 }]);
  });
});

describe('heartbeats', () => {
  it('keep a quiet connection, and end one on which nothing is heard', async () => {
    const pair = new SessionPair({ client: { pingIntervalMs: 1_000, pingTimeoutMs: 500 } });
    pair.connect();
    await pair.advance(20_000);
    expect(pair.failures).toEqual([]);
    expect(pair.client.core.link.roundTripMs).toBe(0);
    await pair.advance(10_000, { deliver: false });
    expect(pair.failures.map(({ role, error }) => [role, error.code])).toEqual([
      ['client', 'NYOTA_PING_TIMEOUT'],
    ]);
  });

  it('tell of a pause, and that it is over', async () => {
    const pair = new SessionPair();
    pair.connect();
    await pair.settle();
    pair.client.core.link.pause();
    await pair.advance(200);
    expect(pair.server.core.link.peerPaused).toBe(true);
    pair.client.core.link.resume();
    await pair.advance(200);
    expect(pair.server.core.link.peerPaused).toBe(false);
  });

  it('find no side dead that pauses for long, however short the intervals', async () => {
    const pair = new SessionPair({
      client: { pingIntervalMs: 5_000, pingTimeoutMs: 1_000 },
      server: { pingIntervalMs: 300, pingTimeoutMs: 200 },
    });
    pair.connect();
    await pair.settle();
    pair.client.core.link.pause();
    await pair.advance(60_000);
    expect(pair.failures).toEqual([]);
  });

  it('forgive a side whose own process stood still', async () => {
    const pair = new SessionPair();
    pair.connect();
    await pair.advance(1_000);
    pair.standStill(600_000);
    await pair.advance(60_000);
    expect(pair.failures).toEqual([]);
  });
});

describe('the end of a session', () => {
  it('settles everything once, and refuses what comes after', () => {
    const peer = attached('client');
    const told: string[] = [];
    peer.side.send('a', [], (error) => told.push(`ack ${error?.code}`));
    peer.side.request('r', [], ({ error }) => told.push(`reply ${(error as NyotaError).code}`));
    peer.side.set('key', 1);
    peer.side.core.store.whenSynced((error) => told.push(`synced ${error?.code}`));
    peer.side.core.link.end(CLOSED);
    peer.side.core.link.end(new NyotaError('NYOTA_INTERNAL', 'again'));
    expect(told.sort()).toEqual(['ack NYOTA_CLOSED', 'reply NYOTA_CLOSED', 'synced NYOTA_CLOSED']);
    expect([thrownCode(() => peer.side.core.link.assertLive()), peer.side.core.link.state.is]).toEqual([
      'NYOTA_CLOSED',
      'ended',
    ]);
    expect(thrownCode(() => peer.side.set('key', 2))).toBe('NYOTA_CLOSED');
    expect([peer.side.core.link.nextDeadline, peer.side.core.link.outbox.bytes]).toEqual([
      Number.POSITIVE_INFINITY,
      0,
    ]);
    peer.side.core.link.tick();
    expect(peer.pull()).toBeUndefined();
  });

  it('stays an end: neither restart nor a late frame brings the session back', () => {
    const peer = attached('client');
    peer.side.core.link.end(CLOSED);
    peer.side.core.link.restart(undefined, CLOSED, true);
    peer.feed(event(1, 'late'));
    expect([peer.side.core.link.state.is, peer.side.dispatched]).toEqual(['ended', []]);
  });
});
