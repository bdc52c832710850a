/** What can't be dispatched waits in order: in a pause, and while too many listeners run (docs/design.md, rule 14). */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { FrameType } from '../../support/frame-type.js';
import { ack, attached, event, names, reply, request, slowListeners } from '../../support/session-frames.js';
import { SessionPair } from '../../support/session-pair.js';
import { microtasks, settleable } from '../../support/session-side.js';

const LOST = new NyotaError('NYOTA_SESSION_LOST', 'lost');

describe('a paused side', () => {
  it('dispatches nothing, replies included, reads no more, and goes on where it stopped', () => {
    const peer = attached();
    const outcomes: unknown[] = [];
    const id = peer.side.request('ask', [], (outcome) => outcomes.push(outcome));
    peer.written();
    peer.side.core.link.pause();
    expect(peer.side.reading).toBe(false);
    peer.feed(event(1, 'a'), reply(2, id, 'answer'), event(3, 'b'));
    expect([names(peer), outcomes]).toEqual([[], []]);
    peer.side.core.link.resume();
    expect([names(peer), outcomes, peer.side.reading]).toEqual([['a', 'b'], [{ reply: 'answer' }], true]);
  });

  it('acknowledges what it held only once it has been handled, and then in time', () => {
    const peer = attached();
    peer.side.core.link.pause();
    peer.feed(event(1, 'a', [], true));
    peer.now += 10_000;
    peer.side.fireTimer();
    expect(peer.messages().filter((frame) => frame.ack > 0)).toEqual([]);
    peer.side.core.link.resume();
    expect(peer.side.woken).toBe(true);
    expect(peer.messages()).toMatchObject([{ type: FrameType.ACK, ack: 1 }]);
  });

  it('may pause in the middle of a chunk, from within a listener, and resume from within another', () => {
    const peer = attached();
    peer.side.listener = ({ event: name }) => {
      if (name === 'pause') peer.side.core.link.pause();
      if (name === 'both') {
        peer.side.core.link.pause();
        peer.side.core.link.resume();
      }
      return undefined;
    };
    peer.feed(event(1, 'pause'), event(2, 'both'), event(3, 'c'), event(4, 'pause'), event(5, 'd'));
    expect(names(peer)).toEqual(['pause']);
    peer.side.core.link.resume();
    expect(names(peer)).toEqual(['pause', 'both', 'c', 'pause']);
    peer.side.core.link.resume();
    expect(names(peer)).toEqual(['pause', 'both', 'c', 'pause', 'd']);
  });

  it('never runs one listener inside another, also where one resumes', () => {
    const peer = attached();
    let inside = 0;
    let deepest = 0;
    peer.side.listener = () => {
      deepest = Math.max(deepest, ++inside);
      peer.side.core.link.resume();
      inside--;
      return undefined;
    };
    peer.side.core.link.pause();
    peer.feed(event(1, 'a'), event(2, 'b'), event(3, 'c'));
    peer.side.core.link.resume();
    expect([deepest, names(peer)]).toEqual([1, ['a', 'b', 'c']]);
  });

  it('handles ten thousand held requests whose handlers are done at once', () => {
    const peer = attached();
    const order: unknown[] = [];
    peer.side.handlers.set('quick', ([n], _request, done) => {
      order.push(n);
      done(true, n);
    });
    peer.side.core.link.pause();
    const frames = Array.from({ length: 10_000 }, (_, i) => request(i + 1, i + 1, 'quick', [i]));
    peer.feed(...frames);
    peer.side.core.link.resume();
    expect(peer.failures).toEqual([]);
    expect(order).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
  });

  it('tells the client what became of its held store writes at once', async () => {
    const pair = new SessionPair();
    pair.connect();
    await pair.settle();
    pair.server.core.link.pause();
    pair.client.set('key', 1);
    await pair.settle();
    let synced = false;
    pair.client.core.store.whenSynced(() => {
      synced = true;
    });
    pair.server.core.link.resume();
    await pair.settle();
    expect([synced, pair.server.content()]).toEqual([true, [['key', 1]]]);
  });

  it('may be toggled for every message without being taken for a flooder', async () => {
    const pair = new SessionPair();
    pair.connect();
    await pair.settle();
    pair.server.listener = () => {
      pair.server.core.link.pause();
      pair.server.core.link.resume();
      return undefined;
    };
    for (let i = 0; i < 2_000; i++) {
      pair.client.send('message', [i]);
      await pair.advance(1);
    }
    expect(pair.failures).toEqual([]);
    expect(pair.server.dispatched.length).toBe(2_000);
  });

  it('stays paused through a reconnect, does not read the new connection, and loses nothing', async () => {
    const pair = new SessionPair();
    pair.connect();
    await pair.settle();
    pair.client.core.link.pause();
    pair.server.send('a');
    pair.cut();
    pair.connect();
    await pair.settle();
    expect(pair.client.reading).toBe(false);
    await pair.advance(60_000);
    expect([pair.client.dispatched, pair.failures]).toEqual([[], []]);
    pair.client.core.link.resume();
    await pair.settle();
    expect(pair.client.dispatched.length).toBe(1);
  });
});

