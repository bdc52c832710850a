/** A server that dies and is started again on the same store: its sessions go on, and its clients notice a cut at most. */
import { describe, expect, it } from 'vitest';
import type { Delivery, Session } from '../../../src/index.js';
import { deferred, eventually, once, upTo } from '../../support/delivery-wait.js';
import { call, connected, STORES, serve, wrapped, written } from './durable-kit.js';

/** What a listener was told of a message: number, flag, id. */
type Told = [n: number, redelivered: boolean | undefined, id: string | undefined];

function told(n: number, delivery: Delivery | undefined): Told {
  return [n, delivery?.redelivered, delivery?.id];
}

describe.each(STORES)('a restart on %s', (_name, shelve) => {
  it('brings the session back: the same id, identity and entries, told by `resumed`', async () => {
    const shelf = shelve();
    const options = { authenticate: (name: unknown) => ({ user: name }) };
    const first = await serve(shelf.open(), undefined, options);
    const { client, losses, errors } = call(first.port, { auth: 'zonk' });
    await connected(client);
    client.set('of the client', { deep: [1, null, new Date(5)] });
    first.session.set('of the server', 7n);
    first.session.set('gone', 1);
    first.session.delete('gone');
    await Promise.all([client.store.synced(), first.session.store.synced()]);
    const entries = client.get();
    const { id } = client;
    const back = once<[{ resumed: boolean }]>(client, 'disconnect').then(() => once(client, 'connect'));
    await first.destroy();
    let seenAtOnce: unknown;
    const next = await serve(
      shelf.open(),
      (session) => {
        seenAtOnce = { ...session.get() };
      },
      { ...options, port: first.port },
    );
    expect(await back).toEqual([{ resumed: true }]);
    expect(next.began.map(({ session, resumed }) => [session.id, resumed])).toEqual([[id, true]]);
    expect(next.session.identity).toEqual({ user: 'zonk' });
    expect(seenAtOnce).toEqual({ ...entries });
    expect(Object.keys(entries).sort()).toEqual(['of the client', 'of the server']);
    expect([client.id, losses, errors, next.errors]).toEqual([id, [], [], []]);
    expect(next.server.stats()).toMatchObject({ sessions: 1, sessionsStarted: 0, sessionsResumed: 1 });
  });

  it('gives it back to nobody else: not with another identity, nor to a client of its own', async () => {
    const shelf = shelve();
    const options = { authenticate: (name: unknown) => name };
    const first = await serve(shelf.open(), undefined, options);
    let name = 'zonk';
    const { client, errors } = call(first.port, { auth: () => name });
    await connected(client);
    name = 'somebody else';
    await first.destroy();
    const next = await serve(shelf.open(), undefined, { ...options, port: first.port });
    const stranger = call(first.port, { auth: 'zonk' });
    await connected(stranger.client);
    await eventually(() => errors.length > 0, 'the other identity is refused');
    expect(errors[0]?.code).toBe('NYOTA_UNAUTHORIZED');
    expect(next.began.map(({ session, resumed }) => [session.id, resumed])).toEqual([
      [stranger.client.id, false],
    ]);
  });

  it('sends what the dead process had accepted for a client that was away, in order, and once', async () => {
    const shelf = shelve();
    const store = shelf.open();
    const first = await serve(store);
    const { client, losses } = call(first.port);
    const heard: unknown[] = [];
    client.on('event', (n) => void heard.push(n));
    await connected(client);
    const away = once(first.session, 'disconnect');
    client.disconnect();
    await away;
    for (const n of upTo(5)) first.session.send('event', n);
    await written(store, client.id, 5);
    await first.destroy();
    const next = await serve(shelf.open(), (session) => void session.send('event', 6), { port: first.port });
    client.connect();
    await eventually(() => heard.length >= 6, 'all six');
    await next.session.sendWithAck('event', 7);
    expect([heard, losses]).toEqual([upTo(7), []]);
  });

  it('dispatches again what had not been handled, flagged, with the same id, and nothing else', async () => {
    const shelf = shelve();
    const heard: Told[][] = [];
    const started = (session: Session): void => {
      const mine: Told[] = [];
      heard.push(mine);
      session.on('event', (n: number) => {
        mine.push(told(n, session.delivery));
        // The first process never gets done with the third.
        return heard.length === 1 && n === 3 ? new Promise(() => {}) : undefined;
      });
    };
    const first = await serve(shelf.open(), started);
    const { client, losses } = call(first.port);
    const acked: unknown[] = [];
    for (const n of upTo(5)) client.send('event', n, (error) => void acked.push([n, error]));
    await eventually(() => heard[0]?.length === 5 && acked.length === 2, 'five, and two acknowledged');
    const cut = once(client, 'disconnect');
    await first.destroy();
    await cut;
    // Unsent: nobody can have begun to handle it.
    client.send('event', 6);
    const next = await serve(shelf.open(), started, { port: first.port });
    await client.sendWithAck('event', 7);
    const id = (n: number): string | undefined => heard[0]?.find(([number]) => number === n)?.[2];
    expect(heard[0]?.map(([n, redelivered]) => [n, redelivered])).toEqual(upTo(5).map((n) => [n, false]));
    // Four and five may have been told to the store as handled, beyond the third.
    const again = heard[1]?.filter(([n]) => n <= 5) ?? [];
    expect(again[0]).toEqual([3, true, id(3)]);
    for (const [n, redelivered, its] of again) expect([redelivered, its]).toEqual([true, id(n)]);
    expect(again.map(([n]) => n).every((n) => n >= 3)).toBe(true);
    const news = heard[1]?.filter(([n]) => n > 5).map(([n, redelivered]) => [n, redelivered]);
    expect(news).toEqual([
      [6, false],
      [7, false],
    ]);
    expect(new Set(heard.flat().map(([, , its]) => its)).size).toBe(7);
    expect(acked).toEqual(upTo(5).map((n) => [n, undefined]));
    expect([losses, next.errors]).toEqual([[], []]);
  });

  it('runs a request again that had no answer, flagged, and its caller gets the one answer', async () => {
    const shelf = shelve();
    const runs: [boolean, string][] = [];
    const first = await serve(shelf.open(), (session) => {
      session.handle('ask', (_n, { redelivered, id }) => {
        runs.push([redelivered, id]);
        return new Promise(() => {});
      });
    });
    const { client } = call(first.port);
    const reply = client.request('ask', 21);
    await eventually(() => runs.length === 1, 'it runs');
    await first.destroy();
    await serve(
      shelf.open(),
      (session) => {
        session.handle('ask', (n, { redelivered, id }) => {
          runs.push([redelivered, id]);
          return n * 2;
        });
      },
      { port: first.port },
    );
    expect(await reply).toBe(42);
    expect(runs).toEqual([
      [false, runs[0]?.[1]],
      [true, runs[0]?.[1]],
    ]);
  });

  it('keeps an answer that was given while the caller was away', async () => {
    const shelf = shelve();
    const store = shelf.open();
    const gate = deferred();
    const runs: number[] = [];
    const onSession = (session: Session): void => {
      session.handle('ask', async (n: number) => {
        runs.push(n);
        await gate.promise;
        return n * 2;
      });
    };
    const first = await serve(store, onSession);
    let port = first.port;
    const { client } = call(() => port);
    const reply = client.request('ask', 21);
    await eventually(() => runs.length === 1, 'it runs');
    port = 1; // nobody listens there
    const away = once(first.session, 'disconnect');
    client.reconnect();
    await away;
    gate.resolve();
    await written(store, client.id, 1);
    await first.destroy();
    const next = await serve(shelf.open(), onSession);
    port = next.port;
    expect(await reply).toBe(42);
    expect(runs).toEqual([21]);
  });

  it('keeps an effect of `commit` exactly once, wherever the process dies', async () => {
    const shelf = shelve();
    // Each process dies at another place of the way from the listener to the acknowledgement.
    type Place = 'in the listener' | 'before the step' | 'behind the step' | 'nowhere';
    const places: Place[] = [
      ...['in the listener', 'before the step', 'behind the step'].flatMap((place) => [place, place]),
      'nowhere',
    ] as Place[];
    const all = upTo(60);
    let port = 0;
    let handled = 0;
    const { client, losses } = call(() => port);
    const acked = Promise.all(all.map((n) => client.sendWithAck('add', n)));
    for (const [i, place] of places.entries()) {
      const dying = deferred();
      const dies = (where: Place): void => {
        if (where === place && handled > i * 5) dying.resolve();
      };
      const inner = shelf.open();
      const store = wrapped(inner, {
        async commit(id, fence, batch) {
          dies('before the step');
          await inner.commit(id, fence, batch);
          dies('behind the step');
        },
      });
      const service = await serve(store, (session) => {
        session.on('add', (n: number) => {
          handled++;
          const sum = Number(session.get('sum') ?? 0) + n;
          session.delivery?.commit('sum', sum);
          dies('in the listener');
        });
      });
      // At once, in the midst of what it does.
      const dead = dying.promise.then(() => service.destroy());
      port = service.port;
      if (place === 'nowhere') {
        await Promise.all([acked, eventually(() => service.began.length === 1, 'the session is back')]);
        expect(service.session.get('sum')).toBe((60 * 61) / 2);
      } else {
        client.send('add', 0);
        await dead;
      }
    }
    expect(losses).toEqual([]);
  });

  it('lets an entry expire whose time was over while no server was up', async () => {
    const shelf = shelve();
    const first = await serve(shelf.open());
    const { client } = call(first.port);
    await connected(client);
    client.store.set('short', 1, { ttlMs: 40 });
    client.store.set('long', 2, { ttlMs: 60_000 });
    await client.store.synced();
    await first.destroy();
    expect({ ...client.get() }).toEqual({ short: 1, long: 2 });
    const gone = new Promise((resolve) => client.store.watch('short', (_key, value) => resolve(value)));
    const next = await serve(shelf.open(), undefined, { port: first.port });
    expect(await gone).toBeUndefined();
    await next.session.store.synced();
    expect([{ ...client.get() }, { ...next.session.get() }]).toEqual([{ long: 2 }, { long: 2 }]);
  });

  it('brings many sessions back, each to its own client', async () => {
    const shelf = shelve();
    const onSession = (session: Session): void => {
      session.handle('name', () => session.get('name'));
    };
    const first = await serve(shelf.open(), onSession);
    const callers = upTo(20).map(() => call(first.port));
    for (const [i, { client }] of callers.entries()) client.set('name', `client ${i}`);
    await Promise.all(callers.map(({ client }) => client.store.synced()));
    await first.destroy();
    const next = await serve(shelf.open(), onSession, { port: first.port });
    const names = await Promise.all(callers.map(({ client }) => client.request('name')));
    expect(names).toEqual(callers.map((_caller, i) => `client ${i}`));
    expect(next.began.every(({ resumed }) => resumed)).toBe(true);
    expect(next.began).toHaveLength(20);
  });
});
