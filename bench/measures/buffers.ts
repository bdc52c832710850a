/** Large Buffers, one way, over one connection. */
import { type Measure, param, share, usual } from '../measure.js';
import { MIB } from '../workload.js';
import { countEvents, eventParams, rateOf, sendOneWay } from './one-way.js';

/** Each with its own first bytes, so that nothing can be shared. */
export function bufferMaker(bytes: number): (id: number) => Buffer {
  const ring = Array.from({ length: 4 }, (_, i) => Buffer.alloc(bytes, i + 1));
  return (id) => {
    const buffer = ring[id % ring.length] as Buffer;
    buffer.writeUInt32BE(id, 0);
    return buffer;
  };
}

export const measure: Measure = {
  id: 'buffers',
  title: '1 MiB Buffers, one connection',
  unit: 'MiB/s',
  better: 'more',
  contenders: (effort, peers) =>
    usual(
      (scale) => ({ ...eventParams(share(6_000, effort), Math.min(1, scale * 2)), bytes: MIB }),
      peers,
      (info) => BINARY.has(info.file),
    ),
  server: countEvents,
  client: (stack, address, params, channel) =>
    sendOneWay(stack, address, params, channel, bufferMaker(param(params, 'bytes')), 4),
  values: (client, server, params) => {
    const { rate, ms } = rateOf(client, server, params);
    return { rate: (rate * param(params, 'bytes')) / MIB, ms };
  },
};

/** Those of the peers that carry bytes as bytes. NATS stops at 1 MiB with its header; JSON is left out. */
const BINARY: ReadonlySet<string> = new Set(['socket-io', 'socket-io-msgpack', 'ws-msgpackr', 'zeromq']);
