/** docs/api.md, "Server" and "Session": what only a server has, and what only its sessions have. */
import { describe, expect, it } from 'vitest';
import type { Client, Server, Session } from '../../../src/index.js';
import {
  type AnyPeer,
  cut,
  deferred,
  nyotaErrorOf,
  once,
  portOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

async function clients(server: Server, count: number): Promise<Client[]> {
  const all = Array.from({ length: count }, () => kit.client({ port: portOf(server) }));
  await Promise.all(all.map((client) => once(client, 'connect')));
  return all;
}

describe('server.sessions', () => {
  it('is a map of the sessions by id, those included whose client is away', async () => {
    const server = await kit.listening();
    const [first, second] = (await clients(server, 2)) as [Client, Client];
    expect(server.sessions.size).toBe(2);
    expect([...server.sessions.keys()].sort()).toEqual([first.id, second.id].sort());
    const session = server.sessions.get(first.id) as Session;
    expect(session.id).toBe(first.id);
    const away = once(session, 'disconnect');
    first.disconnect();
    await away;
    expect(server.sessions.get(first.id)).toBe(session);
    expect(session.connected).toBe(false);
    const over = once(server.sessions.get(second.id) as Session, 'close');
    await second.close();
    await over;
    expect([...server.sessions.keys()]).toEqual([first.id]);
  });
});

describe('server.send', () => {
  it('reaches every session once, in order with what is sent to one of them', async () => {
    const server = await kit.listening();
    const all = await clients(server, 5);
    const heard: unknown[][] = all.map(() => []);
    for (const [i, client] of all.entries()) client.onAny((...event) => heard[i]?.push(event));
    for (const session of server.sessions.values()) session.send('own', 1);
    expect(server.send('all', { n: 2 }, undefined, new Map([['a', 1n]]))).toBe(true);
    for (const session of server.sessions.values()) session.send('own', 3);
    await Promise.all([...server.sessions.values()].map((session) => session.sendWithAck('last')));
    for (const events of heard) {
      expect(events).toEqual([
        ['own', 1],
        ['all', { n: 2 }, undefined, new Map([['a', 1n]])],
        ['own', 3],
        ['last'],
      ]);
    }
  });

  it('reaches those that are away when they come back', async () => {
    const { server, client, session } = await kit.pair();
    const away = once(session, 'disconnect');
    client.disconnect();
    await away;
    const heard = once(client, 'news');
    server.send('news', 'while you were away');
    client.connect();
    expect(await heard).toEqual(['while you were away']);
  });

  it('is encoded once: all get the same, whatever becomes of the value afterwards', async () => {
    const server = await kit.listening();
    const all = await clients(server, 3);
    let reads = 0;
    const heard = Promise.all(all.map((client) => once<[{ n: number; list: string[] }]>(client, 'value')));
    const value = {
      list: ['a'],
      get n() {
        return ++reads;
      },
    };
    server.send('value', value);
    value.list.push('b');
    const values = (await heard).map(([arrived]) => arrived);
    expect(values[0]?.list).toEqual(['a']);
    for (const arrived of values) expect(arrived).toEqual(values[0]);
  });

  it('returns false where one session is above its high-water mark', async () => {
    const server = await kit.listening({ highWaterBytes: 1000 });
    await clients(server, 2);
    expect(server.send('small', 1)).toBe(true);
    expect(server.send('large', Buffer.alloc(2000))).toBe(false);
  });

  it('a session whose outbox is full says so by its own error, and the others get the event', async () => {
    const server = await kit.listening({ maxOutboxFrames: 3 }, (session) => kit.quiet(session));
    const [away, here] = (await clients(server, 2)) as [Client, Client];
    const session = server.sessions.get(away.id) as Session;
    const gone = once(session, 'disconnect');
    away.disconnect();
    await gone;
    const heard: unknown[] = [];
    here.on('n', (n) => heard.push(n));
    const failed = once(session, 'error');
    for (let n = 0; n < 4; n++) {
      server.send('n', n);
      await server.sessions.get(here.id)?.sendWithAck('flush');
    }
    expect((await failed)[0]).toMatchObject({ code: 'NYOTA_OUTBOX_FULL' });
    expect(heard).toEqual([0, 1, 2, 3]);
  });

  it('without sessions is fine', async () => {
    const server = await kit.listening();
    expect(server.send('nobody')).toBe(true);
  });
});

describe('server.stats()', () => {
  it('counts sessions, connections, resumes, expiries and refusals', async () => {
    const { server, client, session } = await kit.pair({ server: { maxSessions: 1 } });
    expect(server.stats()).toMatchObject({
      sessions: 1,
      connected: 1,
      unauthenticated: 0,
      sessionsStarted: 1,
      sessionsResumed: 0,
      sessionsExpired: 0,
      refused: 0,
    });
    await cut(session, client);
    expect(server.stats()).toMatchObject({ sessions: 1, sessionsStarted: 1, sessionsResumed: 1 });
    const refused = once(server, 'clientError');
    kit.client({ port: portOf(server), reconnect: false });
    await refused;
    expect(server.stats().refused).toBe(1);
    const away = once(session, 'disconnect');
    client.disconnect();
    await away;
    expect(server.stats()).toMatchObject({ sessions: 1, connected: 0, sessionsExpired: 0 });
    const hasty = await kit.pair({ server: { resumeWindowMs: 10 } });
    const over = once(hasty.session, 'close');
    hasty.client.disconnect();
    await over;
    expect(hasty.server.stats()).toMatchObject({ sessions: 0, connected: 0, sessionsExpired: 1 });
  });
});

describe.each(['invalidate', 'invalidateSession'] as const)('session.%s()', (method) => {
  it('makes the server forget, and the client start a new session with an empty store', async () => {
    const sessions: Session[] = [];
    const { server, client, session } = await kit.pair({ onSession: (began) => sessions.push(began) });
    const firstId = client.id;
    client.set('mine', 1);
    session.set('theirs', 1);
    await Promise.all([client.store.synced(), session.store.synced()]);
    const told = once(client, 'sessionInvalidated');
    const back = once<[{ resumed: boolean }]>(client, 'connect');
    session[method]();
    await told;
    expect(client.get()).toEqual({});
    expect((await back)[0]).toEqual({ resumed: false });
    expect(client.id).not.toBe(firstId);
    expect([session.state, server.sessions.has(firstId)]).toEqual(['dead', false]);
    expect(sessions).toHaveLength(2);
    expect(sessions[1]?.get()).toEqual({});
    await client.sendWithAck('in the new one');
    expect(nyotaErrorOf(() => session.send('late')).code).toBe('NYOTA_CLOSED');
  });

  it('while the client is away is heard when it comes back', async () => {
    const { client, session } = await kit.pair();
    client.set('mine', 1);
    await client.store.synced();
    const away = once(session, 'disconnect');
    client.disconnect();
    await away;
    session[method]();
    const told = once(client, 'sessionInvalidated');
    client.connect();
    await told;
    await client.sendWithAck('in the new one');
    expect(client.get()).toEqual({});
  });

  it('keeps the listeners of the client, and what it had not sent', async () => {
    const heard = deferred<unknown>();
    const server = await kit.listening({}, (session) => session.on('queued', (n) => heard.resolve(n)));
    const client = kit.client({ port: portOf(server) });
    await once(client, 'connect');
    const session = server.sessions.get(client.id) as Session;
    const away = once(session, 'disconnect');
    client.disconnect();
    await away;
    client.send('queued', 5);
    session[method]();
    client.connect();
    expect(await within(heard.promise, 'the queued event')).toBe(5);
  });
});

describe('handlers and listeners of a session', () => {
  it('are its own: another session has none of them', async () => {
    let sessions = 0;
    const server = await kit.listening({}, (session) => {
      const number = ++sessions;
      session.handle('who', () => number);
    });
    const all = await clients(server, 3);
    const answers = await Promise.all(all.map((client) => client.request('who')));
    expect([...answers].sort()).toEqual([1, 2, 3]);
    for (const [i, client] of all.entries())
      expect(await (client as AnyPeer).request('who')).toBe(answers[i]);
  });
});
