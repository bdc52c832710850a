/** A client that starts on its store while the one before it is not quite gone: it has the session, and the other one is told. */
import { describe, expect, it } from 'vitest';
import { eventually } from '../../support/delivery-wait.js';
import { call, connected, STORES, serve } from './durable-kit.js';

describe.each(STORES)('a client on %s', (_name, shelve) => {
  it('takes over from one that was destroyed a moment ago, again and again, and nothing is lost', async () => {
    const shelf = shelve();
    const heard: number[] = [];
    const service = await serve(shelve().open(), (session) => {
      session.on('work', (n: number) => void heard.push(n));
    });
    for (let n = 1; n <= 20; n++) {
      const { client, errors, losses } = call(service.port, { store: shelf.open() });
      await client.sendWithAck('work', n);
      // Steps and attempts of it are still on their way.
      client.send('tick');
      client.reconnect();
      client.destroy();
      expect([errors, losses]).toEqual([[], []]);
    }
    expect(heard).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(service.began).toHaveLength(1);
  });

  it('takes over from one that lives, which stops and says why', async () => {
    const shelf = shelve();
    const service = await serve(shelve().open());
    const old = call(service.port, { store: shelf.open() });
    await connected(old.client);
    const next = call(service.port, { store: shelf.open() });
    await connected(next.client);
    if (old.client.state !== 'closed') old.client.send('one more');
    await eventually(() => old.errors.length > 0, 'the old one is told');
    expect(old.errors).toMatchObject([{ code: 'NYOTA_TAKEN_OVER' }]);
    expect([next.errors, next.losses, next.client.connected]).toEqual([[], [], true]);
  });
});
