/** What is measured does what it should: a benchmark of a floor that loses messages would be worth nothing. */
import { afterEach, describe, expect, it } from 'vitest';
import { stack as floor } from '../../../bench/floor.js';
import { stack as nyota } from '../../../bench/nyota.js';
import { makeOrder } from '../../../bench/workload.js';

/** Above the piece in which the floor collects small ones. */
const LARGE_BYTES = 200 * 1024;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

describe.each([floor, nyota])('the stack $name', (stack) => {
  async function open(wanted: number, received?: (value: unknown) => void) {
    const events: unknown[] = [];
    let all: () => void;
    const arrived = new Promise<void>((resolve) => {
      all = resolve;
    });
    const server = await stack.serve({
      event: (value) => {
        events.push(value);
        if (events.length === wanted) all();
      },
      request: (value) => value,
    });
    cleanUps.push(() => server.close());
    const client = await stack.connect(server.address, received);
    cleanUps.push(() => client.close());
    return { server, client, events, arrived };
  }

  it('carries events in order, small and large ones mixed', async () => {
    const sent: unknown[] = [];
    for (let id = 0; id < 600; id++)
      sent.push(id % 200 === 7 ? Buffer.alloc(LARGE_BYTES, id) : makeOrder(id));
    const { client, events, arrived } = await open(sent.length);
    for (const value of sent) {
      client.send(value);
      await client.congested?.();
    }
    await arrived;
    // Buffers as hex: comparing them byte by byte takes seconds.
    const shown = (value: unknown): unknown => (Buffer.isBuffer(value) ? value.toString('hex') : value);
    expect(events.map(shown)).toEqual(sent.map(shown));
  });

  it('gives each request its own reply', async () => {
    const { client } = await open(0);
    const asked = Array.from({ length: 300 }, (_, id) => makeOrder(id));
    expect(await Promise.all(asked.map((order) => client.request?.(order)))).toEqual(asked);
  });

  it('brings a broadcast to every client', async () => {
    const first: unknown[] = [];
    let both: () => void;
    const arrived = new Promise<void>((resolve) => {
      both = resolve;
    });
    const receive = (value: unknown): void => {
      first.push(value);
      if (first.length === 2) both();
    };
    const { server } = await open(0, receive);
    const second = await stack.connect(server.address, receive);
    cleanUps.push(() => second.close());
    server.broadcast?.(makeOrder(1));
    await arrived;
    expect(first).toEqual([makeOrder(1), makeOrder(1)]);
  });
});
