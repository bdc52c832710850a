/** The fault proxy on real sockets: passing on, stalls, delays, refusals, and that it leaves nothing behind. */

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createFaultProxy, type FaultProxy } from '../../../src/testing/index.js';
import { type RealServer, type Recording, record, startServer, until } from './helpers.js';

interface Dialled {
  client: Socket;
  atClient: Recording;
  /** The server's end of it. */
  end: Socket;
  atServer: Recording;
}

async function dial(proxy: FaultProxy, server: RealServer): Promise<Dialled> {
  const before = server.ends.length;
  const client = connect(proxy.port, proxy.host);
  const atClient = record(client);
  await until(() => server.ends.length > before);
  const { socket: end, seen: atServer } = server.ends[before] as RealServer['ends'][number];
  return { client, atClient, end, atServer };
}

describe('createFaultProxy', () => {
  it('passes bytes and ends on, both ways, and counts them', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const { client, atClient, end, atServer } = await dial(proxy, server);
    expect(proxy.connections).toBe(1);
    client.write('question');
    await until(() => atServer.text === 'question');
    end.end('answer');
    await once(client, 'close');
    await until(() => proxy.connections === 0);
    expect([atClient.text, atClient.events]).toEqual(['answer', ['connect', 'end', 'close false']]);
    expect(proxy.totals).toEqual({ connections: 1, cuts: 0, bytesUp: 8, bytesDown: 6, bytesLost: 0 });
  });

  it('passes a half-closed connection on as one', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const half = createServer({ allowHalfOpen: true }, (socket) => {
      socket.resume();
      socket.on('end', () => socket.end('after the end'));
    });
    await new Promise<void>((resolve) => half.listen(0, '127.0.0.1', resolve));
    const address = half.address() as { port: number };
    await using second = await createFaultProxy({ target: address });
    const client = connect({ port: second.port, host: second.host, allowHalfOpen: true });
    const seen = record(client);
    client.end('x');
    await once(client, 'close');
    expect([seen.text, proxy.connections]).toEqual(['after the end', 0]);
    half.close();
  });

  it('carries a large transfer whole, through slices, a delay and a limited rate', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.slice(1_000);
    proxy.delay(2, 3);
    proxy.throttle(20_000_000);
    const { client, atServer } = await dial(proxy, server);
    const sent = Buffer.alloc(400_000, 'abcdefghijklm');
    client.end(sent);
    await until(() => atServer.events.includes('end'));
    expect(Buffer.concat(atServer.chunks).equals(sent)).toBe(true);
  });

  it('passes a reset of either side on', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const first = await dial(proxy, server);
    first.client.resetAndDestroy();
    await until(() => first.atServer.events.length > 0);
    const second = await dial(proxy, server);
    second.end.resetAndDestroy();
    await until(() => second.atClient.events.includes('close true'));
    expect(first.atServer.events).toContain('error: ECONNRESET');
    expect(second.atClient.events).toContain('error: ECONNRESET');
    await until(() => proxy.connections === 0);
    expect(proxy.totals.cuts).toBe(0);
  });

  it('resets the client where the target refuses', async () => {
    const server = await startServer();
    await server[Symbol.asyncDispose]();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const client = connect(proxy.port, proxy.host);
    const seen = record(client);
    await until(() => client.closed && proxy.connections === 0);
    expect(seen.text).toBe('');
  });

  it('goes to a unix path', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nyota-'));
    const path = join(folder, 'x.sock');
    const server = createServer((socket) => socket.pipe(socket));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await using proxy = await createFaultProxy({ target: { path } });
    const client = connect(proxy.port, proxy.host);
    const seen = record(client);
    client.write('echo');
    await until(() => seen.text === 'echo');
    proxy.cut();
    await until(() => seen.events.includes('close true'));
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  });

  it('rejects a port that is taken and a target that is none', async () => {
    await using server = await startServer();
    const target = { port: server.port };
    await expect(createFaultProxy({ target, port: server.port })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    for (const bad of [{ port: 0 }, { port: Number.NaN }, { path: '' }]) {
      await expect(createFaultProxy({ target: bad })).rejects.toMatchObject({
        code: 'NYOTA_INVALID_ARGUMENT',
      });
    }
  });

  it('refuses numbers that make no sense, by name', async () => {
    await using proxy = await createFaultProxy({ target: { port: 1 } });
    expect(() => proxy.slice(0)).toThrow(/slice/);
    expect(() => proxy.delay(-1)).toThrow(/delay/);
    expect(() => proxy.throttle(0)).toThrow(/throttle/);
    expect(() => proxy.cutAfter({ bytes: 1.5 })).toThrow(/cutAfter bytes/);
    expect(() => proxy.stall('left' as 'up')).toThrow(/'up', 'down' or 'both'/);
  });

  it('leaves no handle behind after close, whatever state connections are in', async () => {
    await until(() => handles() === 0); // the ends of earlier tests
    const server = await startServer();
    const proxy = await createFaultProxy({ target: { port: server.port } });
    const first = await dial(proxy, server);
    proxy.delay(60_000);
    first.client.write('delayed');
    const second = await dial(proxy, server);
    proxy.blackhole();
    second.client.write('lost');
    second.client.destroy();
    connect(proxy.port, proxy.host).on('error', () => {}); // perhaps not even accepted yet
    await Promise.all([proxy.close(), proxy.close()]);
    expect(proxy.connections).toBe(0);
    first.client.destroy();
    await server[Symbol.asyncDispose]();
    await until(() => handles() === 0);
    proxy.heal();
    proxy.cut();
  });
});

