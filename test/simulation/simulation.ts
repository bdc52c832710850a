/**
 * One simulated run: a world, its steps, the healing, the end; and the checks after every event. A run is a function of
 * its plan: the same plan gives the same trace, hash for hash.
 */
import { checkAtRest, checkNow, checkOver, unrest } from './checks.js';
import { isFault, type Plan, type Step } from './plan.js';
import { withSeededSecrets } from './seeded-secrets.js';
import { SimClientNode } from './sim-client.js';
import { Context, type Failure } from './sim-context.js';
import type { SimPeer } from './sim-peer.js';
import { SimServerNode } from './sim-server.js';

export interface RunResult {
  readonly plan: Plan;
  readonly hash: string;
  readonly failure: Failure | undefined;
  readonly events: number;
  readonly messages: number;
  readonly counts: Context['counts'];
  /** Where it was asked for. */
  readonly trace: readonly string[];
}

/** How long everything may take to come to rest once nothing is wrong any more, in simulated ms. */
const HEALING_MS = 240_000;
const CLOSING_MS = 20_000;
/** A run of more events goes round in circles. */
const MAX_EVENTS = 20_000;

const { setImmediate } = globalThis;

/** Runs a plan. `keepTrace`: its trace as lines too, which costs time. */
export function simulate(plan: Plan, keepTrace = false): Promise<RunResult> {
  return withSeededSecrets(plan.world.seed, () => new Simulation(plan, keepTrace).run());
}

class Simulation {
  readonly #plan: Plan;
  readonly #context: Context;
  readonly #servers: SimServerNode[] = [];
  readonly #clients: SimClientNode[] = [];
  #events = 0;

  constructor(plan: Plan, keepTrace: boolean) {
    this.#plan = plan;
    this.#context = new Context(plan.world, keepTrace);
  }

  async run(): Promise<RunResult> {
    const context = this.#context;
    const rejected = (error: unknown): void =>
      context.fail('errors', `unhandled: ${String((error as Error).stack ?? error)}`);
    process.on('unhandledRejection', rejected);
    try {
      await this.#live();
    } catch (error) {
      context.fail('errors', `thrown: ${String((error as Error).stack ?? error)}`);
    } finally {
      process.off('unhandledRejection', rejected);
    }
    return {
      plan: this.#plan,
      hash: context.trace.hash,
      failure: context.failure,
      events: this.#events,
      messages: context.books.sent,
      counts: context.counts,
      trace: context.trace.lines,
    };
  }

