/**
 * A process that the kill tests start, stop and kill: a server with one session, or a client. Its parent says by messages
 * what to do (kill-process.ts has their types); what happens goes into the log (kill-log.ts says what the lines mean).
 * The package is the one in the folder NYOTA_KILL_DIST, a URL that ends with a slash.
 */
import { openSync } from 'node:fs';
import { KillTraffic } from './kill-traffic.js';

const dist = process.env.NYOTA_KILL_DIST ?? '';
/** @type {typeof import('../../src/index.js')} */
const { createClient, createServer } = await import(`${dist}index.js`);
/** @type {typeof import('../../src/stores/lmdb/index.js')} */
const { lmdbStore } = await import(`${dist}stores/lmdb/index.js`);
/** @type {typeof import('../../src/testing/seeded-random.js')} */
const { seededRandom } = await import(`${dist}testing/seeded-random.js`);

/** @typedef {import('./kill-process.js').ToWorker} ToWorker */
/** @typedef {import('./kill-process.js').FromWorker} FromWorker */
/** @typedef {import('./kill-traffic.js').AnySide} AnySide */

/** @type {KillTraffic | undefined} */
let traffic;
/** @type {import('../../src/index.js').SessionStore | undefined} */
let store;
/** @type {() => Promise<void>} */
let close = async () => {};
/** A process may get the session more than once. */
let sessions = 0;

/** @param {FromWorker} message */
const tell = (message) => void process.send?.(message);
/** @param {unknown} error */
const failed = (error) => {
  const { stack, cause } = error instanceof Error ? error : new Error(String(error));
  tell({ is: 'failed', reason: cause === undefined ? `${stack}` : `${stack}\n${cause}` });
};

/** @param {string | undefined} folder */
const storeIn = (folder) => {
  if (folder === undefined) return {};
  store = lmdbStore({ path: folder });
  return { store };
};

/** @param {AnySide} peer @param {import('./kill-process.js').KillLoad} load @param {boolean} resumed */
function begin(peer, { side, generation, seed, log }, resumed) {
  traffic = new KillTraffic(peer, {
    ...{ side, resumed, log: openSync(log, 'a'), random: seededRandom((seed + sessions) >>> 0) },
    generation: `${generation}.${sessions++}`,
  });
  // Both sides have what is used of them here.
  const client = /** @type {import('../../src/index.js').Client} */ (peer);
  client.on('connect', ({ resumed }) => tell({ is: 'connected', resumed }));
  client.on('disconnect', (reason) => tell({ is: 'disconnected', code: reason?.code }));
  client.on('close', () => tell({ is: 'over', code: whyClosed(client) }));
}

/** What a call on it throws has the reason as its cause. @param {import('../../src/index.js').Client} peer */
function whyClosed(peer) {
  try {
    peer.send('last');
    return undefined;
  } catch (error) {
    return /** @type {{ cause?: { code?: string } }} */ (error).cause?.code;
  }
}

/** @param {Extract<ToWorker, { do: 'serve' }>} order */
function serve({ port, folder, options: { host = '127.0.0.1', ...options }, load }) {
  const server = createServer({ ...options, ...storeIn(folder) }, (session, resumed) => {
    begin(session, load, resumed);
    session.on('expired', () => failed('the session has expired'));
  });
  server.on('error', failed);
  server.on('listening', () => {
    const address = server.address();
    if (typeof address === 'object' && address !== null) tell({ is: 'listening', port: address.port });
  });
  close = () => server.close();
  server.listen(port, host);
}

/** @param {Extract<ToWorker, { do: 'connect' }>} order */
function connect({ servers, folder, options, load }) {
  const reconnect = { minDelayMs: 2, maxDelayMs: 40 };
  const client = createClient({ servers, reconnect, ...options, ...storeIn(folder) });
  begin(client, load, client.store.size > 0);
  client.on('gap', (gap) => failed(`a gap: ${gap.uncertain} uncertain, ${gap.lost} lost, ${gap.reason}`));
  client.on('sessionInvalidated', () => failed('the session was invalidated'));
  client.on('session', ({ reason }) => reason !== undefined && failed(`a new session: ${reason}`));
  close = () => client.close();
}

/** @param {ToWorker} order */
async function follow(order) {
  if (order.do === 'serve') serve(order);
  else if (order.do === 'connect') connect(order);
  else if (order.do === 'rest') {
    await traffic?.rest();
    tell({ is: 'resting' });
  } else if (order.do === 'go on') traffic?.goOn();
  else if (order.do === 'die') traffic?.die(order.at, order.count);
  else if (order.do === 'probe') {
    await store?.sweep(Date.now());
    tell({ is: 'probed' });
  } else if (order.do === 'finish') {
    await traffic?.finish();
    tell({ is: 'finished' });
  } else if (order.do === 'sync') {
    await traffic?.sync();
    tell({ is: 'synced' });
  } else if (order.do === 'report') tell({ is: 'report', entries: traffic?.entries() ?? {} });
  else {
    process.off('disconnect', orphaned);
    await close();
    process.disconnect?.();
  }
}

function orphaned() {
  process.exit(1);
}

process.on('message', (/** @type {ToWorker} */ order) => void follow(order).catch(failed));
process.on('disconnect', orphaned);
tell({ is: 'ready' });