/** Sockets, servers and timers that hold the process, pipes of the test runner aside. */
function handles(): number {
  const kinds = /^(TCPSocketWrap|TCPServerWrap|TCPConnectWrap)$/;
  return process.getActiveResourcesInfo().filter((kind) => kinds.test(kind)).length;
}

describe('stall', () => {
  it('holds bytes back, looks alive, and passes all of it on afterwards', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const { client, atClient, end, atServer } = await dial(proxy, server);
    proxy.stall('up');
    client.write('later');
    end.write('now');
    await until(() => atClient.text === 'now');
    expect([atServer.text, atClient.events]).toEqual(['', ['connect']]);
    proxy.unstall();
    await until(() => atServer.text === 'later');
  });

  it('pushes back on a writer, and holds no more than its bound', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const { client, atServer } = await dial(proxy, server);
    proxy.stall('up');
    const sent = Buffer.alloc(64 * 1024 * 1024, 'x');
    client.write(sent);
    let last = -1;
    while (last !== client.writableLength + client.bytesWritten) {
      last = client.writableLength + client.bytesWritten;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(client.writableLength).toBeGreaterThan(0);
    expect(proxy.totals.bytesUp).toBe(0);
    proxy.unstall();
    await until(() => atServer.chunks.reduce((sum, chunk) => sum + chunk.length, 0) === sent.length);
  });

  it('pushes back when the other side does not read', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const { client, end, atServer } = await dial(proxy, server);
    end.pause();
    const sent = Buffer.alloc(64 * 1024 * 1024, 'x');
    client.write(sent);
    let last = -1;
    while (last !== proxy.totals.bytesUp) {
      last = proxy.totals.bytesUp;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(last).toBeLessThan(sent.length);
    end.resume();
    await until(() => atServer.chunks.reduce((sum, chunk) => sum + chunk.length, 0) === sent.length);
    expect(client.destroyed).toBe(false);
  });

  it('holds an end back as well', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const { client, atServer } = await dial(proxy, server);
    proxy.stall();
    client.end('bye');
    await once(client, 'finish');
    await new Promise((resolve) => setTimeout(resolve, 20)); // nothing may come, so there is nothing to wait for
    expect(atServer.events).toEqual([]);
    proxy.heal();
    await until(() => atServer.events.includes('end'));
    expect(atServer.text).toBe('bye');
  });
});