describe('what is held', () => {
  it('is at most highWaterBytes; then the connection is not read, until there is room', async () => {
    const peer = attached('server', { maxRunningHandlers: 1, highWaterBytes: 3_000 });
    const first = settleable();
    peer.side.listener = ({ event: name }) => (name === 'slow' ? first.promise : undefined);
    peer.feed(event(1, 'slow'), event(2, 'b', ['x'.repeat(2_000)]));
    expect(peer.side.reading).toBe(true);
    peer.feed(event(3, 'c', ['x'.repeat(2_000)]));
    expect(peer.side.reading).toBe(false);
    first.settle();
    await microtasks();
    expect([names(peer), peer.side.reading]).toEqual([['slow', 'b', 'c'], true]);
  });

  it('goes on in a new session: events are dispatched, and the connection is read again', () => {
    const peer = attached('client', { maxRunningHandlers: 1, highWaterBytes: 1_000 });
    peer.side.listener = ({ event: name }) => (name === 'stuck' ? new Promise(() => {}) : undefined);
    peer.feed(event(1, 'stuck'), event(2, 'held'), request(3, 1, 'large', ['x'.repeat(5_000)]));
    expect([names(peer), peer.side.reading]).toEqual([['stuck'], false]);
    peer.side.core.link.restart(undefined, LOST, true);
    expect([names(peer), peer.side.core.link.reading]).toEqual([['stuck', 'held'], true]);
    peer.attach();
    peer.feed(event(1, 'of the new session'));
    expect(names(peer)).toEqual(['stuck', 'held', 'of the new session']);
  });

  it('stays held in a new session while the user pauses', () => {
    const peer = attached('client');
    peer.side.core.link.pause();
    peer.feed(event(1, 'held'), request(2, 1, 'work'));
    peer.side.core.link.restart(undefined, LOST, true);
    peer.attach();
    peer.feed(event(1, 'new'));
    expect(names(peer)).toEqual([]);
    peer.side.core.link.resume();
    expect(names(peer)).toEqual(['held', 'new']);
  });

  it('counts against highWaterBytes in the new session as it did in the old one', () => {
    const peer = attached('client', { maxRunningHandlers: 1, highWaterBytes: 3_000 });
    peer.side.listener = ({ event: name }) => (name === 'stuck' ? new Promise(() => {}) : undefined);
    peer.side.core.link.pause();
    peer.feed(event(1, 'held', ['x'.repeat(2_500)]), request(2, 1, 'gone', ['x'.repeat(2_500)]));
    peer.side.core.link.restart(undefined, LOST, true);
    peer.side.core.link.resume();
    peer.attach();
    peer.feed(event(1, 'stuck'), event(2, 'b', ['x'.repeat(1_000)]));
    expect(peer.side.reading).toBe(true);
    peer.feed(event(3, 'c', ['x'.repeat(2_500)]));
    expect(peer.side.reading).toBe(false);
  });

  it('is forgotten when the session ends; nothing runs after it', async () => {
    const peer = attached();
    const first = settleable();
    peer.side.listener = () => first.promise;
    peer.side.core.link.pause();
    peer.feed(event(1, 'held'));
    peer.side.core.link.end(LOST);
    peer.side.core.link.resume();
    first.settle();
    await microtasks();
    expect([names(peer), peer.side.core.link.idle]).toEqual([[], true]);
  });
});

describe('running listeners', () => {
  it('may be many at once; above maxRunningHandlers what comes is held, in order', async () => {
    const peer = attached('server', { maxRunningHandlers: 2 });
    const running = slowListeners(peer);
    peer.feed(event(1, 'a'), event(2, 'b'), event(3, 'c'), event(4, 'd'));
    expect(names(peer)).toEqual(['a', 'b']);
    running[1]?.settle();
    await microtasks();
    expect(names(peer)).toEqual(['a', 'b', 'c']);
    running[0]?.settle();
    running[2]?.settle();
    await microtasks();
    expect(names(peer)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('let replies and cancels overtake what is held: both sides may wait for the other', () => {
    const peer = attached('server', { maxRunningHandlers: 1 });
    slowListeners(peer);
    const outcomes: unknown[] = [];
    const id = peer.side.request('ask', [], (outcome) => outcomes.push(outcome));
    peer.written();
    peer.feed(ack(1), event(1, 'a'), event(2, 'held'), reply(3, id, 'answer'));
    expect(outcomes).toEqual([{ reply: 'answer' }]);
    expect(names(peer)).toEqual(['a']);
  });

  it('that are held cost memory besides their bytes: empty ones stop the reading too', () => {
    const peer = attached('server', { highWaterBytes: 3_000 });
    peer.side.listener = () => new Promise(() => {});
    const { maxRunningHandlers } = peer.side.core.link.limits;
    const frames = Array.from({ length: maxRunningHandlers + 20 }, (_, i) => event(i + 1, 'e'));
    peer.feed(...frames.slice(0, maxRunningHandlers + 5));
    expect(peer.side.reading).toBe(true);
    peer.feed(...frames.slice(maxRunningHandlers + 5));
    expect(peer.side.reading).toBe(false);
  });
});
