/** docs/api.md, "Peer": a peer's connection as its user sees and steers it. */
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  type AnyPeer,
  cut,
  DIRECTIONS,
  deferred,
  once,
  portOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

describe('id, connected, state, resumed, socket', () => {
  it('of a client: from connecting to open to closed', async () => {
    const server = await kit.listening();
    const client = kit.client({ port: portOf(server) });
    expect(client.connected).toBe(false);
    expect(client.state).toBe('connecting');
    expect(client.socket).toBeUndefined();
    await once(client, 'connect');
    expect(client).toMatchObject({ connected: true, state: 'open', resumed: false });
    expect(client.socket).toBeInstanceOf(net.Socket);
    await client.close();
    expect(client).toMatchObject({ connected: false, state: 'closed' });
    expect(client.socket).toBeUndefined();
  });

  it('of a client: opening while the server decides, backing-off between attempts, idle after disconnect', async () => {
    const asked = deferred();
    const decide = deferred();
    const server = await kit.listening({
      authenticate: async () => {
        asked.resolve();
        await decide.promise;
      },
    });
    const client = kit.client({ port: portOf(server) });
    await within(asked.promise, 'authenticate');
    expect(client.state).toBe('opening');
    decide.resolve();
    await once(client, 'connect');
    client.autoReconnect(60_000, 60_000);
    const waiting = once(client, 'reconnecting');
    client.socket?.destroy();
    await waiting;
    expect(client.state).toBe('backing-off');
    client.connect();
    await once(client, 'connect');
    const gone = once(client, 'disconnect');
    client.disconnect();
    await gone;
    expect(client.state).toBe('idle');
  });

  it('of a client: draining while it flushes at disconnect and at close', async () => {
    for (const end of ['disconnect', 'close'] as const) {
      const { client, session } = await kit.pair();
      const finish = deferred();
      session.on('slow', () => finish.promise);
      client.send('slow');
      client[end]();
      expect(client.state).toBe('draining');
      const gone = once(client, 'disconnect');
      finish.resolve();
      await gone;
    }
  });

  it('of a session: new in onSession, attached, detached while its client is away, dead', async () => {
    const states: string[] = [];
    const { client, session } = await kit.pair({ onSession: (began) => states.push(began.state) });
    states.push(session.state);
    session.on('disconnect', () => states.push(session.state));
    session.on('connect', () => states.push(session.state));
    await cut(session, client);
    const over = once(session, 'close');
    await client.close();
    await over;
    states.push(session.state);
    expect(states.slice(0, 4)).toEqual(['new', 'attached', 'detached', 'attached']);
    expect(states.at(-1)).toBe('dead');
    expect(session.connected).toBe(false);
    expect(session.socket).toBeUndefined();
  });

  it('the id is the same on both sides and through every reconnect; the socket is another', async () => {
    const { client, session } = await kit.pair();
    const { id, socket } = client;
    expect(session.id).toBe(id);
    expect(session.resumed).toBe(false);
    await cut(session, client);
    expect([client.id, session.id]).toEqual([id, id]);
    expect([client.resumed, session.resumed]).toEqual([true, true]);
    expect(client.socket).not.toBe(socket);
  });

  it('connect() tries again after a refusal that had stopped the attempts', async () => {
    const users = ['wrong', 'right'];
    const server = await kit.listening({
      authenticate: (user) => {
        if (user === 'wrong') throw new Error('no such user');
        return user;
      },
    });
    const client = kit.client({ port: portOf(server), auth: () => users.shift() });
    const heard = client.sendWithAck('queued meanwhile');
    await once(client, 'error');
    expect(client.state).toBe('idle');
    client.connect();
    await within(heard, 'the ack');
    expect(server.sessions.get(client.id)?.identity).toBe('right');
  });
});

describe('reconnect()', () => {
  it('drops this socket and comes back at once, with the session', async () => {
    const { client, session } = await kit.pair({
      client: { reconnect: { minDelayMs: 60_000, maxDelayMs: 60_000 } },
    });
    const { socket } = client;
    session.on('count', () => {});
    const back = once<[{ resumed: boolean }]>(client, 'connect');
    expect(client.reconnect()).toBe(client);
    expect((await back)[0]).toEqual({ resumed: true });
    expect(socket?.destroyed).toBe(true);
    await client.sendWithAck('count');
  });

  it('ends the wait of a back-off', async () => {
    const { client, session } = await kit.pair({
      client: { reconnect: { minDelayMs: 60_000, maxDelayMs: 60_000, jitter: 'none' } },
    });
    const waiting = once(client, 'reconnecting');
    session.socket?.destroy();
    await waiting;
    const back = once(client, 'connect');
    client.reconnect();
    await back;
  });

  it('from the connect listener, or right after it, works as well', async () => {
    const server = await kit.listening();
    const client = kit.client({ port: portOf(server) });
    let connects = 0;
    const enough = deferred();
    client.on('connect', () => {
      connects++;
      if (connects === 3) enough.resolve();
      else if (connects === 1) client.reconnect();
      else queueMicrotask(() => client.reconnect());
    });
    await within(enough.promise, 'the third connect');
  });

  it('works where reconnecting is off', async () => {
    const { client } = await kit.pair({ client: { reconnect: false } });
    const back = once(client, 'connect');
    client.reconnect();
    await back;
  });
});

