/** Servers and dials of a memory network, held against what node:net does. */

import { once } from 'node:events';
import type * as net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMemoryNetwork, type MemoryServer } from '../../../src/testing/index.js';
import { record, turns } from './helpers.js';

describe('network.createServer', () => {
  it('fits where net.createServer and net.createConnection do', () => {
    const network = createMemoryNetwork();
    const createServer: (options: net.ServerOpts, listener: (socket: net.Socket) => void) => net.Server =
      network.createServer;
    const createConnection: (options: net.NetConnectOpts, listener?: () => void) => net.Socket =
      network.createConnection;
    expect([typeof createServer, typeof createConnection]).toEqual(['function', 'function']);
  });

  const forms: [string, (server: MemoryServer, done: () => void) => void, unknown][] = [
    ['port, callback', (server, done) => server.listen(5555, done), 5555],
    ['port, host, callback', (server, done) => server.listen(5555, 'localhost', done), 5555],
    ['port, host, backlog, callback', (server, done) => server.listen(5555, 'localhost', 10, done), 5555],
    ['port, backlog, callback', (server, done) => server.listen(5555, 10, done), 5555],
    ['options', (server, done) => server.listen({ port: 5555, host: '::1', exclusive: true }, done), 5555],
    ['path', (server, done) => server.listen('/run/x.sock', done), '/run/x.sock'],
    ['path, backlog', (server, done) => server.listen('/run/x.sock', 10, done), '/run/x.sock'],
    ['options with a path', (server, done) => server.listen({ path: '/run/x.sock' }, done), '/run/x.sock'],
  ];
  it.each(forms)('listens with %s', async (_form, listen, expected) => {
    const server = createMemoryNetwork().createServer();
    await new Promise<void>((resolve) => listen(server, resolve));
    const address = server.address();
    expect(typeof address === 'string' ? address : address?.port).toBe(expected);
    expect(server.listening).toBe(true);
  });

  it('takes a free port for 0, for nothing, and for a callback alone', async () => {
    const network = createMemoryNetwork();
    const servers = [
      network.createServer().listen(0),
      network.createServer().listen(),
      network.createServer().listen({ port: 0 }),
      await new Promise<MemoryServer>((resolve) => {
        const server = network.createServer();
        server.listen(() => resolve(server));
      }),
    ];
    const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
    expect(new Set(ports).size).toBe(4);
    for (const port of ports) expect(port).toBeGreaterThan(1023);
  });

  it('calls back with the server as this, on a later tick', async () => {
    const server = createMemoryNetwork().createServer();
    const seen = await new Promise((resolve) => {
      server.listen(1, function (this: unknown) {
        resolve(this);
      } as () => void);
    });
    expect(seen).toBe(server);
  });

  it('emits EADDRINUSE for a port that is taken, and can listen elsewhere then', async () => {
    const network = createMemoryNetwork();
    network.createServer().listen(5555);
    const second = network.createServer();
    second.listen(5555);
    const [error] = await once(second, 'error');
    expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen', port: 5555 });
    second.listen(5556);
    await once(second, 'listening');
  });

  it('throws what net.Server throws for a bad port, bad options and a second listen', () => {
    const server = createMemoryNetwork().createServer();
    for (const port of [-1, 65_536, 1.5]) {
      expect(() => server.listen(port)).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    }
    expect(() => server.listen({})).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
    server.listen(1);
    expect(() => server.listen(2)).toThrow(expect.objectContaining({ code: 'ERR_SERVER_ALREADY_LISTEN' }));
  });

  it('closes once the last connection is gone, and frees the port at once', async () => {
    const network = createMemoryNetwork();
    const server = network.createServer((socket) => socket.resume()).listen(5555);
    const client = network.createConnection({ port: 5555 });
    await once(client, 'connect');
    await turns();
    let closed = false;
    server.close((error) => {
      closed = error === undefined;
    });
    expect([server.listening, server.address()]).toEqual([false, null]);
    network.createServer().listen(5555);
    await turns();
    expect([closed, server.connections]).toEqual([false, 1]);
    client.destroy();
    await turns();
    expect([closed, server.connections]).toEqual([true, 0]);
    server.listen(5557);
    await once(server, 'listening');
  });

  it('says so when it is closed without running', async () => {
    const server = createMemoryNetwork().createServer();
    const error = await new Promise((resolve) => server.close(resolve));
    expect(error).toMatchObject({ code: 'ERR_SERVER_NOT_RUNNING' });
    await server[Symbol.asyncDispose]();
  });

  it('stops with the abort signal that listen was given', async () => {
    const server = createMemoryNetwork().createServer();
    const abort = new AbortController();
    server.listen({ port: 1, signal: abort.signal });
    await once(server, 'listening');
    abort.abort();
    await once(server, 'close');
  });

  it('counts its connections', async () => {
    const network = createMemoryNetwork();
    const server = network.createServer().listen(1);
    network.createConnection({ port: 1 });
    await turns();
    expect(await new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))).toBe(1);
    expect([server.ref(), server.unref()]).toEqual([server, server]);
  });
});

