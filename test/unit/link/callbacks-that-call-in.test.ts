/** Callbacks that call in again: what a user does inside onAck, a listener, a change or an error must not break a session. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { encodeFields } from '../../../src/wire/messages.js';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { ack, event, names, ScriptedPeer } from '../../support/session-frames.js';
import { SessionPair } from '../../support/session-pair.js';

const CLOSED = new NyotaError('NYOTA_CLOSED', 'closed');
const LOST = new NyotaError('NYOTA_SESSION_LOST', 'lost');
const TINY = { maxFrameBytes: 200, maxDepth: 64, maxValues: 1_000, pingIntervalMs: 1_000 };

describe('a callback that ends the session', () => {
  it('in an acknowledgement: nothing of the same frame or chunk is dispatched any more', () => {
    const peer = new ScriptedPeer('server');
    peer.attach();
    peer.side.send('a', [], () => peer.side.core.link.end(CLOSED));
    peer.written();
    const both = encodeFrame(FrameType.EVENT, { seq: 1, ack: 1 }, encodeFields(['late', []]));
    peer.feed(both, event(2, 'later'));
    expect([names(peer), peer.side.drains]).toEqual([[], 0]);
  });

  it('in a listener: the rest of the chunk is dropped, and what it returned counts no more', async () => {
    const peer = new ScriptedPeer('server');
    peer.attach();
    peer.side.listener = () => {
      peer.side.core.link.end(CLOSED);
      return Promise.resolve();
    };
    peer.feed(event(1, 'a'), event(2, 'b'));
    await Promise.resolve();
    expect(names(peer)).toEqual(['a']);
  });

  it('in a message taken back at the handshake: the session stays ended', () => {
    const peer = new ScriptedPeer('client');
    peer.side.send('large', ['x'.repeat(1_000)], () => peer.side.core.link.end(CLOSED));
    expect(thrownCode(() => peer.attach(0, TINY))).toBe('NYOTA_CLOSED');
    expect(peer.side.core.link.state.is).toBe('ended');
  });

  it('when a deadline has passed: time brings nothing more', () => {
    const peer = new ScriptedPeer('server');
    peer.side.set('expires', 1, 10);
    peer.side.core.events.send('a', [], {
      expiresAt: peer.now + 10,
      onAck: () => peer.side.core.link.end(CLOSED),
    });
    const { size } = peer.side.seen;
    peer.now += 10;
    peer.side.core.link.tick();
    expect([peer.side.core.link.outbox.frames, peer.side.seen.size]).toEqual([0, size]);
  });
});

describe('a callback that sends, in a session that begins again', () => {
  it('in the onAck of a lost message: its own message, request and write belong to the new session', async () => {
    const pair = new SessionPair();
    const told: unknown[] = [];
    pair.connect();
    await pair.settle();
    pair.client.send('lost', [], (error) => {
      told.push(error?.code);
      pair.client.send('again', [], (again) => told.push(['again', again]));
      pair.client.request('ask', [], ({ reply }) => told.push(['ask', reply]));
      pair.client.set('key', 'new');
    });
    pair.pump();
    pair.cut();
    pair.client.send('kept', [], (error) => told.push(['kept', error]));
    pair.client.request('ask', [], ({ reply }) => told.push(['kept ask', reply]));
    expect(pair.loseSession(undefined)).toEqual({ uncertain: 1 });
    expect(told).toEqual(['NYOTA_SESSION_LOST']);
    pair.server.handlers.set('ask', (_args, _request, done) => done(true, 'answer'));
    pair.connect();
    await pair.advance(100);
    expect(told.slice(1)).toEqual([
      ['kept', undefined],
      ['again', undefined],
      ['kept ask', 'answer'],
      ['ask', 'answer'],
    ]);
    expect(pair.server.content()).toEqual([['key', 'new']]);
    expect([pair.failures, pair.client.core.link.quiet]).toEqual([[], true]);
  });

  it('in a change of the store that an invalidated session brings', () => {
    const peer = new ScriptedPeer('client');
    peer.attach();
    const told: unknown[] = [];
    peer.side.set('key', 1);
    peer.written();
    peer.side.core.link.detach(peer.generation);
    peer.side.send('kept', [], (error) => told.push(['kept', error]));
    peer.side.onChanged = (changes) => {
      if (changes.some(({ bytes }) => bytes === undefined)) {
        peer.side.send('subscribe', [], (error) => told.push(['subscribe', error]));
        peer.side.request('who', [], ({ reply }) => told.push(['who', reply]));
        peer.side.set('mine', true);
      }
    };
    peer.side.core.link.restart(0, LOST, false);
    expect(told).toEqual([]);
    expect(peer.side.content()).toEqual([['mine', true]]);
    peer.attach();
    const written = peer.messages().filter(({ seq }) => seq > 0);
    expect(written.map(({ type, seq }) => [type, seq])).toEqual([
      [FrameType.EVENT, 1],
      [FrameType.EVENT, 2],
      [FrameType.REQUEST, 3],
      [FrameType.KV_OP, 4],
    ]);
    const [requestId] = (written[2] as { body: [number] }).body;
    const result = encodeFrame(FrameType.KV_RESULT, { seq: 1 }, encodeFields([4, 1, null, null, null]));
    const answer = encodeFrame(FrameType.REPLY, { seq: 2 }, encodeFields([requestId, true, 'you']));
    peer.feed(ack(4), result, answer);
    expect(told).toEqual([
      ['kept', undefined],
      ['subscribe', undefined],
      ['who', 'you'],
    ]);
    expect(peer.side.core.link.quiet).toBe(true);
  });
});

describe('a callback that sends in turn', () => {
  it('in onAck, for ever: each acknowledgement brings one more', async () => {
    const pair = new SessionPair();
    let sent = 0;
    const again = (): void => {
      if (++sent < 50) pair.client.send('n', [sent], again);
    };
    pair.connect();
    pair.client.send('n', [0], again);
    await pair.settle();
    expect([sent, pair.server.dispatched.length]).toEqual([50, 50]);
  });

  it('in drain', async () => {
    const pair = new SessionPair({ client: { highWaterBytes: 500 } });
    let refilled = 0;
    const { client } = pair;
    const fill = (): void => {
      while (client.send('n', ['x'.repeat(100)])) {}
    };
    client.drain = () => {
      if (++refilled < 5) fill();
    };
    pair.connect();
    fill();
    await pair.advance(2_000);
    expect([refilled, client.core.link.outbox.frames]).toEqual([5, 0]);
  });
});
