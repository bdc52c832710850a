/**
 * The server's process died and with it all memory of the session. Nothing is missing silently: `gap` counts what is
 * uncertain, callbacks and requests fail, and what was never sent goes along into the new session, the store before it.
 */
import { describe, expect, it } from 'vitest';
import { createServer, type NyotaError, type Session } from '../../../src/index.js';
import {
  at,
  collect,
  FAST,
  type FakePair,
  fakePair,
  startClient,
  startServer,
  watchSessions,
} from '../../support/delivery-pair.js';
import { codeOf, eventually, once, upTo } from '../../support/delivery-wait.js';

describe('a server that died and came back without its memory', () => {
  /** A new process at the same port: nothing of the old one's sessions is known. */
  async function restart(pair: FakePair, onSession?: (session: Session) => void) {
    pair.server.destroy();
    const sessions: Session[] = [];
    const server = createServer({ clock: pair.clock, createServer: pair.network.createServer }, (session) => {
      sessions.push(session);
      onSession?.(session);
    });
    server.listen(pair.port, '127.0.0.1');
    return { server, sessions };
  }

  it('makes the client begin a new session, with everything that was never sent, and its store', async () => {
    const pair = await fakePair();
    const { client, clock, session } = pair;
    const seen = watchSessions(client);
    client.set({ a: 1, b: { deep: [1, 2] } });
    session.set('c', 3);
    await clock.advance(200);
    pair.network.cut();
    for (const number of upTo(5)) client.send('event', number);
    client.set('d', 4);
    const reply = client.request('ask');
    const heard: number[] = [];
    const { server, sessions } = await restart(pair, (session) => {
      session.on('event', (number: number) => {
        heard.push(number);
      });
      session.handle('ask', () => 'answered');
    });
    await clock.advance(1_000);
    expect(await reply).toBe('answered');
    expect(heard).toEqual(upTo(5));
    expect({ ...at(sessions, 0).get() }).toEqual({ a: 1, b: { deep: [1, 2] }, c: 3, d: 4 });
    expect(seen.begun).toEqual([{ id: client.id, reason: 'NYOTA_SESSION_UNKNOWN' }]);
    server.destroy();
  });

  it('leaves what was sent and not acknowledged uncertain: counted, not sent again, and told to each caller', async () => {
    const pair = await fakePair();
    const { client, clock, session, network } = pair;
    const seen = watchSessions(client);
    const before = collect(session, 'event');
    const acks: unknown[] = [];
    const note = (number: number) => (error?: NyotaError) => void acks.push([number, error?.code]);
    client.send('event', 1, note(1));
    await clock.advance(200);
    network.stall('down');
    client.send('event', 2, note(2));
    client.send('event', 3, note(3));
    const reply = codeOf(client.request('ask'));
    await clock.advance(200);
    network.cut();
    network.heal();
    client.send('event', 4, note(4));
    const heard: number[] = [];
    const { server } = await restart(pair, (session) => {
      session.on('event', (number: number) => {
        heard.push(number);
      });
    });
    await clock.advance(1_000);
    expect(before).toEqual([1, 2, 3]);
    expect(heard).toEqual([4]);
    expect(await reply).toBe('NYOTA_SESSION_LOST');
    // In order of the message: the callbacks of what is lost, then that of what went along.
    expect(acks).toEqual([
      [1, undefined],
      [2, 'NYOTA_SESSION_LOST'],
      [3, 'NYOTA_SESSION_LOST'],
      [4, undefined],
    ]);
    expect(seen.gaps.map(({ uncertain, lost, reason }) => [uncertain, lost, reason.code])).toEqual([
      [3, 0, 'NYOTA_SESSION_UNKNOWN'],
    ]);
    server.destroy();
  });

  it('carries a store along that has more entries than the outbox has room for messages', async () => {
    const pair = await fakePair({ client: { maxOutboxFrames: 16 } });
    const { client, session, clock, errors } = pair;
    for (const number of upTo(60)) session.set(`key-${number}`, number);
    await clock.advance(200);
    expect(client.store.size).toBe(60);
    const { server, sessions } = await restart(pair);
    await clock.advance(60_000);
    expect(client.connected).toBe(true);
    expect(sessions).toHaveLength(1);
    expect(Object.keys(at(sessions, 0).get())).toHaveLength(60);
    expect(client.store.size).toBe(60);
    await clock.advance(1_000);
    expect(client.send('event')).toBe(true);
    expect(errors).toEqual([]);
    server.destroy();
  });

  it('keeps to its word with compare-and-set under way: update() and create() end, on the new session', async () => {
    const pair = await fakePair();
    const { client, clock, network } = pair;
    client.set('count', 1);
    await clock.advance(200);
    network.stall('down');
    const updated = client.store.update('count', (count: number | undefined) => (count ?? 0) + 1);
    const created = client.store.create('new', 'made');
    await clock.advance(200);
    network.cut();
    network.heal();
    const { server, sessions } = await restart(pair);
    await clock.advance(1_000);
    await updated;
    await created;
    await clock.advance(1_000);
    const store = at(sessions, 0).get() as Record<string, unknown>;
    expect({ ...client.get() }).toEqual({ ...store });
    expect(store.new).toBe('made');
    expect(store.count).toBeGreaterThanOrEqual(2);
    server.destroy();
  });

  it('on real sockets: the client finds the new server by itself', async () => {
    const first = await startServer({});
    const client = startClient({ port: first.port, host: '127.0.0.1', reconnect: FAST });
    const seen = watchSessions(client);
    await client.sendWithAck('event', 1);
    client.set('key', 'value');
    await client.store.synced();
    first.server.destroy();
    await once(client, 'disconnect');
    client.send('event', 2);
    const heard: number[] = [];
    const second = await startServer(
      {},
      (session) =>
        session.on('event', (number: number) => {
          heard.push(number);
        }),
      [],
      first.port,
    );
    await eventually(() => heard.length === 1, 'the queued event');
    await client.store.synced();
    expect(heard).toEqual([2]);
    expect(at(second.sessions, 0).get('key')).toBe('value');
    expect(seen.begun.at(-1)).toEqual({ id: client.id, reason: 'NYOTA_SESSION_UNKNOWN' });
  });
});

describe('a client whose session is lost while it holds back messages of the old one', () => {
  it('dispatches them, and reads on: held frames of the old session do not count for ever', async () => {
    const pair = await fakePair({ client: { highWaterBytes: 4_096 } });
    const { client, session, clock, server, network, port } = pair;
    const heard = collect(client, 'event');
    // What came in the same chunk is held.
    client.once('event', () => client.pause());
    for (const number of [1, 2]) session.send('event', number);
    for (const number of upTo(20)) session.set(`key-${number}`, Buffer.alloc(1_024));
    await clock.advance(200);
    server.destroy();
    const sessions: Session[] = [];
    const next = createServer({ clock, createServer: network.createServer }, (session) => {
      sessions.push(session);
      session.send('event', 3);
    });
    next.listen(port, '127.0.0.1');
    // Long enough for a ping to find out that nobody is there any more.
    await clock.advance(60_000);
    expect([client.resumed, sessions.length, heard]).toEqual([false, 1, [1]]);
    client.resume();
    await clock.advance(1_000);
    expect(heard).toEqual([1, 2, 3]);
    at(sessions, 0).send('event', 4);
    await clock.advance(1_000);
    expect(heard).toEqual([1, 2, 3, 4]);
    next.destroy();
  });
});
