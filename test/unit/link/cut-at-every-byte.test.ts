/** Two sides of a session whose connection is cut: at every byte, and where one side has not noticed. */
import { describe, expect, it } from 'vitest';
import { SessionPair } from '../../support/session-pair.js';
import { settleable } from '../../support/session-side.js';

describe('a session of two sides', () => {
  it('dispatches events, answers requests and shares the store', async () => {
    const pair = new SessionPair();
    const outcomes: unknown[] = [];
    pair.server.handlers.set('add', ([a, b], _request, done) => done(true, Number(a) + Number(b)));
    pair.connect();
    pair.client.send('hello', [1, 'two']);
    pair.client.set('key', { deep: [1] });
    pair.client.request('add', [2, 3], (outcome) => outcomes.push(outcome));
    await pair.settle();
    pair.server.send('back');
    await pair.advance(100);
    expect(pair.server.dispatched).toEqual([{ event: 'hello', args: [1, 'two'] }]);
    expect(pair.client.dispatched).toEqual([{ event: 'back', args: [] }]);
    expect(outcomes).toEqual([{ reply: 5 }]);
    expect(pair.server.content()).toEqual([['key', { deep: [1] }]]);
    expect(pair.client.core.link.quiet && pair.server.core.link.quiet).toBe(true);
    expect(pair.failures).toEqual([]);
  });

  it('goes on after a cut at every byte of the way, without losing or repeating anything', async () => {
    for (let bytes = 0; bytes < 200; bytes += 1) {
      const pair = new SessionPair();
      const acks: unknown[] = [];
      pair.connect();
      for (let i = 0; i < 5; i++) pair.client.send('n', [i], (error) => acks.push(error ?? i));
      for (let i = 0; i < 5; i++) pair.server.send('m', [i]);
      pair.deliver('server', bytes);
      pair.deliver('client', bytes);
      pair.cut();
      pair.connect();
      await pair.advance(100);
      expect(pair.server.dispatched.map(({ args }) => args[0])).toEqual([0, 1, 2, 3, 4]);
      expect(pair.client.dispatched.map(({ args }) => args[0])).toEqual([0, 1, 2, 3, 4]);
      expect(acks).toEqual([0, 1, 2, 3, 4]);
      expect(pair.failures).toEqual([]);
    }
  });

  it('tells an acknowledgement only once the listener has settled', async () => {
    const pair = new SessionPair();
    const { promise, settle } = settleable();
    const acks: unknown[] = [];
    pair.server.listener = () => promise;
    pair.connect();
    pair.client.send('slow', [], (error) => acks.push(error));
    await pair.advance(1_000);
    expect(acks).toEqual([]);
    settle();
    await pair.settle();
    expect(acks).toEqual([undefined]);
  });

  it('lets the newest connection win, and ignores what the old one still says', async () => {
    const pair = new SessionPair();
    pair.connect();
    await pair.settle();
    pair.cut('server');
    pair.server.send('into nowhere');
    pair.pump();
    pair.connect();
    await pair.settle();
    expect(pair.client.dispatched.map(({ event }) => event)).toEqual(['into nowhere']);
    expect(pair.server.core.link.counters.reconnects).toBe(1);
    expect(pair.server.core.link.counters.replayed).toBe(1);
  });
});