describe('a server that lets go of its client in onSession', () => {
  it('with invalidate: the client starts a new session', async () => {
    let sessions = 0;
    const server = await kit.listening({}, (session) => {
      if (++sessions === 1) session.invalidate();
    });
    const client = kit.client({ port: portOf(server) });
    await within(client.sendWithAck('in the second'), 'the ack');
    expect(sessions).toBe(2);
  });

  it('with destroy or a cut socket after connect: the client comes back', async () => {
    let connects = 0;
    const server = await kit.listening({}, (session) => {
      session.on('connect', () => {
        if (++connects < 3) session.socket?.destroy();
      });
    });
    const client = kit.client({ port: portOf(server) });
    await within(client.sendWithAck('at last'), 'the ack');
    expect(connects).toBe(3);
  });
});

describe('autoReconnect and the reconnect option', () => {
  it('with reconnect: false a client does not come back, until autoReconnect turns it on', async () => {
    const { client, session } = await kit.pair({ client: { reconnect: false } });
    const attempts: unknown[] = [];
    client.on('reconnecting', (info) => attempts.push(info));
    const gone = once(client, 'disconnect');
    session.socket?.destroy();
    await gone;
    expect(client.state).toBe('idle');
    client.connect();
    await once(client, 'connect');
    expect(attempts).toEqual([]);
    expect(client.autoReconnect(1, 5)).toBe(client);
    await cut(session, client);
    expect(client.resumed).toBe(true);
  });

  it('sets the bounds of the delay', async () => {
    const { client, session } = await kit.pair();
    client.autoReconnect(5, 7);
    const delays: number[] = [];
    client.on('reconnecting', ({ delayMs }) => delays.push(delayMs));
    await cut(session, client);
    await cut(session, client);
    for (const delay of delays) expect(delay).toBeLessThanOrEqual(7);
    expect(delays.length).toBeGreaterThanOrEqual(2);
  });

  it('takes no arguments too', async () => {
    const { client, session } = await kit.pair({ client: { reconnect: false } });
    client.autoReconnect();
    await cut(session, client);
  });
});

describe('disconnect()', () => {
  it.each(DIRECTIONS)(
    'of the %s sends what is queued, then ends; the client does not come back by itself',
    async (side, other) => {
      const pair = await kit.pair();
      const peer: AnyPeer = pair[side];
      const heard: unknown[] = [];
      (pair[other] as AnyPeer).on('tick', (n) => heard.push(n));
      const attempts: unknown[] = [];
      pair.client.on('reconnecting', (info) => attempts.push(info));
      const both = Promise.all([once(pair.client, 'disconnect'), once(pair.session, 'disconnect')]);
      for (let n = 0; n < 100; n++) peer.send('tick', n);
      peer.disconnect();
      await both;
      expect(heard).toEqual(Array.from({ length: 100 }, (_, n) => n));
      expect(pair.client.connected).toBe(false);
      expect(pair.client.state).toBe('idle');
      expect(attempts).toEqual([]);
    },
  );

  it('is followed by connect(), which resumes the session with what was sent meanwhile on both sides', async () => {
    const { client, session } = await kit.pair();
    const both = Promise.all([once(client, 'disconnect'), once(session, 'disconnect')]);
    client.disconnect();
    await both;
    const heard: string[] = [];
    client.on('from server', () => heard.push('from server'));
    session.on('from client', () => heard.push('from client'));
    client.send('from client');
    session.send('from server');
    const back = once<[{ resumed: boolean }]>(client, 'connect');
    expect(client.connect()).toBe(client);
    expect((await back)[0].resumed).toBe(true);
    await client.sendWithAck('last');
    await session.sendWithAck('last');
    expect(heard.sort()).toEqual(['from client', 'from server']);
  });

  it('while nobody answers stops the attempts', async () => {
    const client = kit.client({ port: 1, createConnection: () => Promise.reject(new Error('nobody')) });
    await once(client, 'reconnecting');
    client.disconnect();
    await expect.poll(() => client.state).toBe('idle');
  });
});
