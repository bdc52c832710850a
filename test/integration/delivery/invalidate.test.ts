/** A session that the server forgets on purpose: a new one follows, and nothing of the old one's store is left. */
import { describe, expect, it } from 'vitest';
import type { Session } from '../../../src/index.js';
import { at, collect, proxyPair, tcpPair, watchSessions } from '../../support/delivery-pair.js';
import { codeOf, eventually, once } from '../../support/delivery-wait.js';

describe('session.invalidate()', () => {
  it('is heard by the client, which begins a new session with an empty store on both sides', async () => {
    const { client, session, sessions, server, errors } = await tcpPair();
    const seen = watchSessions(client);
    const oldId = client.id;
    client.set('from client', 1);
    session.set('from server', 2);
    await Promise.all([client.store.synced(), session.store.synced()]);
    const closed = once(session, 'close');
    session.invalidate();
    await closed;
    await eventually(() => sessions.length === 2 && client.connected, 'the new session');
    expect(seen.invalidated).toBe(1);
    expect(seen.begun).toEqual([{ id: client.id, reason: 'NYOTA_SESSION_INVALIDATED' }]);
    expect(client.id).not.toBe(oldId);
    expect([...server.sessions.keys()]).toEqual([client.id]);
    expect([{ ...client.get() }, { ...at(sessions, 1).get() }]).toEqual([{}, {}]);
    expect(client.resumed).toBe(false);
    expect(session.state).toBe('dead');
    expect(errors).toEqual([]);
    client.set('new', 3);
    await client.store.synced();
    expect({ ...at(sessions, 1).get() }).toEqual({ new: 3 });
  });

  it("tells 'sessionInvalidated' when the store is empty already, and watchers of its keys hear that they went", async () => {
    const { client, session } = await tcpPair();
    client.set('key', 1);
    await client.store.synced();
    const heard: unknown[] = [];
    client.store.watch('*', (key, value) => heard.push([key, value]));
    const invalidated = new Promise<unknown>((resolve) => {
      client.once('sessionInvalidated', () => resolve({ ...client.get() }));
    });
    session.invalidateSession();
    expect(await invalidated).toEqual({});
    expect(heard).toEqual([['key', undefined]]);
  });

  it('dispatches what was sent before it, and what the client queues after it goes to the new session', async () => {
    const heard: number[][] = [];
    const { client, session, sessions } = await tcpPair({
      onSession: (session) => void heard.push(collect(session, 'event')),
    });
    const down = collect(client, 'event');
    await client.sendWithAck('event', 1);
    session.send('event', 1);
    session.send('event', 2);
    client.once('sessionInvalidated', () => client.send('event', 2));
    session.invalidate();
    await eventually(() => sessions.length === 2, 'the new session');
    await client.sendWithAck('event', 3);
    expect(heard).toEqual([[1], [2, 3]]);
    expect(down).toEqual([1, 2]);
  });

  it('while the client is away is heard when it comes back', async () => {
    const { client, session, sessions, proxy } = await proxyPair({ client: { reconnect: false } });
    const seen = watchSessions(client);
    client.set('key', 1);
    await client.store.synced();
    // Both have to notice: connect() of a client that is still connected does nothing.
    const away = Promise.all([once(session, 'disconnect'), once(client, 'disconnect')]);
    proxy.cut();
    await away;
    session.invalidate();
    client.set('queued', 2);
    client.connect();
    await eventually(() => sessions.length === 2 && client.connected, 'the new session');
    await client.store.synced();
    expect(seen.invalidated).toBe(1);
    expect(seen.begun.at(-1)?.reason).toBe('NYOTA_SESSION_INVALIDATED');
    expect([{ ...client.get() }, { ...at(sessions, 1).get() }]).toEqual([{}, {}]);
  });

  it("ends the old session's requests, on both sides, and its late handlers reply to nobody", async () => {
    let reply: ((value: string) => void) | undefined;
    const { client, session, sessions } = await tcpPair({
      onSession: (session: Session) => {
        session.handle(
          'ask',
          () =>
            new Promise<string>((resolve) => {
              reply = resolve;
            }),
        );
      },
    });
    const asked = codeOf(client.request('ask'));
    client.handle('ask', () => new Promise(() => {}));
    const askedBack = codeOf(session.request('ask'));
    await eventually(() => reply !== undefined, 'the handler runs');
    session.invalidate();
    expect(await askedBack).toBe('NYOTA_CLOSED');
    expect(await asked).toBe('NYOTA_SESSION_LOST');
    await eventually(() => sessions.length === 2, 'the new session');
    reply?.('late');
    await client.sendWithAck('event');
    expect(client.connected).toBe(true);
  });
});
