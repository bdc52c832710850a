/** What an idle session takes on the server, next to a bare socket: heap and buffers after collection, and the whole process. */
import { createServer, connect as dial } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Contender, type Measure, param, share } from '../measure.js';
import type { Address, Stack } from '../stack.js';
import { OPENING } from './fan-out.js';

function collected(): { heap: number; rss: number } {
  if (globalThis.gc === undefined) throw new Error('node runs without --expose-gc');
  for (let i = 0; i < 4; i++) globalThis.gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, rss };
}

/** Longer than any acknowledgement waits: what the handshakes have left behind is gone by then. */
const SETTLE_MS = 1_000;

/** Nothing but sockets: the floor has buffers of its own. */
const BARE: Pick<Stack, 'serve' | 'connect'> = {
  serve: async () => {
    const server = createServer((socket) => {
      socket.on('data', () => {}).on('error', () => {});
    });
    await new Promise<void>((resolve) =>
      server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, resolve),
    );
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return { address: address.port, close: () => {} };
  },
  connect: async (address: Address) => {
    const socket = dial(Number(address), '127.0.0.1');
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return { send: () => {}, close: () => {} };
  },
};

const stackOf = (stack: Stack): Pick<Stack, 'serve' | 'connect'> => (stack.name === 'floor' ? BARE : stack);

export const measure: Measure = {
  id: 'memory',
  title: 'Memory of an idle session on the server',
  unit: 'bytes',
  better: 'less',
  contenders: (effort): Contender[] => {
    const params = { sessions: share(10_000, effort * 2, 100, 10_000) };
    return [
      { label: 'bare socket', stack: 'floor', params },
      { label: 'nyota', stack: 'nyota', params },
    ];
  },
  server: async (stack, params, channel) => {
    const sessions = param(params, 'sessions');
    const server = await stackOf(stack).serve({ event: () => {}, request: (value) => value });
    const run = async (): Promise<unknown> => {
      // One that comes and stays: what is made once is made.
      await channel.heard('first');
      await sleep(SETTLE_MS);
      const before = collected();
      channel.tell('counted');
      await channel.heard('all');
      await sleep(SETTLE_MS);
      const after = collected();
      return { heap: (after.heap - before.heap) / sessions, rss: (after.rss - before.rss) / sessions };
    };
    return { address: server.address, result: run() };
  },
  client: async (stack, address, params, channel) => {
    const sessions = param(params, 'sessions') - 1;
    const { connect } = stackOf(stack);
    await connect(address);
    channel.tell('first');
    await channel.heard('counted');
    const startedAt = performance.now();
    for (let open = 0; open < sessions; open += OPENING) {
      const wanted = Math.min(OPENING, sessions - open);
      await Promise.all(Array.from({ length: wanted }, () => connect(address)));
    }
    const openingMs = performance.now() - startedAt;
    channel.tell('all');
    return { openingMs };
  },
  values: (client, server) => ({
    ...(server as Record<string, number>),
    ...(client as Record<string, number>),
  }),
};
