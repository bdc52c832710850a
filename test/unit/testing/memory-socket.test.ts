/** The ends of a memory connection, held against what a net.Socket does. */

import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createLink } from '../../../src/testing/index.js';
import { record, turns } from './helpers.js';

describe('createLink', () => {
  it('carries bytes both ways, in order, and never in the same tick', async () => {
    const [client, server] = createLink();
    const [atClient, atServer] = [record(client), record(server)];
    client.write('one ');
    client.write('two');
    server.write('back');
    expect(atServer.text).toBe('');
    await turns();
    expect([atServer.text, atClient.text]).toEqual(['one two', 'back']);
    expect([client.bytesWritten, server.bytesRead, client.bytesRead]).toEqual([7, 7, 4]);
  });

  it('hands over what was written even if the writer reuses its buffer', async () => {
    const [client, server] = createLink();
    const seen = record(server);
    const bytes = Buffer.from('first');
    client.write(bytes);
    bytes.fill('x');
    await turns();
    expect(seen.text).toBe('first');
  });

  it('carries a large transfer whole', async () => {
    const [client, server] = createLink({ highWaterMark: 1_000 });
    const sent = Buffer.alloc(500_000, 'abcdefghijk');
    const seen = record(server);
    client.end(sent);
    await once(server, 'end');
    expect(Buffer.concat(seen.chunks).equals(sent)).toBe(true);
  });

  it('tells the other side of an end, and closes both without an error', async () => {
    const [client, server] = createLink();
    const [atClient, atServer] = [record(client), record(server)];
    client.end('bye');
    await turns();
    expect(atServer.text).toBe('bye');
    expect(atServer.events).toEqual(['end', 'close false']);
    expect(atClient.events).toEqual(['end', 'close false']);
  });

  it('delivers what was written before a destroy, and then the end', async () => {
    const [client, server] = createLink();
    const [atClient, atServer] = [record(client), record(server)];
    client.write('last words');
    client.destroy();
    await turns();
    expect([atServer.text, atServer.events]).toEqual(['last words', ['end', 'close false']]);
    expect(atClient.events).toEqual(['close false']);
  });

  it('resets the one whose bytes meet an end that is gone', async () => {
    const [client, server] = createLink();
    const atClient = record(client);
    client.write('anybody there?');
    server.connection?.stall('down'); // hides the end, which would come first
    server.destroy();
    await turns();
    server.connection?.unstall();
    await turns();
    expect(atClient.events).toEqual(['error: ECONNRESET', 'close true']);
  });

  it('resets the other side with resetAndDestroy', async () => {
    const [client, server] = createLink();
    const [atClient, atServer] = [record(client), record(server)];
    client.write('lost');
    client.resetAndDestroy();
    await turns();
    expect([atServer.text, atServer.events]).toEqual(['', ['error: ECONNRESET', 'close true']]);
    expect(atClient.events).toEqual(['close false']);
  });

  it('ends after what is still to be written with destroySoon', async () => {
    const [client, server] = createLink({ highWaterMark: 10 });
    const seen = record(server);
    client.write('x'.repeat(200));
    client.write('end');
    client.destroySoon();
    await turns();
    expect([seen.text.length, seen.events, client.destroyed]).toEqual([203, ['end', 'close false'], true]);
  });

  it('pushes back on the writer while the reader is paused, and drains after', async () => {
    const [client, server] = createLink({ highWaterMark: 100 });
    server.pause();
    let written = 0;
    while (client.write('x'.repeat(10)) && written < 10_000) {
      written += 10;
      await turns(1);
    }
    expect(written).toBeGreaterThanOrEqual(200);
    expect(written).toBeLessThan(400);
    expect(client.writableLength).toBeGreaterThanOrEqual(100);
    expect(client.writableNeedDrain).toBe(true);
    await turns();
    expect(client.writableNeedDrain).toBe(true);
    const seen = record(server);
    server.resume();
    await once(client, 'drain');
    await turns();
    expect(client.writableLength).toBe(0);
    expect(seen.text.length).toBe(written + 10);
    expect(client.bytesWritten).toBe(written + 10);
  });

  it('says in the callback when a write was not taken before the end was destroyed', async () => {
    const [client] = createLink({ highWaterMark: 10 });
    const results: unknown[] = [];
    client.write('x'.repeat(100), (error) => results.push(error));
    client.write('y', (error) => results.push(error));
    client.destroy();
    await turns();
    expect(results).toEqual([expect.any(Error), expect.any(Error)]);
  });

  it('holds corked writes back and sends them as one', async () => {
    const [client, server] = createLink();
    const seen = record(server);
    client.cork();
    client.write('a');
    client.write('b');
    await turns();
    expect(seen.chunks.length).toBe(0);
    client.uncork();
    await turns();
    expect(seen.chunks.map(String)).toEqual(['ab']);
  });

  it('does not starve the event loop, however fast two ends answer each other', async () => {
    const [client, server] = createLink();
    record(server);
    server.on('data', (chunk) => server.write(chunk));
    client.on('data', (chunk) => client.write(chunk));
    client.write('for ever');
    await new Promise((resolve) => setTimeout(resolve, 5));
    client.destroy();
    expect(server.bytesRead).toBeGreaterThan(8);
  });

  it('emits timeout when nothing moves, and not while something does', async () => {
    const [client, server] = createLink();
    record(server);
    let calls = 0;
    client.setTimeout(5, () => {
      calls += 1;
    });
    expect(client.timeout).toBe(5);
    await once(client, 'timeout');
    expect([calls, client.destroyed]).toEqual([1, false]);
    client.setTimeout(0);
    client.destroy();
  });

  it('answers what is asked of a socket, and refuses to be dialled again', () => {
    const [client] = createLink();
    expect(client.setNoDelay().setKeepAlive().ref().unref()).toBe(client);
    expect([client.connecting, client.pending, client.readyState]).toEqual([false, false, 'open']);
    expect([client.remoteAddress, client.remotePort, client.address()]).toEqual([undefined, undefined, {}]);
    expect(() => client.connect()).toThrow(/createConnection/);
  });

  it('has the faults of its connection on each end', async () => {
    const [client, server] = createLink();
    const seen = record(server);
    expect(client.connection).toBe(server.connection);
    client.connection?.stall('up');
    client.write('kept');
    await turns();
    expect(seen.text).toBe('');
    client.connection?.unstall();
    await turns();
    expect(seen.text).toBe('kept');
  });

  it('refuses a bad high-water mark by name', () => {
    for (const highWaterMark of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => createLink({ highWaterMark })).toThrow(/highWaterMark/);
    }
  });
});
