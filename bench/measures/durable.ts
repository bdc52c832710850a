/**
 * One-way events into a session that the server keeps in a folder, next to one in memory, and how long an acknowledgement
 * takes: it says that the step is on disk. Left out where the optional package `lmdb` is not installed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Session } from '../../src/index.js';
import { lmdbStore } from '../../src/stores/lmdb/index.js';
import { type Contender, type Measure, param, share } from '../measure.js';
import { listen, openSession } from '../nyota.js';
import type { Address, Stack } from '../stack.js';
import { BATCH, EVENT, makeOrder, turn } from '../workload.js';
import { percentile } from './latency.js';
import { eventParams } from './one-way.js';

const ACKS = 200;
const LAST = 'order.last';
const IGNORE = { event: () => {}, request: (value: unknown) => value };

function withStore(stack: Stack, durable: boolean): Stack {
  return {
    ...stack,
    serve: async (handlers) => {
      const onSession = (session: Session): void => {
        session.on(EVENT, (value: unknown) => handlers.event(value));
      };
      const server = createServer(durable ? { store: lmdbStore({ path: folder() }) } : {}, onSession);
      return { address: await listen(server), close: () => server.destroy() };
    },
  };
}

/** Not kept: the runner ends this process, or its signal does. */
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'nyota-bench-'));
  process.once('exit', () => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Until the last one is acknowledged: what is dispatched and not on disk yet does not count. */
async function sendAcknowledged(address: Address, warmUp: number, events: number): Promise<number> {
  const client = await openSession(address);
  const run = async (count: number): Promise<void> => {
    for (let id = 0; id < count; ) {
      let room = true;
      for (const end = Math.min(count, id + BATCH); id < end; id++) room = client.send(EVENT, makeOrder(id));
      if (room) await turn();
      else await new Promise<void>((resolve) => client.once('drain', resolve));
    }
    await client.sendWithAck(LAST);
  };
  await run(warmUp);
  const startedAt = performance.now();
  await run(events);
  return performance.now() - startedAt;
}

/** One event at a time, each waited for. */
async function timeAcks(address: Address): Promise<Record<string, number>> {
  const client = await openSession(address);
  const times = new Float64Array(ACKS);
  for (let id = 0; id < ACKS; id++) {
    const startedAt = performance.now();
    await client.sendWithAck('order.acknowledged', makeOrder(id));
    times[id] = performance.now() - startedAt;
  }
  times.sort();
  return { ackP50Ms: percentile(times, 0.5), ackP99Ms: percentile(times, 0.99) };
}

export const measure: Measure = {
  id: 'durable',
  title: 'One-way into a durable session',
  unit: 'events/s',
  better: 'more',
  contenders: (effort): Contender[] => [
    { label: 'memory', stack: 'nyota', params: { ...eventParams(share(300_000, effort), 1), lmdb: 0 } },
    { label: 'lmdb', stack: 'nyota', params: { ...eventParams(share(60_000, effort), 1), lmdb: 1 } },
  ],
  server: async (stack, params) => {
    const server = await withStore(stack, param(params, 'lmdb') === 1).serve(IGNORE);
    return { address: server.address, result: Promise.resolve() };
  },
  client: async (_stack, address, params) => ({
    ms: await sendAcknowledged(address, param(params, 'warmUp'), param(params, 'events')),
    ...(await timeAcks(address)),
  }),
  values: (client, _server, params) => {
    const { ms = Number.NaN, ...acks } = client as Record<string, number>;
    return { rate: (param(params, 'events') / ms) * 1000, ...acks };
  },
};
