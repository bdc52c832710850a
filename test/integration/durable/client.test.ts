/** A client with a store of its own: what it has accepted survives its process. `destroy()` is how a process dies here. */
import { describe, expect, it } from 'vitest';
import type { NyotaError, Session } from '../../../src/index.js';
import { deferred, eventually, once, upTo } from '../../support/delivery-wait.js';
import { call, connected, STORES, serve, written } from './durable-kit.js';

describe.each(STORES)('a client with a store on %s', (_name, shelve) => {
  const collecting = () => {
    const heard: unknown[] = [];
    const listen = (session: Session): void => {
      session.on('event', (n) => void heard.push(n));
    };
    return { heard, listen };
  };

  it('that was never connected: what it has queued is sent by the next process, in order, and once', async () => {
    const [own, shelf] = [shelve(), shelve()];
    const nowhere = call(1, { store: own.open() });
    for (const n of upTo(3)) nowhere.client.send('event', n);
    nowhere.client.set('key', 'value');
    await written(own.open(), 'client', 4);
    nowhere.client.destroy();
    await own.settled();
    const { heard, listen } = collecting();
    const service = await serve(shelf.open(), listen);
    const { client, losses } = call(service.port, { store: own.open() });
    // There before anybody is asked.
    expect({ ...client.get() }).toEqual({ key: 'value' });
    await client.sendWithAck('event', 4);
    expect(heard).toEqual(upTo(4));
    expect(service.session.get('key')).toBe('value');
    expect(losses).toEqual([]);
  });

  it('goes on with its session in the next process: nothing of it is sent or heard twice', async () => {
    const [own, shelf] = [shelve(), shelve()];
    const { heard, listen } = collecting();
    const service = await serve(shelf.open(), listen);
    const first = call(service.port, { store: own.open() });
    const back: unknown[] = [];
    first.client.on('event', (n) => void back.push(n));
    await first.client.sendWithAck('event', 1);
    await service.session.sendWithAck('event', 1);
    service.session.set('key', 'of the server');
    await service.session.store.synced();
    const { id } = first.client;
    const away = once(service.session, 'disconnect');
    first.client.destroy();
    await Promise.all([away, own.settled()]);
    service.session.send('event', 2);
    const { client, losses } = call(service.port, { store: own.open() });
    client.on('event', (n) => void back.push(n));
    expect([client.id, client.get('key')]).toEqual([id, 'of the server']);
    const [told] = await once<[{ resumed: boolean }]>(client, 'connect');
    expect(told).toEqual({ resumed: true });
    await client.sendWithAck('event', 2);
    await service.session.sendWithAck('event', 3);
    expect([heard, back, losses]).toEqual([upTo(2), upTo(3), []]);
    expect(service.began).toHaveLength(1);
  });

  it('handles again what its process had begun, flagged, with the same id', async () => {
    const own = shelve();
    const service = await serve(shelve().open());
    const heard: [string, number, boolean | undefined, string | undefined][] = [];
    const start = (name: string, settles: boolean) => {
      const { client, losses } = call(service.port, { store: own.open() });
      client.on('event', (n: number) => {
        heard.push([name, n, client.delivery?.redelivered, client.delivery?.id]);
        return settles ? undefined : new Promise(() => {});
      });
      client.handle('ask', (n, { redelivered, id }) => {
        heard.push([name, n, redelivered, id]);
        return settles ? n * 2 : new Promise(() => {});
      });
      return { client, losses };
    };
    const first = start('first', false);
    await connected(first.client);
    const acked = service.session.sendWithAck('event', 1);
    const reply = service.session.request('ask', 2);
    await eventually(() => heard.length === 2, 'both run');
    first.client.destroy();
    await own.settled();
    const { losses } = start('second', true);
    expect([await acked, await reply]).toEqual([undefined, 4]);
    await service.session.sendWithAck('event', 3);
    const ids = heard.slice(0, 2).map(([, , , id]) => id);
    expect(heard.slice(0, 4)).toEqual([
      ['first', 1, false, ids[0]],
      ['first', 2, false, ids[1]],
      ['second', 1, true, ids[0]],
      ['second', 2, true, ids[1]],
    ]);
    expect(heard.slice(4).map(([name, n, redelivered]) => [name, n, redelivered])).toEqual([
      ['second', 3, false],
    ]);
    expect(losses).toEqual([]);
  });

  it('keeps an effect of `commit` exactly once, and shows it to the server', async () => {
    const own = shelve();
    const service = await serve(shelve().open());
    const add = (client: ReturnType<typeof call>['client'], dieAt: number | undefined): Promise<void> => {
      const dead = deferred();
      client.on('add', (n: number) => {
        client.delivery?.commit('sum', Number(client.get('sum') ?? 0) + n);
        if (n !== dieAt) return;
        client.destroy();
        dead.resolve();
      });
      return dead.promise;
    };
    const first = call(service.port, { store: own.open() });
    const died = add(first.client, 6);
    await connected(first.client);
    const acked = Promise.all(upTo(10).map((n) => service.session.sendWithAck('add', n)));
    await died;
    await own.settled();
    const { client, losses } = call(service.port, { store: own.open() });
    void add(client, undefined);
    await acked;
    await client.store.synced();
    expect([client.get('sum'), service.session.get('sum'), losses]).toEqual([55, 55, []]);
  });

  it('keeps two clients apart by their keys, and nothing of one that was closed', async () => {
    const own = shelve();
    const { heard, listen } = collecting();
    const service = await serve(shelve().open(), listen);
    const options = ['a', 'b'].map((storeKey) => ({ store: own.open(), storeKey }));
    const clients = options.map((each) => call(service.port, each).client);
    const ids = clients.map(({ id }) => id);
    await Promise.all(clients.map((client, i) => client.sendWithAck('event', i)));
    expect(new Set(ids).size).toBe(2);
    await clients[0]?.close();
    clients[1]?.destroy();
    await own.settled();
    const next = ['a', 'b'].map((storeKey) => call(service.port, { store: own.open(), storeKey }).client);
    expect([next[0]?.id === ids[0], next[1]?.id === ids[1]]).toEqual([false, true]);
    await Promise.all(next.map((client) => client.sendWithAck('event', 2)));
    expect([...heard].sort()).toEqual([0, 1, 2, 2]);
  });

  it('finds out where another process goes on with its session, and ends', async () => {
    const own = shelve();
    const { heard, listen } = collecting();
    const service = await serve(shelve().open(), listen);
    const first = call(service.port, { store: own.open() });
    await first.client.sendWithAck('event', 1);
    const [told, closed] = [once<[NyotaError]>(first.client, 'error'), once(first.client, 'close')];
    const second = call(service.port, { store: own.open() });
    await second.client.sendWithAck('event', 2);
    // By the server's word, or at its next step.
    expect((await told)[0].code).toBe('NYOTA_TAKEN_OVER');
    if (first.client.state !== 'closed') first.client.send('event', 666);
    await closed;
    await second.client.sendWithAck('event', 3);
    expect(heard).toEqual([1, 2, 3]);
    expect(second.losses).toEqual([]);
  });

  it('survives its own death and its server’s at the same time', async () => {
    const [own, shelf] = [shelve(), shelve()];
    const heard: [number, boolean | undefined][] = [];
    const listen = (session: Session): void => {
      session.on('event', (n: number) => void heard.push([n, session.delivery?.redelivered]));
    };
    const service = await serve(shelf.open(), listen);
    const first = call(service.port, { store: own.open() });
    await first.client.sendWithAck('event', 1);
    await service.destroy();
    first.client.send('event', 2);
    await written(own.open(), 'client', 2);
    first.client.destroy();
    await own.settled();
    const next = await serve(shelf.open(), listen, { port: service.port });
    const { client, losses } = call(service.port, { store: own.open() });
    await client.sendWithAck('event', 3);
    expect(heard.map(([n]) => n)).toEqual([1, 2, 3]);
    expect(next.began.map(({ resumed }) => resumed)).toEqual([true]);
    expect(losses).toEqual([]);
  });
});