describe('blackhole', () => {
  it('makes a half-open link: bytes and closes vanish', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const { client, atServer } = await dial(proxy, server);
    proxy.blackhole();
    await new Promise((resolve) => client.write('lost', resolve));
    await until(() => proxy.totals.bytesLost === 4);
    client.destroy();
    await new Promise((resolve) => setTimeout(resolve, 20)); // nothing may come, so there is nothing to wait for
    expect([atServer.text, atServer.events, proxy.connections]).toEqual(['', [], 1]);
  });

  it('works on one direction alone', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const { client, atClient, end, atServer } = await dial(proxy, server);
    proxy.blackhole('down');
    end.write('lost');
    await until(() => proxy.totals.bytesLost === 4);
    client.write('arrives');
    await until(() => atServer.text === 'arrives');
    expect(atClient.text).toBe('');
  });

  it('resets a connection that lost bytes once it is healed, and leaves one that lost none', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const loser = await dial(proxy, server);
    const quiet = await dial(proxy, server);
    proxy.blackhole('up');
    await new Promise((resolve) => loser.client.write('lost', resolve));
    await until(() => proxy.totals.bytesLost === 4);
    proxy.unstall();
    await until(() => loser.atClient.events.includes('close true'));
    quiet.client.write('fine');
    await until(() => quiet.atServer.text === 'fine');
    expect([loser.atServer.text, proxy.totals.cuts]).toEqual(['', 1]);
  });
});

describe('delay, slice and throttle', () => {
  it('delays each byte by at least what was asked', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const { client, atServer } = await dial(proxy, server);
    proxy.delay(30);
    const startMs = performance.now();
    client.write('x');
    await until(() => atServer.text === 'x');
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(29);
  });

  it('keeps the order under jitter, from a random that may be handed in', async () => {
    await using server = await startServer();
    const seeds = [0.9, 0.1, 0.5, 0];
    let drawn = 0;
    const random = () => seeds[drawn++ % seeds.length] ?? 0;
    await using proxy = await createFaultProxy({ target: { port: server.port }, random });
    proxy.delay(1, 10);
    const { client, atServer } = await dial(proxy, server);
    client.setNoDelay();
    for (const letter of 'abcdef') await new Promise((resolve) => client.write(letter, resolve));
    await until(() => atServer.text.length === 6);
    expect(atServer.text).toBe('abcdef');
    expect(drawn).toBeGreaterThan(0);
  });

  it('passes delayed bytes on at once when healed', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const { client, atServer } = await dial(proxy, server);
    proxy.delay(600_000);
    client.write('x');
    await new Promise((resolve) => setTimeout(resolve, 10));
    proxy.heal();
    await until(() => atServer.text === 'x');
  });

  it('writes in pieces', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.slice(2);
    const { client, atServer } = await dial(proxy, server);
    client.write('abcdefghij');
    await until(() => atServer.text === 'abcdefghij');
    expect(atServer.chunks.length).toBeGreaterThan(1);
  });

  it('limits the rate', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    proxy.throttle(10_000);
    const { client, atServer } = await dial(proxy, server);
    const startMs = performance.now();
    client.write(Buffer.alloc(1_000));
    await until(() => atServer.text.length === 1_000);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(70);
  });
});

describe('refuse', () => {
  it('resets new connections, leaves open ones, and accept takes new ones again', async () => {
    await using server = await startServer();
    await using proxy = await createFaultProxy({ target: { port: server.port } });
    const open = await dial(proxy, server);
    proxy.refuse();
    const refused = connect(proxy.port, proxy.host);
    const seen = record(refused);
    await until(() => refused.closed);
    expect(seen.text).toBe('');
    open.client.write('still here');
    await until(() => open.atServer.text === 'still here');
    proxy.accept();
    await dial(proxy, server);
    expect([server.ends.length, proxy.totals.connections]).toEqual([2, 2]);
  });
});