  async #live(): Promise<void> {
    const { world, steps } = this.#plan;
    const context = this.#context;
    for (let i = 0; i < world.servers; i++) this.#servers.push(new SimServerNode(context, i));
    for (let i = 0; i < world.clients; i++) this.#clients.push(new SimClientNode(context, i));
    await this.#turn();
    for (const step of steps) {
      if (step.do === 'wait') await this.#advance(step.ms);
      else {
        if (isFault(step)) context.counts.faults++;
        context.trace.note('step', step.do);
        this.#apply(step);
        await this.#turn();
      }
      if (context.failure !== undefined) return;
    }
    await this.#heal();
    if (context.failure !== undefined) return;
    await this.#end();
  }

  async #heal(): Promise<void> {
    const context = this.#context;
    context.healing = true;
    context.trace.note('healing');
    context.network.modes = [];
    for (const node of [...this.#servers, ...this.#clients]) node.process.thaw();
    const until = context.schedule.now + HEALING_MS;
    let quietFor = 0;
    // At rest is what stays at rest.
    while (quietFor < 3 && context.schedule.now < until && context.failure === undefined) {
      for (const client of this.#clients) {
        if (client.up && client.client.state === 'idle' && client.stopped === undefined)
          client.client.connect();
        client.peer.resume();
        this.#sessionOf(client)?.resume();
      }
      await this.#advance(200);
      quietFor = unrest(context, this.#servers, this.#clients) === undefined ? quietFor + 1 : 0;
    }
    if (context.failure !== undefined) return;
    const why = unrest(context, this.#servers, this.#clients);
    if (why !== undefined) context.fail('comes to rest', why);
    else checkAtRest(context, this.#servers, this.#clients);
  }

  async #end(): Promise<void> {
    const context = this.#context;
    context.trace.note('ending');
    const graceful = context.world.seed % 3 !== 0;
    let open = 0;
    const closed = (closing: Promise<void>): void => {
      open++;
      closing.then(() => open--);
    };
    for (const { client } of this.#clients) {
      if (graceful) closed(client.close());
      else client.destroy();
    }
    await this.#turn();
    await this.#advance(graceful ? 1_500 : 100);
    for (const { server } of this.#servers) {
      if (graceful) closed(server.close());
      else server.destroy();
    }
    await this.#turn();
    await this.#advance(CLOSING_MS);
    checkOver(context, open, this.#clients);
  }

  async #advance(ms: number): Promise<void> {
    const { schedule } = this.#context;
    const until = schedule.now + ms;
    while (schedule.next(until)) {
      await this.#turn();
      if (this.#context.failure !== undefined) return;
    }
  }

  /** Everything that the last event set going in this process runs: promises, ticks. Then the invariants are looked at. */
  async #turn(): Promise<void> {
    if (++this.#events === MAX_EVENTS) this.#context.fail('comes to rest', `not in ${MAX_EVENTS} events`);
    await new Promise<void>((resolve) => setImmediate(resolve));
    checkNow(this.#context, this.#servers, this.#clients);
  }

  #sessionOf(client: SimClientNode): SimPeer | undefined {
    const { id } = client;
    const holders = this.#servers.map((server) => ({ server, peer: server.peerOf(id) }));
    const held = holders.filter(({ peer }) => peer !== undefined);
    return (held.find(({ server }) => server.owns(id)) ?? held[0])?.peer;
  }

  #peerAt(side: 'client' | 'server', index: number): SimPeer | undefined {
    const client = this.#clients[index];
    if (client === undefined || !client.up) return undefined;
    return side === 'client' ? client.peer : this.#sessionOf(client);
  }

  #apply(step: Exclude<Step, { do: 'wait' }>): void {
    const { network, schedule, fate, trace } = this.#context;
    switch (step.do) {
      case 'send':
        this.#peerAt(step.from, step.client)?.send(step);
        return;
      case 'request':
        this.#peerAt(step.from, step.client)?.request(step);
        return;
      case 'set':
      case 'delete':
      case 'update':
        this.#peerAt(step.from, step.client)?.write(step);
        return;
      case 'pause':
        this.#peerAt(step.at, step.client)?.pause(step.ms);
        return;
      case 'crash':
        this.#servers[step.server]?.crash(step.how, step.downMs);
        return;
      case 'drain-server':
        this.#servers[step.server]?.drain(step.downMs);
        return;
      case 'disk-full': {
        const view = this.#servers[step.server]?.view;
        if (view !== undefined) view.failures++;
        return;
      }
      case 'dials':
        network.modes.push(...step.modes);
        return;
      case 'jump':
        schedule.jump(step.ms);
        return;
      case 'freeze': {
        const node = step.at === 'client' ? this.#clients[step.which] : this.#servers[step.which];
        if (node === undefined) return;
        const { process } = node;
        process.freeze();
        schedule.after(fate, step.ms, () => process.thaw());
        return;
      }
    }
    const client = this.#clients[step.client];
    if (client === undefined || !client.up) return;
    const link = network.linksOf(client.process).at(-1);
    switch (step.do) {
      case 'crash-client':
        client.crash(step.how, step.downMs);
        return;
      case 'cut':
        link?.cut(step.clientMs, step.serverMs);
        return;
      case 'stall':
        (step.up ? link?.up : link?.down)?.stall(step.ms);
        return;
      case 'spoil':
        (step.up ? link?.up : link?.down)?.spoil(step.fault);
        // A link that loses frames does not live long.
        schedule.after(fate, step.ms, () => link?.cut(0, 0));
        return;
      case 'reconnect':
        if (coreIsLive(client)) client.client.reconnect();
        return;
      case 'disconnect': {
        if (!coreIsLive(client)) return;
        client.client.disconnect();
        const { process } = client;
        schedule.after(fate, step.ms, () => {
          trace.note(process.name, 'connects again');
          if (process.alive && coreIsLive(client)) client.client.connect();
        });
        return;
      }
      case 'invalidate': {
        const session = this.#sessionOf(client);
        if (session?.live === true) (session.peer as { invalidate(): void }).invalidate();
        return;
      }
    }
  }
}

function coreIsLive(client: SimClientNode): boolean {
  return client.client.state !== 'closed';
}
