/**
 * The central promise under load, on real sockets: both sides send at once while the connection is cut a hundred times,
 * and everything is dispatched exactly once and in order.
 */
import { expect, it } from 'vitest';
import { createClient, createServer, type Session } from '../../../src/index.js';
import { createFaultProxy, type FaultProxy } from '../../../src/testing/index.js';
import { createCountingClock } from '../../support/delivery-clock.js';
import { FAST, portOf } from '../../support/delivery-pair.js';
import { everyNth, type StormSide, stormSide } from '../../support/delivery-storm.js';
import { eventually, once, seededRandom, turns, upTo } from '../../support/delivery-wait.js';

const EVENTS = 10_000;
const CUTS = 100;
const LIMITS = { highWaterBytes: 16 * 1024 };

/**
 * Cuts again and again, each time after some more events were heard: at once, behind some bytes that are still to come,
 * or in the midst of the next handshake. What is left at the end is cut in the handshakes of the last reconnects.
 */
function cutter(proxy: FaultProxy, random: () => number) {
  const ways = ['up', 'down', 'both'] as const;
  let heard = 0;
  let nextAt = 50;
  let armed = false;
  let finishing = false;

  const arm = (maxBytes: number): void => {
    armed = true;
    const direction = ways[Math.floor(random() * 3)] ?? 'both';
    proxy.cutAfter({ bytes: 1 + Math.floor(random() * maxBytes), direction });
  };
  proxy.on('cut', () => {
    armed = false;
    nextAt = heard + 10 + Math.floor(random() * 120);
    if (proxy.totals.cuts >= CUTS) return;
    // Fewer bytes than a handshake has: there will be a cut, whatever is left to send.
    if (finishing) arm(40);
    else if (random() < 0.2) arm(150);
  });
  return {
    progress() {
      heard++;
      if (armed || heard < nextAt || proxy.totals.cuts >= CUTS) return;
      if (random() < 0.3) proxy.cut();
      else arm(5_000);
    },
    finish(): void {
      finishing = true;
      // Between two connections there is none to cut: then the next one is.
      if (proxy.totals.cuts < CUTS && proxy.cut() === 0) arm(40);
    },
  };
}

function expectHeardAll(side: StormSide, other: StormSide): void {
  expect(side.heard).toEqual(upTo(EVENTS));
  const asked = everyNth(EVENTS, 'ask');
  expect([...side.handled].sort(([a], [b]) => a - b)).toEqual(asked.map((number) => [number, 1]));
  expect([...other.replies].sort(([a], [b]) => a - b)).toEqual(asked.map((number) => [number, number * 2]));
  expect(other.ackErrors).toEqual([]);
  expect(other.acked).toEqual(everyNth(EVENTS, 'ack'));
}

async function storm(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const before = resources();
  const clock = createCountingClock();
  const problems: unknown[] = [];
  const sides: StormSide[] = [];
  let progress = (): void => {};
  const options = { events: EVENTS, random, progress: () => progress() };

  const sessions: Session[] = [];
  const server = createServer({ ...LIMITS, clock }, (session) => {
    sessions.push(session);
    session.on('error', (error) => problems.push(error));
    sides.push(stormSide(session, { ...options, name: 'server' }));
  });
  server.on('error', (error) => problems.push(error));
  const listening = once(server, 'listening');
  server.listen(0, '127.0.0.1');
  await listening;
  const proxy = await createFaultProxy({ target: { port: portOf(server) }, random });
  const client = createClient({ port: proxy.port, host: '127.0.0.1', reconnect: FAST, ...LIMITS, clock });
  try {
    for (const event of ['error', 'gap', 'sessionInvalidated'] as const) {
      client.on(event, (...args: unknown[]) => problems.push([event, ...args]));
    }
    const up = stormSide(client, { ...options, name: 'client' });
    await eventually(() => client.connected && sessions.length === 1, 'the client is connected');
    const [session, down] = [sessions[0] as Session, sides[0] as StormSide];

    const cuts = cutter(proxy, random);
    progress = cuts.progress;
    await Promise.all([up.send(), down.send()]);
    await eventually(() => up.heard.length >= EVENTS && down.heard.length >= EVENTS, 'all events are heard');
    const cutInTheStorm = proxy.totals.cuts;
    cuts.finish();
    await eventually(
      () => proxy.totals.cuts === CUTS,
      () => `${proxy.totals.cuts} of ${CUTS} cuts`,
    );
    await Promise.all([client.store.synced(), session.store.synced()]);
    await Promise.all([client.sendWithAck('event', EVENTS + 1), session.sendWithAck('event', EVENTS + 1)]);

    for (const side of [up, down]) expect(side.heard.pop()).toBe(EVENTS + 1);
    expectHeardAll(up, down);
    expectHeardAll(down, up);
    expect(client.get()).toEqual(session.get());
    expect(Object.keys(client.get()).length).toBeGreaterThan(40);
    expect(problems).toEqual([]);
    expect(sessions).toHaveLength(1);
    expect(server.sessions.size).toBe(1);
    // It was a storm: backpressure held both up, and connections had to replay.
    expect(Math.min(up.waits(), down.waits())).toBeGreaterThan(10);
    expect(client.stats().replayed + session.stats().replayed).toBeGreaterThan(0);
    expect(client.stats().reconnects).toBeGreaterThan(CUTS * 0.3);
    expect(cutInTheStorm).toBeGreaterThan(CUTS * 0.5);

    await client.close();
    await server.close();
  } finally {
    client.destroy();
    server.destroy();
    await proxy.close();
  }
  await turns();
  expect(problems).toEqual([]);
  expect(clock.pending).toBe(0);
  expect(resources()).toEqual(before);
}

/** The sockets and servers that keep this process alive. Timers are counted by the clock: the test runner has its own. */
function resources(): string[] {
  return process.getActiveResourcesInfo().filter((name) => /^(TCP|TLS|PipeServer)/.test(name));
}

/** A failed run names its seed; NYOTA_SEED runs that one again. */
const given = process.env.NYOTA_SEED;
const seeds = given === undefined ? [20_240_601, Date.now() % 1_000_000_000] : [Number(given)];

for (const seed of seeds) {
  it(`dispatches ${EVENTS} events each way exactly once and in order through ${CUTS} cuts (seed ${seed})`, async () => {
    await storm(seed);
  });
}
