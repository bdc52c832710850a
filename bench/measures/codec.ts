/** The payload codec alone, in one process: encode and decode, each with its checks, and the scan; msgpackr next to it. */
import { Packr } from 'msgpackr';
import { decodePayload, encodePayload } from '../../src/codec/payload.js';
import { scanPayload } from '../../src/codec/scan.js';
import { type Contender, type Measure, param, share } from '../measure.js';
import { EVENT, makeOrder } from '../workload.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };
const packr = new Packr({ useRecords: false });

const WORK: readonly { label: string; run: (body: unknown, bytes: Buffer) => unknown }[] = [
  { label: 'encode', run: (body) => encodePayload(body, LIMITS, 'args') },
  { label: 'scan', run: (_body, bytes) => scanPayload(bytes, 0, bytes.length, LIMITS) },
  { label: 'decode with its checks', run: (_body, bytes) => decodePayload(bytes, 0, bytes.length, LIMITS) },
  { label: 'msgpackr encode', run: (body) => packr.pack(body) },
  { label: 'msgpackr decode', run: (_body, bytes) => packr.unpack(bytes) as unknown },
];

export const measure: Measure = {
  id: 'codec',
  title: 'Payload codec, one process',
  unit: 'events/s',
  better: 'more',
  contenders: (effort): Contender[] =>
    WORK.map(({ label }, index) => ({
      label,
      stack: 'none',
      params: { work: index, events: share(1_000_000, effort) },
    })),
  client: async (_stack, _address, params) => {
    const work = WORK[param(params, 'work')];
    if (work === undefined) throw new Error('no such work');
    const bodies = Array.from({ length: 64 }, (_, id) => [EVENT, [makeOrder(id)]]);
    const encoded = bodies.map((body) => Buffer.from(packr.pack(body)));
    const run = (events: number): void => {
      for (let i = 0; i < events; i++) work.run(bodies[i & 63], encoded[i & 63] as Buffer);
    };
    const events = param(params, 'events');
    run(events / 4);
    const startedAt = performance.now();
    run(events);
    return performance.now() - startedAt;
  },
  values: (client, _server, params) => ({ rate: (param(params, 'events') / (client as number)) * 1000 }),
};
