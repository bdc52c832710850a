/**
 * More connections at once than may be in their handshake: honest ones wait a moment and are let in, and those who occupy
 * the places keep nobody waiting in silence.
 */
import { once } from 'node:events';
import net from 'node:net';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, it } from 'vitest';
import { type Client, type ClientOptions, createClient, type NyotaError } from '../../../src/index.js';
import { createFakeClock } from '../../../src/testing/index.js';
import { encodePreamble } from '../../../src/wire/preamble.js';
import { type Arena, useStage } from '../../support/hostile-arena.js';
import { inLength } from '../../support/length.js';
import { open, type RawPeer } from '../../support/raw-peer.js';

const stage = useStage();
const clients: Client[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

/** Many clients that connect in the same moment. Resolves to the errors of their attempts that failed, once all are connected. */
async function burst(
  { port }: Arena,
  count: number,
  options: Partial<ClientOptions> = {},
): Promise<Array<NyotaError | undefined>> {
  const failures: Array<NyotaError | undefined> = [];
  const connected: Array<Promise<void>> = [];
  for (let i = 0; i < count; i++) {
    const client = createClient({
      port,
      host: '127.0.0.1',
      connectTimeoutMs: 60_000,
      ...options,
    });
    clients.push(client);
    client.on('reconnecting', ({ error }) => failures.push(error));
    client.on('error', (error) => failures.push(error));
    connected.push(new Promise((resolve) => client.once('connect', () => resolve())));
  }
  await Promise.all(connected);
  return failures;
}

/** Clients whose answers come from the same busy process: their own deadlines are not what is tested. */
const PATIENT = { handshakeTimeoutMs: 60_000, pingTimeoutMs: 60_000 };

async function waiting({ server }: Arena, count: number): Promise<void> {
  await expect.poll(() => server.stats().unauthenticated, { timeout: 5_000, interval: 5 }).toBe(count);
}

async function silentPeers(arena: Arena, count: number): Promise<RawPeer[]> {
  const peers: RawPeer[] = [];
  for (let i = 0; i < count; i++) peers.push((await arena.peer()).preamble());
  await waiting(arena, count);
  return peers;
}

describe('a burst', () => {
  const HONEST = inLength(3_000, 1_500);
  it(`of ${HONEST} honest clients is let in without one refusal`, async () => {
    const arena = await stage.arena({ ...PATIENT });
    expect(await burst(arena, HONEST, PATIENT)).toEqual([]);
    await arena.unharmed();
    expect(arena.server.stats()).toMatchObject({ connected: HONEST + 1, unauthenticated: 0, refused: 0 });
  }, 60_000);

  it('above a small maxUnauthenticated waits its turn', async () => {
    const arena = await stage.arena({ maxUnauthenticated: 2 });
    expect(await burst(arena, 50)).toEqual([]);
    expect(arena.server.stats()).toMatchObject({ connected: 51, unauthenticated: 0, refused: 0 });
  });

  it('of TLS clients waits its turn too, before the TLS handshake', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
    const arena = await stage.arena({ tls: { key, cert }, maxUnauthenticated: 2 });
    expect(await burst(arena, 50, { tls: { rejectUnauthorized: false } })).toEqual([]);
    expect(arena.server.stats()).toMatchObject({ connected: 51, unauthenticated: 0, refused: 0 });
  });

  it('at a server of the user’s making that reads at once is refused: it can’t wait unread', async () => {
    const arena = await stage.arena({
      maxUnauthenticated: 2,
      createServer: (options, onConnection) => net.createServer(options, onConnection),
    });
    await silentPeers(arena, 2);
    const surplus = await arena.peer();
    expect(await surplus.lastWords()).toMatchObject({ code: 'NYOTA_SERVER_BUSY', retry: 'backoff' });
    await arena.refusedWith('NYOTA_SERVER_BUSY');
  });

  it('waits at a server of the user’s making that leaves connections paused', async () => {
    const arena = await stage.arena({
      maxUnauthenticated: 2,
      createServer: (options, onConnection) =>
        net.createServer({ ...options, pauseOnConnect: true }, onConnection),
    });
    expect(await burst(arena, 20)).toEqual([]);
  });
});

