/** docs/api.md, "Limits": each limit refuses, loudly and in time, and the rest goes on. */
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { createServer, type NyotaError, type Session } from '../../../src/index.js';
import {
  type AnyPeer,
  DIRECTIONS,
  deferred,
  nyotaErrorOf,
  once,
  portOf,
  rejectionOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

describe('maxFrameBytes', () => {
  it.each(DIRECTIONS)(
    'of both sides is agreed on: what the %s sends is refused by the smaller, and the connection lives',
    async (side) => {
      const pair = await kit.pair({ server: { maxFrameBytes: 4096 }, client: { maxFrameBytes: 64 * 1024 } });
      const peer: AnyPeer = pair[side];
      const { socket } = pair.client;
      for (const send of [
        () => peer.send('large', Buffer.alloc(5000)),
        () => peer.with({ volatile: true }).send('large', Buffer.alloc(5000)),
      ]) {
        const error = nyotaErrorOf(send);
        expect(error.code).toBe('NYOTA_FRAME_TOO_LARGE');
        expect(error.message).toContain('4096');
      }
      expect((await rejectionOf(peer.request('large', Buffer.alloc(5000)))).code).toBe(
        'NYOTA_FRAME_TOO_LARGE',
      );
      await peer.sendWithAck('fits', Buffer.alloc(3500));
      expect(pair.client.socket).toBe(socket);
    },
  );

  it('is 1 MiB by default', async () => {
    const { client } = await kit.pair();
    expect(nyotaErrorOf(() => client.send('large', Buffer.alloc(1024 * 1024))).code).toBe(
      'NYOTA_FRAME_TOO_LARGE',
    );
    await client.sendWithAck('fits', Buffer.alloc(1024 * 1024 - 100));
  });

  it('can be 16 MiB', async () => {
    const limits = { maxFrameBytes: 16 * 1024 * 1024, maxOutboxBytes: 64 * 1024 * 1024 };
    const { client, session } = await kit.pair({ server: limits, client: limits });
    const heard = once<[Buffer]>(session, 'large');
    client.send('large', Buffer.alloc(15 * 1024 * 1024, 1));
    expect((await heard)[0].length).toBe(15 * 1024 * 1024);
  });

  it('of what was queued before the limits were known is told to its sender, and the rest arrives', async () => {
    const heard: unknown[] = [];
    const server = await kit.listening({ maxFrameBytes: 4096 }, (session: Session) => {
      session.onAny((event) => heard.push(event));
    });
    const client = kit.client({ port: portOf(server) });
    const told = deferred<NyotaError | undefined>();
    client.send('large', Buffer.alloc(5000), (error?: NyotaError) => told.resolve(error));
    const asked = rejectionOf(client.request('large', Buffer.alloc(5000)));
    await client.sendWithAck('fits');
    expect((await within(told.promise, 'onAck'))?.code).toBe('NYOTA_FRAME_TOO_LARGE');
    expect((await asked).code).toBe('NYOTA_FRAME_TOO_LARGE');
    expect(heard).toEqual(['fits']);
  });
});

describe('maxOutboxFrames and maxOutboxBytes', () => {
  it.each([
    ['maxOutboxFrames', { maxOutboxFrames: 10 }],
    ['maxOutboxBytes', { maxOutboxBytes: 1024 }],
  ])('%s: send throws NYOTA_OUTBOX_FULL, and nothing that was accepted is lost', async (_, limits) => {
    const heard: unknown[] = [];
    const { client, session } = await kit.pair({ client: limits });
    session.on('n', (n) => heard.push(n));
    const away = once(session, 'disconnect');
    client.disconnect();
    await away;
    if (client.connected) await once(client, 'disconnect');
    let accepted = 0;
    const error = nyotaErrorOf(() => {
      for (;;) {
        client.send('n', accepted, Buffer.alloc(80));
        accepted++;
      }
    });
    expect(error).toMatchObject({ code: 'NYOTA_OUTBOX_FULL', retry: 'backoff' });
    expect(accepted).toBeGreaterThan(5);
    expect(accepted).toBeLessThanOrEqual(12);
    expect((await rejectionOf(client.request('n', Buffer.alloc(80)))).code).toBe('NYOTA_OUTBOX_FULL');
    expect((await rejectionOf(client.sendWithAck('n', Buffer.alloc(80)))).code).toBe('NYOTA_OUTBOX_FULL');
    const drained = once(client, 'drain');
    client.connect();
    await drained;
    await client.sendWithAck('last');
    expect(heard).toEqual(Array.from({ length: accepted }, (_, n) => n));
  });
});

describe('maxSessions', () => {
  it('refuses another client with NYOTA_TOO_MANY_SESSIONS, who gets in once there is room', async () => {
    const { server, client, session } = await kit.pair({ server: { maxSessions: 1 } });
    const refused = once<[NyotaError]>(server, 'clientError');
    const second = kit.client({ port: portOf(server) });
    const [error] = await refused;
    expect(error).toMatchObject({ code: 'NYOTA_TOO_MANY_SESSIONS', retry: 'elsewhere' });
    expect(second.connected).toBe(false);
    const over = once(session, 'close');
    const inside = once(second, 'connect');
    await client.close();
    await over;
    await inside;
  });
});

describe('the handshake', () => {
  it('must be finished within handshakeTimeoutMs', async () => {
    const server = await kit.listening({ handshakeTimeoutMs: 30 });
    const refused = once<[NyotaError]>(server, 'clientError');
    const socket = kit.own(net.connect(portOf(server), '127.0.0.1'));
    socket.on('error', () => {});
    socket.resume();
    const closed = once(socket, 'close');
    expect((await refused)[0].code).toBe('NYOTA_HANDSHAKE_TIMEOUT');
    await closed;
  });

  it('of a client waits no longer than handshakeTimeoutMs for an answer', async () => {
    const mute = net.createServer((socket) => kit.own(socket).on('error', () => {}));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    kit.cleanup(() => mute.close());
    const client = kit.client({
      port: (mute.address() as net.AddressInfo).port,
      handshakeTimeoutMs: 30,
      reconnect: false,
    });
    expect((await once<[NyotaError]>(client, 'error'))[0].code).toBe('NYOTA_HANDSHAKE_TIMEOUT');
  });

  it('may be under way for maxUnauthenticated connections at a time', async () => {
    const decide = deferred();
    const server = kit
      .own(
        kit.quiet(
          createServer({ maxUnauthenticated: 2, authenticate: () => decide.promise.then(() => 'in') }),
        ),
      )
      .listen(0, '127.0.0.1');
    await once(server, 'listening');
    const refused = once<[NyotaError]>(server, 'clientError');
    const all = Array.from({ length: 3 }, () => kit.client({ port: portOf(server) }));
    const connected = Promise.all(all.map((client) => once(client, 'connect')));
    expect((await refused)[0].code).toBe('NYOTA_SERVER_BUSY');
    decide.resolve();
    await connected;
  });
});

describe('a dead connection', () => {
  it.each(['server', 'client'] as const)(
    'is found by the %s within pingIntervalMs and pingTimeoutMs',
    async (side) => {
      const limits = { pingIntervalMs: 100, pingTimeoutMs: 100 };
      const { client, session } = await kit.pair({ [side]: limits });
      const peer: AnyPeer = side === 'client' ? client : session;
      const other = side === 'client' ? session : client;
      const gone = once<[NyotaError]>(peer, 'disconnect');
      // The other side hears nothing any more, so it answers nothing.
      other.socket?.removeAllListeners('data');
      other.socket?.on('data', () => {});
      expect((await gone)[0].code).toBe('NYOTA_PING_TIMEOUT');
    },
  );

  it('is not what an idle one is taken for', async () => {
    const limits = { pingIntervalMs: 10, pingTimeoutMs: 2_000 };
    const { client, session } = await kit.pair({ server: limits, client: limits });
    const { socket } = client;
    await expect.poll(() => client.stats().bytesReceived, { timeout: 4_000 }).toBeGreaterThan(200);
    await expect.poll(() => session.stats().bytesReceived, { timeout: 4_000 }).toBeGreaterThan(200);
    expect(client.socket).toBe(socket);
    expect(client.stats().roundTripMs).toBeGreaterThan(0);
  });
});

describe('maxRunningHandlers', () => {
  it('is how many handlers and listeners of a session run at once; the others wait, none is lost', async () => {
    const { client, session } = await kit.pair({ server: { maxRunningHandlers: 3 } });
    let running = 0;
    let most = 0;
    session.handle('job', async (...args: unknown[]) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return args[0];
    });
    const numbers = Array.from({ length: 20 }, (_, n) => n);
    expect(await Promise.all(numbers.map((n) => client.request('job', n)))).toEqual(numbers);
    expect(most).toBe(3);
  });
});
