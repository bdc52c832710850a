/**
 * Services that talk while instances are killed, connections are cut and the hub is restarted: each request gets its
 * reply, nothing runs twice but what an instance had in hand when it died, and that says so.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { ExoCom } from '../../../src/exocom/index.js';
import { createFaultProxy } from '../../../src/testing/index.js';
import { eventually } from '../../support/delivery-wait.js';
import { ExoComKit, LOCAL, portOf, type TestRelay } from '../../support/exocom-kit.js';
import { inLength } from '../../support/length.js';

const kit = new ExoComKit();
afterEach(() => kit.close());

interface Run {
  readonly worker: number;
  readonly redelivered: boolean;
  finished: boolean;
}

/** Workers that pass each request on to the other service and reply with what comes back; every run is written down. */
class Workers {
  readonly runs = new Map<string, Run[]>();
  readonly killed = new Set<number>();
  readonly #port: number;
  #count = 0;

  constructor(port: number) {
    this.#port = port;
  }

  async start(role: string, next: string | undefined): Promise<() => void> {
    const worker = this.#count++;
    const relay: TestRelay = kit.relay(this.#port, role);
    relay.registerHandler(`${role} work`, async (n, { id, reply, request, redelivered }) => {
      const run: Run = { worker, redelivered, finished: false };
      this.runs.set(id, [...(this.runs.get(id) ?? []), run]);
      const result = next === undefined ? n : (await request(`${next} work`, n)).payload;
      reply(`${role} done`, result);
      run.finished = true;
    });
    await relay.up();
    return () => {
      this.killed.add(worker);
      relay.destroy();
    };
  }

  /** Every run after the first follows a kill, and says that it does. */
  check(): number {
    let again = 0;
    for (const runs of this.runs.values()) {
      for (const [i, run] of runs.entries()) {
        if (i === 0) continue;
        again++;
        expect(run.redelivered).toBe(true);
        expect(this.killed.has(runs[i - 1]?.worker ?? -1)).toBe(true);
      }
    }
    return again;
  }
}

async function ask(relays: readonly TestRelay[], total: number, at: (n: number) => void): Promise<unknown[]> {
  const replies: Promise<unknown>[] = [];
  let done = 0;
  for (let n = 0; n < total; n++) {
    const relay = relays[n % relays.length] as TestRelay;
    replies.push(
      relay.request('a work', n).then(({ payload }) => {
        done++;
        return payload;
      }),
    );
    at(n);
    // No more than some hundred at a time, as services do.
    if (n % 20 === 0) await eventually(() => n - done < 200, 'some are answered');
  }
  return Promise.all(replies);
}

const numbers = (total: number): number[] => Array.from({ length: total }, (_, n) => n);

describe('ExoCom in a storm', () => {
  it('instances are killed and the hub’s connections are cut: each request gets its reply', async () => {
    // Replies to instances that were killed wait for them in vain.
    const { hub } = await kit.hub({ instanceGraceMs: 1_500, queueTtlMs: 1_000 });
    const proxy = await createFaultProxy({ target: { host: LOCAL, port: portOf(hub) } });
    kit.closes(() => proxy.close());
    const workers = new Workers(proxy.port);
    const kills: (() => void)[] = [];
    for (const [role, next] of [
      ['a', 'b'],
      ['a', 'b'],
      ['b', undefined],
      ['b', undefined],
    ] as const) {
      kills.push(await workers.start(role, next));
    }
    const webs = [kit.relay(proxy.port, 'web'), kit.relay(proxy.port, 'web')];
    await Promise.all(webs.map((web) => web.up()));
    const total = inLength(1_500, 800);
    const replacements: Promise<unknown>[] = [];
    const replies = await ask(webs, total, (n) => {
      if (n % 100 === 50) proxy.cut();
      if (n % 500 === 250) {
        const role = n % 1_000 === 250 ? 'a' : 'b';
        kills[role === 'a' ? 0 : 2]?.();
        replacements.push(
          workers.start(role, role === 'a' ? 'b' : undefined).then((kill) => {
            kills[role === 'a' ? 0 : 2] = kill;
          }),
        );
      }
    });
    await Promise.all(replacements);
    expect(replies).toEqual(numbers(total));
    workers.check();
    await eventually(() => hub.stats().running === 0, 'nothing is left over');
  });

  it('the hub is killed and started again: each request gets its reply, and nothing runs twice', async () => {
    // Replies that had arrived before the hub told so are sent again, and nobody waits for them.
    const options = { instanceGraceMs: 1_000, queueTtlMs: 1_000 };
    let { hub }: { hub: ExoCom } = await kit.hub(options);
    const port = portOf(hub);
    const workers = new Workers(port);
    for (const [role, next] of [
      ['a', 'b'],
      ['a', 'b'],
      ['b', undefined],
      ['b', undefined],
    ] as const) {
      await workers.start(role, next);
    }
    const webs = [kit.relay(port, 'web'), kit.relay(port, 'web')];
    await Promise.all(webs.map((web) => web.up()));
    const total = inLength(600, 300);
    let restarted: Promise<unknown> = Promise.resolve();
    const replies = await ask(webs, total, (n) => {
      if (n % 300 !== 150) return;
      restarted = restarted.then(async () => {
        hub.destroy();
        await hub.close();
        hub = (await kit.hub(options, port)).hub;
      });
    });
    await restarted;
    expect(replies).toEqual(numbers(total));
    expect(workers.check()).toBe(0);
    await eventually(() => hub.stats().running === 0, 'nothing is left over');
  });
});