describe('network.createConnection', () => {
  it('connects soon, and both ends know each other', async () => {
    const network = createMemoryNetwork();
    const server = network.createServer().listen(5555);
    const client = network.createConnection({ port: 5555 });
    expect([client.connecting, client.readyState]).toEqual([true, 'opening']);
    const accepted = once(server, 'connection');
    await once(client, 'connect');
    const [end] = await accepted;
    expect([client.connecting, client.readyState]).toEqual([false, 'open']);
    expect([client.remoteAddress, client.remotePort]).toEqual(['127.0.0.1', 5555]);
    expect([end.remotePort, end.localPort]).toEqual([client.localPort, 5555]);
    expect(client.address()).toMatchObject({ port: client.localPort });
    expect([...network.connections]).toEqual([client.connection]);
  });

  it('calls onConnect, takes a port as text, and a path', async () => {
    const network = createMemoryNetwork();
    network.createServer().listen(5555);
    network.createServer().listen('/run/x.sock');
    await new Promise<void>((resolve) => network.createConnection({ port: '5555' }, resolve));
    const client = network.createConnection({ path: '/run/x.sock' });
    await once(client, 'ready');
    expect([client.remoteAddress, client.connection?.target]).toEqual([undefined, '/run/x.sock']);
  });

  it('is refused where nobody listens, and after a close', async () => {
    const network = createMemoryNetwork();
    const server = network.createServer().listen(5555);
    server.close();
    const client = record(network.createConnection({ port: 5555 }));
    await turns();
    expect(client.events).toEqual(['error: ECONNREFUSED', 'close true']);
    const byPath = network.createConnection({ path: '/none' });
    const [error] = await once(byPath, 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', address: '/none' });
    expect(network.connections.size).toBe(0);
  });

  it('tells of a refusal no sooner than code that awaits can listen', async () => {
    const dialled = (async () => createMemoryNetwork().createConnection({ port: 1 }))();
    const client = await dialled.then(async (socket) => socket);
    await expect(once(client, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('does not hand a connection to the server that was cut before', async () => {
    const network = createMemoryNetwork();
    let accepted = 0;
    const server = network.createServer(() => {
      accepted += 1;
    });
    server.listen(1);
    const client = network.createConnection({ port: 1 }, () => network.cut());
    const seen = record(client);
    await turns();
    expect([seen.events, accepted]).toEqual([['connect', 'error: ECONNRESET', 'close true'], 0]);
    expect([network.connections.size, server.connections]).toEqual([0, 0]);
  });

  it('keeps two networks apart', async () => {
    createMemoryNetwork().createServer().listen(5555);
    const client = record(createMemoryNetwork().createConnection({ port: 5555 }));
    await turns();
    expect(client.events[0]).toBe('error: ECONNREFUSED');
  });

  it('sends what was written and ended before it was connected', async () => {
    const network = createMemoryNetwork();
    const server = network.createServer().listen(1);
    const client = network.createConnection({ port: 1 });
    client.end('early');
    const [end] = await once(server, 'connection');
    const seen = record(end);
    await turns();
    expect([seen.text, seen.events]).toEqual(['early', ['end', 'close false']]);
  });

  it('can be given up while it connects, and by a signal', async () => {
    const network = createMemoryNetwork();
    let accepted = 0;
    network
      .createServer(() => {
        accepted += 1;
      })
      .listen(1);
    const first = record(network.createConnection({ port: 1 }).destroy());
    const abort = new AbortController();
    const second = record(network.createConnection({ port: 1, signal: abort.signal }));
    abort.abort();
    await turns();
    expect([first.events, second.events]).toEqual([['close false'], ['error: ABORT_ERR', 'close true']]);
    expect(accepted).toBe(0);
  });

  it('resets a client that dialled a server which closed in the same tick', async () => {
    const network = createMemoryNetwork();
    const server = network.createServer().listen(1);
    const client = network.createConnection({ port: 1 });
    const seen = record(client);
    client.once('connect', () => server.close());
    await turns();
    expect(seen.events).toEqual(['connect', 'error: ECONNRESET', 'close true']);
    expect(network.connections.size).toBe(0);
  });

  it('forgets a connection when both ends are closed', async () => {
    const network = createMemoryNetwork();
    network.createServer((socket) => socket.resume()).listen(1);
    const client = network.createConnection({ port: 1 });
    client.resume();
    await turns();
    expect(network.connections.size).toBe(1);
    client.end();
    await turns();
    expect(network.connections.size).toBe(0);
  });

  it('leaves half-open ends to those who ask for them', async () => {
    const network = createMemoryNetwork();
    const server = network.createServer({ allowHalfOpen: true }).listen(1);
    const client = network.createConnection({ port: 1, allowHalfOpen: true });
    const seen = record(client);
    const [end] = await once(server, 'connection');
    client.end('question');
    end.resume();
    await once(end, 'end');
    expect([end.readyState, client.readyState]).toEqual(['writeOnly', 'readOnly']);
    end.end('answer');
    await turns();
    expect([seen.text, seen.events]).toEqual(['answer', ['connect', 'end', 'close false']]);
  });

  it('resets a half-open end that writes to one that is gone', async () => {
    const network = createMemoryNetwork();
    const server = network.createServer().listen(1);
    const client = network.createConnection({ port: 1, allowHalfOpen: true });
    const seen = record(client);
    const [end] = await once(server, 'connection');
    end.destroy();
    await turns();
    expect(seen.events).toEqual(['connect', 'end']);
    client.write('anybody there?');
    await turns();
    expect(seen.events).toEqual(['connect', 'end', 'error: ECONNRESET', 'close true']);
  });

  it('works in a pipeline', async () => {
    const network = createMemoryNetwork({ highWaterMark: 64 });
    network.createServer((socket) => void pipeline(socket, socket)).listen(1);
    const client = network.createConnection({ port: 1 });
    const seen = record(client);
    await pipeline(async function* () {
      for (let line = 0; line < 100; line += 1) yield Buffer.from(`line ${line}\n`);
    }, client);
    await turns();
    expect(seen.text.split('\n')).toHaveLength(101);
  });

  it('refuses a port that is none', () => {
    const network = createMemoryNetwork();
    for (const port of [-1, 65_536, 'x']) {
      expect(() => network.createConnection({ port })).toThrow(/port takes/);
    }
  });
});

describe('with the timers of the test faked', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('still delivers, however much', async () => {
    const network = createMemoryNetwork();
    network.createServer((socket) => socket.pipe(socket)).listen(1);
    network.slice(1);
    const client = network.createConnection({ port: 1 });
    const seen = record(client);
    client.end('x'.repeat(2_000));
    await once(client, 'close');
    expect(seen.text.length).toBe(2_000);
  });
});
