/** Sessions whose time was over while no server was up: over for good, with everything accounted for. */
import { describe, expect, it } from 'vitest';
import type { Session, SessionStore } from '../../../src/index.js';
import { eventually, once } from '../../support/delivery-wait.js';
import { call, connected, STORES, serve } from './durable-kit.js';

/** Longer than a session waits by default. */
const LONG_MS = 121_000;

/** As if the client of a session that no process holds had gone long ago. */
async function goneLongAgo(store: SessionStore, id: string): Promise<void> {
  const stored = await store.load(id);
  if (stored === undefined) throw new Error('there is no such session');
  await store.commit(id, stored.fence, { detachedAt: Date.now() - LONG_MS });
}

describe.each(STORES)('a session that expires on %s while no server is up', (_name, shelve) => {
  it('is over: the client begins another one, takes its entries and unsent messages along, and hears what is lost', async () => {
    const shelf = shelve();
    const heard: unknown[] = [];
    const listen = (session: Session): void => {
      session.on('event', (n) => void heard.push(n));
    };
    // The server must not wait for the client long.
    const first = await serve(shelf.open(), listen, { drainTimeoutMs: 30 });
    const { client, losses } = call(first.port);
    const { id } = client;
    client.set('key', 'value');
    await client.sendWithAck('event', 1);
    await client.store.synced();
    const away = once(client, 'disconnect');
    client.disconnect();
    await away;
    // For a client that does not come back in time.
    first.session.send('too late', 1);
    first.session.send('too late', 2);
    client.send('event', 2);
    await first.server.close();
    await goneLongAgo(shelf.open(), id);
    const next = await serve(shelf.open(), listen, { port: first.port });
    client.connect();
    await client.sendWithAck('event', 3);
    await client.store.synced();
    expect(heard).toEqual([1, 2, 3]);
    expect(client.id).not.toBe(id);
    expect(next.began.map(({ session, resumed }) => [session.id, resumed])).toEqual([[client.id, false]]);
    expect({ ...next.session.get() }).toEqual({ key: 'value' });
    expect(losses).toEqual([
      ['gap', 0, 2, 'NYOTA_SESSION_EXPIRED'],
      ['session', 'NYOTA_SESSION_EXPIRED'],
    ]);
  });

  it('leaves a message uncertain of which nobody can tell whether it was handled', async () => {
    const shelf = shelve();
    let begun = 0;
    const first = await serve(
      shelf.open(),
      (session) => {
        session.on('event', () => {
          begun++;
          return new Promise(() => {});
        });
      },
      { drainTimeoutMs: 30 },
    );
    let port = first.port;
    const { client, losses } = call(() => port);
    const acked = client.sendWithAck('event', 1);
    await eventually(() => begun === 1, 'it runs');
    port = 1; // nobody listens there
    await first.server.close();
    await goneLongAgo(shelf.open(), client.id);
    const next = await serve(shelf.open());
    port = next.port;
    await expect(acked).rejects.toMatchObject({ code: 'NYOTA_SESSION_LOST' });
    await connected(client);
    expect(losses).toEqual([
      ['gap', 1, 0, 'NYOTA_SESSION_EXPIRED'],
      ['session', 'NYOTA_SESSION_EXPIRED'],
    ]);
  });

  it('is swept where nobody comes back for it, and remembered', async () => {
    const shelf = shelve();
    const first = await serve(shelf.open());
    const { client } = call(first.port);
    await client.sendWithAck('event', 1);
    client.disconnect();
    await first.server.close();
    const store = shelf.open();
    await goneLongAgo(store, client.id);
    await serve(store);
    let kept: unknown = 'not asked yet';
    await eventually(() => {
      void Promise.resolve(store.load(client.id)).then((found) => {
        kept = found;
      });
      return kept === undefined;
    }, 'it is swept');
    expect(await store.tombstone(client.id, Date.now())).toMatchObject({ code: 'NYOTA_SESSION_EXPIRED' });
  });

  it('is not over for a client that comes back in time, however long no server was up', async () => {
    const shelf = shelve();
    const first = await serve(shelf.open());
    const { client, losses } = call(first.port);
    await connected(client);
    const { id } = client;
    await first.server.close();
    const store = shelf.open();
    expect(await store.sweep(Date.now() + 119_000)).toBe(0);
    expect(await store.load(id)).toBeDefined();
    const next = await serve(store, undefined, { port: first.port });
    await client.sendWithAck('event', 1);
    expect([client.id, losses, next.session.resumed]).toEqual([id, [], true]);
  });
});
