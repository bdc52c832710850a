/** The listening socket: who is told of what, TLS handshakes, and that cutting leaves nothing. */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import type { SocketLike } from '../../../src/net/connection.js';
import {
  isLoopback,
  Listener,
  type ListenerHooks,
  type ListenerOptions,
  tlsSocketOf,
} from '../../../src/net/listener.js';
import type { Arrival } from '../../../src/net/waiting-line.js';
import { createFakeClock, createMemoryNetwork, type FakeClock } from '../../../src/testing/index.js';
import { type Certificates, makeCertificates } from '../../support/api-certificates.js';
import { thrownCode } from '../../support/session-codes.js';
import { turns } from '../../support/session-connection.js';

let certificates: Certificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});

const listeners: Listener[] = [];
const clients: net.Socket[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  for (const listener of listeners.splice(0)) {
    listener.destroySockets();
    await new Promise<void>((resolve) => listener.close(() => resolve()));
  }
});

interface Seen {
  readonly sockets: Array<[socket: SocketLike, since: number, refusal: NyotaError | undefined]>;
  readonly refused: NyotaError[];
  readonly errors: Error[];
  listening: number;
  closed: number;
  readonly arrivals: Arrival[];
  readonly left: Arrival[];
  /** What becomes of a connection that arrives. */
  begins: boolean;
}

async function listen(options: Partial<ListenerOptions> = {}) {
  const clock: FakeClock = createFakeClock({ startMs: 1_000 });
  const seen: Seen = {
    sockets: [],
    refused: [],
    errors: [],
    arrivals: [],
    left: [],
    listening: 0,
    closed: 0,
    begins: true,
  };
  const hooks: ListenerHooks = {
    arrived: (arrival) => {
      seen.arrivals.push(arrival);
      if (seen.begins) arrival.begin();
    },
    left: (arrival) => seen.left.push(arrival),
    socket: (socket, since, refusal) => {
      socket.on('error', () => {});
      seen.sockets.push([socket, since, refusal]);
    },
    listening: () => {
      seen.listening++;
    },
    refused: (error) => seen.refused.push(error),
    error: (error) => seen.errors.push(error),
    closed: () => {
      seen.closed++;
    },
  };
  const listener = new Listener(
    {
      clock,
      serverOptions: {},
      tls: undefined,
      createServer: undefined,
      handshakeTimeoutMs: 500,
      ...options,
    },
    hooks,
  );
  listeners.push(listener);
  await new Promise<void>((resolve) => listener.listen([0, '127.0.0.1', resolve]));
  const { port } = listener.address() as net.AddressInfo;
  return { clock, listener, seen, port };
}

async function connect(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  clients.push(socket);
  await once(socket, 'connect');
  return socket;
}

const until = async (isTrue: () => boolean): Promise<void> => {
  while (!isTrue()) await turns(1);
};

describe('a plain listener', () => {
  it('tells of each socket, and when it was accepted', async () => {
    const { listener, seen, port } = await listen();
    await connect(port);
    await until(() => seen.sockets.length === 1);
    expect([listener.encrypted, listener.listening, seen.listening, seen.sockets[0]?.[1]]).toEqual([
      false,
      true,
      1,
      1_000,
    ]);
    expect(tlsSocketOf(seen.sockets[0]?.[0] as SocketLike)).toBeUndefined();
  });

  it('reads nothing of a connection before it begins, and hands a refused one over with the reason', async () => {
    const { clock, listener, seen, port } = await listen();
    seen.begins = false;
    const first = await connect(port);
    first.write('first');
    const second = await connect(port);
    second.write('second');
    await until(() => seen.arrivals.length === 2);
    await clock.advance(50);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([seen.sockets, seen.arrivals.map(({ mayWait }) => mayWait), listener.open]).toEqual([
      [],
      [true, true],
      2,
    ]);
    seen.arrivals[0]?.begin();
    const busy = new NyotaError('NYOTA_SERVER_BUSY', 'busy');
    seen.arrivals[1]?.refuse(busy);
    const [[socket, since, refusal], [, , reason]] = seen.sockets as [Seen['sockets'][0], Seen['sockets'][0]];
    expect([since, refusal, reason]).toEqual([1_000, undefined, busy]);
    expect([socket.readableLength, socket.isPaused()]).toEqual([0, true]);
    socket.resume();
    expect(String((await once(socket, 'data'))[0])).toBe('first');
  });

  it('tells of one that is cut before it began', async () => {
    const { listener, seen, port } = await listen();
    seen.begins = false;
    await connect(port);
    await until(() => seen.arrivals.length === 1);
    listener.destroySockets();
    await until(() => seen.left.length === 1);
    expect([seen.left, listener.open, seen.sockets]).toEqual([seen.arrivals, 0, []]);
  });

  it('cuts every connection, and closes once they are gone', async () => {
    const { listener, seen, port } = await listen();
    const client = await connect(port);
    await until(() => seen.sockets.length === 1);
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    await turns();
    expect(client.destroyed).toBe(false);
    listener.destroySockets();
    await closed;
    expect([listener.listening, seen.closed]).toEqual([false, 1]);
  });

  it('tells of an error, such as a port that is taken', async () => {
    const { port } = await listen();
    const second = await listen();
    await new Promise<void>((resolve) => second.listener.close(() => resolve()));
    second.listener.listen([port, '127.0.0.1']);
    await until(() => second.seen.errors.length === 1);
    expect((second.seen.errors[0] as NodeJS.ErrnoException).code).toBe('EADDRINUSE');
  });

  it('may be of the user’s making, and gets all options', async () => {
    const network = createMemoryNetwork();
    const given: unknown[] = [];
    const createServer = (options: object, onSocket: (socket: net.Socket) => void): net.Server => {
      given.push(options);
      return network.createServer(options, onSocket) as unknown as net.Server;
    };
    const { listener, seen, port } = await listen({ createServer, serverOptions: { noDelay: true } });
    network.createConnection({ port });
    await until(() => seen.sockets.length === 1);
    expect([given, listener.encrypted]).toEqual([[{ noDelay: true }], false]);
  });

  it('refuses a createServer that makes no server', () => {
    const makes = (server: unknown) => () =>
      new Listener(
        {
          clock: createFakeClock(),
          serverOptions: {},
          tls: undefined,
          createServer: () => server as net.Server,
          handshakeTimeoutMs: 1,
        },
        {} as ListenerHooks,
      );
    for (const wrong of [undefined, null, {}, 5])
      expect(thrownCode(makes(wrong))).toBe('NYOTA_INVALID_OPTION');
  });
});

