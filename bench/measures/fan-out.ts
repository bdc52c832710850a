/** One event to every session, again and again: deliveries a second, counted where they arrive. */
import { type Channel, type Measure, type Params, param, share, usual } from '../measure.js';
import type { Address, Stack } from '../stack.js';
import { clockMs, makeOrder, turn } from '../workload.js';

/** So many connections are opened at a time. */
export const OPENING = 100;
/** So many events may be on their way to a session: the server waits for the clients to keep up. */
const AHEAD = 32;
const WARM_UP_BURSTS = 5;

export async function broadcastMany(stack: Stack, params: Params, channel: Channel) {
  const server = await stack.serve({ event: () => {}, request: (value) => value });
  const { broadcast } = server;
  if (broadcast === undefined) throw new Error('it has no broadcast');
  const burst = param(params, 'burst');
  const warmUp = WARM_UP_BURSTS * burst;
  const total = warmUp + param(params, 'events');
  const run = async (): Promise<unknown> => {
    await channel.heard('ready');
    let startedAt = 0;
    for (let id = 0; id < total; ) {
      if (id === warmUp) {
        await channel.heard(`all ${id}`);
        startedAt = clockMs();
      }
      if (id >= AHEAD + warmUp) await channel.heard(`all ${id + burst - AHEAD}`);
      for (const end = id + burst; id < end; id++) broadcast(makeOrder(id));
      await turn();
    }
    return startedAt;
  };
  return { address: server.address, result: run() };
}

export async function receiveMany(
  stack: Stack,
  address: Address,
  params: Params,
  channel: Channel,
): Promise<number> {
  const sessions = param(params, 'sessions');
  const total = sessions * (WARM_UP_BURSTS * param(params, 'burst') + param(params, 'events'));
  let count = 0;
  let done: (endedAt: number) => void;
  const over = new Promise<number>((resolve) => {
    done = resolve;
  });
  const received = (): void => {
    count++;
    if (count % sessions === 0) channel.tell(`all ${count / sessions}`);
    if (count === total) done(clockMs());
  };
  for (let open = 0; open < sessions; open += OPENING) {
    const wanted = Math.min(OPENING, sessions - open);
    await Promise.all(Array.from({ length: wanted }, () => stack.connect(address, received)));
  }
  channel.tell('ready');
  return over;
}

export function fanOutValues(client: unknown, server: unknown, params: Params): Record<string, number> {
  const ms = (client as number) - (server as number);
  return { rate: ((param(params, 'sessions') * param(params, 'events')) / ms) * 1000, ms };
}

/** @param burst so many events in one go, for every library, before the event loop gets its turn */
export function fanOut(id: string, title: string, burst: number): Measure {
  const events = (effort: number, scale: number): number =>
    Math.max(2, Math.round((share(300, effort, 10) * Math.min(1, scale * 3)) / Math.min(burst, 4))) * burst;
  return {
    id,
    title,
    unit: 'deliveries/s',
    better: 'more',
    contenders: (effort, peers) =>
      usual(
        (scale) => ({
          sessions: share(1000, effort * 2, 10, 1000),
          events: events(effort, scale),
          burst,
        }),
        peers,
        (info) => info.broadcasts,
      ),
    server: broadcastMany,
    client: receiveMany,
    values: fanOutValues,
  };
}

export const measure = fanOut('fan-out', 'One event at a time to 1,000 sessions', 1);
