/** Writes to the shared store that the server has confirmed, a second; next to one-way events in the same turn. */
import { type Contender, type Measure, param, share } from '../measure.js';
import { listen, makeServer, openSession } from '../nyota.js';
import { BATCH, clockMs, makeOrder, turn } from '../workload.js';
import { countEvents, eventParams, rateOf, sendOneWay } from './one-way.js';

const KEYS = 1000;
const DEFAULT_HIGH_WATER_BYTES = 1024 * 1024;

async function write(port: string | number, writes: number, warmUp: number): Promise<number> {
  const client = await openSession(port);
  const run = async (from: number, to: number): Promise<void> => {
    for (let id = from; id < to; ) {
      for (const end = Math.min(to, id + BATCH); id < end; id++) {
        client.store.set(`order-${id % KEYS}`, makeOrder(id));
      }
      // A write says nothing of the high-water mark, as `send` does.
      if (client.bufferedBytes > DEFAULT_HIGH_WATER_BYTES) {
        await new Promise<void>((drained) => client.once('drain', drained));
      } else await turn();
    }
    await client.store.synced();
  };
  await run(0, warmUp);
  const startedAt = clockMs();
  await run(warmUp, warmUp + writes);
  return clockMs() - startedAt;
}

export const measure: Measure = {
  id: 'store-writes',
  title: 'Store writes confirmed',
  unit: 'writes/s',
  better: 'more',
  contenders: (effort): Contender[] => [
    {
      label: 'nyota one-way',
      stack: 'nyota',
      params: { ...eventParams(share(1_000_000, effort), 1), store: 0 },
    },
    { label: 'nyota', stack: 'nyota', params: { ...eventParams(share(400_000, effort), 1), store: 1 } },
  ],
  server: async (stack, params, channel) => {
    if (param(params, 'store') === 0) return countEvents(stack, params, channel);
    const server = makeServer(() => {});
    return { address: await listen(server), result: Promise.resolve() };
  },
  client: (stack, address, params, channel) =>
    param(params, 'store') === 0
      ? sendOneWay(stack, address, params, channel, makeOrder)
      : write(address, param(params, 'events'), param(params, 'warmUp')),
  values: (client, server, params) =>
    param(params, 'store') === 0
      ? { ...rateOf(client, server, params) }
      : { rate: (param(params, 'events') / (client as number)) * 1000 },
};
