/** docs/api.md, "Peer": `bufferedBytes` and `stats`. */
import { describe, expect, it } from 'vitest';
import { cut, deferred, useKit } from '../../support/api-kit.js';

const kit = useKit();

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
