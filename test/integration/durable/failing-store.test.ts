/** A store that fails: whoever is concerned is told, with the reason, and nobody else notices. */
import { describe, expect, it } from 'vitest';
import { NyotaError, type Session, type SessionStore } from '../../../src/index.js';
import { eventually, once, upTo } from '../../support/delivery-wait.js';
import { call, connected, STORES, serve, wrapped } from './durable-kit.js';

const FULL = new Error('no space left on device');

/** A store whose commits for one session fail while it is told so. */
function failingFor(store: SessionStore): { store: SessionStore; victim: string | undefined } {
  const failing = {
    victim: undefined as string | undefined,
    store: wrapped(store, {
      async commit(id, fence, batch) {
        if (id === failing.victim) throw FULL;
        await store.commit(id, fence, batch);
      },
    }),
  };
  return failing;
}

describe.each(STORES)('a store on %s that fails', (_name, shelve) => {
  it('ends the session in this process, says why, and leaves the others alone', async () => {
    const failing = failingFor(shelve().open());
    const heard: [string, number, boolean | undefined][] = [];
    const closed: string[] = [];
    const service = await serve(failing.store, (session) => {
      session.on('event', (n: number) => void heard.push([session.id, n, session.delivery?.redelivered]));
      session.on('close', () => closed.push(session.id));
    });
    const [unlucky, lucky] = [call(service.port), call(service.port)];
    await Promise.all([unlucky, lucky].map(({ client }) => client.sendWithAck('event', 1)));
    const { id } = unlucky.client;
    const session = service.server.sessions.get(id) as Session;
    const told = once<[NyotaError]>(session, 'error');
    const left = once<[NyotaError]>(unlucky.client, 'disconnect');
    failing.victim = id;
    unlucky.client.send('event', 2);
    const [error] = await told;
    expect(error).toMatchObject({ code: 'NYOTA_STORE_FAILED', cause: FULL });
    expect((await left)[0]).toMatchObject({ code: 'NYOTA_STORE_FAILED' });
    expect([closed, session.state]).toEqual([[id], 'dead']);
    expect(() => session.send('event')).toThrow(expect.objectContaining({ code: 'NYOTA_CLOSED' }));
    // The other one has not noticed.
    for (const n of upTo(5)) await lucky.client.sendWithAck('event', n);
    expect([lucky.losses, lucky.errors, lucky.client.stats().reconnects]).toEqual([[], [], 0]);
    // Once the store works again, the session is back as the store knows it, and nothing is lost.
    failing.victim = undefined;
    await unlucky.client.sendWithAck('event', 3);
    const its = heard.filter(([of]) => of === id).map(([, n, redelivered]) => [n, redelivered]);
    expect(its.at(0)).toEqual([1, false]);
    expect(its.at(-1)?.[0]).toBe(3);
    expect(its.filter(([n, redelivered]) => n === 2 && !redelivered)).toHaveLength(1);
    expect(its.filter(([n]) => n === 3)).toHaveLength(1);
    expect([unlucky.losses, unlucky.errors]).toEqual([[], []]);
    expect(service.server.sessions.get(id)).not.toBe(session);
  });

  it('acknowledges and sends nothing of a step that could not be stored', async () => {
    const failing = failingFor(shelve().open());
    const service = await serve(failing.store, (session) => {
      session.handle('ask', (n, { commit }) => {
        commit('asked', n);
        return n;
      });
    });
    const { client, losses } = call(service.port);
    await connected(client);
    const told: string[] = [];
    client.on('connect', () => told.push('back'));
    failing.victim = client.id;
    const asking = client.request('ask', 7).then((reply) => told.push(`reply ${reply}`));
    // Again and again: it comes back, and the handler runs, and it can't be stored.
    for (let i = 0; i < 3; i++) await once(client, 'disconnect');
    expect(told.some((text) => text.startsWith('reply'))).toBe(false);
    expect(client.get('asked')).toBeUndefined();
    failing.victim = undefined;
    await asking;
    await client.sendWithAck('last');
    expect(client.get('asked')).toBe(7);
    expect(losses).toEqual([]);
  });

  it('lets nobody in while a session can’t be created, and everybody once it can', async () => {
    const inner = shelve().open();
    let broken = true;
    const store = wrapped(inner, {
      create: async (record, now) => {
        if (broken) throw new NyotaError('NYOTA_STORE_FAILED', 'the store is full', { cause: FULL });
        return inner.create(record, now);
      },
    });
    const service = await serve(store);
    const refused = once<[NyotaError]>(service.server, 'clientError');
    const { client, losses } = call(service.port);
    client.send('event', 1);
    const [error] = await refused;
    expect(error.code).toBe('NYOTA_STORE_FAILED');
    expect(service.began).toEqual([]);
    broken = false;
    await connected(client);
    await client.sendWithAck('event', 2);
    expect(losses).toEqual([]);
  });

  it('reports an end and a sweep that could not be stored', async () => {
    const inner = shelve().open();
    const fails = async (): Promise<never> => {
      throw FULL;
    };
    const service = await serve(wrapped(inner, { end: fails, sweep: fails }));
    await eventually(() => service.errors.length === 1, 'the sweep');
    const { client } = call(service.port);
    await connected(client);
    await client.close();
    await eventually(() => service.errors.length === 2, 'the end');
    for (const error of service.errors)
      expect(error).toMatchObject({ code: 'NYOTA_STORE_FAILED', cause: FULL });
  });

  it('keeps no server from closing', async () => {
    const failing = failingFor(shelve().open());
    const service = await serve(failing.store);
    const [unlucky, lucky] = [call(service.port), call(service.port)];
    await Promise.all([connected(unlucky.client), connected(lucky.client)]);
    const session = service.server.sessions.get(unlucky.client.id) as Session;
    failing.victim = unlucky.client.id;
    const left = [unlucky, lucky].map(({ client }) => once(client, 'disconnect'));
    session.send('event', 1);
    await service.server.close();
    await Promise.all(left);
    expect(service.errors.map(({ code }) => code)).toContain('NYOTA_STORE_FAILED');
    expect([session.state, service.server.sessions.size]).toEqual(['dead', 0]);
  });

  it('tells a client whose own store fails, and ends it before anything is ahead of the store', async () => {
    const shelf = shelve();
    const service = await serve(shelf.open());
    const inner = shelf.open();
    let broken = false;
    const store = wrapped(inner, {
      async commit(id, fence, batch) {
        if (broken) throw FULL;
        await inner.commit(id, fence, batch);
      },
    });
    const { client, errors } = call(service.port, { store });
    await client.sendWithAck('event', 1);
    const heard: unknown[] = [];
    service.session.on('event', (n) => void heard.push(n));
    broken = true;
    const closed = once(client, 'close');
    const acked = client.sendWithAck('event', 2);
    await expect(acked).rejects.toMatchObject({ code: 'NYOTA_CLOSED' });
    await closed;
    expect(errors).toEqual([expect.objectContaining({ code: 'NYOTA_STORE_FAILED', cause: FULL })]);
    expect(heard).toEqual([]);
  });
});
