/** The connection lost at the most awkward moments: the client comes back, and what was sent is dispatched once. */
import { describe, expect, it } from 'vitest';
import {
  collect,
  FAST,
  fakePair,
  proxyPair,
  startClient,
  startProxy,
  startServer,
  tcpPair,
} from '../../support/delivery-pair.js';
import { eventually, once, upTo } from '../../support/delivery-wait.js';

const awkward = {
  "client.reconnect() in its 'connect' listener": (peer: { reconnect(): unknown }) => peer.reconnect(),
  "socket.destroy() in its 'connect' listener": (peer: { socket?: { destroy(): unknown } | undefined }) =>
    peer.socket?.destroy(),
} as const;

describe('a client comes back', () => {
  for (const [what, cut] of Object.entries(awkward)) {
    it(`after ${what}`, async () => {
      let cuts = 0;
      const { client, session, errors } = await tcpPair({
        onSession: (session) => session.send('event', 1),
        onClient: (client) => {
          client.on('connect', () => {
            if (cuts++ < 3) cut(client as never);
          });
        },
      });
      const heard = collect(session, 'event');
      client.send('event', 1);
      await eventually(() => heard.length === 1 && cuts >= 4 && client.connected, 'the client is back');
      await client.sendWithAck('event', 2);
      expect(heard).toEqual([1, 2]);
      expect(errors).toEqual([]);
    });
  }

  it("after the server destroyed the socket in the session's 'connect' listener", async () => {
    let cuts = 0;
    const { client, session } = await tcpPair({
      onSession: (session) => {
        session.on('connect', () => {
          if (cuts++ < 3) session.socket?.destroy();
        });
      },
    });
    const heard = collect(session, 'event');
    await client.sendWithAck('event', 1);
    expect(heard).toEqual([1]);
    expect(cuts).toBe(4);
  });

  it('again and again while its server refuses it, and delivers then', async () => {
    const { client, session, proxy, errors } = await proxyPair();
    const heard = collect(session, 'event');
    proxy.refuse();
    proxy.cut();
    let attempts = 0;
    client.on('reconnecting', () => {
      attempts++;
    });
    for (const number of upTo(10)) client.send('event', number);
    await eventually(() => attempts >= 5, 'five attempts');
    proxy.accept();
    await client.sendWithAck('event', 11);
    expect(heard).toEqual(upTo(11));
    expect(errors).toEqual([]);
  });

  it('to the session it had when the server answered and the answer was lost', async () => {
    const { server, sessions, port } = await startServer({}, (session) => session.send('event', 1));
    const proxy = await startProxy(port);
    proxy.stall('down');
    const client = startClient({ port: proxy.port, host: '127.0.0.1', reconnect: FAST });
    const heard = collect(client, 'event');
    await eventually(() => sessions.length === 1, 'the server has begun the session');
    proxy.cut();
    proxy.heal();
    await client.sendWithAck('event', 1);
    expect(sessions).toHaveLength(1);
    expect([...server.sessions.keys()]).toEqual([client.id]);
    await eventually(() => heard.length === 1, 'the event of onSession');
  });
});

describe('a new connection of the same session', () => {
  it('takes over from one that still looks alive, and nothing is lost or doubled', async () => {
    const { client, session, network, clock } = await fakePair();
    const [up, down] = [collect(session, 'event'), collect(client, 'event')];
    network.dropLink();
    for (const number of upTo(5)) {
      client.send('event', number);
      session.send('event', number);
    }
    await clock.advance(100);
    expect([up, down]).toEqual([[], []]);
    const disconnected = once<[{ code: string }]>(session, 'disconnect');
    client.reconnect();
    await clock.advance(100);
    expect((await disconnected)[0].code).toBe('NYOTA_TAKEN_OVER');
    expect([up, down]).toEqual([upTo(5), upTo(5)]);
    // The old socket's late end harms nobody.
    await clock.advance(60_000);
    expect(client.connected && session.connected).toBe(true);
    expect(session.stats().reconnects).toBe(1);
  });
});
