/** Twice the sessions, events or bytes: how much longer it takes. Each in the same turn as its half. */
import { type Contender, type Measure, param, share } from '../measure.js';
import { MIB, makeOrder } from '../workload.js';
import { bufferMaker } from './buffers.js';
import { broadcastMany, fanOutValues, receiveMany } from './fan-out.js';
import { countEvents, eventParams, rateOf, sendOneWay } from './one-way.js';

const SHORT_BYTES = MIB / 4;

export const measure: Measure = {
  id: 'growth',
  title: 'Twice as much',
  unit: 'ms',
  better: 'less',
  contenders: (effort): Contender[] => {
    const of = (label: string, params: Record<string, number>): Contender => ({
      label,
      stack: 'nyota',
      params,
    });
    const events = share(200_000, effort);
    const sessions = share(500, effort, 10);
    const fanOut = { events: share(150, effort, 10), burst: 1 };
    const buffers = eventParams(share(400, effort), 1);
    return [
      of('events', { ...eventParams(events, 1), sessions: 0, bytes: 0 }),
      of('events, twice', { ...eventParams(events * 2, 1), sessions: 0, bytes: 0 }),
      of('sessions', { ...fanOut, sessions, bytes: 0 }),
      of('sessions, twice', { ...fanOut, sessions: sessions * 2, bytes: 0 }),
      of('bytes', { ...buffers, sessions: 0, bytes: SHORT_BYTES }),
      of('bytes, twice', { ...buffers, sessions: 0, bytes: SHORT_BYTES * 2 }),
    ];
  },
  server: (stack, params, channel) =>
    (param(params, 'sessions') > 0 ? broadcastMany : countEvents)(stack, params, channel),
  client: (stack, address, params, channel) => {
    if (param(params, 'sessions') > 0) return receiveMany(stack, address, params, channel);
    const bytes = param(params, 'bytes');
    return bytes > 0
      ? sendOneWay(stack, address, params, channel, bufferMaker(bytes), 4)
      : sendOneWay(stack, address, params, channel, makeOrder);
  },
  values: (client, server, params) => {
    const values =
      param(params, 'sessions') > 0 ? fanOutValues(client, server, params) : rateOf(client, server, params);
    return { ms: values.ms ?? Number.NaN, rate: values.rate ?? Number.NaN };
  },
};