describe('silent peers that hold every place', () => {
  it('keep nobody waiting in silence: the next is told within about a second, and asked to come back', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock, maxUnauthenticated: 3 });
    await silentPeers(arena, 3);
    const honest = await arena.peer();
    honest.write(encodePreamble(), open());
    await waiting(arena, 4);
    await arena.advance(clock, 900);
    expect(honest.bytesRead).toBe(0);
    await arena.advance(clock, 100);
    const { code, retry, retryAfterMs } = await honest.lastWords();
    expect([code, retry]).toEqual(['NYOTA_SERVER_BUSY', 'backoff']);
    expect(retryAfterMs).toBeGreaterThanOrEqual(500);
    expect(retryAfterMs).toBeLessThanOrEqual(1_500);
    await arena.refusedWith('NYOTA_SERVER_BUSY');
    await waiting(arena, 3);
    await arena.unharmed();
  });

  it('can’t make the line longer than four times maxUnauthenticated beyond the room for sessions', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock, maxUnauthenticated: 2, maxSessions: 2 });
    await silentPeers(arena, 2);
    for (let i = 0; i < 8; i++) await arena.peer();
    await waiting(arena, 10);
    const surplus = await arena.peer();
    expect((await surplus.lastWords()).code).toBe('NYOTA_SERVER_BUSY');
    await arena.refusedWith('NYOTA_SERVER_BUSY');
    expect(arena.server.stats().unauthenticated).toBe(10);
    await arena.unharmed();
  });

  it('send nothing that is read while they wait: the bytes of all stay below the bound', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock, maxUnauthenticated: 2 });
    await silentPeers(arena, 2);
    const loud: RawPeer[] = [];
    for (let i = 0; i < 100; i++) loud.push((await arena.peer()).write(Buffer.alloc(60 * 1024)));
    await waiting(arena, 102);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await arena.unharmed();
    expect(arena.server.stats()).toMatchObject({ unauthenticated: 102, refused: 0 });
  });

  it('make room as they leave, and the time of waiting counts for the deadline of the handshake', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock, maxUnauthenticated: 1, handshakeTimeoutMs: 900 });
    const [silent] = (await silentPeers(arena, 1)) as [RawPeer];
    const second = await arena.peer();
    second.preamble();
    await waiting(arena, 2);
    await arena.advance(clock, 600);
    silent.fin();
    await arena.refusedWith('NYOTA_CONNECTION_LOST');
    await waiting(arena, 1);
    await arena.advance(clock, 300);
    await arena.refusedWith('NYOTA_HANDSHAKE_TIMEOUT');
    expect((await second.lastWords()).code).toBe('NYOTA_HANDSHAKE_TIMEOUT');
    await arena.nothingCameOfIt();
  });
});

describe('connections that wait for their turn', () => {
  it('are told when the server closes', async () => {
    const arena = await stage.arena({ maxUnauthenticated: 1 });
    await silentPeers(arena, 1);
    const peer = await arena.peer();
    await waiting(arena, 2);
    arena.witness.destroy();
    const closed = arena.server.close();
    expect((await peer.lastWords()).code).toBe('NYOTA_SERVER_CLOSING');
    await closed;
    expect(arena.server.stats().unauthenticated).toBe(0);
  });

  it.each(['plain', 'TLS'])(
    'and those that came while it drained keep no server from closing: %s',
    async (kind) => {
      const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
      let drained = (): void => {};
      const working = new Promise<void>((resolve) => {
        drained = resolve;
      });
      const arena = await stage.arena({ ...(kind === 'TLS' ? { tls: { key, cert } } : {}) });
      const witness = arena.server.sessions.get(arena.witness.id);
      witness?.handle('work', () => working);
      const worked = arena.witness.request('work');
      await arena.unharmed();
      const closed = arena.server.close();
      const silent = await arena.peer(false);
      await waiting(arena, 1);
      drained();
      await worked;
      // Long before its handshake's deadline.
      const late = new Promise((resolve) => setTimeout(resolve, 5_000, 'late').unref());
      expect(await Promise.race([closed.then(() => 'closed'), late])).toBe('closed');
      await silent.closed();
    },
  );

  it.each(['plain', 'TLS'])('are cut when the server is destroyed: %s', async (kind) => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
    const arena = await stage.arena({
      maxUnauthenticated: 1,
      ...(kind === 'TLS' ? { tls: { key, cert } } : {}),
    });
    const peers = [await arena.peer(false), await arena.peer(false)];
    await waiting(arena, 2);
    arena.server.destroy();
    await Promise.all(peers.map((peer) => peer.closed()));
    await arena.server.close();
    expect(arena.server.stats().unauthenticated).toBe(0);
  });

  it('and go away leave nothing behind', async () => {
    const arena = await stage.arena({ maxUnauthenticated: 1, handshakeTimeoutMs: 60_000 });
    const [silent] = (await silentPeers(arena, 1)) as [RawPeer];
    const socket = net.connect(arena.port, '127.0.0.1');
    await once(socket, 'connect');
    await waiting(arena, 2);
    socket.resetAndDestroy();
    await once(socket, 'close');
    silent.fin();
    await arena.refusedWith('NYOTA_CONNECTION_LOST');
    await arena.refusedWith('NYOTA_CONNECTION_LOST');
    await arena.nothingCameOfIt();
  });
});
