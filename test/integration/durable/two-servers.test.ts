/** Two servers on one store: a session is with one of them at a time, and may go over to the other, and back. */
import { describe, expect, it } from 'vitest';
import type { NyotaError, Session } from '../../../src/index.js';
import { eventually, once, upTo } from '../../support/delivery-wait.js';
import { call, connected, type Service, STORES, serve } from './durable-kit.js';

describe.each(STORES)('two servers on %s', (_name, shelve) => {
  /** Both, and a client that is with the first. */
  async function both() {
    const shelf = shelve();
    const heard: [server: number, n: number, redelivered: boolean | undefined][] = [];
    const start = (server: number): Promise<Service> =>
      serve(shelf.open(), (session: Session) => {
        session.on('event', (n: number) => void heard.push([server, n, session.delivery?.redelivered]));
      });
    const services = [await start(0), await start(1)] as const;
    let at = 0;
    const caller = call(() => services[at as 0 | 1].port);
    const { client } = caller;
    const back: number[] = [];
    client.on('event', (n: number) => void back.push(n));
    await connected(client);
    await client.store.synced();
    /** The client comes back at the other one, or at the same. */
    const goTo = async (server: number): Promise<Session> => {
      at = server;
      const there = once<[{ resumed: boolean }]>(client, 'connect');
      client.reconnect();
      expect(await there).toEqual([{ resumed: true }]);
      return services[server as 0 | 1].session;
    };
    return { ...caller, services, heard, back, goTo };
  }

  it('a session goes over and back, with its entries and messages, in both directions', async () => {
    const { client, losses, services, heard, back, goTo } = await both();
    await client.sendWithAck('event', 1);
    services[0].session.set('count', 1);
    await services[0].session.sendWithAck('event', 1);
    for (const [i, server] of [1, 0, 1, 0].entries()) {
      const n = i + 2;
      const session = await goTo(server);
      expect(session.get('count')).toBe(i + 1);
      session.set('count', i + 2);
      await Promise.all([client.sendWithAck('event', n), session.sendWithAck('event', n)]);
      expect(client.get('count')).toBe(i + 2);
    }
    expect(heard).toEqual([1, 0, 1, 0, 1].map((_, i) => [i % 2, i + 1, false]));
    expect([back, losses]).toEqual([upTo(5), []]);
    expect(services.map(({ began }) => began.map(({ resumed }) => resumed))).toEqual([
      [false, true, true],
      [true, true],
    ]);
  });

  it('the one that lost it finds out at its next step: nothing of that is stored, sent or acknowledged', async () => {
    const { client, losses, services, back, goTo } = await both();
    const old = services[0].session;
    const [closed, left] = [once(old, 'close'), once(old, 'disconnect')];
    await goTo(1);
    // It may know already that its client is gone; it does not know to whom.
    const acked = old.sendWithAck('event', 666);
    old.set('stale', true);
    await expect(acked).rejects.toMatchObject({ code: 'NYOTA_CLOSED', cause: { code: 'NYOTA_TAKEN_OVER' } });
    await Promise.all([closed, left]);
    expect([old.state, services[0].server.sessions.size]).toEqual(['dead', 0]);
    await Promise.all([client.sendWithAck('event', 1), services[1].session.sendWithAck('event', 1)]);
    expect([back, client.get('stale'), losses]).toEqual([[1], undefined, []]);
    // What it had accepted and could not store is not lost in silence.
    expect(services[0].errors.map(({ code }) => code)).toEqual(['NYOTA_TAKEN_OVER']);
    expect(services[0].errors[0]?.message).toContain('were not stored, and are lost');
  });

  it('the one that lost it, and knows nothing of it, takes it back whole', async () => {
    const { client, losses, services, goTo } = await both();
    const [, old] = [await client.sendWithAck('event', 1), services[0].session];
    const there = await goTo(1);
    there.set('key', 'from the second');
    await there.store.synced();
    const here = await goTo(0);
    expect(here).not.toBe(old);
    expect([here.get('key'), old.state]).toEqual(['from the second', 'dead']);
    await client.sendWithAck('event', 2);
    expect(losses).toEqual([]);
  });

  it('a graceful close hands its sessions over: nothing is flagged, since nothing was left', async () => {
    const { client, losses, services, heard, back, goTo } = await both();
    await client.sendWithAck('event', 1);
    const session = services[0].session;
    for (const n of upTo(3)) session.send('event', n);
    const away = once<[NyotaError]>(client, 'disconnect');
    const closing = services[0].server.close();
    expect((await away)[0]?.code).toBe('NYOTA_SERVER_CLOSING');
    const next = await goTo(1);
    await closing;
    await Promise.all([client.sendWithAck('event', 2), next.sendWithAck('event', 4)]);
    expect(heard).toEqual([
      [0, 1, false],
      [1, 2, false],
    ]);
    expect([back, losses]).toEqual([upTo(4), []]);
  });

  it('what a close cut short is handled by the next one, flagged where it was begun', async () => {
    const shelf = shelve();
    const heard: [string, number, boolean | undefined][] = [];
    const listen = (name: string, settles: boolean) => (session: Session) => {
      session.on('event', (n: number) => {
        heard.push([name, n, session.delivery?.redelivered]);
        return settles ? undefined : new Promise(() => {});
      });
    };
    const first = await serve(shelf.open(), listen('first', false), { drainTimeoutMs: 50 });
    const { client, losses } = call(first.port);
    const acked = client.sendWithAck('event', 1);
    await eventually(() => heard.length === 1, 'it runs');
    await first.server.close();
    await serve(shelf.open(), listen('second', true), { port: first.port });
    await acked;
    await client.sendWithAck('event', 2);
    expect(heard).toEqual([
      ['first', 1, false],
      ['second', 1, true],
      ['second', 2, false],
    ]);
    expect(losses).toEqual([]);
  });

  it('an ended session is over at both', async () => {
    const { client, losses, services, goTo } = await both();
    await goTo(1);
    const { id } = client;
    const invalidated = once(client, 'sessionInvalidated');
    services[1].session.invalidate();
    await invalidated;
    await connected(client);
    expect(client.id).not.toBe(id);
    await goTo(0);
    expect(client.get('count')).toBeUndefined();
    expect(losses).toEqual([['invalidated'], ['session', 'NYOTA_SESSION_INVALIDATED']]);
  });
});
