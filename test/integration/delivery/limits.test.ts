/** The limits: what is refused is refused at `send`, leaves nothing behind, and never costs the connection. */
import { describe, expect, it } from 'vitest';
import type { Client, NyotaError } from '../../../src/index.js';
import {
  at,
  collect,
  fakePair,
  fakeWorld,
  startClient,
  startServer,
  tcpPair,
} from '../../support/delivery-pair.js';
import { codeOf, eventually, thrownCode, turns, upTo } from '../../support/delivery-wait.js';

const KIB = 1024;
const MIB = 1024 * KIB;
/** More than an event's frame has besides its one Buffer. */
const AROUND = 64;

describe('the outbox', () => {
  it('refuses above maxOutboxFrames with NYOTA_OUTBOX_FULL, and takes messages again after drain', async () => {
    const { client, session, clock, network } = await fakePair({ client: { maxOutboxFrames: 10 } });
    const heard = collect(session, 'event');
    network.cut();
    for (const number of upTo(10)) client.send('event', number);
    for (const refused of [
      () => client.send('event', 11),
      () => client.set('key', 1),
      () => client.with({ ttlMs: 1_000 }).send('event', 11),
    ]) {
      expect(thrownCode(refused)).toBe('NYOTA_OUTBOX_FULL');
    }
    expect(await codeOf(client.request('ask'))).toBe('NYOTA_OUTBOX_FULL');
    expect(await codeOf(client.sendWithAck('event', 11))).toBe('NYOTA_OUTBOX_FULL');
    expect([client.get('key'), client.stats().pendingRequests, client.stats().outboxFrames]).toEqual([
      undefined,
      0,
      10,
    ]);
    let drained = false;
    client.once('drain', () => {
      drained = true;
    });
    await clock.advance(1_000);
    expect([heard, drained]).toEqual([upTo(10), true]);
    client.send('event', 11);
    await clock.advance(1_000);
    expect(heard).toEqual(upTo(11));
  });

  it('returns false from the first message above highWaterBytes on, and drains once a half of it is acknowledged', async () => {
    const { client, clock, network } = await fakePair({ client: { highWaterBytes: 10 * KIB } });
    network.cut();
    const returned = upTo(12).map((number) => client.send('event', number, Buffer.alloc(KIB)));
    expect(returned.lastIndexOf(true)).toBe(8);
    expect(returned.slice(9)).toEqual([false, false, false]);
    let drains = 0;
    client.on('drain', () => {
      drains++;
      expect(client.bufferedBytes).toBeLessThanOrEqual(5 * KIB);
    });
    await clock.advance(1_000);
    expect(drains).toBe(1);
  });
});

