/** What survives ExoCom: messages, replies, and what handlers have done. With the real hub, killed in the middle of it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExoArena } from '../../support/exo-arena.js';
import { inLength } from '../../support/length.js';

/** A hub that was restarted waits so long for its relays before it asks who had what; they come back within a second. */
const PATIENT = { instanceGraceMs: 1_500 };

/** Twice on the way the hub is killed. */
const REQUESTS = inLength(2_000, 600);

const arena = new ExoArena();
beforeEach(async () => {
  arena.errors.length = 0;
  await arena.start(PATIENT);
});
afterEach(() => arena.stop());

describe('while ExoCom is killed and started again', () => {
  it('each request gets its reply, and no handler that had finished runs again', async () => {
    const runs = new Map<string, { redelivered: boolean; instance: number }[]>();
    for (const instance of [1, 2]) {
      await arena.service('todo', {
        work: async (n, { id, reply, redelivered }) => {
          runs.set(id, [...(runs.get(id) ?? []), { redelivered, instance }]);
          await new Promise((resolve) => setTimeout(resolve, n % 5));
          reply('done', n);
        },
      });
    }
    const web = await arena.service('web');
    let asked = 0;
    let answered = 0;
    let restarts = Promise.resolve();
    const ask = async (): Promise<void> => {
      for (let n = asked++; n < REQUESTS; n = asked++) {
        expect(await web.request('work', n)).toEqual({ outcome: 'done', payload: n });
        if (++answered % (REQUESTS * 0.4) === 0) restarts = restarts.then(() => arena.restart(PATIENT));
      }
    };
    await Promise.all(Array.from({ length: 100 }, ask));
    await restarts;
    // Not one of them died, so nothing was begun twice at all.
    expect([...runs.values()].filter((all) => all.length > 1)).toEqual([]);
    expect(runs.size).toBe(REQUESTS);
    expect(arena.errors).toEqual([]);
  });

  it('a reply that comes only after the restart finds who asked', async () => {
    let finish = (): void => {};
    const begun = new Promise<void>((begin) => {
      const todo = arena.relay('todo');
      todo.registerHandler('slow', (_, { reply }) => {
        finish = () => void reply('done', 5);
        begin();
      });
      todo.connect();
    });
    const web = await arena.service('web');
    const request = web.request('slow');
    await begun;
    await expect.poll(() => web.stats().unaccepted).toBe(0);
    await arena.restart(PATIENT);
    finish();
    expect(await request).toEqual({ outcome: 'done', payload: 5 });
  });

  it('a stream goes on where it was, without a hole', async () => {
    let send = (_: number): void => {};
    const begun = new Promise<void>((begin) => {
      const files = arena.relay('files');
      files.registerHandler('file.read', (_, { reply }) => {
        send = (n) => void reply(n < 10 ? 'chunk' : 'done', n);
        begin();
      });
      files.connect();
    });
    const web = await arena.service('web');
    const got: unknown[] = [];
    const read = (async () => {
      for await (const { payload } of web.stream('file.read', undefined, { until: 'done' }))
        got.push(payload);
    })();
    await begun;
    for (let n = 0; n < 5; n++) send(n);
    await arena.restart(PATIENT);
    for (let n = 5; n <= 10; n++) send(n);
    await read;
    expect(got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});
