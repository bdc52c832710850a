/**
 * docs/migrating-from-uhura.md: one test for each thing that Uhura could, named after it, and the program of its documentation. What is only
 * touched here is tested in full in the files of api/ and sockets/.
 */
import net from 'node:net';
import tls from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Client,
  createClient,
  createServer,
  MemoryStore,
  type NyotaError,
  type Session,
} from '../../src/index.js';
import { type Certificates, makeCertificates } from '../support/api-certificates.js';
import {
  cut,
  deferred,
  nyotaErrorOf,
  once,
  portOf,
  useKit,
  warningsDuring,
  within,
} from '../support/api-kit.js';

const kit = useKit();
let certificates: Certificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});

describe('Uhura', () => {
  it('its example: ping and pong', async () => {
    const server = kit.own(
      createServer((client) => {
        client.on('ping', () => {
          client.send('pong');
        });
      }),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = kit.own(createClient(portOf(server)));
    const pong = once(client, 'pong');
    client.send('ping');
    await pong;
  });

  it('createServer([options], cb), createServer(port, cb); cb(client) gets an emitter of its own; a second argument tells whether the session was resumed', async () => {
    for (const form of ['cb', 'options, cb', 'port, cb'] as const) {
      const emitters: Array<[Session, boolean]> = [];
      const callback = (client: Session, resumed: boolean): void => {
        emitters.push([client, resumed]);
        client.on('who', () => client.send('you are', emitters.length));
      };
      const server = kit.own(
        form === 'cb'
          ? createServer(callback)
          : form === 'port, cb'
            ? createServer(0, callback)
            : createServer({}, callback),
      );
      if (form !== 'port, cb') server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const [one, two] = [kit.client({ port: portOf(server) }), kit.client({ port: portOf(server) })];
      await Promise.all([once(one, 'connect'), once(two, 'connect')]);
      expect(emitters).toHaveLength(2);
      expect(emitters[0]?.[0]).not.toBe(emitters[1]?.[0]);
      expect(emitters.map(([, resumed]) => resumed)).toEqual([false, false]);
      // An emitter for each session, not for each connection: its listeners are attached once.
      const session = server.sessions.get(one.id) as Session;
      const resumed = once(session, 'connect');
      await cut(session, one);
      expect(await resumed).toEqual([{ resumed: true }]);
      expect(emitters).toHaveLength(2);
    }
  });

  it('the server is used as a net server: listen(...), address() (also as this in the listen callback), close(cb)', async () => {
    const server = kit.own(createServer());
    const listening = deferred<unknown>();
    server.listen(0, '127.0.0.1', function (this: typeof server) {
      listening.resolve(this.address());
    });
    const address = (await within(listening.promise, 'the callback')) as net.AddressInfo;
    expect(address).toEqual(server.address());
    expect(address).toMatchObject({ address: '127.0.0.1', family: 'IPv4' });
    expect(address.port).toBeGreaterThan(0);
    const closed = deferred();
    server.close(() => closed.resolve());
    await within(closed.promise, 'the callback of close');
  });

  it('createClient(port [, host] [, cb]), port a number, a string or an existing net.connect() instance; createClient({ host, port }); createConnection(options, cb)', async () => {
    const server = await kit.listening();
    const port = portOf(server);
    const host = '127.0.0.1';
    const forms: Array<(cb: () => void) => Client> = [
      (cb) => createClient(port, cb),
      (cb) => createClient(port, host, cb),
      (cb) => createClient(String(port), cb),
      (cb) => createClient(String(port), host, cb),
      (cb) => createClient(net.connect(port, host), cb),
      (cb) => createClient({ host, port }, cb),
      (cb) =>
        createClient(
          { host, port, createConnection: (options, connected) => net.connect(options, connected) },
          cb,
        ),
    ];
    for (const form of forms) {
      const connected = deferred();
      const client = kit.own(form(() => connected.resolve()));
      await within(connected.promise, 'the callback');
      await client.sendWithAck('tick');
    }
  });

  it('TLS by createServer: tls.createServer and a createConnection that calls tls.connect; and tls', async () => {
    const { key, cert } = certificates.server;
    const { ca } = certificates;
    const wrapped = await kit.listening({
      createServer: (_, onConnection) => tls.createServer({ key, cert }, onConnection),
    });
    const own = await kit.listening({ tls: { key, cert } });
    for (const server of [wrapped, own]) {
      const port = portOf(server);
      const host = 'localhost';
      for (const client of [
        kit.client({ port, host, createConnection: (options, cb) => tls.connect({ ...options, ca }, cb) }),
        kit.client({ port, host, tls: { ca } }),
      ]) {
        await client.sendWithAck('tick');
        expect(client.socket).toBeInstanceOf(tls.TLSSocket);
      }
    }
  });

  it('client.send(event, ...args) as emit() of a usual emitter, but to the other side; queued while not connected; a function as the last argument is called at the acknowledgement', async () => {
    const order: unknown[] = [];
    const server = await kit.listening({}, (client) => {
      client.on('queued', (...args) => order.push(args));
      client.on('handled', async () => {
        await new Promise((resolve) => setImmediate(resolve));
        order.push('handled');
      });
    });
    const client = kit.client({ port: portOf(server) });
    client.on('queued', () => order.push('never here'));
    expect(client.connected).toBe(false);
    client.send('queued', 1, 'two', { three: [3] });
    const acked = deferred();
    client.send('handled', () => {
      order.push('acknowledged');
      acked.resolve();
    });
    await within(acked.promise, 'the acknowledgement');
    expect(order).toEqual([[1, 'two', { three: [3] }], 'handled', 'acknowledged']);
  });

  it("client.set(key, value), set(object), get(key), get(); either side sees the other's writes; an event tells of a change; get('sessionID') is the session id, the same after a reconnect", async () => {
    const { client, session } = await kit.pair();
    const changed = once(session, 'change');
    client.set('key', 'value');
    expect((await changed).slice(0, 2)).toEqual(['key', 'value']);
    expect(session.get('key')).toBe('value');
    const answered = once(client, 'change');
    session.set({ a: 1, b: 2 });
    await answered;
    await session.store.synced();
    expect(client.get()).toEqual({ key: 'value', a: 1, b: 2 });
    const id = client.get('sessionID');
    expect(session.get('sessionID')).toBe(id);
    await cut(session, client);
    expect([client.get('sessionID'), session.get('sessionID')]).toEqual([id, id]);
    expect(client.get('key')).toBe('value');
  });

  it('client.reconnect(), autoReconnect([min], [max]), disconnect() (flushes what was sent, then ends)', async () => {
    const { client, session } = await kit.pair({ client: { reconnect: false } });
    const first = client.socket;
    let back = once(client, 'connect');
    client.reconnect();
    await back;
    expect(first?.destroyed).toBe(true);
    client.autoReconnect(1, 10);
    await cut(session, client);
    client.autoReconnect();
    const heard: unknown[] = [];
    session.on('n', (n) => heard.push(n));
    const gone = Promise.all([once(client, 'disconnect'), once(session, 'disconnect')]);
    for (let n = 0; n < 10; n++) client.send('n', n);
    client.disconnect();
    await gone;
    expect(heard).toHaveLength(10);
    expect(client.state).toBe('idle');
    back = once(client, 'connect');
    client.connect();
    await back;
  });

  it('reconnecting is on by default', async () => {
    const server = await kit.listening();
    const client = kit.own(createClient(portOf(server)));
    await once(client, 'connect');
    const session = server.sessions.get(client.id) as Session;
    await cut(session, client);
    expect(client.resumed).toBe(true);
  });

  it('ref(), unref() over reconnects; client.socket; s.socket.destroy() on the server leads to disconnect and, with reconnecting on, a resumed session', async () => {
    const { client, session } = await kit.pair();
    expect(client.unref()).toBe(client);
    expect(client.socket).toBeInstanceOf(net.Socket);
    const { socket } = client;
    const gone = once(client, 'disconnect');
    const back = once(client, 'connect');
    session.socket?.destroy();
    await gone;
    expect(await back).toEqual([{ resumed: true }]);
    expect(client.socket).not.toBe(socket);
    expect(client.ref()).toBe(client);
    await client.sendWithAck('tick');
  });

  it('invalidateSession() on the server: the client learns, drops the session, gets a new one', async () => {
    const { client, session } = await kit.pair();
    client.set('old', 1);
    await client.store.synced();
    const id = client.get('sessionID');
    const told = once(client, 'sessionInvalidated');
    const back = once(client, 'connect');
    session.invalidateSession();
    await told;
    expect(await back).toEqual([{ resumed: false }]);
    expect(client.get('sessionID')).not.toBe(id);
    expect(client.get()).toEqual({});
  });

  it('malformed bytes: clientError on the server, the process lives', async () => {
    const { server, client, session, port } = await kit.pair();
    const refused = once<[NyotaError]>(server, 'clientError');
    const socket = kit.own(net.connect(port, '127.0.0.1'));
    socket.on('error', () => {});
    socket.write('["an original Uhura client"]');
    expect((await refused)[0].code).toBe('NYOTA_BAD_PREAMBLE');
    // After the handshake too: the connection that sent them ends, its session comes back, and the others hear nothing of it.
    const other = kit.client({ port });
    await once(other, 'connect');
    const broken = Promise.all([
      once<[NyotaError]>(server, 'clientError'),
      once<[NyotaError]>(session, 'disconnect'),
      once(client, 'connect'),
    ]);
    client.socket?.write(Buffer.from('ffffffffffffffff', 'hex'));
    const [[error], [reason]] = await broken;
    expect(error.code).toBe('NYOTA_PROTOCOL_ERROR');
    expect(reason.code).toBe('NYOTA_PROTOCOL_ERROR');
    await client.sendWithAck('tick');
    expect(other.stats().reconnects).toBe(0);
  });

  it('errors can be logged: an error nobody listens to is a process warning; no switch', async () => {
    const { client, session } = await kit.pair();
    client.off('error');
    client.on('tick', () => {
      throw new Error('to be logged');
    });
    const warnings = await warningsDuring(() => session.sendWithAck('tick'));
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining('to be logged')]);
    expect(nyotaErrorOf(() => createServer({ logErrors: true } as object)).code).toBe('NYOTA_INVALID_OPTION');
  });

  it('sessions may be kept in an external store: store', async () => {
    // What a store is called with is its own suite's business: here, that a server uses the one it is given.
    const calls: PropertyKey[] = [];
    const store = new Proxy(new MemoryStore(), {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          calls.push(name);
          return Reflect.apply(value, target, args);
        };
      },
    });
    const { client, session } = await kit.pair({ server: { store } });
    const over = once(session, 'close');
    await client.close();
    await over;
    expect(calls.length).toBeGreaterThan(0);
  });

  it('maxQueueLength: limits that refuse instead of dropping', async () => {
    const client = kit.client({ port: 1, createConnection: () => undefined, maxOutboxFrames: 2 });
    client.send('one');
    client.send('two');
    expect(nyotaErrorOf(() => client.send('three')).code).toBe('NYOTA_OUTBOX_FULL');
    expect(client.stats().outboxFrames).toBe(2);
  });
});
