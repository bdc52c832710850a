/** When this side pings, when it takes the other side for dead, and how it measures the round trip. */
import { describe, expect, it } from 'vitest';
import { Heartbeat } from '../../../src/link/attachment.js';
import { SessionPair } from '../../support/session-pair.js';

const OPTIONS = { pingIntervalMs: 1_000, pingTimeoutMs: 400 };

describe('a heartbeat', () => {
  it('pings at once and then at its interval, whatever is heard', () => {
    const heart = new Heartbeat(OPTIONS, 0);
    expect([heart.tick(0), heart.tick(1), heart.nextDeadline]).toEqual(['ping', 'quiet', 1_000]);
    heart.heard(900);
    expect([heart.tick(1_000), heart.nextDeadline]).toEqual(['ping', 2_000]);
  });

  it('finds the other side dead after the interval and the timeout without a byte', () => {
    const heart = new Heartbeat(OPTIONS, 0);
    heart.tick(0);
    heart.heard(10);
    heart.tick(1_000);
    expect(heart.nextDeadline).toBe(1_410);
    expect([heart.tick(1_409), heart.tick(1_410)]).toEqual(['quiet', 'dead']);
  });

  it('lives on any byte, not on pongs alone', () => {
    const heart = new Heartbeat(OPTIONS, 0);
    for (let now = 0; now < 10_000; now += 500) {
      heart.heard(now);
      expect(heart.tick(now)).not.toBe('dead');
    }
  });

  it('gives one more timeout after its own process stood still, and asks', () => {
    const heart = new Heartbeat(OPTIONS, 0);
    heart.tick(0);
    expect(heart.tick(60_000)).toBe('ping');
    expect(heart.tick(60_399)).toBe('quiet');
    expect(heart.tick(60_400)).toBe('dead');
  });

  it('goes on as ever where the other side was heard after the standstill', () => {
    const heart = new Heartbeat(OPTIONS, 0);
    heart.tick(60_000);
    heart.heard(60_010);
    expect([heart.tick(60_400), heart.tick(61_409), heart.tick(61_410)]).toEqual(['quiet', 'ping', 'dead']);
  });
});

describe('while this side does not read', () => {
  it('judges nobody, and begins anew when it reads again', () => {
    const heart = new Heartbeat(OPTIONS, 0);
    heart.tick(0);
    heart.setReading(false, 1_000, 100);
    for (let now = 100; now < 20_000; now += 100) expect(heart.tick(now)).not.toBe('dead');
    heart.setReading(true, 1_000, 20_000);
    expect([heart.tick(21_399), heart.tick(21_400)]).toEqual(['ping', 'dead']);
  });

  it("pings at the other side's pace, where that is faster", () => {
    const heart = new Heartbeat(OPTIONS, 0);
    heart.tick(0);
    heart.setReading(false, 250, 10);
    const pings: number[] = [];
    for (let now = 10; now < 1_000; now += 10) if (heart.tick(now) === 'ping') pings.push(now);
    expect(pings).toEqual([110, 360, 610, 860]);
  });

  it('tells of a pause within 100 ms, and no more often than that however often it changes', () => {
    const heart = new Heartbeat(OPTIONS, 0);
    heart.tick(0);
    let pings = 0;
    for (let now = 1; now <= 1_000; now++) {
      heart.setReading(now % 2 === 0, 1_000, now);
      if (heart.tick(now) === 'ping') pings++;
    }
    expect(pings).toBeGreaterThan(5);
    expect(pings).toBeLessThanOrEqual(10);
  });

  it('keeps its own pace with a peer that never pings, or says that it pings without end', () => {
    for (const theirs of [0, 1]) {
      const heart = new Heartbeat(OPTIONS, 0);
      heart.tick(0);
      heart.setReading(false, theirs, 0);
      let pings = 0;
      for (let now = 1; now <= 1_000; now++) if (heart.tick(now) === 'ping') pings++;
      expect(pings).toBeLessThanOrEqual(50);
    }
  });
});

describe('the round trip', () => {
  it('is measured by the pong of the last ping, and smoothed', () => {
    const heart = new Heartbeat(OPTIONS, 0);
    expect(heart.roundTripMs).toBeUndefined();
    const first = heart.ping(100);
    expect([heart.pong(first, 180), heart.roundTripMs]).toEqual([true, 80]);
    const second = heart.ping(1_000);
    heart.pong(second, 1_160);
    expect(heart.roundTripMs).toBe(90);
  });

  it('ignores a pong that answers nothing, comes twice, or is of an older ping', () => {
    const heart = new Heartbeat(OPTIONS, 0);
    expect([heart.pong(0, 5), heart.pong(7, 5)]).toEqual([false, false]);
    const old = heart.ping(10);
    const last = heart.ping(20);
    expect([heart.pong(old, 30), heart.pong(last, 30), heart.pong(last, 90)]).toEqual([false, true, false]);
    expect(heart.roundTripMs).toBe(10);
  });
});

describe('heartbeats', () => {
  it('keep a quiet connection, and end one on which nothing is heard', async () => {
    const pair = new SessionPair({ client: { pingIntervalMs: 1_000, pingTimeoutMs: 500 } });
    pair.connect();
    await pair.advance(20_000);
    expect(pair.failures).toEqual([]);
    expect(pair.client.core.link.roundTripMs).toBe(0);
    await pair.advance(10_000, { deliver: false });
    expect(pair.failures.map(({ role, error }) => [role, error.code])).toEqual([
      ['client', 'NYOTA_PING_TIMEOUT'],
    ]);
  });

  it('tell of a pause, and that it is over', async () => {
    const pair = new SessionPair();
    pair.connect();
    await pair.settle();
    pair.client.core.link.pause();
    await pair.advance(200);
    expect(pair.server.core.link.peerPaused).toBe(true);
    pair.client.core.link.resume();
    await pair.advance(200);
    expect(pair.server.core.link.peerPaused).toBe(false);
  });

  it('find no side dead that pauses for long, however short the intervals', async () => {
    const pair = new SessionPair({
      client: { pingIntervalMs: 5_000, pingTimeoutMs: 1_000 },
      server: { pingIntervalMs: 300, pingTimeoutMs: 200 },
    });
    pair.connect();
    await pair.settle();
    pair.client.core.link.pause();
    await pair.advance(60_000);
    expect(pair.failures).toEqual([]);
  });

  it('forgive a side whose own process stood still', async () => {
    const pair = new SessionPair();
    pair.connect();
    await pair.advance(1_000);
    pair.standStill(600_000);
    await pair.advance(60_000);
    expect(pair.failures).toEqual([]);
  });
});
