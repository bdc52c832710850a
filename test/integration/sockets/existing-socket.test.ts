/** docs/api.md, "Client": a socket that the user brings, and a `createConnection` that makes them. */
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Client,
  type CreateConnection,
  createClient,
  createServer,
  type NyotaError,
} from '../../../src/index.js';
import { type Certificates, makeCertificates } from '../../support/api-certificates.js';
import { causesOf, cut, deferred, once, portOf, rejectionOf, useKit, within } from '../../support/api-kit.js';

const kit = useKit();
let certificates: Certificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});

const adopt = (client: Client): Client => kit.own(kit.quiet(client));

describe('an existing socket without createConnection', () => {
  it('is used as it is, and the client is over for good when it closes', async () => {
    const server = await kit.listening();
    const socket = net.connect(portOf(server), '127.0.0.1');
    const client = adopt(createClient(socket));
    const attempts: unknown[] = [];
    client.on('reconnecting', (info) => attempts.push(info));
    await client.sendWithAck('tick');
    const order: string[] = [];
    client.on('disconnect', () => order.push('disconnect'));
    client.on('close', () => order.push('close'));
    const closed = once(client, 'close');
    socket.destroy();
    await closed;
    expect(order).toEqual(['disconnect', 'close']);
    expect(client.state).toBe('closed');
    expect(attempts).toEqual([]);
    expect(() => client.send('late')).toThrow(expect.objectContaining({ code: 'NYOTA_CLOSED' }));
  });

  it('that closes on the server side settles what waits', async () => {
    const server = await kit.listening({}, (session) => {
      session.handle('cut', () => {
        session.socket?.destroy();
        return new Promise(() => {});
      });
    });
    const client = adopt(createClient(net.connect(portOf(server), '127.0.0.1')));
    expect((await rejectionOf(client.request('cut'))).code).toMatch(/^NYOTA_(CLOSED|SESSION_LOST)$/);
  });

  it('that can not connect: an error that says why, then close', async () => {
    const free = net.createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as net.AddressInfo;
    await new Promise((resolve) => free.close(resolve));
    const client = kit.own(createClient(net.connect(port, '127.0.0.1')));
    const attempts: unknown[] = [];
    client.on('reconnecting', (info) => attempts.push(info));
    const [[error]] = await Promise.all([once<[NyotaError]>(client, 'error'), once(client, 'close')]);
    expect(error.code).toBe('NYOTA_CONNECT_FAILED');
    expect(causesOf(error)).toContain('ECONNREFUSED');
    expect(client.state).toBe('closed');
    expect(attempts).toEqual([]);
  });

  it('that is destroyed already: an error, then close', async () => {
    const socket = new net.Socket();
    socket.destroy();
    await once(socket, 'close');
    const client = kit.own(createClient(socket));
    const [[error]] = await Promise.all([once<[NyotaError]>(client, 'error'), once(client, 'close')]);
    expect(error.code).toBe('NYOTA_CONNECT_FAILED');
  });

  it('that is still connecting is given up after connectTimeoutMs', async () => {
    const socket = net.connect({ port: 1, host: 'slow.invalid', lookup: () => {} });
    const client = kit.own(createClient({ socket, connectTimeoutMs: 30 }));
    const [[error]] = await Promise.all([once<[NyotaError]>(client, 'error'), once(client, 'close')]);
    expect(error.code).toBe('NYOTA_CONNECT_TIMEOUT');
    expect(socket.destroyed).toBe(true);
  });

  it.each(['destroy', 'close'] as const)(
    'that is still connecting is destroyed by the %s of its client',
    async (end) => {
      const socket = net.connect({ port: 1, host: 'slow.invalid', lookup: () => {} });
      kit.cleanup(() => socket.destroy());
      const client = adopt(createClient({ socket, drainTimeoutMs: 10 }));
      const closed = once(socket, 'close');
      await client[end]();
      await closed;
      expect(client.state).toBe('closed');
    },
  );

  it('may be a tls socket: its end is the end of the client as well', async () => {
    const server = await kit.listening({ tls: certificates.server });
    const socket = tls.connect({ port: portOf(server), host: 'localhost', ca: certificates.ca });
    const client = adopt(createClient(socket));
    await client.sendWithAck('tick');
    const closed = once(client, 'close');
    socket.destroy();
    await closed;
  });

  it('that is a tls socket whose certificate is refused: an error that says so', async () => {
    const server = await kit.listening({ tls: certificates.server });
    const client = kit.own(createClient(tls.connect({ port: portOf(server), host: 'localhost' })));
    const [error] = await once<[NyotaError]>(client, 'error');
    expect(causesOf(error)).toMatch(/self.signed|unable to (verify|get)/i);
  });
});

