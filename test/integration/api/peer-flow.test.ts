/** docs/api.md, "Peer": pausing, counting, and the ways to end a peer. */
import { describe, expect, it } from 'vitest';
import type { NyotaError } from '../../../src/index.js';
import { type AnyPeer, cut, DIRECTIONS, deferred, once, useKit, within } from '../../support/api-kit.js';

const kit = useKit();

describe.each(DIRECTIONS)('pause() and resume() of the %s', (side, otherSide) => {
  it('stop and start dispatching, and nothing is lost or reordered', async () => {
    const pair = await kit.pair();
    const peer: AnyPeer = pair[side];
    const from: AnyPeer = pair[otherSide];
    const heard: unknown[] = [];
    peer.on('tick', (n) => heard.push(n));
    await from.sendWithAck('tick', 'before');
    expect(peer.pause()).toBe(peer);
    let acked = false;
    const last = from.sendWithAck('tick', 0).then(() => {
      acked = true;
    });
    for (let n = 1; n < 50; n++) from.send('tick', n);
    // The other way is open all the while.
    const other = once(from, 'other way');
    peer.send('other way');
    await other;
    expect(heard).toEqual(['before']);
    expect(acked).toBe(false);
    expect(peer.resume()).toBe(peer);
    await last;
    await from.sendWithAck('tick', 50);
    expect(heard).toEqual(['before', ...Array.from({ length: 51 }, (_, n) => n)]);
  });

  it('push back on the other side: its send returns false at last', async () => {
    const pair = await kit.pair({
      server: { highWaterBytes: 64 * 1024 },
      client: { highWaterBytes: 64 * 1024 },
    });
    const peer: AnyPeer = pair[side];
    const from: AnyPeer = pair[otherSide];
    let bytes = 0;
    peer.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    peer.pause();
    const chunk = Buffer.alloc(16 * 1024);
    let sent = 0;
    do sent += chunk.length;
    while (from.send('data', chunk));
    expect(sent).toBeLessThan(1024 * 1024);
    const drained = once(from, 'drain');
    peer.resume();
    await drained;
    await from.sendWithAck('data', Buffer.alloc(0));
    expect(bytes).toBe(sent);
  });
});

describe('bufferedBytes and stats()', () => {
  it('bufferedBytes counts what the other side has not acknowledged', async () => {
    const { client, session } = await kit.pair();
    const finish = deferred();
    expect(client.bufferedBytes).toBe(0);
    session.on('slow', () => finish.promise);
    const acked = client.sendWithAck('slow', Buffer.alloc(5000));
    expect(client.bufferedBytes).toBeGreaterThan(5000);
    finish.resolve();
    await acked;
    expect(client.bufferedBytes).toBe(0);
  });

  it('stats count what was sent, received, acked and reconnected, and what waits', async () => {
    const { client, session } = await kit.pair();
    const finish = deferred();
    session.handle('slow', () => finish.promise);
    for (let i = 0; i < 10; i++) client.send('tick');
    await client.sendWithAck('tick');
    const reply = client.request('slow');
    expect(client.stats()).toMatchObject({
      sent: 12,
      acked: 11,
      pendingRequests: 1,
      outboxFrames: 1,
      reconnects: 0,
    });
    await cut(session, client);
    finish.resolve();
    await reply;
    const { received } = session.stats();
    expect(received).toBe(12);
    expect(client.stats()).toMatchObject({ pendingRequests: 0, reconnects: 1 });
    expect(client.stats().bytesSent).toBeGreaterThan(100);
    expect(session.stats().bytesReceived).toBeGreaterThan(100);
    const { roundTripMs } = client.stats();
    expect(roundTripMs === undefined || roundTripMs >= 0).toBe(true);
    for (const name of [
      'replayed',
      'duplicatesDropped',
      'volatileDropped',
      'expired',
      'outboxBytes',
    ] as const) {
      expect(client.stats()[name]).toBeGreaterThanOrEqual(0);
    }
  });
});

describe('close() and Symbol.asyncDispose', () => {
  it('close lets everything sent be handled, and replies arrive, then is closed for good', async () => {
    const { client, session } = await kit.pair();
    const heard: unknown[] = [];
    session.on('tick', async (n) => {
      await new Promise((resolve) => setImmediate(resolve));
      heard.push(n);
    });
    session.handle('ask', () => 'answer');
    for (let n = 0; n < 20; n++) client.send('tick', n);
    const reply = client.request('ask');
    await within(client.close(), 'close');
    expect(heard).toHaveLength(20);
    expect(await reply).toBe('answer');
    expect(() => client.connect()).toThrow(expect.objectContaining({ code: 'NYOTA_CLOSED' }));
    expect(() => client.reconnect()).toThrow(expect.objectContaining({ code: 'NYOTA_CLOSED' }));
  });

  it('close of a session tells the client, who does not come back to it', async () => {
    const { client, session } = await kit.pair();
    const gone = once<[NyotaError]>(client, 'disconnect');
    await within(session.close(), 'close');
    expect((await gone)[0].code).toBe('NYOTA_SESSION_CLOSED');
    expect(client.connected).toBe(false);
  });

  it('close without a connection resolves too', async () => {
    const client = kit.client({
      port: 1,
      createConnection: () => Promise.reject(new Error('nobody')),
      drainTimeoutMs: 20,
    });
    client.send('never');
    await within(client.close(), 'close', 2_000);
    expect(client.state).toBe('closed');
  });

  it('await using closes client, session and server at the end of the block', async () => {
    const { client, session, server } = await kit.pair();
    {
      await using usedServer = server;
      await using usedSession = session;
      await using usedClient = client;
      await usedClient.sendWithAck('tick');
      expect([usedServer.listening, usedSession.connected]).toEqual([true, true]);
    }
    expect([client.state, session.state, server.listening]).toEqual(['closed', 'dead', false]);
  });
});
