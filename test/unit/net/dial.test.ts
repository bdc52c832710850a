/** One attempt to connect: what it resolves to, within its deadline, and that it leaves nothing behind. */
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import type { Address } from '../../../src/net/address.js';
import type { SocketLike } from '../../../src/net/connection.js';
import {
  type CreateConnection,
  connectFailed,
  type DialOptions,
  dial,
  type HandleSet,
  type Refable,
  untilConnected,
} from '../../../src/net/dial.js';
import { createFakeClock, createMemoryNetwork, type FakeClock } from '../../../src/testing/index.js';
import { rejectedCode } from '../../support/session-codes.js';
import { turns } from '../../support/session-connection.js';

class Handles implements HandleSet {
  readonly all = new Set<Refable>();
  add(handle: Refable): void {
    this.all.add(handle);
  }
  delete(handle: Refable): void {
    this.all.delete(handle);
  }
}

interface SetUp extends DialOptions {
  readonly clock: FakeClock;
  readonly handles: Handles;
  readonly abort: AbortController;
}

function setUp(createConnection?: CreateConnection): SetUp {
  const abort = new AbortController();
  return {
    clock: createFakeClock(),
    socketOptions: {},
    tls: undefined,
    createConnection,
    connectTimeoutMs: 1_000,
    signal: abort.signal,
    handles: new Handles(),
    abort,
  };
}

const toDestroy: Array<{ destroy(): unknown }> = [];
const servers: net.Server[] = [];
afterEach(async () => {
  for (const socket of toDestroy.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function listening(onSocket: (socket: net.Socket) => void = () => {}): Promise<Address> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    toDestroy.push(socket);
    onSocket(socket);
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' };
}

const silent = (): Duplex => new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });

describe('dialling', () => {
  it('resolves to a connected socket; no timer is left, and the socket is what holds the process', async () => {
    const options = setUp();
    const socket = await dial(await listening(), options);
    toDestroy.push(socket);
    expect([options.clock.pendingTimers, [...options.handles.all]]).toEqual([0, [socket]]);
    expect((socket as net.Socket).connecting).toBe(false);
  });

  it('says where it failed, and keeps the cause', async () => {
    const options = setUp();
    const address = { port: 1, host: '127.0.0.1' };
    const error: NyotaError = await dial(address, options).then(
      () => expect.unreachable(),
      (reason: NyotaError) => reason,
    );
    expect([error.code, error.message.startsWith('no connection to 127.0.0.1:1: ')]).toEqual([
      'NYOTA_CONNECT_FAILED',
      true,
    ]);
    expect((error.cause as NodeJS.ErrnoException).code).toBe('ECONNREFUSED');
    expect([options.clock.pendingTimers, options.handles.all.size]).toEqual([0, 0]);
  });

  it('fails as ever, also from a timer or an immediate: its error has a listener from the first moment', async () => {
    for (const from of [setImmediate, (fn: () => void) => setTimeout(fn, 0), process.nextTick]) {
      const codes = await new Promise<string>((resolve) => {
        from(() => {
          const options = { ...setUp(), socketOptions: { localAddress: '203.0.113.1' } };
          resolve(rejectedCode(dial({ port: 1, host: '127.0.0.1' }, options)));
        });
      });
      expect(codes).toBe('NYOTA_CONNECT_FAILED');
    }
  });

  it('fails for options that net.connect refuses', async () => {
    const options = { ...setUp(), socketOptions: { localAddress: 'not an address' } };
    expect(await rejectedCode(dial({ port: 1 }, options))).toBe('NYOTA_CONNECT_FAILED');
    expect([options.clock.pendingTimers, options.handles.all.size]).toEqual([0, 0]);
  });

  it('reaches a server of a memory network', async () => {
    const network = createMemoryNetwork();
    const server = network.createServer().listen(7);
    const socket = await dial({ port: 7 }, setUp(network.createConnection));
    expect(socket.destroyed).toBe(false);
    expect(await rejectedCode(dial({ port: 8 }, setUp(network.createConnection)))).toBe(
      'NYOTA_CONNECT_FAILED',
    );
    socket.destroy();
    server.close();
  });
});

describe('a deadline, or an abort', () => {
  const connecting = (): Duplex & { connecting: boolean } => Object.assign(silent(), { connecting: true });

  it('cuts a socket that does not connect in time', async () => {
    const socket = connecting();
    const options = setUp(() => socket);
    const code = rejectedCode(dial({ port: 1 }, options));
    await options.clock.advance(999);
    expect(socket.destroyed).toBe(false);
    await options.clock.advance(1);
    expect(await code).toBe('NYOTA_CONNECT_TIMEOUT');
    expect([socket.destroyed, options.clock.pendingTimers, options.handles.all.size]).toEqual([true, 0, 0]);
  });

  it('cuts a socket that comes too late', async () => {
    let give: (socket: Duplex) => void = () => {};
    const options = setUp(
      () =>
        new Promise<Duplex>((resolve) => {
          give = resolve;
        }),
    );
    const code = rejectedCode(dial({ port: 1 }, options));
    await options.clock.advance(1_000);
    expect(await code).toBe('NYOTA_CONNECT_TIMEOUT');
    const late = silent();
    give(late);
    await turns();
    late.emit('error', new Error('nobody minds'));
    expect([late.destroyed, options.handles.all.size]).toEqual([true, 0]);
  });

  it('rejects with the reason of the abort, and leaves no socket, before or while it dials', async () => {
    const reason = new NyotaError('NYOTA_CLOSED', 'closed');
    for (const early of [true, false]) {
      const socket = connecting();
      const options = setUp(() => socket);
      if (early) options.abort.abort(reason);
      const result = dial({ port: 1 }, options).catch((error: unknown) => error);
      await turns(2);
      if (!early) options.abort.abort(reason);
      expect(await result).toBe(reason);
      await turns(2);
      expect([socket.destroyed, options.clock.pendingTimers, options.handles.all.size]).toEqual([true, 0, 0]);
    }
  });

  it('is over with the connection: a later abort leaves the socket alone', async () => {
    const socket = silent();
    const options = setUp(() => socket);
    expect(await dial(undefined, options)).toBe(socket);
    options.abort.abort();
    await options.clock.advance(5_000);
    expect(socket.destroyed).toBe(false);
  });
});

