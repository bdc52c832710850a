/** `send` to listener without a system socket: both halves of a session in one process, over the memory network. */
import { createClient, createServer } from '../../src/index.js';
import { createMemoryNetwork } from '../../src/testing/index.js';
import { type Contender, type Measure, param, share } from '../measure.js';
import { BATCH, EVENT, makeOrder, turn } from '../workload.js';

const PORT = 1;

async function emitMany(events: number): Promise<number> {
  const network = createMemoryNetwork();
  let count = 0;
  let wanted = Math.ceil(events / 4);
  let reached: () => void = () => {};
  const server = createServer({ createServer: network.createServer }, (session) => {
    session.on(EVENT, () => {
      count++;
      if (count === wanted) reached();
    });
  });
  server.listen(PORT);
  const client = createClient({ port: PORT, createConnection: network.createConnection });
  const run = async (): Promise<void> => {
    const over = new Promise<void>((resolve) => {
      reached = resolve;
    });
    for (let id = count; id < wanted; ) {
      let room = true;
      for (const end = Math.min(wanted, id + BATCH); id < end; id++) room = client.send(EVENT, makeOrder(id));
      if (room) await turn();
      else await new Promise<void>((resolve) => client.once('drain', resolve));
    }
    await over;
  };
  await run();
  wanted += events;
  const startedAt = performance.now();
  await run();
  const ms = performance.now() - startedAt;
  client.destroy();
  server.destroy();
  return ms;
}

export const measure: Measure = {
  id: 'emit',
  title: 'Send to listener, one process, no system socket',
  unit: 'events/s',
  better: 'more',
  contenders: (effort): Contender[] => [
    { label: 'nyota', stack: 'none', params: { events: share(200_000, effort) } },
  ],
  client: (_stack, _address, params) => emitMany(param(params, 'events')),
  values: (client, _server, params) => ({ rate: (param(params, 'events') / (client as number)) * 1000 }),
};
