/** Requests a second with 256 in flight, over one connection; the reply is the order that was sent. */
import { type Measure, param, type ServerHalf, share, usual } from '../measure.js';
import type { ClientSide, Stack } from '../stack.js';
import { clockMs, makeOrder } from '../workload.js';
import { eventParams } from './one-way.js';

const IN_FLIGHT = 256;

/** A server that answers, for as long as the client asks. */
export async function answer(stack: Stack): Promise<ServerHalf> {
  const server = await stack.serve({ event: () => {}, request: (value) => value });
  return { address: server.address, result: Promise.resolve() };
}

async function requestMany(client: ClientSide, from: number, to: number, inFlight: number): Promise<void> {
  const { request } = client;
  if (request === undefined) throw new Error('it has no requests');
  let id = from;
  const ask = async (): Promise<void> => {
    while (id < to) await request(makeOrder(id++));
  };
  await Promise.all(Array.from({ length: inFlight }, ask));
}

export const measure: Measure = {
  id: 'requests',
  title: 'Requests, 256 in flight',
  unit: 'requests/s',
  better: 'more',
  contenders: (effort, peers) =>
    usual(
      (scale) => eventParams(share(400_000, effort), scale),
      peers,
      (info) => info.requests,
    ),
  server: answer,
  client: async (stack, address, params) => {
    const client = await stack.connect(address);
    const warmUp = param(params, 'warmUp');
    const inFlight = Math.min(IN_FLIGHT, stack.window ?? IN_FLIGHT);
    await requestMany(client, 0, warmUp, inFlight);
    const startedAt = clockMs();
    await requestMany(client, warmUp, warmUp + param(params, 'events'), inFlight);
    return clockMs() - startedAt;
  },
  values: (client, _server, params) => ({ rate: (param(params, 'events') / (client as number)) * 1000 }),
};
