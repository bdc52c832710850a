/**
 * The seeded simulation, as a user's test has it: a server and two clients through an hour of bad network, for many seeds.
 * Nothing here takes real time; a simulation that hangs is ended by the runner's timeout.
 */

import { describe, expect, it, onTestFinished } from 'vitest';
import { type Client, createClient, createServer, type Server, type Session } from '../../../src/index.js';
import {
  createSimulation,
  type Simulation,
  type SimulationFault,
  type SimulationOptions,
  seededRandom,
} from '../../../src/testing/index.js';
import { inLength } from '../../support/length.js';

const PORT = 5555;
const HOUR_MS = 3_600_000;
const CLIENTS = ['ada', 'grace'] as const;
const EVENTS = 600;
const MAX_PAUSE_MS = 60_000;
const ASK_EVERY = 10;
const WRITE_EVERY = 5;

/** What there was to hear, and in which order. */
interface Heard {
  readonly heard: Record<string, number[]>;
  /** Requests that the server handled, once each. */
  readonly handled: Record<string, number[]>;
  readonly replies: Record<string, unknown[]>;
  /** Both sides' view of each client's store, at the end. */
  readonly stores: Record<string, { readonly client: unknown; readonly server: unknown }>;
  /** Events that say that something is missing. */
  readonly complaints: string[];
}

