/** Store writes are in order with events: whoever hears the event sees the value that was set before it. */
import { describe, expect, it } from 'vitest';
import type { Client, Session } from '../../../src/index.js';
import { fakePair, proxyPair, tcpPair } from '../../support/delivery-pair.js';
import { eventually, seededRandom, upTo } from '../../support/delivery-wait.js';

/** What both sides can do, under one name. */
type Side = Client;

/** Both directions of a pair: who writes and sends, and who hears. */
function directions({ client, session }: { client: Client; session: Session }): Array<[string, Side, Side]> {
  const other = session as unknown as Side;
  return [
    ['client to server', client, other],
    ['server to client', other, client],
  ];
}

/** Sets the value and sends the event, `count` times over; returns what the other side saw at each event. */
function setThenSend(from: Side, to: Side, key: string, count: number): unknown[] {
  const seen: unknown[] = [];
  to.on(`${key}-event`, (number: number) => {
    seen.push([number, to.get(key)]);
  });
  for (const number of upTo(count)) {
    from.set(key, number);
    from.send(`${key}-event`, number);
  }
  return seen;
}

const pairsUpTo = (count: number) => upTo(count).map((number) => [number, number]);

describe('set, then send', () => {
  it('shows the value in the listener of the event, both ways', async () => {
    const pair = await tcpPair();
    for (const [what, from, to] of directions(pair)) {
      const seen = setThenSend(from, to, 'key', 100);
      await eventually(() => seen.length === 100, what);
      expect(seen, what).toEqual(pairsUpTo(100));
    }
  });

  it('shows it where both were done before the first connect', async () => {
    const seen: Record<string, unknown> = {};
    const { client } = await fakePair({
      onSession: (session) => {
        session.on('hello', () => {
          seen.atServer = session.get('from client');
        });
        session.set('from server', 2);
        session.send('hello');
      },
      onClient: (client) => {
        client.on('hello', () => {
          seen.atClient = client.get('from server');
        });
        client.set('from client', 1);
        client.send('hello');
      },
    });
    expect(client.connected).toBe(true);
    expect(seen).toEqual({ atServer: 1, atClient: 2 });
  });

  it('shows it in request handlers, and a value set by the handler is there when the reply is', async () => {
    const pair = await tcpPair();
    for (const [what, from, to] of directions(pair)) {
      to.handle('ask', () => {
        const asked = to.get('question');
        to.set('answer', `${asked}!`);
        return asked;
      });
      from.set('question', what);
      expect(await from.request('ask')).toBe(what);
      expect(from.get('answer')).toBe(`${what}!`);
    }
  });

  it('shows a delete as well, and writes after the event are not there yet', async () => {
    const pair = await tcpPair();
    for (const [what, from, to] of directions(pair)) {
      const seen: unknown[] = [];
      to.on('look', () => {
        seen.push([to.get('a'), to.get('b')]);
      });
      from.set({ a: 1, b: 1 });
      from.send('look');
      from.delete('a');
      from.send('look');
      from.set('b', 2);
      await from.sendWithAck('look');
      expect(seen, what).toEqual([
        [1, 1],
        [undefined, 1],
        [undefined, 2],
      ]);
    }
  });

  it('holds while the connection is cut again and again', async () => {
    const random = seededRandom(11);
    const { client, session, proxy } = await proxyPair({ random });
    proxy.on('cut', () => {
      if (proxy.totals.cuts < 30) proxy.cutAfter({ bytes: 50 + Math.floor(random() * 1_000) });
    });
    proxy.cutAfter({ bytes: 300 });
    const up = setThenSend(client, session as unknown as Side, 'up', 500);
    const down = setThenSend(session as unknown as Side, client, 'down', 500);
    await eventually(() => up.length >= 500 && down.length >= 500 && proxy.totals.cuts >= 30, 'all events');
    expect(up).toEqual(pairsUpTo(500));
    expect(down).toEqual(pairsUpTo(500));
    await Promise.all([client.store.synced(), session.store.synced()]);
    expect(client.get()).toEqual(session.get());
  });

  it('holds where the receiver is paused, and where its listeners are slow', async () => {
    const { client, session, clock } = await fakePair({ server: { maxRunningHandlers: 2 } });
    const seen: unknown[] = [];
    session.on('event', (number: number) => {
      seen.push([number, session.get('key')]);
      return new Promise<void>((resolve) => clock.setTimeout(resolve, 10));
    });
    session.pause();
    for (const number of upTo(20)) {
      client.set('key', number);
      client.send('event', number);
    }
    await clock.advance(1_000);
    session.resume();
    await clock.advance(1_000);
    expect(seen).toEqual(pairsUpTo(20));
  });
});
