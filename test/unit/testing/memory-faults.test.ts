/** The faults of memory connections: what each end sees, and what it does not. */

import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createMemoryNetwork, type MemoryNetwork, type MemorySocket } from '../../../src/testing/index.js';
import { type Recording, record, turns } from './helpers.js';

interface Ends {
  network: MemoryNetwork;
  client: MemorySocket;
  server: MemorySocket;
  atClient: Recording;
  atServer: Recording;
}

async function connected(network = createMemoryNetwork(), port = 1): Promise<Ends> {
  const listener = network.createServer().listen(port);
  const accepted = once(listener, 'connection');
  const client = network.createConnection({ port });
  const [server] = (await accepted) as [MemorySocket];
  return { network, client, server, atClient: record(client), atServer: record(server) };
}

describe('cut', () => {
  it('resets both ends, and loses what was on its way', async () => {
    const { network, client, atClient, atServer } = await connected();
    client.write('lost');
    network.cut();
    await turns();
    expect(atClient.events).toEqual(['error: ECONNRESET', 'close true']);
    expect([atServer.text, atServer.events]).toEqual(['', ['error: ECONNRESET', 'close true']]);
    expect(network.connections.size).toBe(0);
  });

  it('hands on the error that it is given, and cuts a stalled or dropped link too', async () => {
    const first = await connected();
    first.network.stall();
    first.client.connection?.cut(Object.assign(new Error('x'), { code: 'EHOSTDOWN' }));
    const second = await connected();
    second.network.dropLink();
    second.network.cut();
    await turns();
    expect(first.atServer.events).toEqual(['error: EHOSTDOWN', 'close true']);
    expect(second.atServer.events).toEqual(['error: ECONNRESET', 'close true']);
  });

  it('cuts one connection and leaves the others', async () => {
    const first = await connected();
    const second = await connected(first.network, 2);
    first.client.connection?.cut();
    await turns();
    expect([first.client.destroyed, second.client.destroyed]).toEqual([true, false]);
  });
});

describe('stall', () => {
  it('keeps bytes until it ends, in order', async () => {
    const { network, client, atServer } = await connected();
    client.write('before ');
    network.stall();
    client.write('during ');
    await turns();
    network.unstall();
    client.write('after');
    await turns();
    expect(atServer.text).toBe('before during after');
  });

  it('works on one direction alone', async () => {
    const { network, client, server, atClient, atServer } = await connected();
    network.stall('down');
    client.write('up');
    server.write('down');
    await turns();
    expect([atServer.text, atClient.text]).toEqual(['up', '']);
  });

  it('hides a close and a reset of the other end until it ends', async () => {
    const ended = await connected();
    ended.network.stall();
    ended.client.destroy();
    const reset = await connected();
    reset.network.stall();
    reset.client.resetAndDestroy();
    await turns();
    expect([ended.atServer.events, reset.atServer.events]).toEqual([[], []]);
    expect(ended.network.connections.size).toBe(1);
    ended.network.unstall();
    reset.network.unstall();
    await turns();
    expect(ended.atServer.events).toEqual(['end', 'close false']);
    expect(reset.atServer.events).toEqual(['error: ECONNRESET', 'close true']);
  });

  it('makes the writer wait once the link is full', async () => {
    const { network, client, atServer } = await connected(createMemoryNetwork({ highWaterMark: 100 }));
    network.stall('up');
    let written = 0;
    while (client.write('x') && written < 10_000) written += 1;
    await turns();
    expect(written).toBeLessThanOrEqual(300);
    expect(client.writableNeedDrain).toBe(true);
    network.heal();
    await once(client, 'drain');
    await turns();
    expect(atServer.text.length).toBe(written + 1);
  });

  it('holds for connections that come later', async () => {
    const network = createMemoryNetwork();
    network.stall('up');
    const { client, atServer } = await connected(network);
    client.write('x');
    await turns();
    expect(atServer.text).toBe('');
    network.unstall();
    await turns();
    expect(atServer.text).toBe('x');
  });
});

describe('dropLink', () => {
  it('loses bytes and closes for good, and lets the writer go on', async () => {
    const { network, client, server, atServer } = await connected(createMemoryNetwork({ highWaterMark: 10 }));
    client.write('on its way');
    network.dropLink();
    await new Promise((resolve) => client.write('x'.repeat(1_000), resolve));
    network.heal();
    client.destroy();
    await turns();
    expect([atServer.text, atServer.events, server.destroyed]).toEqual(['', [], false]);
    server.destroy();
    await turns();
    expect(network.connections.size).toBe(0);
  });

  it('leaves new connections whole', async () => {
    const first = await connected();
    first.network.dropLink();
    const second = await connected(first.network, 2);
    second.client.write('fine');
    await turns();
    expect(second.atServer.text).toBe('fine');
  });
});

describe('slice', () => {
  it('delivers at most so many bytes at a time', async () => {
    const { network, client, atServer } = await connected();
    network.slice(3);
    client.write('abcdefgh');
    await turns();
    expect(atServer.chunks.map(String)).toEqual(['abc', 'def', 'gh']);
    network.heal();
    client.write('abcdefgh');
    await turns();
    expect(atServer.chunks.length).toBe(4);
  });

  it('holds for connections that come later, and refuses what is no count', async () => {
    const network = createMemoryNetwork();
    network.slice(1);
    const { client, atServer } = await connected(network);
    client.write('abc');
    await turns();
    expect(atServer.chunks.length).toBe(3);
    for (const bytes of [0, -1, 1.5, Number.NaN]) expect(() => network.slice(bytes)).toThrow(/slice takes/);
  });
});

it('refuses a direction that is none', async () => {
  const { network } = await connected();
  for (const wrong of ['sideways', '__proto__', '']) {
    expect(() => network.stall(wrong as 'up')).toThrow(/'up', 'down' or 'both'/);
  }
});
