/** docs/api.md, "Server": the forms of `createServer` and `listen`, and the ways to end a server. */
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createClient, createServer, Server, type Session } from '../../../src/index.js';
import {
  cut,
  deferred,
  nyotaErrorOf,
  once,
  portOf,
  rejectionOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'nyota-api-'));
  kit.cleanup(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe('createServer', () => {
  it('makes a server that does not listen yet', () => {
    const server = kit.own(createServer());
    expect(server).toBeInstanceOf(Server);
    expect(server.address()).toBeNull();
    expect(server.listening).toBe(false);
    expect(server.sessions.size).toBe(0);
  });

  it('takes a function alone, and calls it with the session', async () => {
    const began = deferred<[Session, boolean]>();
    const server = kit.own(createServer((session, resumed) => began.resolve([session, resumed])));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = kit.client({ port: portOf(server) });
    const [session, resumed] = await within(began.promise, 'onSession');
    await once(client, 'connect');
    expect(session.id).toBe(client.id);
    expect(resumed).toBe(false);
  });

  it('takes options and a function', async () => {
    const began = deferred<unknown>();
    const server = kit.own(
      createServer({ authenticate: () => 'somebody' }, (session) => began.resolve(session.identity)),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    kit.client({ port: portOf(server) });
    expect(await within(began.promise, 'onSession')).toBe('somebody');
  });

  it.each<[string, number | string]>([
    ['a number', 0],
    ['a string', '0'],
  ])('with a port as %s and a function it listens at once', async (_, port) => {
    const began = deferred<Session>();
    const server = kit.own(createServer(port, (session) => began.resolve(session)));
    await once(server, 'listening');
    const client = kit.client({ port: portOf(server) });
    expect((await within(began.promise, 'onSession')).id).toBe(client.id);
  });

  it('calls onSession once a session, also when the client comes back', async () => {
    let calls = 0;
    const { client, session, server } = await kit.pair({ onSession: () => calls++ });
    await cut(session, client);
    await cut(session, client);
    expect(calls).toBe(1);
    expect(server.sessions.get(client.id)).toBe(session);
  });

  it('calls onSession before any event of the session, those that were queued before connecting too', async () => {
    const order: string[] = [];
    const server = await kit.listening({}, (session) => {
      order.push('onSession');
      session.on('connect', () => order.push('connect'));
      session.on('early', () => order.push('early'));
    });
    const client = kit.client({ port: portOf(server) });
    await client.sendWithAck('early');
    expect(order).toEqual(['onSession', 'connect', 'early']);
  });

  it('keeps the session and the others going where onSession throws, and reports it', async () => {
    const server = await kit.listening({}, () => {
      throw new Error('no use');
    });
    const reported = once<[Error & { cause: Error }]>(server, 'error');
    const client = kit.client({ port: portOf(server) });
    await once(client, 'connect');
    expect((await reported)[0].cause.message).toBe('no use');
    await client.sendWithAck('anything');
  });
});

describe('server.listen takes every form of net.Server#listen', () => {
  async function reaches(server: Server, target: number | string): Promise<void> {
    const client = kit.own(createClient(target));
    await once(client, 'connect');
    expect(server.sessions.has(client.id)).toBe(true);
  }

  it('(port, host)', async () => {
    const server = kit.own(createServer()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    expect(server.address()).toMatchObject({ address: '127.0.0.1', family: 'IPv4' });
    await reaches(server, portOf(server));
  });

  it.each<[string, (callback: (this: Server) => void) => unknown[]]>([
    ['(callback)', (callback) => [callback]],
    ['(port, callback)', (callback) => [0, callback]],
    ['(port as a string, callback)', (callback) => ['0', callback]],
    ['(port, host, callback)', (callback) => [0, '127.0.0.1', callback]],
    ['(port, host, backlog, callback)', (callback) => [0, '127.0.0.1', 5, callback]],
    ['(port, backlog, callback)', (callback) => [0, 5, callback]],
    ['({ port }, callback)', (callback) => [{ port: 0 }, callback]],
    [
      '({ port, host, backlog }, callback)',
      (callback) => [{ port: 0, host: '127.0.0.1', backlog: 5 }, callback],
    ],
  ])('%s, and calls back with the server as this', async (_, args) => {
    const server = kit.own(createServer({ authenticate: () => true }));
    const called = deferred<[unknown, unknown]>();
    const returned = server.listen(
      ...args(function () {
        called.resolve([this, this.address()]);
      }),
    );
    expect(returned).toBe(server);
    const [self, address] = await within(called.promise, 'the callback of listen');
    expect(self).toBe(server);
    expect(address).toEqual(server.address());
    await reaches(server, portOf(server));
  });

  it.each<[string, (path: string) => unknown[]]>([
    ['(path)', (path) => [path]],
    ['(path, backlog)', (path) => [path, 5]],
    ['({ path })', (path) => [{ path }]],
  ])('%s for a unix socket', async (_, args) => {
    const path = join(scratch(), 'api.sock');
    const server = kit.own(createServer()).listen(...args(path));
    await once(server, 'listening');
    expect(server.address()).toBe(path);
    await reaches(server, path);
  });

  it('(handle) of a server that listens already', async () => {
    const other = net.createServer();
    kit.cleanup(() => other.close());
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as net.AddressInfo;
    const server = kit.own(createServer()).listen(other);
    await once(server, 'listening');
    await reaches(server, port);
  });

  it('({ port, signal }), and closes when the signal is aborted', async () => {
    const controller = new AbortController();
    const server = kit.own(createServer()).listen({ port: 0, host: '127.0.0.1', signal: controller.signal });
    await once(server, 'listening');
    const closed = once(server, 'close');
    controller.abort();
    await closed;
    expect(server.listening).toBe(false);
  });

  it.each<[string, unknown[]]>([
    ['a port out of range', [70_000]],
    ['something that is no place', [{ nothing: 1 }]],
    ['a boolean', [true]],
  ])('and throws NYOTA_INVALID_OPTION for %s', (_, args) => {
    const server = kit.own(createServer());
    const error = nyotaErrorOf(() => server.listen(...args));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(/listen|port/);
  });

  it('tells a port that is taken as an error event, and can listen elsewhere then', async () => {
    const first = await kit.listening();
    const server = kit.own(createServer());
    const failed = once<[Error]>(server, 'error');
    server.listen(portOf(first), '127.0.0.1');
    const [error] = await failed;
    expect(`${(error as { code?: unknown }).code} ${error.message} ${error.cause}`).toContain('EADDRINUSE');
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await reaches(server, portOf(server));
  });
});

describe('server.close', () => {
  it('calls back, resolves, and emits close; the address is gone', async () => {
    const server = await kit.listening();
    const closed = once(server, 'close');
    const calledBack = deferred<unknown[]>();
    await within(
      server.close((...args) => calledBack.resolve(args)),
      'close',
    );
    expect(await within(calledBack.promise, 'the callback')).toEqual([]);
    await closed;
    expect(server.address()).toBeNull();
    expect(server.listening).toBe(false);
  });

  it('may be called twice, and before listening', async () => {
    const never = createServer();
    await within(never.close(), 'close of a server that never listened');
    const server = await kit.listening();
    await within(Promise.all([server.close(), server.close()]), 'close twice');
    await within(server.close(), 'close again');
  });

  it('lets a running handler finish, and its reply arrive', async () => {
    const started = deferred();
    const finish = deferred();
    const { server, client, session } = await kit.pair();
    session.handle('slow', async () => {
      started.resolve();
      await finish.promise;
      return 'done';
    });
    const reply = client.request('slow');
    await within(started.promise, 'the handler');
    const closing = server.close();
    finish.resolve();
    expect(await within(reply, 'the reply')).toBe('done');
    await within(closing, 'close');
  });

  it('waits no longer than drainTimeoutMs for a handler that hangs', async () => {
    const started = deferred();
    const { server, client, session } = await kit.pair({ server: { drainTimeoutMs: 50 } });
    session.handle('hang', () => {
      started.resolve();
      return new Promise(() => {});
    });
    client.request('hang').catch(() => {});
    await within(started.promise, 'the handler');
    await within(server.close(), 'close', 3_000);
  });

  it('tells the clients, who keep trying elsewhere or later', async () => {
    const { server, client } = await kit.pair();
    const gone = once<[{ code: string; retry: string }]>(client, 'disconnect');
    const closing = server.close();
    const [reason] = await gone;
    expect(reason).toMatchObject({ code: 'NYOTA_SERVER_CLOSING', retry: 'elsewhere' });
    await closing;
  });

  it('makes send and listen throw NYOTA_CLOSED afterwards', async () => {
    const server = await kit.listening();
    await server.close();
    expect(nyotaErrorOf(() => server.send('late')).code).toBe('NYOTA_CLOSED');
    expect(nyotaErrorOf(() => server.listen(0)).code).toBe('NYOTA_CLOSED');
  });
});

describe('server.destroy', () => {
  it('cuts every connection at once and ends every session', async () => {
    const { server, client, session } = await kit.pair();
    const gone = once(client, 'disconnect');
    const over = once(session, 'close');
    server.destroy();
    expect(server.sessions.size).toBe(0);
    await Promise.all([gone, over]);
    expect(session.state).toBe('dead');
    server.destroy();
    await within(server.close(), 'close after destroy');
  });

  it('fails what a session still waits for', async () => {
    const { server, client, session } = await kit.pair();
    client.handle('hang', () => new Promise(() => {}));
    const waiting = rejectionOf(session.request('hang'));
    server.destroy();
    expect((await waiting).code).toMatch(/^NYOTA_(CLOSED|SESSION_LOST)$/);
  });
});