describe('a message', () => {
  it('with ttlMs is dropped where it is unsent by then, NYOTA_EXPIRED, and the others are not', async () => {
    const { client, session, clock, network } = await fakePair({ client: { reconnect: false } });
    const heard = collect(session, 'event');
    const acks: unknown[] = [];
    network.cut();
    await clock.advance(1);
    client.send('event', 1);
    client.with({ ttlMs: 500 }).send('event', 2, (error?: NyotaError) => acks.push([2, error?.code]));
    client.with({ ttlMs: 5_000 }).send('event', 3, (error?: NyotaError) => acks.push([3, error?.code]));
    const request = codeOf(client.with({ ttlMs: 500 }).request('ask'));
    await clock.advance(499);
    expect(acks).toEqual([]);
    await clock.advance(1);
    expect(acks).toEqual([[2, 'NYOTA_EXPIRED']]);
    expect(await request).toBe('NYOTA_EXPIRED');
    expect(client.stats().expired).toBe(2);
    client.connect();
    await clock.advance(500);
    expect(heard).toEqual([1, 3]);
    expect(acks).toEqual([
      [2, 'NYOTA_EXPIRED'],
      [3, undefined],
    ]);
  });

  it('with ttlMs that has been sent in time is reliable like any other', async () => {
    const { client, session, clock, network } = await fakePair();
    const heard = collect(session, 'event');
    network.dropLink();
    client.with({ ttlMs: 100 }).send('event', 1);
    await clock.advance(1_000);
    network.cut();
    await clock.advance(1_000);
    expect(heard).toEqual([1]);
  });

  it('with volatile goes while connected, and is dropped while not', async () => {
    const { client, session, clock, network } = await fakePair();
    const heard = collect(session, 'event');
    expect(client.with({ volatile: true }).send('event', 1)).toBe(true);
    await clock.advance(10);
    network.cut();
    await eventually(() => !client.connected, 'the cut is noticed');
    expect(await codeOf(client.with({ volatile: true }).request('ask'))).toBe('NYOTA_NOT_CONNECTED');
    expect(client.with({ volatile: true }).send('event', 2)).toBe(false);
    client.send('event', 3);
    await clock.advance(1_000);
    expect(heard).toEqual([1, 3]);
    expect(client.stats().volatileDropped).toBe(1);
  });

  it('aborted while it is unsent is not sent, and its callback says NYOTA_ABORTED', async () => {
    const { client, session, clock, network } = await fakePair();
    const [heard, asked] = [collect(session, 'event'), [] as unknown[]];
    session.handle('ask', (number: number) => asked.push(number));
    network.cut();
    const controller = new AbortController();
    const acks: unknown[] = [];
    const abortable = client.with({ signal: controller.signal });
    client.send('event', 1);
    abortable.send('event', 2, (error?: NyotaError) => acks.push(error?.code));
    const codes = [codeOf(abortable.request('ask', 1)), codeOf(abortable.sendWithAck('event', 3))];
    client.send('event', 4);
    controller.abort();
    expect(acks).toEqual(['NYOTA_ABORTED']);
    expect(await Promise.all(codes)).toEqual(['NYOTA_ABORTED', 'NYOTA_ABORTED']);
    await clock.advance(1_000);
    expect([heard, asked]).toEqual([[1, 4], []]);
    expect(thrownCode(() => abortable.send('event', 5))).toBe('NYOTA_ABORTED');
    expect(client.bufferedBytes).toBe(0);
  });

  it('that is a request aborts the signal of its handler: on abort, on timeout, and at the deadline over a dead link', async () => {
    const signals: AbortSignal[] = [];
    const { client, clock, network } = await fakePair({
      onSession: (session) => {
        session.handle('ask', (context: { signal: AbortSignal }) => {
          signals.push(context.signal);
          return new Promise(() => {});
        });
      },
    });
    const controller = new AbortController();
    const codes = [
      codeOf(client.with({ signal: controller.signal }).request('ask')),
      codeOf(client.with({ timeoutMs: 1_000 }).request('ask')),
      codeOf(client.with({ timeoutMs: 3_000 }).request('ask')),
    ];
    await clock.advance(100);
    const aborted = () => signals.map(({ aborted }) => aborted);
    expect(aborted()).toEqual([false, false, false]);
    controller.abort();
    await clock.advance(100);
    expect(aborted()).toEqual([true, false, false]);
    await clock.advance(900);
    expect(aborted()).toEqual([true, true, false]);
    network.dropLink();
    await clock.advance(2_100);
    expect(aborted()).toEqual([true, true, true]);
    expect(await Promise.all(codes)).toEqual(['NYOTA_ABORTED', 'NYOTA_TIMEOUT', 'NYOTA_TIMEOUT']);
    const reasons = signals.map(({ reason }) => (reason as { code: string }).code);
    expect(reasons).toEqual(['NYOTA_ABORTED', 'NYOTA_TIMEOUT', 'NYOTA_TIMEOUT']);
  });
});

