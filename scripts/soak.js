/**
 * Soak: 200 clients on four servers, half of them with the LMDB store, connect, send, request, write, are cut, disconnect, go
 * away and are replaced. What must not grow is measured while the churn rests, and the last third of the measurements is
 * compared with the first. Exits 1 where something grew. Runs on dist/: build first.
 *
 *   npm run soak -- --seconds 3600        default: NYOTA_SOAK_SECONDS, or 180
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** @type {(path: string) => Promise<any>} */
const built = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { createClient, createServer } = await built('index.js');
const { lmdbStore } = await built('stores/lmdb/index.js');
setFlagsFromString('--expose-gc');
/** @type {() => void} */
const collect = runInNewContext('gc');

const { values } = parseArgs({ options: { seconds: { type: 'string' } } });
const SECONDS = Number(values.seconds ?? process.env.NYOTA_SOAK_SECONDS ?? 180);
if (!(SECONDS >= 6)) throw new Error('--seconds takes a number of at least 6');
const CLIENTS = 200;
const SERVERS = 4;
const ROUNDS = Math.max(6, Math.min(30, Math.floor(SECONDS / 6)));
/** Short: what was left by a client that went away is over well before the next measurement. */
const RESUME_WINDOW_MS = 1_000;
const MIB = 2 ** 20;
/** A rest that takes longer than this is measured as it is. */
const LONGEST_REST_MS = 15_000;
/** As many ended sessions a server remembers in memory. */
const MAX_REMEMBERED = 100_000 * (SERVERS / 2);
/**
 * An ended session is remembered for 24 hours, by design: so many bytes are allowed for each that ended between the thirds.
 * Beyond that: a share of the first third, and a fixed amount.
 */
const MARGINS = {
  heap: { perEnded: 300, share: 0.1, fixed: 3 * MIB },
  handles: { perEnded: 0, share: 0.1, fixed: 10 },
  timers: { perEnded: 0, share: 0.1, fixed: 10 },
  sessions: { perEnded: 0, share: 0.05, fixed: 5 },
  folder: { perEnded: 200, share: 0.25, fixed: MIB },
};
/** @typedef {keyof typeof MARGINS} Measured */
const MEASURED = /** @type {Measured[]} */ (Object.keys(MARGINS));

const folder = mkdtempSync(join(tmpdir(), 'nyota-soak-'));
const done = { sent: 0, answered: 0, writes: 0, cuts: 0, disconnects: 0, closed: 0, destroyed: 0, lost: 0 };
/** @type {unknown[]} */
const problems = [];
/** @param {unknown} error */
const failed = (error) => {
  if (problems.length < 10) problems.push(error);
};

/** @param {number} i */
async function startServer(i) {
  const store = i % 2 === 0 ? { store: lmdbStore({ path: join(folder, String(i)) }) } : {};
  const server = createServer(
    { resumeWindowMs: RESUME_WINDOW_MS, ...store },
    (/** @type {any} */ session) => {
      session.on('error', failed);
      session.on('note', () => {});
      session.handle('double', (/** @type {number} */ n) => n * 2);
    },
  );
  server.on('error', failed);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  return server;
}

/** @param {any} server */
function startClient(server) {
  const reconnect = { minDelayMs: 10, maxDelayMs: 100 };
  const client = createClient({ port: server.address().port, host: '127.0.0.1', reconnect });
  client.on('error', failed);
  return client;
}

/** One turn of a client, drawn by lot. Answers the client to go on with. @param {any} client @param {any} server */
async function turn(client, server) {
  const lot = Math.random();
  if (lot < 0.4) {
    for (let n = 0; n < 5; n++) client.send('note', n, '.'.repeat(Math.floor(Math.random() * 500)));
    done.sent += 5;
  } else if (lot < 0.65) {
    if ((await client.request('double', 21)) !== 42) throw new Error('a wrong reply');
    done.answered++;
  } else if (lot < 0.85) {
    const key = `key-${Math.floor(Math.random() * 20)}`;
    if (Math.random() < 0.2) client.delete(key);
    else client.set(key, '.'.repeat(100));
    done.writes++;
  } else if (lot < 0.92) {
    client.socket?.destroy();
    done.cuts++;
  } else if (lot < 0.96) {
    const gone = client.connected && new Promise((resolve) => client.once('disconnect', resolve));
    client.disconnect();
    await gone;
    client.connect();
    done.disconnects++;
  } else {
    if (lot < 0.99) {
      await client.close();
      done.closed++;
    } else {
      client.destroy();
      done.destroyed++;
    }
    return startClient(server);
  }
  return client;
}

/**
 * On a busy machine a client may be away for longer than the window: that is counted.
 * @param {Promise<any>} work
 */
