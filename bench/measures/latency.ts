/** How long a request and its reply take, one at a time. */
import { type Measure, param, share, usual } from '../measure.js';
import { makeOrder } from '../workload.js';
import { eventParams } from './one-way.js';
import { answer } from './requests.js';

export function percentile(sorted: Float64Array, of: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * of) - 1)] ?? Number.NaN;
}

export const measure: Measure = {
  id: 'latency',
  title: 'Round trip, one at a time',
  unit: 'µs, p50',
  better: 'less',
  contenders: (effort, peers) =>
    usual(
      (scale) => eventParams(share(20_000, effort, 200), scale),
      peers,
      (info) => info.requests,
    ),
  server: answer,
  client: async (stack, address, params) => {
    const { request } = await stack.connect(address);
    if (request === undefined) throw new Error('it has no requests');
    const warmUp = param(params, 'warmUp');
    for (let id = 0; id < warmUp; id++) await request(makeOrder(id));
    const times = new Float64Array(param(params, 'events'));
    for (let id = 0; id < times.length; id++) {
      const order = makeOrder(id);
      const startedAt = performance.now();
      await request(order);
      times[id] = (performance.now() - startedAt) * 1000;
    }
    times.sort();
    return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), p999: percentile(times, 0.999) };
  },
  values: (client) => client as Record<string, number>,
};
