/**
 * What does not speak nyota at all, or another version of it: told apart by its first bytes, answered, and harmless.
 */
import net from 'node:net';
import tls from 'node:tls';
import { generate } from 'selfsigned';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../src/testing/index.js';
import { useStage } from '../../support/hostile-arena.js';
import { DEADLINE_MS, frame, open } from '../../support/raw-peer.js';

const stage = useStage();

/** What a TLS client says first. */
async function clientHello(): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const hello = new Promise<Buffer>((resolve) =>
    server.once('connection', (socket) =>
      socket.once('data', (bytes: Buffer) => {
        socket.destroy();
        resolve(bytes);
      }),
    ),
  );
  const client = tls.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' });
  client.on('error', () => {});
  const bytes = await hello;
  client.destroy();
  server.close();
  return bytes;
}

const FOREIGN: ReadonlyArray<
  readonly [name: string, bytes: () => Buffer | Promise<Buffer>, looksLike: RegExp]
> = [
  ['garbage', () => Buffer.from('00ff10a55a00deadbeef', 'hex'), /starts with 00 ff/],
  ['an HTTP request', () => Buffer.from('GET / HTTP/1.1\r\nHost: example.org\r\n\r\n'), /HTTP/],
  ['a TLS ClientHello on a plain port', clientHello, /TLS/],
  ["an original Uhura client's [", () => Buffer.from('["ping",{"a":1}]\n'), /Uhura/],
  [
    'line ends that were changed on the way',
    () => Buffer.from('d54e594f0a0101', 'hex'),
    /does not speak nyota/,
  ],
  ['a preamble that names no versions', () => Buffer.from('d54e594f0d0a0501', 'hex'), /versions/],
  ['versions that are too low only', () => Buffer.from('d54e594f0d0a0000', 'hex'), /versions/],
];

describe('a server', () => {
  for (const [name, bytes, looksLike] of FOREIGN) {
    it(`closes on ${name}, says what it looked like, and serves others`, async () => {
      const arena = await stage.arena();
      const peer = await arena.peer();
      peer.write(await bytes());
      const error = await arena.refusedWith('NYOTA_BAD_PREAMBLE');
      expect(error.message).toMatch(looksLike);
      expect((await peer.lastWords()).code).toBe('NYOTA_BAD_PREAMBLE');
      await peer.closed();
      await arena.nothingCameOfIt();
    });
  }

  it('closes at the first wrong byte, without waiting for more', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    peer.write(Buffer.from('G'));
    await arena.refusedWith('NYOTA_BAD_PREAMBLE');
    await arena.nothingCameOfIt();
  });

  it('tells a peer that speaks later versions only, once and for all', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    peer.preamble(2, 9).write(open());
    await arena.refusedWith('NYOTA_VERSION_MISMATCH');
    expect(await peer.lastWords()).toMatchObject({ code: 'NYOTA_VERSION_MISMATCH', retry: 'never' });
    await arena.nothingCameOfIt();
  });

  it('serves a peer that speaks its own version among others', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    peer.preamble(1, 9).write(open());
    await peer.next(0x02);
    await arena.unharmed();
  });
});

describe('a TLS server', () => {
  async function secured(options: { handshakeTimeoutMs?: number; maxUnauthenticated?: number } = {}) {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
    return stage.arena({ tls: { key, cert }, ...options });
  }

  it('closes on plain bytes and serves others', async () => {
    const arena = await secured();
    const peer = await arena.peer(false);
    peer.preamble().write(open());
    const { code } = await arena.refusals.next();
    expect(code).toBe('NYOTA_CONNECTION_LOST');
    await peer.closed();
    await arena.nothingCameOfIt();
  });

  it('ends a TLS handshake that never begins at handshakeTimeoutMs, and says so', async () => {
    const arena = await secured({ handshakeTimeoutMs: 300 });
    const peer = await arena.peer(false);
    const { code } = await arena.refusals.next();
    expect(code).toBe('NYOTA_HANDSHAKE_TIMEOUT');
    await peer.closed();
    await arena.nothingCameOfIt();
  });

  it('counts connections in their TLS handshake as unauthenticated: maxUnauthenticated holds', async () => {
    const arena = await secured({ maxUnauthenticated: 2 });
    const peers = [];
    for (let i = 0; i < 3; i++) peers.push(await arena.peer(false));
    expect((await arena.refusals.next()).code).toBe('NYOTA_SERVER_BUSY');
    await arena.unharmed();
  });

  it('closes at once, though a connection has not begun its TLS handshake', async () => {
    const arena = await secured();
    const peer = await arena.peer(false);
    await arena.unharmed();
    arena.server.destroy();
    await expect(Promise.race([arena.server.close().then(() => 'closed'), lateness()])).resolves.toBe(
      'closed',
    );
    await peer.closed();
  });
});

function lateness(): Promise<string> {
  return new Promise((resolve) => setTimeout(() => resolve('still waiting'), DEADLINE_MS).unref());
}

describe('a client', () => {
  for (const [name, bytes] of FOREIGN) {
    it(`drops a server that sends ${name}, tries again, and is well once it speaks nyota`, async () => {
      const { raw, patient } = await stage.patient();
      patient.client.send('queued');
      const first = await raw.next();
      first.write(await bytes());
      await patient.hears('reconnecting', 'NYOTA_BAD_PREAMBLE');
      const { peer } = await raw.welcomed();
      await patient.hears('connect');
      expect((await peer.next(0x10)).body).toEqual(['queued', []]);
      expect(patient.dispatched).toEqual([]);
    });
  }

  it('that wants TLS drops a server that answers in plain bytes, and says none of its own', async () => {
    const { raw, patient } = await stage.patient(
      { tls: { rejectUnauthorized: false }, auth: 'credentials' },
      false,
    );
    const peer = await raw.next();
    peer.preamble();
    await patient.hears('reconnecting', 'NYOTA_CONNECT_FAILED');
    await peer.closed();
    expect(patient.client.state).not.toBe('idle');
  });

  it('stops, loudly, at a server that speaks later versions only', async () => {
    const { raw, patient } = await stage.patient();
    (await raw.next()).preamble(2, 3);
    await patient.hears('error', 'NYOTA_VERSION_MISMATCH');
    expect(patient.client.state).toBe('idle');
  });

  it('drops a server that answers nothing at handshakeTimeoutMs', async () => {
    const clock = createFakeClock();
    const { raw, patient } = await stage.patient({ clock });
    const silent = await raw.next();
    await silent.next(0x01);
    await clock.advance(10_000);
    await clock.advance(100);
    await patient.hears('reconnecting', 'NYOTA_HANDSHAKE_TIMEOUT');
    await silent.closed();
  });

  it('drops a server that sends frames before WELCOME, and dispatches none of them', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.opened();
    peer.write(frame(0x10, { seq: 1 }, Buffer.from('92a465766180', 'hex')));
    await patient.hears('reconnecting', 'NYOTA_PROTOCOL_ERROR');
    expect(patient.dispatched).toEqual([]);
    await raw.welcomed();
    await patient.hears('connect');
  });
});