describe('createConnection', () => {
  it('may return a socket, connected or connecting, or a promise of one', async () => {
    const plain = silent();
    expect(
      await dial(
        { port: 1 },
        setUp(() => plain),
      ),
    ).toBe(plain);
    const promised = silent();
    expect(
      await dial(
        { port: 1 },
        setUp(async () => promised),
      ),
    ).toBe(promised);
    const late = Object.assign(silent(), { connecting: true });
    const dialled = dial(
      { port: 1 },
      setUp(() => late),
    );
    await turns(2);
    late.connecting = false;
    late.emit('connect');
    expect(await dialled).toBe(late);
  });

  it('may hand one to its callback, as cb(error, socket)', async () => {
    const socket = silent();
    const handed = setUp((_options, callback) => {
      setImmediate(() => callback(null, socket));
    });
    expect(await dial({ port: 1 }, handed)).toBe(socket);
    const refused = setUp((_options, callback) => callback(new Error('no route')));
    expect(await rejectedCode(dial({ port: 1 }, refused))).toBe('NYOTA_CONNECT_FAILED');
  });

  it('may call its callback as net.connect does: with nothing, once connected', async () => {
    const address = await listening();
    let called = 0;
    const options = setUp((target, callback) =>
      net.connect(target, () => {
        called++;
        callback();
      }),
    );
    const socket = await dial(address, options);
    toDestroy.push(socket);
    expect(called).toBe(1);
  });

  it('gets the address, and what net.connect and tls.connect take', async () => {
    const seen: unknown[] = [];
    const create: CreateConnection = (target) => {
      seen.push(target);
      return silent();
    };
    const options = { ...setUp(create), socketOptions: { noDelay: true, port: 9 }, tls: { ca: 'ca' } };
    await dial({ port: 1, host: 'h', tls: true }, options);
    await dial({ path: '/x' }, options);
    await dial(undefined, setUp(create));
    expect(seen).toEqual([
      { noDelay: true, ca: 'ca', port: 1, host: 'h' },
      { noDelay: true, ca: 'ca', port: 9, path: '/x' },
      {},
    ]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('broken');
      },
    ],
    ['returns no socket', () => 'a string'],
    ['returns null', () => null],
    ['returns a promise of no socket', async () => ({ on: 1 })],
  ] as Array<[string, CreateConnection]>)('that %s fails the attempt', async (_how, create) => {
    const options = setUp(create);
    expect(await rejectedCode(dial({ port: 1 }, options))).toBe('NYOTA_CONNECT_FAILED');
    expect(options.clock.pendingTimers).toBe(0);
  });

  it('that returns nothing and never calls back meets the deadline', async () => {
    const options = setUp(() => undefined);
    const code = rejectedCode(dial(undefined, options));
    await options.clock.advance(1_000);
    expect(await code).toBe('NYOTA_CONNECT_TIMEOUT');
  });
});

describe('waiting until a socket is connected', () => {
  it('fails with its error, or where it closes before', async () => {
    const failing = Object.assign(silent(), { connecting: true });
    const failed = untilConnected(failing);
    failing.destroy(new Error('refused'));
    await expect(failed).rejects.toThrow('refused');
    const closing = Object.assign(silent(), { connecting: true });
    const closed = untilConnected(closing);
    closing.destroy();
    await expect(closed).rejects.toThrow('closed before it was connected');
    expect(closing.listenerCount('close') + closing.listenerCount('error')).toBe(0);
  });

  it('fails at once for a socket that is closed already, and in time for one that is closing', async () => {
    const closing = silent();
    closing.destroy();
    const rejected = untilConnected(closing as SocketLike);
    await expect(rejected).rejects.toThrow('closed');
    await expect(untilConnected(closing as SocketLike)).rejects.toThrow('closed');
  });
});

describe('the error of a failed attempt', () => {
  it('has a text for whatever was thrown', () => {
    const aggregate = new AggregateError([new Error('a')], '');
    expect(connectFailed('h:1', new Error('why')).message).toBe('no connection to h:1: why');
    expect(connectFailed('h:1', aggregate).message).toBe('no connection to h:1: AggregateError');
    expect(connectFailed('h:1', 'text').message).toBe('no connection to h:1: text');
  });
});
