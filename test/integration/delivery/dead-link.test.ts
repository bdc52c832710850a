/** A link that is dead without a word: both sides find out in time, come back, and lose nothing. */
import { describe, expect, it } from 'vitest';
import { collect, fakePair, proxyPair } from '../../support/delivery-pair.js';
import { eventually, once, upTo } from '../../support/delivery-wait.js';

const BEAT = { pingIntervalMs: 1_000, pingTimeoutMs: 400 };

describe('a link that dies without a FIN while both sides are idle', () => {
  for (const droppedAfterMs of [0, 1, 350, 999, 1_000, 2_700]) {
    it(`is noticed by both within pingIntervalMs + pingTimeoutMs (dropped ${droppedAfterMs} ms after the connect)`, async () => {
      const { client, session, network, clock, sessions, errors } = await fakePair({
        server: BEAT,
        client: BEAT,
      });
      const noticed: Record<string, [atMs: number, code: string | undefined]> = {};
      client.once('disconnect', (error) => {
        noticed.client = [clock.now(), error?.code];
      });
      session.once('disconnect', (error) => {
        noticed.session = [clock.now(), error?.code];
      });
      const [up, down] = [collect(session, 'event'), collect(client, 'event')];
      await clock.advance(droppedAfterMs);
      const droppedAt = clock.now();
      network.dropLink();
      for (const number of upTo(3)) {
        client.send('event', number);
        session.send('event', number);
      }
      await clock.advance(BEAT.pingIntervalMs + BEAT.pingTimeoutMs);
      for (const side of ['client', 'session']) {
        const [atMs, code] = noticed[side] ?? [Number.NaN, undefined];
        expect(code, side).toBe('NYOTA_PING_TIMEOUT');
        // At least the timeout: a ping that is under way may still be answered.
        expect(atMs - droppedAt, side).toBeGreaterThanOrEqual(BEAT.pingTimeoutMs - 1);
      }
      await clock.advance(200);
      expect(client.connected && session.connected).toBe(true);
      expect([up, down]).toEqual([upTo(3), upTo(3)]);
      expect([client.resumed, sessions.length]).toEqual([true, 1]);
      expect(errors).toEqual([]);
    });
  }

  it('is noticed at exactly pingIntervalMs + pingTimeoutMs after the last byte, not a millisecond sooner', async () => {
    const { client, session, network, clock } = await fakePair({ server: BEAT, client: BEAT });
    // The last bytes are those of this round trip.
    await client.request('nobody').catch(() => undefined);
    await client.sendWithAck('event');
    const heardAt = clock.now();
    network.dropLink();
    await clock.advanceTo(heardAt + BEAT.pingIntervalMs + BEAT.pingTimeoutMs - 1);
    expect([client.connected, session.connected]).toEqual([true, true]);
    const gone: string[] = [];
    client.once('disconnect', (error) => gone.push(`client ${error?.code}`));
    session.once('disconnect', (error) => gone.push(`session ${error?.code}`));
    await clock.advance(1);
    expect(gone.sort()).toEqual(['client NYOTA_PING_TIMEOUT', 'session NYOTA_PING_TIMEOUT']);
  });

  it('is noticed on a real link too, and what was sent meanwhile is dispatched once', async () => {
    const limits = { pingIntervalMs: 60, pingTimeoutMs: 60, handshakeTimeoutMs: 250 };
    const { client, session, proxy, errors, sessions } = await proxyPair({ server: limits, client: limits });
    const [up, down] = [collect(session, 'event'), collect(client, 'event')];
    const gone = Promise.all([
      once<[{ code: string } | undefined]>(client, 'disconnect'),
      once<[{ code: string } | undefined]>(session, 'disconnect'),
    ]);
    proxy.blackhole();
    for (const number of upTo(50)) {
      client.send('event', number);
      session.send('event', number);
    }
    expect((await gone).map(([error]) => error?.code)).toEqual(['NYOTA_PING_TIMEOUT', 'NYOTA_PING_TIMEOUT']);
    expect(proxy.totals.bytesLost).toBeGreaterThan(0);
    proxy.heal();
    await eventually(() => up.length >= 50 && down.length >= 50, 'all events');
    await Promise.all([client.sendWithAck('event', 51), session.sendWithAck('event', 51)]);
    expect([up, down]).toEqual([upTo(51), upTo(51)]);
    expect(sessions).toHaveLength(1);
    expect(errors).toEqual([]);
  });
});

describe('a link that lives', () => {
  it('is kept for as long as nobody says anything: pings are enough', async () => {
    const { client, session, clock } = await fakePair({ server: BEAT, client: BEAT });
    const gone: unknown[] = [];
    client.on('disconnect', (error) => gone.push(error));
    await clock.advance(500 * BEAT.pingIntervalMs);
    expect(gone).toEqual([]);
    expect([client.stats().reconnects, session.stats().reconnects]).toEqual([0, 0]);
  });

  it('is kept where only one side pings often, and the other seldom', async () => {
    const { client, clock } = await fakePair({
      server: { pingIntervalMs: 100, pingTimeoutMs: 50 },
      client: { pingIntervalMs: 60_000, pingTimeoutMs: 10_000 },
    });
    const gone: unknown[] = [];
    client.on('disconnect', (error) => gone.push(error));
    await clock.advance(180_000);
    expect(gone).toEqual([]);
  });

  it('is not taken for dead by a side whose own process stood still', async () => {
    const { client, session } = await proxyPair({
      server: { pingIntervalMs: 5_000 },
      client: { pingIntervalMs: 40, pingTimeoutMs: 40 },
    });
    const gone: unknown[] = [];
    client.on('disconnect', (error) => gone.push(error));
    const until = performance.now() + 300;
    while (performance.now() < until); // a long synchronous job
    await client.sendWithAck('event', 1);
    await session.sendWithAck('event', 1);
    expect(gone).toEqual([]);
  });
});
