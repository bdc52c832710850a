/** Default times and ports, on a fake clock and a network in memory. */
import { afterEach, describe, expect, it } from 'vitest';
import { ExoRelay } from '../../../src/exorelay/index.js';
import type { RelayContract } from '../../../src/exorelay/message.js';
import { createServer } from '../../../src/index.js';
import { createFakeClock, createMemoryNetwork } from '../../../src/testing/index.js';
import { next } from '../../support/scripted-hub.js';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

describe('listen()', () => {
  it('listens at 4000, and dials ExoCom at localhost:3010', async () => {
    const { createConnection, createServer: makeServer } = createMemoryNetwork();
    const hub = createServer<RelayContract>({ createServer: makeServer }, (session) => {
      session.on('exo.register', () => void session.send('exo.registered'));
      session.send('exo.hello', { hub: 'hub' });
    });
    hub.listen(3010);
    const relay = new ExoRelay({ role: 'users', createConnection, createServer: makeServer });
    ends.push(
      () => relay.destroy(),
      () => hub.destroy(),
    );
    relay.listen();
    expect(await next(relay, 'online')).toBe(4000);
    expect(relay.port).toBe(4000);
  });
});

describe('on the clock that it is given', () => {
  it('a request waits for 30 seconds', async () => {
    const clock = createFakeClock();
    const relay = new ExoRelay({ role: 'users', clock });
    ends.push(() => relay.destroy());
    let settled: unknown;
    const request = relay.request('slow').catch((error: unknown) => {
      settled = error;
    });
    await clock.advance(29_999);
    expect(settled).toBeUndefined();
    await clock.advance(6);
    await request;
    expect(settled).toMatchObject({ code: 'NYOTA_TIMEOUT' });
  });

  it('with timeoutMs 0 it waits for ever', async () => {
    const clock = createFakeClock();
    const relay = new ExoRelay({ role: 'users', clock });
    let settled: unknown;
    void relay.request('slow', null, { timeoutMs: 0 }).catch((error: unknown) => {
      settled = error;
    });
    await clock.advance(10 * 24 * 3_600_000);
    expect(settled).toBeUndefined();
    relay.destroy();
    await expect.poll(() => settled).toMatchObject({ code: 'NYOTA_CLOSED' });
  });

  it('a reply handler is kept for 5 minutes', async () => {
    const clock = createFakeClock();
    const relay = new ExoRelay({ role: 'users', clock });
    ends.push(() => relay.destroy());
    relay.send('slow', () => {});
    await clock.advance(299_999);
    expect(relay.stats().waitingForReplies).toBe(1);
    await clock.advance(6);
    expect(relay.stats().waitingForReplies).toBe(0);
  });
});
