/**
 * A process of its own that offers so many bytes to a peer that takes nothing, and watches its memory meanwhile. Run by
 * stalled-peer.test.ts, with the built package, as `node --expose-gc delivery-stall-child.js BYTES client PORT` or `... BYTES server`. It tells its
 * parent what happened, and must then end by itself: nothing may hold it.
 */
import { createHash } from 'node:crypto';

/** @type {typeof import('../../src/index.js')} */
const { createClient, createServer } = await import(new URL('../../dist/index.js', import.meta.url).href);

const MESSAGE_BYTES = 64 * 1024;
const [offeredBytes, role, port] = process.argv.slice(2);

/** @param {object} message */
const tell = (message) => process.send?.(message);

/** @param {string} command */
const told = (command) =>
  new Promise((resolve) => {
    /** @param {unknown} message */
    const listen = (message) => {
      if (message !== command) return;
      process.off('message', listen);
      resolve(undefined);
    };
    process.on('message', listen);
  });

/** After a collection: when the next one would be due, and how much lies about until then, is the line of Node's business. */
const memory = () => {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  globalThis.gc();
  const { rss, external, arrayBuffers, heapUsed } = process.memoryUsage();
  return { rss, external, arrayBuffers, heapUsed };
};

/** @param {{ send(event: string, ...args: unknown[]): boolean }} peer */
async function offer(peer) {
  const before = memory();
  const growth = { rss: 0, external: 0, arrayBuffers: 0, heapUsed: 0 };
  const counts = { accepted: 0, waits: 0, refused: 0, firstWait: -1, firstRefusal: -1 };
  /** @type {Set<string>} */
  const codes = new Set();
  const hash = createHash('sha256');
  const offers = Number(offeredBytes) / MESSAGE_BYTES;
  for (let i = 0; i < offers; i++) {
    const message = Buffer.alloc(MESSAGE_BYTES, i & 0xff);
    message.writeUInt32BE(counts.accepted);
    try {
      if (!peer.send('bytes', message)) {
        counts.waits++;
        if (counts.firstWait < 0) counts.firstWait = i;
      }
      counts.accepted++;
      hash.update(message);
    } catch (error) {
      counts.refused++;
      if (counts.firstRefusal < 0) counts.firstRefusal = i;
      codes.add(String(/** @type {{ code?: unknown }} */ (error).code));
    }
    if (i % 64 !== 63) continue;
    await new Promise((resolve) => setImmediate(resolve));
    const now = memory();
    for (const key of /** @type {const} */ (['rss', 'external', 'arrayBuffers', 'heapUsed'])) {
      growth[key] = Math.max(growth[key], now[key] - before[key]);
    }
  }
  return { ...counts, codes: [...codes], growth, digest: hash.digest('hex') };
}

/**
 * @param {{
 *   send(event: string, ...args: unknown[]): boolean,
 *   sendWithAck(event: string, ...args: unknown[]): Promise<void>,
 *   once(event: 'drain', listener: () => void): unknown,
 * }} peer
 */
async function run(peer) {
  tell({ is: 'ready' });
  await told('go');
  const drained = new Promise((resolve) => peer.once('drain', () => resolve(undefined)));
  tell({ is: 'offered', ...(await offer(peer)) });
  await drained;
  await peer.sendWithAck('end');
  tell({ is: 'delivered' });
  await told('close');
}

if (role === 'client') {
  const client = createClient({ port: Number(port), host: '127.0.0.1' });
  await new Promise((resolve) => client.once('connect', () => resolve(undefined)));
  await run(client);
  await client.close();
} else {
  const server = createServer();
  server.listen(0, '127.0.0.1', () => tell({ is: 'listening', address: server.address() }));
  const session = await new Promise((resolve) => server.once('session', resolve));
  await run(/** @type {import('../../src/index.js').Session} */ (session));
  await server.close();
}
process.disconnect?.();
