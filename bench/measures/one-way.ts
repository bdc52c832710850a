/** Events a second from a client to a server, over one connection, as fast as the library takes them. */
import { type Channel, type Measure, type Params, param, type ServerHalf, share, usual } from '../measure.js';
import type { Address, ClientSide, Stack } from '../stack.js';
import { BATCH, clockMs, makeOrder, turn } from '../workload.js';

const WARM_UP = 0.25;

/** Counts what arrives; the server of every measure whose events go one way. */
export async function countEvents(stack: Stack, params: Params, channel: Channel): Promise<ServerHalf> {
  const warmUp = param(params, 'warmUp');
  const total = warmUp + param(params, 'events');
  let count = 0;
  let done: (endedAt: number) => void;
  const result = new Promise<number>((resolve) => {
    done = resolve;
  });
  const server = await stack.serve({
    event: () => {
      count++;
      if (count === warmUp) channel.tell('warm');
      if (count === total) done(clockMs());
    },
    request: (value) => value,
  });
  return { address: server.address, result };
}

/** Sends in batches, all libraries the same ones, and waits where the library asks for it. */
export async function sendMany(
  client: ClientSide,
  from: number,
  to: number,
  value: (id: number) => unknown,
  batch = BATCH,
): Promise<void> {
  for (let id = from; id < to; ) {
    for (const end = Math.min(to, id + batch); id < end; id++) client.send(value(id));
    await (client.congested?.() ?? turn());
  }
}

/** Warms up, then sends. Answers when it began. */
export async function sendOneWay(
  stack: Stack,
  address: Address,
  params: Params,
  channel: Channel,
  value: (id: number) => unknown,
  batch?: number,
): Promise<number> {
  const client = await stack.connect(address);
  const warmUp = param(params, 'warmUp');
  await sendMany(client, 0, warmUp, value, batch);
  await channel.heard('warm');
  const startedAt = clockMs();
  await sendMany(client, warmUp, warmUp + param(params, 'events'), value, batch);
  return startedAt;
}

export function eventParams(events: number, scale: number): Params {
  const scaled = Math.max(8, Math.round(events * scale));
  return { events: scaled, warmUp: Math.ceil(scaled * WARM_UP) };
}

export function rateOf(client: unknown, server: unknown, params: Params): { rate: number; ms: number } {
  const ms = (server as number) - (client as number);
  return { rate: (param(params, 'events') / ms) * 1000, ms };
}

export const measure: Measure = {
  id: 'one-way',
  title: 'One-way events, one connection',
  unit: 'events/s',
  better: 'more',
  contenders: (effort, peers) => usual((scale) => eventParams(share(1_500_000, effort), scale), peers),
  server: countEvents,
  client: (stack, address, params, channel) => sendOneWay(stack, address, params, channel, makeOrder),
  values: (client, server, params) => rateOf(client, server, params),
};
