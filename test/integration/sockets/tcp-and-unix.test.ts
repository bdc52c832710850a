/** docs/api.md, "Client": plain sockets, unix sockets, failover, deadlines, and addresses where nobody answers. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  createClient,
  createServer,
  type NyotaError,
  type Server,
  type Session,
} from '../../../src/index.js';
import { causesOf, cut, deferred, once, portOf, useKit, within } from '../../support/api-kit.js';

const kit = useKit();

/** A port at which nobody listens: one that was free a moment ago. */
async function refusedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A server that accepts connections and never says anything. */
async function mutePort(): Promise<number> {
  const server = net.createServer((socket) => {
    kit.own(socket).on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  kit.cleanup(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

describe('over TCP', () => {
  it('events, requests and the store go both ways, through a cut', async () => {
    const { client, session } = await kit.pair();
    session.handle('add', (...args: unknown[]) => Number(args[0]) + Number(args[1]));
    expect(await client.request('add', 1, 2)).toBe(3);
    session.set('a', 1);
    await cut(session, client);
    expect(await client.request('add', 3, 4)).toBe(7);
    await session.sendWithAck('after');
    expect(client.get('a')).toBe(1);
  });

  it('two clients of one server have sessions of their own', async () => {
    const { client, session, port } = await kit.pair();
    const other = kit.client({ port });
    await once(other, 'connect');
    expect(other.id).not.toBe(client.id);
    client.set('mine', 1);
    await client.store.synced();
    await other.sendWithAck('settled');
    expect(other.get()).toEqual({});
    expect(session.get()).toEqual({ mine: 1 });
  });
});

describe('over a unix socket', () => {
  function path(): string {
    const folder = mkdtempSync(join(tmpdir(), 'nyota-unix-'));
    kit.cleanup(() => rmSync(folder, { recursive: true, force: true }));
    return join(folder, 'nyota.sock');
  }

  it('all works as over TCP, reconnects included, and the file is gone after close', async () => {
    const at = path();
    const began = deferred<Session>();
    const server = kit.own(kit.quiet(createServer((session) => began.resolve(session)))).listen(at);
    await once(server, 'listening');
    const client = kit.own(createClient(at));
    client.autoReconnect(1, 10);
    const session = await within(began.promise, 'the session');
    if (!client.connected) await once(client, 'connect');
    await client.sendWithAck('tick');
    await cut(session, client);
    await client.sendWithAck('tick');
    expect(session.stats().received).toBe(2);
    await client.close();
    await server.close();
    expect(existsSync(at)).toBe(false);
  });

  it('authenticate is told no remote address, and no warning is given', async () => {
    const at = path();
    const seen = deferred<unknown>();
    const server = kit.own(createServer({ authenticate: (_, info) => seen.resolve(info) })).listen(at);
    await once(server, 'listening');
    kit.own(kit.quiet(createClient(`unix:${at}`)));
    expect(await within(seen.promise, 'authenticate')).toEqual({ remoteAddress: undefined, tls: undefined });
  });

  it('a path where nobody listens is tried again, until somebody does', async () => {
    const at = path();
    const client = kit.own(createClient({ path: at, reconnect: { minDelayMs: 1, maxDelayMs: 10 } }));
    await once(client, 'reconnecting');
    const server = kit.own(createServer()).listen(at);
    const back = once(client, 'connect');
    await once(server, 'listening');
    await back;
  });
});

describe('where nobody answers', () => {
  it('with reconnect: false the one attempt fails with NYOTA_CONNECT_FAILED, saying where and why', async () => {
    const port = await refusedPort();
    const client = kit.client({ port, reconnect: false });
    const [error] = await once<[NyotaError]>(client, 'error');
    expect(error).toMatchObject({ name: 'NyotaError', code: 'NYOTA_CONNECT_FAILED', retry: 'backoff' });
    expect(error.message).toContain(String(port));
    expect(causesOf(error)).toContain('ECONNREFUSED');
    expect(client.state).toBe('idle');
  });

  it('a client keeps trying, without an error event, and connects once a server is there', async () => {
    const port = await refusedPort();
    const client = kit.client({ port });
    client.send('queued');
    for (let i = 0; i < 3; i++) await once(client, 'reconnecting');
    const heard = deferred();
    const server = kit.own(createServer((session) => session.on('queued', () => heard.resolve())));
    server.listen(port, '127.0.0.1');
    await within(heard.promise, 'the queued event');
    expect(kit.errors).toEqual([]);
  });

  it('a host that does not exist is a failed attempt like any other', async () => {
    const client = kit.client({
      port: 1,
      host: 'no-such-host.invalid',
      reconnect: false,
      lookup: (name, _, callback) =>
        callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }), ''),
    });
    const [error] = await once<[NyotaError]>(client, 'error');
    expect(error.code).toBe('NYOTA_CONNECT_FAILED');
    expect(error.message).toContain('no-such-host.invalid');
    expect(causesOf(error)).toContain('ENOTFOUND');
  });

  it('a connection that is not made within connectTimeoutMs fails with NYOTA_CONNECT_TIMEOUT', async () => {
    const made: net.Socket[] = [];
    const client = kit.client({
      port: 1,
      reconnect: false,
      connectTimeoutMs: 30,
      // A socket that is for ever connecting: the lookup never answers.
      lookup: () => {},
      host: 'slow.invalid',
      createConnection: (options) => {
        const socket = net.connect(options as net.TcpNetConnectOpts);
        made.push(socket);
        return socket;
      },
    });
    const [error] = await once<[NyotaError]>(client, 'error');
    expect(error).toMatchObject({ code: 'NYOTA_CONNECT_TIMEOUT', retry: 'backoff' });
    expect(error.message).toContain('30 ms');
    expect(made.map((socket) => socket.destroyed)).toEqual([true]);
  });

  it('a server that accepts and says nothing fails the handshake', async () => {
    const client = kit.client({ port: await mutePort(), reconnect: false, handshakeTimeoutMs: 30 });
    expect((await once<[NyotaError]>(client, 'error'))[0].code).toBe('NYOTA_HANDSHAKE_TIMEOUT');
  });

  it('a server that speaks another protocol is told apart', async () => {
    const other = net.createServer((socket) => {
      kit.own(socket).on('error', () => {});
      socket.write('220 smtp.example ESMTP\r\n');
    });
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    kit.cleanup(() => other.close());
    const client = kit.client({ port: (other.address() as net.AddressInfo).port, reconnect: false });
    expect((await once<[NyotaError]>(client, 'error'))[0].code).toBe('NYOTA_BAD_PREAMBLE');
  });
});

describe('several servers', () => {
  async function serverNamed(name: string): Promise<Server> {
    return kit.listening({}, (session) => {
      session.handle('name', () => name);
    });
  }

  it('are tried in turn: the first that answers is used', async () => {
    const second = await serverNamed('second');
    const servers = [await refusedPort(), await mutePort(), portOf(second)];
    const client = kit.client({ servers, handshakeTimeoutMs: 30 });
    expect(await within(client.request('name'), 'the reply')).toBe('second');
  });

  it('take over when the one in use is gone, and what is queued goes along', async () => {
    const heard: unknown[] = [];
    const first = await serverNamed('first');
    const second = await kit.listening({}, (session) => {
      session.handle('name', () => 'second');
      session.on('queued', (n) => heard.push(n));
    });
    const client = kit.client({
      servers: [`127.0.0.1:${portOf(first)}`, { host: '127.0.0.1', port: portOf(second) }],
    });
    expect(await client.request('name')).toBe('first');
    const gone = once(client, 'disconnect');
    first.destroy();
    await gone;
    client.send('queued', 1);
    expect(await within(client.request('name'), 'the reply')).toBe('second');
    expect(heard).toEqual([1]);
  });

  it('take over when the one in use closes gracefully: the next in the list, not the one after it', async () => {
    const servers = [
      await serverNamed('first'),
      await serverNamed('second'),
      await serverNamed('third'),
    ] as const;
    const client = kit.client({ servers: servers.map(portOf) });
    expect(await client.request('name')).toBe('first');
    const back = once(client, 'connect');
    const closing = servers[0].close();
    await back;
    expect(await client.request('name')).toBe('second');
    await closing;
  });

  it('are left where one is full', async () => {
    const first = await kit.listening({ maxSessions: 1 }, (session) => session.handle('name', () => 'first'));
    const second = await serverNamed('second');
    const servers = [portOf(first), portOf(second)];
    const one = kit.client({ servers });
    expect(await one.request('name')).toBe('first');
    const two = kit.client({ servers });
    expect(await within(two.request('name'), 'the reply')).toBe('second');
  });
});