describe('a TLS listener', () => {
  const secure = () => listen({ tls: certificates.server });

  it('hands over sockets whose handshake is done, with the time of the TCP connection', async () => {
    const { clock, listener, seen, port } = await secure();
    const raw = await connect(port);
    await until(() => listener.handshakes === 1);
    await clock.advance(300);
    const client = tls.connect({ socket: raw, ca: certificates.ca, servername: 'localhost' });
    client.on('error', () => {});
    await once(client, 'secureConnect');
    await until(() => seen.sockets.length === 1);
    const [socket, since] = seen.sockets[0] as Seen['sockets'][0];
    expect([since, tlsSocketOf(socket) === socket, listener.handshakes, listener.encrypted]).toEqual([
      1_000,
      true,
      0,
      true,
    ]);
    expect([seen.refused, clock.pendingTimers]).toEqual([[], 0]);
  });

  it('ends a handshake that takes too long, by its own clock, and tells of it once', async () => {
    const { clock, listener, seen, port } = await secure();
    const raw = await connect(port);
    await until(() => listener.handshakes === 1);
    raw.resume();
    await clock.advance(500);
    await until(() => raw.closed);
    await turns();
    expect([seen.refused.map(({ code }) => code), listener.handshakes]).toEqual([
      ['NYOTA_HANDSHAKE_TIMEOUT'],
      0,
    ]);
  });

  it('tells once of one that is no TLS at all, or that goes away', async () => {
    const { listener, seen, port } = await secure();
    const first = await connect(port);
    first.write('GET / HTTP/1.1\r\n\r\n');
    await until(() => seen.refused.length === 1);
    const second = await connect(port);
    await until(() => listener.handshakes === 1);
    second.destroy();
    await until(() => seen.refused.length === 2);
    await turns();
    expect([seen.refused.map(({ code }) => code), listener.handshakes, seen.sockets]).toEqual([
      ['NYOTA_CONNECTION_LOST', 'NYOTA_CONNECTION_LOST'],
      0,
      [],
    ]);
  });

  it('begins no handshake before it is told to, and counts its deadline from the TCP connection', async () => {
    const { clock, listener, seen, port } = await secure();
    seen.begins = false;
    const raw = await connect(port);
    const client = tls.connect({ socket: raw, ca: certificates.ca, servername: 'localhost' });
    client.on('error', () => {});
    await until(() => seen.arrivals.length === 1);
    await clock.advance(300);
    await turns();
    expect([listener.handshakes, listener.open, seen.sockets.length]).toEqual([0, 1, 0]);
    seen.arrivals[0]?.begin();
    await once(client, 'secureConnect');
    await until(() => seen.sockets.length === 1);
    expect([seen.sockets[0]?.[1], listener.open]).toEqual([1_000, 1]);
    const late = await connect(port);
    late.resume();
    await until(() => seen.arrivals.length === 2);
    await clock.advance(400);
    seen.arrivals[1]?.begin();
    expect(listener.handshakes).toBe(1);
    await clock.advance(100);
    await until(() => late.closed);
    expect(seen.refused.map(({ code }) => code)).toEqual(['NYOTA_HANDSHAKE_TIMEOUT']);
  });

  it('refuses one that has not begun without a word of TLS', async () => {
    const { listener, seen, port } = await secure();
    seen.begins = false;
    const raw = await connect(port);
    raw.resume();
    await until(() => seen.arrivals.length === 1);
    seen.arrivals[0]?.refuse(new NyotaError('NYOTA_SERVER_BUSY', 'busy'));
    await until(() => raw.closed && listener.open === 0);
    expect([seen.refused.map(({ code }) => code), listener.handshakes, seen.left]).toEqual([
      ['NYOTA_SERVER_BUSY'],
      0,
      [],
    ]);
  });

  it('cuts those in their handshake as well, so that closing does not wait for them', async () => {
    const { clock, listener, port } = await secure();
    const raw = await connect(port);
    raw.resume();
    await until(() => listener.handshakes === 1);
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    listener.destroySockets();
    await closed;
    await until(() => raw.closed);
    expect([listener.handshakes, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('refuses options that make no server', async () => {
    await expect(listen({ tls: { key: 'nonsense', cert: 'nonsense' } })).rejects.toMatchObject({
      code: 'NYOTA_INVALID_OPTION',
    });
  });
});

describe('an address that only this machine can reach', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.8.9.1', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['0.0.0.0', false],
    ['::', false],
    ['10.0.0.1', false],
    ['::ffff:10.0.0.1', false],
  ])('%s: %s', (address, expected) => {
    expect(isLoopback({ address, family: 'IPv4', port: 1 })).toBe(expected);
  });

  it('is a unix path too', () => {
    expect([isLoopback('/run/x.sock'), isLoopback(null)]).toEqual([true, true]);
  });
});
