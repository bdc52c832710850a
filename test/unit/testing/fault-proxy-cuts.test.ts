/** Cuts of the fault proxy: at once, and exactly behind a byte. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createFaultProxy, type FaultProxyConnection } from '../../../src/testing/index.js';
import { record, startServer, until } from './helpers.js';

describe('cut', () => {
  it('resets both sides of every connection, and says how many', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const seen = [record(connect(proxy.port)), record(connect(proxy.port))];
    await until(() => server.ends.length === 2);
    const cuts: FaultProxyConnection[] = [];
    proxy.on('cut', (connection) => cuts.push(connection));
    expect(proxy.cut()).toBe(2);
    expect([proxy.connections, proxy.totals.cuts, cuts.map(({ id }) => id)]).toEqual([0, 2, [1, 2]]);
    const all = [...seen, ...server.ends.map((end) => end.seen)];
    await until(() => all.every(({ events }) => events.includes('close true')));
    for (const { events } of all) expect(events).toContain('error: ECONNRESET');
    expect(proxy.cut()).toBe(0);
  });

  it('takes new connections afterwards', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    record(connect(proxy.port));
    await until(() => server.ends.length === 1);
    proxy.cut();
    const client = connect(proxy.port);
    record(client);
    client.write('again');
    await until(() => server.ends[1]?.seen.text === 'again');
  });

  it('lets go of a socket that is being shut down, because an end has just been passed on', async () => {
    await using server = await startServer();
    const proxy = await createFaultProxy({ target: { port: server.port } });
    const client = connect(proxy.port);
    record(client);
    await until(() => server.ends.length === 1);
    // What is written as the end leaves is heard right behind it, in the same turn as the proxy hears the end.
    const bell = connect(server.port);
    await until(() => server.ends.length === 2);
    let cut = 0;
    server.ends[1]?.socket.once('data', () => {
      cut = proxy.cut();
    });
    client.once('finish', () => bell.write('now'));
    client.end();
    await until(() => cut === 1);
    await proxy.close();
    bell.destroy();
  });
});

describe('cutAfter', () => {
  it.each([1, 2, 7, 10])('lets exactly %i bytes up arrive, then cuts', async (bytes) => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.cutAfter({ bytes, direction: 'up' });
    const client = connect(proxy.port);
    const atClient = record(client);
    client.write('0123456789');
    await until(() => atClient.events.some((event) => event.startsWith('close')));
    await until(() => server.ends[0]?.seen.events.includes('end') === true);
    expect(server.ends[0]?.seen.text).toBe('0123456789'.slice(0, bytes));
    expect(atClient.events).toContain('error: ECONNRESET');
    expect(proxy.totals).toMatchObject({ bytesUp: bytes, cuts: 1 });
  });

  it('lets exactly so many bytes down arrive, counted from the call on', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const client = connect(proxy.port);
    const atClient = record(client);
    await until(() => server.ends.length === 1);
    server.ends[0]?.socket.write('before ');
    await until(() => atClient.text === 'before ');
    proxy.cutAfter({ bytes: 3, direction: 'down' });
    server.ends[0]?.socket.write('0123456789');
    const [cut] = await once(proxy, 'cut');
    expect(cut).toEqual({ id: 1, bytesUp: 0, bytesDown: 10 });
    await until(() => atClient.events.includes('close false'));
    expect(atClient.text).toBe('before 012');
    await until(() => server.ends[0]?.seen.events.includes('close true') === true);
  });

  it('counts both directions together', async () => {
    await using server = await startServer((socket) => socket.on('data', (bytes) => socket.write(bytes)));
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.cutAfter({ bytes: 6 });
    const client = connect(proxy.port);
    const atClient = record(client);
    client.write('0123');
    await until(() => atClient.events.some((event) => event.startsWith('close')));
    expect([server.ends[0]?.seen.text, atClient.text]).toEqual(['0123', '01']);
  });

  it('delivers every byte although the other side sends at the same time', async () => {
    await using server = await startServer((socket) => socket.write(Buffer.alloc(300_000)));
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.cutAfter({ bytes: 100_000, direction: 'up' });
    const client = connect(proxy.port);
    record(client);
    client.write(Buffer.alloc(200_000));
    await once(proxy, 'cut');
    await until(() => server.ends[0]?.socket.closed === true);
    expect(server.ends[0]?.seen.text.length).toBe(100_000);
  });

  it('cuts across slices and a delay at the same byte', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.slice(3);
    proxy.delay(1);
    proxy.cutAfter({ bytes: 7, direction: 'up' });
    const client = connect(proxy.port);
    record(client);
    client.write('0123456789');
    await until(() => server.ends[0]?.socket.closed === true);
    expect(server.ends[0]?.seen.text).toBe('0123456');
  });

  it('cuts once: the next connection lives', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.cutAfter({ bytes: 1, direction: 'up' });
    for (const text of ['first', 'second']) {
      const client = connect(proxy.port);
      record(client);
      client.write(text);
      if (text === 'first') await until(() => client.closed);
    }
    await until(() => server.ends[1]?.seen.text === 'second');
    expect([server.ends[0]?.seen.text, proxy.totals.cuts]).toEqual(['f', 1]);
  });

  it('hands the count on when the connection ends before', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.cutAfter({ bytes: 4, direction: 'up' });
    const first = connect(proxy.port);
    record(first);
    first.end('abc');
    await until(() => proxy.totals.connections === 1 && proxy.connections === 0);
    const second = connect(proxy.port);
    record(second);
    second.write('defghi');
    await until(() => server.ends[1]?.socket.closed === true);
    expect(server.ends[1]?.seen.text).toBe('defg');
  });

  it('cuts at once for no bytes, the open connection or the next', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const open = record(connect(proxy.port));
    await until(() => server.ends.length === 1);
    proxy.cutAfter({ bytes: 0 });
    await until(() => open.events.includes('close true'));
    proxy.cutAfter({ bytes: 0, direction: 'down' });
    const next = connect(proxy.port);
    record(next);
    await until(() => next.closed);
    expect(proxy.totals.cuts).toBe(2);
  });

  it('is taken back by heal', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const client = connect(proxy.port);
    record(client);
    await until(() => proxy.connections === 1);
    proxy.cutAfter({ bytes: 2, direction: 'up' });
    proxy.heal();
    client.write('all of it');
    await until(() => server.ends[0]?.seen.text === 'all of it');
  });

  it('can be planned anew for each connection from its event', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.on('connection', ({ id }) => proxy.cutAfter({ bytes: id, direction: 'up' }));
    for (const expected of ['a', 'ab', 'abc']) {
      const client = connect(proxy.port);
      record(client);
      client.write('abcdef');
      await until(() => client.closed && server.ends.at(-1)?.socket.closed === true);
      expect(server.ends.at(-1)?.seen.text).toBe(expected);
    }
  });
});