async function unlessLost(work) {
  try {
    return await work;
  } catch (error) {
    if (/** @type {{ code?: string }} */ (error).code !== 'NYOTA_SESSION_LOST') throw error;
    done.lost++;
    return undefined;
  }
}

/** @param {number} until @param {any[]} clients @param {any[]} servers */
async function churn(until, clients, servers) {
  const alone = async (/** @type {number} */ i) => {
    while (performance.now() < until) {
      clients[i] = (await unlessLost(turn(clients[i], servers[i % SERVERS]))) ?? clients[i];
      await pause(20 + Math.random() * 80);
    }
    // All at rest: what was sent is handled, and the store is in step.
    await unlessLost(clients[i].sendWithAck('note'));
    await unlessLost(clients[i].store.synced());
  };
  await Promise.all(clients.map((_client, i) => alone(i)));
}

const sum = (/** @type {number[]} */ values) => values.reduce((total, value) => total + value, 0);
/** @param {any[]} servers */
const sessionsOf = (servers) => sum(servers.map((server) => server.stats().sessions));

/** Resolves once nothing is left of the clients that went away. @param {any[]} servers */
async function rest(servers) {
  const until = performance.now() + LONGEST_REST_MS;
  while (sessionsOf(servers) > CLIENTS && performance.now() < until) await pause(50);
  // Their sockets, too.
  await pause(100);
}

/** @param {any[]} servers @returns {Record<Measured | 'ended', number>} */
function measure(servers) {
  collect();
  collect();
  const resources = process.getActiveResourcesInfo();
  const timers = resources.filter((name) => name === 'Timeout' || name === 'Immediate').length;
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
  return {
    heap: process.memoryUsage().heapUsed,
    handles: resources.length - timers,
    timers,
    sessions: sessionsOf(servers),
    folder: sum(files.map((file) => statSync(file)).map((stats) => (stats.isFile() ? stats.size : 0))),
    ended: done.closed + done.destroyed,
  };
}

const mean = (/** @type {number[]} */ values) => sum(values) / values.length;
const show = (/** @type {string} */ name, /** @type {number} */ value) =>
  name === 'heap' || name === 'folder' ? `${(value / MIB).toFixed(2)} MiB` : value.toFixed(1);

/** What grew. @param {Record<Measured | 'ended', number>[]} rounds */
function compare(rounds) {
  const third = Math.floor(rounds.length / 3);
  const first = rounds.slice(0, third);
  const last = rounds.slice(-third);
  const ended = mean(last.map((round) => round.ended)) - mean(first.map((round) => round.ended));
  return MEASURED.filter((name) => {
    const before = mean(first.map((round) => round[name]));
    const after = mean(last.map((round) => round[name]));
    const { perEnded, share, fixed } = MARGINS[name];
    const remembered = name === 'heap' ? Math.min(ended, MAX_REMEMBERED) : ended;
    const limit = before * (1 + share) + fixed + perEnded * remembered;
    const grew = after > limit;
    const verdict = grew ? 'GREW' : 'ok';
    console.log(
      `${name.padEnd(9)} first third ${show(name, before)}, last third ${show(name, after)}, limit ${show(name, limit)}: ${verdict}`,
    );
    return grew;
  });
}

/** @returns {Promise<string[]>} */
async function soak() {
  const servers = await Promise.all(Array.from({ length: SERVERS }, (_, i) => startServer(i)));
  const clients = Array.from({ length: CLIENTS }, (_, i) => startClient(servers[i % SERVERS]));
  /** @type {Record<Measured | 'ended', number>[]} */
  const rounds = [];
  console.log(
    `soak: ${CLIENTS} clients, ${SERVERS} servers (${SERVERS / 2} with LMDB), ${SECONDS} s, ${ROUNDS} rounds`,
  );
  const roundMs = (SECONDS * 1_000) / (ROUNDS + 1);
  const restMs = Math.min(RESUME_WINDOW_MS + 300, roundMs / 2);
  try {
    // The first round warms up and is not counted.
    for (let round = 0; round <= ROUNDS; round++) {
      await churn(performance.now() + roundMs - restMs, clients, servers);
      await rest(servers);
      const measured = measure(servers);
      if (round > 0) rounds.push(measured);
      console.log(
        `${String(round).padStart(3)}  ${MEASURED.map((name) => `${name} ${show(name, measured[name])}`).join('  ')}`,
      );
    }
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all(servers.map((server) => server.close()));
  }
  console.log(
    Object.entries(done)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
  );
  return compare(rounds);
}

try {
  const grown = await soak();
  for (const problem of problems) console.error('soak: an unexpected error:', problem);
  if (grown.length > 0) console.error(`soak: grew: ${grown.join(', ')}`);
  process.exitCode = grown.length + problems.length > 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
