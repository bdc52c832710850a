/**
 * All connections are cut at once: how long until the last session is back, how often clients tried, and whether
 * all that was sent before and during the cut has arrived once.
 */
import type { Session } from '../../src/index.js';
import { type Contender, type Measure, param, share } from '../measure.js';
import { listen, makeServer, openSession } from '../nyota.js';
import { clockMs, EVENT } from '../workload.js';
import { OPENING } from './fan-out.js';

export const measure: Measure = {
  id: 'resume',
  title: '10,000 sessions resumed after one cut',
  unit: 'ms',
  better: 'less',
  contenders: (effort): Contender[] => [
    { label: 'nyota', stack: 'nyota', params: { sessions: share(10_000, effort * 2, 50, 10_000) } },
  ],
  server: async (_stack, params, channel) => {
    const wanted = 2 * param(params, 'sessions');
    const seen = new Map<number, number>();
    const sessions: Session[] = [];
    let arrived: () => void;
    const all = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const server = makeServer((session) => {
      sessions.push(session);
      session.on(EVENT, (id: unknown) => {
        seen.set(Number(id), (seen.get(Number(id)) ?? 0) + 1);
        if (seen.size === wanted) arrived();
      });
    });
    let refused = 0;
    server.on('clientError', () => {
      refused++;
    });
    const run = async (): Promise<unknown> => {
      await channel.heard('ready');
      const cutAt = clockMs();
      for (const session of sessions) session.socket?.destroy();
      channel.tell('cut');
      await all;
      const arrivedAt = clockMs();
      await channel.heard('back');
      const twice = [...seen.values()].filter((count) => count > 1).length;
      return { cutAt, arrivedAt, twice, refused, newSessions: sessions.length - param(params, 'sessions') };
    };
    return { address: await listen(server), result: run() };
  },
  client: async (_stack, address, params, channel) => {
    const count = param(params, 'sessions');
    const clients: Awaited<ReturnType<typeof openSession>>[] = [];
    while (clients.length < count) {
      const wanted = Math.min(OPENING, count - clients.length);
      clients.push(...(await Promise.all(Array.from({ length: wanted }, () => openSession(address)))));
    }
    let back = 0;
    let attempts = 0;
    let gaps = 0;
    const all = new Promise<void>((resolve) => {
      for (const [index, client] of clients.entries()) {
        client.on('reconnecting', () => {
          attempts++;
        });
        client.on('gap', () => {
          gaps++;
        });
        // While it is cut, each sends once more.
        client.once('disconnect', () => client.send(EVENT, count + index));
        client.once('connect', () => {
          back++;
          if (back === count) resolve();
        });
        client.send(EVENT, index);
      }
    });
    channel.tell('ready');
    await all;
    const backAt = clockMs();
    channel.tell('back');
    const resumed = clients.filter((client) => client.resumed).length;
    return { backAt, attempts: attempts / count, gaps, notResumed: count - resumed };
  },
  values: (client, server) => {
    const { backAt, attempts, gaps, notResumed } = client as Record<string, number>;
    const { cutAt, arrivedAt, twice, refused, newSessions } = server as Record<string, number>;
    const since = (at: number | undefined): number => (at ?? Number.NaN) - (cutAt ?? Number.NaN);
    return {
      ms: Math.max(since(backAt), since(arrivedAt)),
      attempts: attempts ?? Number.NaN,
      refused: refused ?? Number.NaN,
      notResumed: notResumed ?? Number.NaN,
      newSessions: newSessions ?? Number.NaN,
      gaps: gaps ?? Number.NaN,
      twice: twice ?? Number.NaN,
    };
  },
};
