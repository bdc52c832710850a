/**
 * A client with a store of its own: what it has accepted for sending survives its process, whatever becomes of its session and
 * whenever the process dies. `destroy` is as abrupt as a crash is to the store: nothing is written by it.
 */
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type Client, type ClientOptions, MemoryStore, type Session } from '../../../src/index.js';
import type { SessionStore } from '../../../src/stores/session-store.js';
import { type FakeWorld, fakeWorld, startClient, startServer } from '../../support/delivery-pair.js';
import { deferred, turns } from '../../support/delivery-wait.js';

const KEY = 'me';

/** Lets time pass until it is so. */
async function until({ clock }: FakeWorld, isTrue: () => boolean): Promise<void> {
  for (let ms = 0; !isTrue(); ms += 10) {
    if (ms > 60_000) throw new Error(`never came true: ${isTrue}`);
    await clock.advance(10);
    await turns(2);
  }
}

/** Connects so often, and from then on to nothing that ever answers. */
function connecting(times: number, world: FakeWorld): ClientOptions {
  const client = patient(world);
  let dials = 0;
  const createConnection: NonNullable<ClientOptions['createConnection']> = (...args) =>
    dials++ < times ? (client.createConnection?.(...args) as Socket) : new Socket();
  return { ...client, createConnection, storeKey: KEY };
}

/** With a back-off that takes time. */
function patient({ client }: FakeWorld): ClientOptions {
  return { ...client, random: () => 0.5 };
}

function notesWork(worked: number[]): (session: Session) => void {
  return (session) =>
    session.on('work', (n: number) => {
      worked.push(n);
    });
}

/** Its session ends while the client is not there to hear of it. */
async function invalidateApart(world: FakeWorld, client: Client, sessions: Session[]): Promise<void> {
  client.disconnect();
  await until(world, () => !client.connected && sessions[0]?.connected === false);
  sessions[0]?.invalidate();
}

/** A store that does what is asked of it until `dies`, and then nothing, and answers nothing. */
function mortal(store: MemoryStore, dies: () => boolean): SessionStore {
  const act = <T>(work: () => T): T | Promise<T> => (dies() ? new Promise<T>(() => {}) : work());
  return {
    durable: true,
    load: (id) => store.load(id),
    takeOver: (id, now) => store.takeOver(id, now),
    tombstone: (id, now) => store.tombstone(id, now),
    create: (...args) => act(() => store.create(...args)),
    attach: (...args) => act(() => store.attach(...args)),
    commit: (...args) => act(() => store.commit(...args)),
    end: (...args) => act(() => store.end(...args)),
    sweep: () => 0,
    close: () => {},
  };
}

describe('a client with a store, whose session the server invalidated', () => {
  it('keeps the store writes of the session that follows, whose frames have low numbers again', async () => {
    const world = fakeWorld();
    const store = new MemoryStore({ durable: true });
    const { server, sessions, port } = await startServer(world.server);
    const client = startClient({ port, ...patient(world), store, storeKey: KEY });
    await until(world, () => client.connected);
    client.set('before', 1);
    await client.store.synced();
    sessions[0]?.invalidate();
    await until(world, () => sessions.length === 2 && client.connected);
    server.destroy();
    await until(world, () => !client.connected);
    client.set('after', 2);
    await turns();
    client.destroy();

    const next = startClient({ port, ...patient(world), store, storeKey: KEY });
    expect([next.get('before'), next.get('after')]).toEqual([undefined, 2]);
  });

  it('is not taken for one that the server has welcomed before it is', async () => {
    const world = fakeWorld();
    const store = new MemoryStore({ durable: true });
    // The end of the session arrives with the answer to its beginning.
    const { port } = await startServer(world.server, (session: Session) =>
      session.once('connect', () => session.invalidate()),
    );
    const client = startClient({ port, ...connecting(1, world), store });
    let invalidated = false;
    client.on('sessionInvalidated', () => {
      invalidated = true;
    });
    await until(world, () => invalidated);
    await turns();
    const kept = store.load(KEY);
    expect(kept?.established).toBe(false);
    client.destroy();

    // The next process begins it, and is not told that nobody knows it.
    const refused: string[] = [];
    const { server, port: second } = await startServer(world.server);
    server.on('clientError', (error) => refused.push(error.code));
    const next = startClient({ port: second, ...patient(world), store, storeKey: KEY });
    await until(world, () => next.connected);
    expect(refused).toEqual([]);
  });
});

describe('a message that a client with a store has accepted', () => {
  it('is kept where its session was lost and nobody has been reached since', async () => {
    const world = fakeWorld();
    const store = new MemoryStore({ durable: true });
    const worked: number[] = [];
    const { server, sessions, port } = await startServer(world.server, notesWork(worked));
    // Is told that its session is over, and then reaches nobody.
    const client = startClient({ port, ...connecting(2, world), store });
    await until(world, () => client.connected);
    const before = store.load(KEY)?.record.credential as Buffer;
    await invalidateApart(world, client, sessions);
    client.send('work', 1);
    client.connect();
    await until(world, () => store.load(KEY)?.record.credential.equals(before) === false);
    client.destroy();

    const next = startClient({ port, ...patient(world), store, storeKey: KEY });
    await until(world, () => next.connected && worked.length > 0);
    await turns();
    expect(worked).toEqual([1]);
    expect(server.sessions.size).toBe(1);
  });

  it('arrives once, whichever write to the store its process dies at while its session is renewed', async () => {
    for (let writes = 0; writes <= 8; writes++) {
      const world = fakeWorld();
      const store = new MemoryStore({ durable: true });
      const worked: number[] = [];
      const { sessions, port } = await startServer(world.server, notesWork(worked));
      let left = Number.POSITIVE_INFINITY;
      const dies = (): boolean => left-- <= 0;
      const client = startClient({ port, ...patient(world), store: mortal(store, dies), storeKey: KEY });
      await until(world, () => client.connected);
      await invalidateApart(world, client, sessions);
      client.send('work', writes);
      await turns();
      left = writes;
      client.connect();
      await world.clock.advance(2_000);
      await turns();
      client.destroy();

      const next = startClient({ port, ...patient(world), store, storeKey: KEY });
      await until(world, () => next.connected && worked.length > 0);
      await turns();
      expect({ writes, worked }).toEqual({ writes, worked: [writes] });
      next.destroy();
    }
  });

  it('is not sent before the store knows that the server has the session', async () => {
    const world = fakeWorld();
    const store = new MemoryStore({ durable: true });
    const stored = deferred();
    const slow: SessionStore = {
      ...mortal(store, () => false),
      commit: async (id, fence, batch) => {
        if (batch.established === true) await stored.promise;
        store.commit(id, fence, batch);
      },
    };
    const worked: number[] = [];
    const { port } = await startServer(world.server, notesWork(worked));
    const client = startClient({ port, ...patient(world), store: slow, storeKey: KEY });
    client.send('work', 1);
    await until(world, () => client.connected);
    await turns();
    expect(worked).toEqual([]);
    stored.resolve();
    await until(world, () => worked.length > 0);
    expect(worked).toEqual([1]);
  });
});