interface Outcome extends Heard {
  readonly simulation: Simulation;
  readonly replayed: number;
  readonly reconnects: number;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

function startServer({ clock, network }: Simulation, onSession: (session: Session) => void): Server {
  const server = createServer(
    { clock, createServer: network.createServer, resumeWindowMs: HOUR_MS, requestTimeoutMs: HOUR_MS },
    onSession,
  );
  server.listen(PORT);
  return server;
}

function startClient({ clock, network, random }: Simulation, auth: string): Client {
  return createClient({
    port: PORT,
    ...{ auth, clock, random },
    createConnection: network.createConnection,
    requestTimeoutMs: HOUR_MS,
    reconnect: { maxDelayMs: 2_000 },
  });
}

/** An hour of a service on a bad network, and what was heard. */
async function liveAnHour(options: SimulationOptions): Promise<Outcome> {
  const simulation = createSimulation(options);
  const { clock, random, pick } = simulation;
  const sessions: Record<string, Session> = {};
  const heard: Heard['heard'] = {};
  const handled: Heard['handled'] = {};
  const replies: Heard['replies'] = {};
  const complaints: string[] = [];

  /** Calls `send` with 1 to EVENTS through most of the hour, now one and now many at a time. */
  const spread = (send: (number: number) => void): void => {
    let number = 0;
    const burst = (): void => {
      for (let left = pick([1, 1, 1, 5, 30]); left > 0 && number < EVENTS; left -= 1) send(++number);
      if (number < EVENTS) clock.setTimeout(burst, random() * MAX_PAUSE_MS);
    };
    clock.setTimeout(burst, random() * 1_000);
  };
  const complain = (who: string, peer: Client | Session): void => {
    for (const name of ['gap', 'error', 'conflict', 'sessionInvalidated', 'expired'] as const)
      (peer as Client).on(name as 'gap', (detail) => complaints.push(`${who} ${name} ${String(detail)}`));
  };
  const hears = (who: string, peer: Client | Session): void => {
    const numbers: number[] = [];
    heard[who] = numbers;
    (peer as Client).on('event', (number: number) => numbers.push(number));
  };

  const server = createServer(
    {
      clock,
      createServer: simulation.network.createServer,
      resumeWindowMs: HOUR_MS,
      authenticate: (name) => name,
    },
    (session) => {
      const name = String(session.identity);
      sessions[name] = session;
      const asked: number[] = [];
      handled[name] = asked;
      complain(`server of ${name}`, session);
      hears(`server from ${name}`, session);
      session.handle('double', (number: number) => {
        asked.push(number);
        return number * 2;
      });
      spread((number) => {
        session.send('event', number, 'x'.repeat(Math.floor(random() * 300)));
        if (number % WRITE_EVERY === 0) session.set(pick(['a', 'b', 'c']), `server ${number}`);
      });
    },
  );
  server.listen(PORT);

  const clients = CLIENTS.map((name) => {
    const client = startClient(simulation, name);
    const answers: unknown[] = [];
    replies[name] = answers;
    complain(name, client);
    hears(`${name} from the server`, client);
    spread((number) => {
      client.send('event', number, 'x'.repeat(Math.floor(random() * 300)));
      if (number % WRITE_EVERY === 0) client.set(pick(['d', 'e', 'f']), `${name} ${number}`);
      if (number % ASK_EVERY !== 0) return;
      client.request('double', number).then(
        (reply) => answers.push(reply),
        (error: unknown) => answers.push(error),
      );
    });
    return client;
  });

  await simulation.run(HOUR_MS);
  simulation.heal();
  await simulation.run(120_000);

  const stores: Record<string, { client: unknown; server: unknown }> = {};
  for (const [i, name] of CLIENTS.entries())
    stores[name] = { client: clients[i]?.get(), server: sessions[name]?.get() };
  const stats = [...clients, ...Object.values(sessions)].map((peer) => peer.stats());
  const sum = (count: (of: (typeof stats)[number]) => number): number =>
    stats.reduce((total, one) => total + count(one), 0);
  const outcome = {
    ...{ simulation, heard, handled, replies, stores, complaints },
    replayed: sum(({ replayed }) => replayed),
    reconnects: sum(({ reconnects }) => reconnects),
  };
  for (const client of clients) client.destroy();
  server.destroy();
  await simulation.run(120_000);
  return outcome;
}

/** A server and a client that are connected, with faults of one kind only, and how they get on. */
async function connected(options: SimulationOptions): Promise<{ simulation: Simulation; client: Client }> {
  const simulation = createSimulation(options);
  const server = startServer(simulation, (session) => session.handle('echo', (value) => value));
  const client = startClient(simulation, 'ada');
  onTestFinished(() => {
    client.destroy();
    server.destroy();
  });
  await simulation.clock.advance(10);
  expect(client.connected).toBe(true);
  return { simulation, client };
}

/** Faults of one kind, in every step where there may be one. */
const only = (kind: SimulationFault, minMs: number, maxMs: number): SimulationOptions => ({
  seed: 7,
  faults: { cut: 0, stall: 0, drop: 0, slice: 0, [kind]: { probability: 1, minMs, maxMs } },
});

const events = (simulation: Simulation): string[] => simulation.trace.map(({ what }) => what);

describe('an hour on a bad network', () => {
  it.each(upTo(inLength(20, 6)))('is heard once and in order, both ways, with seed %i', async (seed) => {
    const outcome = await liveAnHour({ seed, stepMs: 2_500 });
    const all = upTo(EVENTS);
    const asked = all.filter((number) => number % ASK_EVERY === 0);
    expect(outcome.complaints).toEqual([]);
    for (const name of CLIENTS) {
      expect(outcome.heard[`server from ${name}`]).toEqual(all);
      expect(outcome.heard[`${name} from the server`]).toEqual(all);
      expect(outcome.handled[name]).toEqual(asked);
      expect(outcome.replies[name]).toEqual(asked.map((number) => number * 2));
      expect(outcome.stores[name]?.client).toEqual(outcome.stores[name]?.server);
      expect(Object.keys(outcome.stores[name]?.server ?? {}).length).toBeGreaterThan(4);
    }
    // It was a bad network indeed, and nothing of it is left.
    const seen = new Set(events(outcome.simulation));
    for (const what of ['cut', 'stall', 'drop', 'slice', 'refuse', 'accept', 'unstall'])
      expect(seen).toContain(what);
    expect(outcome.reconnects).toBeGreaterThan(20);
    expect(outcome.replayed).toBeGreaterThan(0);
    expect(outcome.simulation.network.connections.size).toBe(0);
    expect(outcome.simulation.clock.pendingTimers).toBe(0);
  });

  it('is the same hour again with the same seed: trace and all that was heard', async () => {
    const { simulation: first, ...heardFirst } = await liveAnHour({ seed: 11, stepMs: 2_500 });
    const { simulation: second, ...heardSecond } = await liveAnHour({ seed: 11, stepMs: 2_500 });
    expect(first.trace.length).toBeGreaterThan(100);
    expect(second.trace).toEqual(first.trace);
    expect(heardSecond).toEqual(heardFirst);
    expect(second.random()).toBe(first.random()); // as many were drawn
  });

  it('is another hour with another seed', async () => {
    const { simulation: first } = await liveAnHour({ seed: 11, stepMs: 2_500 });
    const { simulation: second } = await liveAnHour({ seed: 12, stepMs: 2_500 });
    expect(second.trace).not.toEqual(first.trace);
  });
});

describe('a fault', () => {
  it('cut: loses what is under way, and its port refuses until it is over', async () => {
    const { simulation, client } = await connected(only('cut', 1_000, 2_000));
    let reply: unknown;
    client.once('disconnect', () => {
      // Its last connection is gone, so the faults may end: it has to find the port again.
      void client.request('echo', 'still there').then((value) => {
        reply = value;
      });
    });
    await simulation.run(1_000);
    const cut = simulation.trace.find(({ what }) => what === 'cut');
    expect(cut?.forMs).toBeGreaterThanOrEqual(1_000);
    expect(cut?.forMs).toBeLessThanOrEqual(2_000);
    await simulation.run(5_000);
    const refused = simulation.trace.filter(({ what }) => what === 'refuse');
    expect(refused.length).toBeGreaterThan(0);
    const back = simulation.trace.find(({ what }) => what === 'accept');
    expect(back?.atMs).toBe((cut?.atMs ?? 0) + (cut?.forMs ?? 0));
    for (const { atMs, target } of refused.filter(({ atMs }) => atMs <= (back?.atMs ?? 0))) {
      expect(target).toBe(PORT);
      expect(atMs).toBeGreaterThanOrEqual(cut?.atMs ?? 0);
    }
    simulation.heal();
    await simulation.run(5_000);
    expect(reply).toBe('still there');
  });

  it('stall: keeps what is sent until it is over', async () => {
    const { simulation, client } = await connected(only('stall', 3_000, 3_000));
    await simulation.run(1);
    let reply: unknown;
    void client.request('echo', 'late').then((value) => {
      reply = value;
    });
    await simulation.run(2_990);
    expect([reply, events(simulation)]).toEqual([undefined, ['connect', 'stall']]);
    simulation.heal();
    await simulation.run(1);
    expect([reply, client.connected]).toEqual(['late', true]);
  });

  it('drop: a dead link, that is reset in the end', async () => {
    const { simulation, client } = await connected(only('drop', 3_000, 3_000));
    await simulation.run(2_999);
    expect([client.connected, events(simulation)]).toEqual([true, ['connect', 'drop']]);
    await simulation.run(1);
    expect(events(simulation).slice(0, 3)).toEqual(['connect', 'drop', 'undrop']);
    expect(client.stats().reconnects + Number(!client.connected)).toBeGreaterThan(0);
  });

  it('slice: small pieces, and nothing lost', async () => {
    const { simulation, client } = await connected(only('slice', 3_000, 3_000));
    await simulation.run(1);
    const slice = simulation.trace.find(({ what }) => what === 'slice');
    expect(slice?.bytes).toBeGreaterThanOrEqual(1);
    expect(slice?.bytes).toBeLessThanOrEqual(64);
    const sizes: number[] = [];
    for (const { client: end } of simulation.network.connections)
      end.on('data', ({ length }) => sizes.push(length));
    let reply: unknown;
    void client.request('echo', 'x'.repeat(5_000)).then((value) => {
      reply = value;
    });
    await simulation.run(1_000);
    expect(reply).toBe('x'.repeat(5_000));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(slice?.bytes ?? 0);
  });
});

describe('createSimulation', () => {
  it('has no faults with faults: false, and goes on for as long as it is told', async () => {
    const { simulation, client } = await connected({ seed: 1, faults: false });
    await simulation.run(HOUR_MS / 10);
    expect(simulation.clock.now()).toBe(HOUR_MS / 10 + 10);
    expect([events(simulation), client.connected]).toEqual([['connect'], true]);
  });

  it('heals for good: later runs begin no fault, until unheal', async () => {
    const { simulation, client } = await connected(only('cut', 0, 0));
    await simulation.run(1_000);
    simulation.heal();
    await simulation.run(10_000);
    const healed = events(simulation).indexOf('heal');
    expect(healed).toBeGreaterThan(0);
    expect(events(simulation).slice(healed + 1)).not.toContain('cut');
    expect(client.connected).toBe(true);
    simulation.unheal();
    await simulation.run(1_000);
    expect(events(simulation).slice(healed + 1)).toContain('cut');
  });

  it('heals what was put on the network by hand', async () => {
    const { simulation, client } = await connected({ seed: 1, faults: false });
    simulation.network.stall();
    let reply: unknown;
    void client.request('echo', 'late').then((value) => {
      reply = value;
    });
    await simulation.run(1_000);
    expect(reply).toBeUndefined();
    simulation.heal();
    await simulation.run(1);
    expect(reply).toBe('late');
  });

  it('does runs that overlap one after the other', async () => {
    const simulation = createSimulation({ seed: 1 });
    const ends: number[] = [];
    await Promise.all(
      [1_000, 500].map((ms) => simulation.run(ms).then(() => ends.push(simulation.clock.now()))),
    );
    expect(ends).toEqual([1_000, 1_500]);
  });

  it('rejects a run with what a timer throws, and can go on', async () => {
    const simulation = createSimulation({ seed: 1 });
    simulation.clock.setTimeout(() => {
      throw new Error('thrown by a timer');
    }, 50);
    await expect(simulation.run(1_000)).rejects.toThrow('thrown by a timer');
    await simulation.run(1_000);
    expect(simulation.clock.now()).toBe(1_050);
  });

  it('breaks connections to paths as well', async () => {
    const simulation = createSimulation(only('cut', 500, 500));
    const { clock, network } = simulation;
    const server = createServer({ clock, createServer: network.createServer });
    server.listen('/run/x.sock');
    const client = createClient({ path: '/run/x.sock', clock, createConnection: network.createConnection });
    onTestFinished(() => {
      client.destroy();
      server.destroy();
    });
    await simulation.run(2_000);
    expect(simulation.trace.find(({ what }) => what === 'refuse')).toMatchObject({ target: '/run/x.sock' });
  });

  it('has a trace that can be read', async () => {
    const { simulation } = await connected(only('stall', 40, 40));
    await simulation.run(50);
    simulation.heal();
    const [connect, stall, unstall] = simulation.trace;
    expect(connect).toEqual({ atMs: 0, what: 'connect', connection: 1, target: PORT });
    expect(stall).toMatchObject({ atMs: 10, what: 'stall', connection: 1, forMs: 40 });
    expect(unstall).toMatchObject({ atMs: 50, what: 'unstall', connection: 1, direction: stall?.direction });
  });

  it('draws the faults apart from what the test draws', async () => {
    const traces = [];
    for (const draws of [0, 3]) {
      const { simulation } = await connected({ ...only('slice', 100, 500), stepMs: 50 });
      for (let i = 0; i < draws; i += 1) simulation.random();
      await simulation.run(10_000);
      traces.push(simulation.trace);
    }
    expect(traces[1]).toEqual(traces[0]);
  });

  it('picks one of many, the same with the same seed', () => {
    const picks = (seed: number): string[] => {
      const { pick } = createSimulation({ seed });
      return upTo(50).map(() => pick(['a', 'b', 'c']));
    };
    expect(picks(3)).toEqual(picks(3));
    expect(picks(4)).not.toEqual(picks(3));
    expect([...new Set(picks(3))].sort()).toEqual(['a', 'b', 'c']);
  });

  const wrong: [string, unknown][] = [
    ['nothing', undefined],
    ['no seed', {}],
    ['a seed that is no number', { seed: 'seven' }],
    ['a seed with a fraction', { seed: 1.5 }],
    ['a negative seed', { seed: -1 }],
    ['a seed above 32 bits', { seed: 2 ** 32 }],
    ['an endless seed', { seed: Number.POSITIVE_INFINITY }],
    ['a step of 0', { seed: 1, stepMs: 0 }],
    ['an endless step', { seed: 1, stepMs: Number.POSITIVE_INFINITY }],
    ['faults: true', { seed: 1, faults: true }],
    ['a fault that there is not', { seed: 1, faults: { flood: 1 } }],
    ['a probability above 1', { seed: 1, faults: { cut: 1.1 } }],
    ['a probability that is no number', { seed: 1, faults: { cut: { probability: '1' } } }],
    ['a fault that is null', { seed: 1, faults: { stall: null } }],
    ['a negative duration', { seed: 1, faults: { drop: { minMs: -1 } } }],
    ['an endless duration', { seed: 1, faults: { drop: { maxMs: Number.POSITIVE_INFINITY } } }],
    ['a duration that ends before it begins', { seed: 1, faults: { drop: { minMs: 2, maxMs: 1 } } }],
  ];
  it.each(wrong)('refuses %s', (_what, options) => {
    expect(() => createSimulation(options as SimulationOptions)).toThrow(
      expect.objectContaining({ code: 'NYOTA_INVALID_ARGUMENT' }),
    );
  });

  it('refuses a run that goes back or for ever, and to pick from nothing', async () => {
    const simulation = createSimulation({ seed: 1 });
    const refusal = expect.objectContaining({ code: 'NYOTA_INVALID_ARGUMENT' });
    for (const ms of [-1, Number.NaN, Number.POSITIVE_INFINITY])
      await expect(simulation.run(ms)).rejects.toThrow(refusal);
    expect(() => simulation.pick([])).toThrow(refusal);
  });

  it('takes one bound of a duration without the other', () => {
    for (const stall of [{ maxMs: 5 }, { minMs: 100_000 }]) createSimulation({ seed: 1, faults: { stall } });
  });
});

describe('seededRandom', () => {
  it('gives the numbers of mulberry32', () => {
    const random = seededRandom(0);
    expect([random(), random(), random()]).toEqual([
      0.26642920868471265, 0.0003297457005828619, 0.2232720274478197,
    ]);
  });

  it('gives numbers from 0 up to 1, evenly', () => {
    const random = seededRandom(42);
    const numbers = upTo(10_000).map(random);
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...numbers)).toBeLessThan(1);
    expect(numbers.reduce((sum, number) => sum + number) / numbers.length).toBeCloseTo(0.5, 1);
  });

  it('refuses a seed that is none', () => {
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 32])
      expect(() => seededRandom(seed)).toThrow(expect.objectContaining({ code: 'NYOTA_INVALID_ARGUMENT' }));
  });
});
