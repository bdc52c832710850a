/** The connection cut behind every single byte of a handshake and a short session, in each direction. */
import { expect, it } from 'vitest';
import { createFaultProxy, createMemoryNetwork, type OneWay } from '../../../src/testing/index.js';
import { type MemoryProxy, startMemoryProxy } from '../../support/delivery-memory-proxy.js';
import { type Link, runShortSession, WHOLE } from '../../support/delivery-short-session.js';

const WAYS: readonly OneWay[] = ['up', 'down'];

/** A link in memory, its first connection cut behind `bytes` bytes that go `direction`. */
function memoryLink(bytes: number, direction: OneWay): Link & { proxy: () => MemoryProxy } {
  const network = createMemoryNetwork();
  let proxy: MemoryProxy | undefined;
  return {
    server: { createServer: network.createServer },
    client: { createConnection: network.createConnection },
    async connect(port) {
      proxy = startMemoryProxy(network, port, { bytes, direction });
      return { port: proxy.port, close: async () => {} };
    },
    proxy: () => {
      if (proxy === undefined) throw new Error('not connected yet');
      return proxy;
    },
  };
}

/** Runs `run` for each number up to the last, some at a time. */
async function inBatches(
  numbers: readonly number[],
  size: number,
  run: (n: number) => Promise<void>,
): Promise<void> {
  for (let from = 0; from < numbers.length; from += size) {
    await Promise.all(numbers.slice(from, from + size).map(run));
  }
}

for (const direction of WAYS) {
  it(`loses and doubles nothing when the connection is cut behind any byte that goes ${direction}`, async () => {
    let reachedEnd = 0;
    let cuts = 0;
    // On and on, until no cut comes about because the session was over before.
    for (let from = 0; reachedEnd === 0; from += 64) {
      const numbers = Array.from({ length: 64 }, (_, i) => from + i);
      await inBatches(numbers, 64, async (bytes) => {
        const link = memoryLink(bytes, direction);
        const result = await runShortSession(link);
        expect(result, `cut behind ${bytes} bytes ${direction}`).toEqual(WHOLE);
        if (link.proxy().cut) cuts++;
        else reachedEnd++;
      });
    }
    // A handshake alone is longer than that.
    expect(cuts).toBeGreaterThan(250);
  });
}

it('holds on real sockets too: cut behind every eleventh byte of each direction, and of both together', async () => {
  const numbers = Array.from({ length: 41 }, (_, i) => i * 11);
  for (const direction of [...WAYS, 'both'] as const) {
    await inBatches(numbers, 8, async (bytes) => {
      const result = await runShortSession({
        server: {},
        client: {},
        async connect(port) {
          const proxy = await createFaultProxy({ target: { port } });
          proxy.cutAfter({ bytes, direction });
          return { port: proxy.port, close: () => proxy.close() };
        },
      });
      expect(result, `cut behind ${bytes} bytes ${direction}`).toEqual(WHOLE);
    });
  }
});