describe('maxFrameBytes', () => {
  for (const [name, limit] of [
    ['1 MiB', MIB],
    ['16 MiB', 16 * MIB],
  ] as const) {
    it(`lets messages of almost ${name} through, both ways, and refuses one of more`, async () => {
      const limits = { maxFrameBytes: limit, maxOutboxBytes: 3 * limit };
      const { client, session, errors } = await tcpPair({ server: limits, client: limits });
      const big = Buffer.alloc(limit - AROUND);
      for (let i = 0; i < big.length; i += 4_096) big.writeUInt32BE(i, i);
      session.handle('echo', (bytes: Buffer) => bytes);
      client.handle('echo', (bytes: Buffer) => bytes);
      expect(big.equals((await client.request('echo', big)) as Buffer)).toBe(true);
      expect(big.equals((await session.request('echo', big)) as Buffer)).toBe(true);
      for (const peer of [client, session as unknown as Client]) {
        expect(thrownCode(() => peer.send('event', Buffer.alloc(limit)))).toBe('NYOTA_FRAME_TOO_LARGE');
        expect(await codeOf(peer.request('echo', Buffer.alloc(limit)))).toBe('NYOTA_FRAME_TOO_LARGE');
      }
      await client.sendWithAck('event');
      expect([client.stats().reconnects, errors]).toEqual([0, []]);
    });
  }

  for (const smaller of ['server', 'client'] as const) {
    it(`of the side that takes less (the ${smaller}) holds for both, and the connection lives`, async () => {
      const { client, session } = await tcpPair({ [smaller]: { maxFrameBytes: 10 * KIB } });
      const [up, down] = [collect(session, 'event'), collect(client, 'event')];
      for (const peer of [client, session as unknown as Client]) {
        const [over, under] = [Buffer.alloc(10 * KIB), Buffer.alloc(10 * KIB - AROUND)];
        expect(thrownCode(() => peer.send('event', 1, over))).toBe('NYOTA_FRAME_TOO_LARGE');
        expect(await codeOf(peer.sendWithAck('event', 2, over))).toBe('NYOTA_FRAME_TOO_LARGE');
        await peer.sendWithAck('event', 3, under);
      }
      expect([up, down, client.stats().reconnects]).toEqual([[3], [3], 0]);
    });
  }

  it('takes back what was queued before the first connect and is too large: its sender hears, the rest is delivered', async () => {
    const { port, sessions } = await startServer({ maxFrameBytes: 10 * KIB }, (session) => {
      collected.push(collect(session, 'event'));
    });
    const collected: number[][] = [];
    const reports: string[] = [];
    const client = startClient({ port, host: '127.0.0.1' });
    client.on('error', ({ code }) => reports.push(code));
    const acks: unknown[] = [];
    client.send('event', 1);
    client.send('event', 2, Buffer.alloc(20 * KIB), (error?: NyotaError) => acks.push(error?.code));
    client.send('event', 3, Buffer.alloc(20 * KIB));
    const request = codeOf(client.request('ask', Buffer.alloc(20 * KIB)));
    client.send('event', 4);
    await client.sendWithAck('event', 5);
    expect(collected).toEqual([[1, 4, 5]]);
    expect(acks).toEqual(['NYOTA_FRAME_TOO_LARGE']);
    expect(await request).toBe('NYOTA_FRAME_TOO_LARGE');
    // Nobody waits to hear of message 3, so it is an 'error'.
    expect(new Set(reports)).toEqual(new Set(['NYOTA_FRAME_TOO_LARGE']));
    expect([sessions.length, client.stats().reconnects]).toEqual([1, 0]);
  });

  it('makes a reply that is too large an error of the request, not of the connection', async () => {
    const { client } = await tcpPair({
      onSession: (session) => session.handle('ask', () => Buffer.alloc(2 * MIB)),
    });
    expect(await codeOf(client.request('ask'))).toBe('NYOTA_FRAME_TOO_LARGE');
    expect(client.connected).toBe(true);
  });
});

describe('maxRunningHandlers', () => {
  it('dispatches no more than that at a time, in order, and all of it in the end', async () => {
    const { client, session, clock } = await fakePair({ server: { maxRunningHandlers: 4 } });
    let [running, most] = [0, 0];
    const heard: number[] = [];
    session.on('event', async (number: number) => {
      heard.push(number);
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 10));
      running--;
    });
    for (const number of upTo(50)) client.send('event', number);
    await clock.advance(1_000);
    expect([heard, most, running]).toEqual([upTo(50), 4, 0]);
  });

  it('does not lock up two sides whose handlers all wait for each other', async () => {
    const limits = { maxRunningHandlers: 2 };
    const { client, session } = await tcpPair({ server: limits, client: limits });
    session.handle('outer', (number: number) => session.request('inner', number));
    client.handle('inner', async (number: number) => {
      await turns(2);
      return number * 2;
    });
    const replies = await Promise.all(upTo(20).map((number) => client.request('outer', number)));
    expect(replies).toEqual(upTo(20).map((number) => number * 2));
  });
});

describe('stats()', () => {
  it('counts every byte that was received, those that come along with the handshake too', async () => {
    const world = fakeWorld();
    const payload = Buffer.alloc(10 * KIB);
    const { client, session, clock, network } = await fakePair({}, world);
    network.cut();
    for (const number of upTo(5)) session.send('event', number, payload);
    await clock.advance(1_000);
    expect(client.stats().received).toBe(5);
    expect(client.stats().bytesReceived).toBeGreaterThan(5 * payload.length);
    expect(at([session.stats()], 0).acked).toBe(5);
  });
});
