/** server.close(): what runs finishes, what was acknowledged was handled, and clients go elsewhere. */
import { describe, expect, it } from 'vitest';
import {
  at,
  collect,
  FAST,
  fakePair,
  startClient,
  startServer,
  tcpPair,
  watchSessions,
} from '../../support/delivery-pair.js';
import { codeOf, deferred, eventually, once, upTo } from '../../support/delivery-wait.js';

describe('server.close()', () => {
  it('lets handlers and listeners finish: the reply and the acknowledgement still come', async () => {
    const work = deferred<string>();
    const { client, server } = await tcpPair({
      onSession: (session) => {
        session.handle('ask', () => work.promise);
        session.on('event', () => work.promise);
      },
    });
    const reply = client.request('ask');
    const acked = codeOf(client.sendWithAck('event'));
    await eventually(() => at([...server.sessions.values()], 0).stats().received >= 2, 'both have arrived');
    let closed = false;
    const closing = server.close().then(() => {
      closed = true;
    });
    expect(closed).toBe(false);
    work.resolve('done');
    expect(await reply).toBe('done');
    expect(await acked).toBe('resolved');
    await closing;
    expect(server.sessions.size).toBe(0);
  });

  it('delivers what the server has queued for its clients, and waits until they have handled it', async () => {
    const { client, session, server } = await tcpPair();
    const heard: number[] = [];
    const work = deferred();
    client.on('event', async (number: number) => {
      heard.push(number);
      if (number === 100) await work.promise;
    });
    for (const number of upTo(100)) session.send('event', number);
    const acked = codeOf(session.sendWithAck('event', 101));
    const closing = server.close();
    await eventually(() => heard.length === 101, 'all events');
    expect(server.sessions.size).toBe(1);
    work.resolve();
    expect(await acked).toBe('resolved');
    await closing;
    expect(heard).toEqual(upTo(101));
  });

  it('waits for a handler that never finishes no longer than drainTimeoutMs', async () => {
    const { client, server, clock } = await fakePair({
      server: { drainTimeoutMs: 3_000 },
      client: { reconnect: false },
      onSession: (session) => session.handle('ask', () => new Promise(() => {})),
    });
    const reply = codeOf(client.request('ask'));
    await clock.advance(100);
    let closed = false;
    void server.close().then(() => {
      closed = true;
    });
    await clock.advance(2_900);
    expect(closed).toBe(false);
    await clock.advance(3_000);
    expect(closed).toBe(true);
    client.destroy();
    expect(await reply).not.toBe('resolved');
  });

  it('takes no new session meanwhile, and refuses with NYOTA_SERVER_CLOSING', async () => {
    const work = deferred();
    const { client, server, port, sessions } = await tcpPair({
      onSession: (session) => session.handle('ask', () => work.promise),
    });
    const refusals: string[] = [];
    server.on('clientError', (error) => refusals.push(error.code));
    const reply = client.request('ask');
    await eventually(() => at(sessions, 0).stats().received >= 1, 'the request has arrived');
    const closing = server.close();
    const late = startClient({ port, host: '127.0.0.1', reconnect: false });
    const [error] = await once<[{ code: string; retry: string }]>(late, 'error');
    expect([error.code, error.retry]).toEqual(['NYOTA_SERVER_CLOSING', 'elsewhere']);
    expect(refusals).toEqual(['NYOTA_SERVER_CLOSING']);
    expect(sessions).toHaveLength(1);
    work.resolve();
    await reply;
    await closing;
  });

  it('lets a client that is cut meanwhile come back to its session, and waits until it has its reply', async () => {
    const work = deferred<string>();
    const { client, server, sessions } = await tcpPair({
      onSession: (session) => session.handle('ask', () => work.promise),
    });
    const reply = client.request('ask');
    await eventually(() => at(sessions, 0).stats().received >= 1, 'the request has arrived');
    const closing = server.close();
    const back = once<[{ resumed: boolean }]>(client, 'connect');
    client.reconnect();
    expect((await back)[0].resumed).toBe(true);
    work.resolve('fetched');
    expect(await reply).toBe('fetched');
    await closing;
    expect(sessions).toHaveLength(1);
  });

  it('moves its clients on to the next of `servers`, where what was not handled is dispatched once', async () => {
    const [one, two] = [await startServer({}), await startServer({})];
    const heard: number[] = [];
    two.server.on('session', (session) => {
      session.on('event', (number: number) => {
        heard.push(number);
      });
    });
    const client = startClient({
      servers: [one, two].map(({ port }) => `127.0.0.1:${port}`),
      reconnect: FAST,
    });
    await once(client, 'connect');
    const seen = watchSessions(client);
    expect([one.sessions.length, two.sessions.length]).toEqual([1, 0]);
    const before = collect(at(one.sessions, 0), 'event');
    client.set('key', 'value');
    await client.sendWithAck('event', 1);
    await one.server.close();
    for (const number of [2, 3]) client.send('event', number);
    await eventually(() => two.sessions.length === 1, 'the next server');
    await client.sendWithAck('event', 4);
    expect([before, heard]).toEqual([[1], [2, 3, 4]]);
    expect(at(two.sessions, 0).get('key')).toBe('value');
    expect(seen.gaps.map(({ uncertain }) => uncertain).filter((count) => count > 0)).toEqual([]);
    expect(one.sessions).toHaveLength(1);
  });

  it('goes on to the third where the second is closing too, and comes round to the first again', async () => {
    const sides = [await startServer({}), await startServer({}), await startServer({})];
    const client = startClient({
      servers: sides.map(({ port }) => ({ port, host: '127.0.0.1' })),
      reconnect: FAST,
    });
    await once(client, 'connect');
    const counts = () => sides.map(({ sessions }) => sessions.length);
    expect(counts()).toEqual([1, 0, 0]);
    await at(sides, 0).server.close();
    await eventually(() => client.connected && counts()[1] === 1, 'the second');
    await at(sides, 1).server.close();
    await eventually(() => client.connected && counts()[2] === 1, 'the third');
    await client.sendWithAck('event');
    expect(counts()).toEqual([1, 1, 1]);
  });

  it('resolves at once where nobody is connected, and may be called again', async () => {
    const { server } = await startServer({});
    await server.close();
    await server.close();
    expect(server.listening).toBe(false);
  });
});