describe('an existing socket with createConnection', () => {
  it('is used first; then the client reconnects by the function, with the session', async () => {
    const server = await kit.listening();
    const port = portOf(server);
    const socket = net.connect(port, '127.0.0.1');
    let made = 0;
    const client = adopt(
      createClient({
        socket,
        reconnect: { minDelayMs: 1, maxDelayMs: 5 },
        createConnection: () => {
          made++;
          return net.connect(port, '127.0.0.1');
        },
      }),
    );
    await client.sendWithAck('tick');
    expect([client.socket, made]).toEqual([socket, 0]);
    const { id } = client;
    const session = server.sessions.get(id);
    if (session === undefined) throw new Error('no session');
    await cut(session, client);
    expect([client.id, client.resumed, made]).toEqual([id, true, 1]);
    await client.sendWithAck('tock');
  });
});

describe('createConnection', () => {
  const shapes: ReadonlyArray<[string, (port: number) => CreateConnection]> = [
    ['returns a socket that is still connecting', (port) => () => net.connect(port, '127.0.0.1')],
    [
      'uses the options and the callback as net.connect does',
      () => (options, callback) => net.connect(options, callback),
    ],
    ['is net.connect itself', () => net.connect],
    ['is net.createConnection itself', () => net.createConnection],
    [
      'returns a promise of a connected socket',
      (port) => async () => {
        const socket = net.connect(port, '127.0.0.1');
        await once(socket, 'connect');
        return socket;
      },
    ],
    [
      'returns a promise of a socket that is still connecting',
      (port) => async () => net.connect(port, '127.0.0.1'),
    ],
    [
      'hands a socket to the callback',
      (port) => (_, callback) => {
        const socket = net.connect(port, '127.0.0.1', () => callback(null, socket));
      },
    ],
    [
      'hands a socket to the callback later',
      (port) => (_, callback) => {
        setImmediate(() => callback(undefined, net.connect(port, '127.0.0.1')));
      },
    ],
  ];

  it.each(shapes)('%s', async (_, make) => {
    const server = await kit.listening();
    const port = portOf(server);
    const client = kit.client({ port, createConnection: make(port) });
    await client.sendWithAck('tick');
    const session = server.sessions.get(client.id);
    if (session === undefined) throw new Error('no session');
    await cut(session, client);
    await client.sendWithAck('tock');
    expect(client.resumed).toBe(true);
  });

  it('is given the address and every option that net.connect takes, and those that only it knows', async () => {
    const server = await kit.listening();
    const port = portOf(server);
    const seen = deferred<Record<string, unknown>>();
    const options = {
      port: String(port),
      host: '127.0.0.1',
      keepAlive: true,
      myOwn: 'option',
      requestTimeoutMs: 5,
      createConnection: ((given) => {
        seen.resolve(given as unknown as Record<string, unknown>);
        return net.connect(given);
      }) satisfies CreateConnection,
    };
    const client = adopt(createClient(options));
    await once(client, 'connect');
    const given = await seen.promise;
    expect(given).toMatchObject({ port, host: '127.0.0.1', keepAlive: true, myOwn: 'option' });
    expect(given).not.toHaveProperty('requestTimeoutMs');
  });

  it('needs no address: it knows where to', async () => {
    const server = await kit.listening();
    const client = adopt(createClient({ createConnection: () => net.connect(portOf(server), '127.0.0.1') }));
    await once(client, 'connect');
  });

  it('may return any Duplex, not only a socket', async () => {
    const server = await kit.listening();
    const inner = net.connect(portOf(server), '127.0.0.1');
    const { Duplex: Any } = await import('node:stream');
    const duplex: Duplex = new Any({
      read: () => inner.resume(),
      write: (chunk, _, done) => void inner.write(chunk, done),
      final: (done) => void inner.end(done),
      destroy: (error, done) => {
        inner.destroy();
        done(error);
      },
    });
    inner.on('data', (chunk) => duplex.push(chunk));
    inner.on('end', () => duplex.push(null));
    inner.on('error', (error) => duplex.destroy(error));
    const client = adopt(createClient({ createConnection: () => duplex }));
    await client.sendWithAck('tick');
    expect(client.socket).toBe(duplex);
  });

  it.each<[string, CreateConnection]>([
    [
      'throws',
      () => {
        throw new Error('the reason');
      },
    ],
    ['rejects', () => Promise.reject(new Error('the reason'))],
    ['hands an error to the callback', (_, callback) => callback(new Error('the reason'))],
  ])('that %s is a failed attempt, which says why, and is tried again', async (_, createConnection) => {
    const once1 = kit.client({ port: 1, createConnection, reconnect: false });
    const [error] = await once<[NyotaError]>(once1, 'error');
    expect(error.code).toBe('NYOTA_CONNECT_FAILED');
    expect(causesOf(error)).toContain('the reason');
    const again = kit.client({ port: 1, createConnection });
    await once(again, 'reconnecting');
    await once(again, 'reconnecting');
  });

  it('that returns something else is a failed attempt', async () => {
    const client = kit.client({ port: 1, createConnection: () => 'no socket', reconnect: false });
    const [error] = await once<[NyotaError]>(client, 'error');
    expect(error.code).toBe('NYOTA_CONNECT_FAILED');
    expect(error.message).toContain('createConnection');
  });

  it('that never answers is given up after connectTimeoutMs, and a socket that comes later is destroyed', async () => {
    const late = deferred<net.Socket>();
    const client = kit.client({
      port: 1,
      createConnection: () => late.promise,
      reconnect: false,
      connectTimeoutMs: 20,
    });
    expect((await once<[NyotaError]>(client, 'error'))[0].code).toBe('NYOTA_CONNECT_TIMEOUT');
    const socket = new net.Socket();
    const closed = once(socket, 'close');
    late.resolve(socket);
    await within(closed, 'the end of the late socket');
  });

  it('that is tls.connect makes a TLS connection', async () => {
    const server = await kit.listening({ tls: certificates.server });
    const client = kit.client({
      port: portOf(server),
      host: 'localhost',
      tls: { ca: certificates.ca },
      createConnection: tls.connect,
    });
    await client.sendWithAck('tick');
    expect(client.socket).toBeInstanceOf(tls.TLSSocket);
    expect((client.socket as tls.TLSSocket).authorized).toBe(true);
  });

  it('that calls tls.connect, against a server of createServer: tls.createServer, as in Uhura', async () => {
    const server = kit
      .own(
        kit.quiet(
          createServer({
            createServer: (_, onConnection) => tls.createServer(certificates.server, onConnection),
          }),
        ),
      )
      .listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = kit.client({
      port: portOf(server),
      createConnection: (options, callback) =>
        tls.connect({ ...options, host: 'localhost', ca: certificates.ca }, callback),
    });
    await client.sendWithAck('tick');
    expect(client.socket).toBeInstanceOf(tls.TLSSocket);
  });
});
