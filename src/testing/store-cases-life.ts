/** The cases of the contract of stores about a session's life: create, load, attach, end, sweep, close. */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import {
  type CaseStores,
  DAY_MS,
  entry,
  frame,
  NOW,
  OVER,
  outcome,
  recordOf,
  type StoreCase,
  WINDOW_MS,
} from './store-case.js';

const NOTHING = { inbound: { settled: 0, beyond: [] }, entries: [], outbound: [] };
const ZEROS = { revision: 0, trimmed: 0, lastSeq: 0, resolvedSeq: 0 };

export const lifeCases: readonly StoreCase[] = [
  [
    'it says that it is durable, and knows nothing of a session that never was',
    async ({ store }) => {
      equal(store.durable, true);
      equal(await store.load('nobody'), undefined);
      equal(await store.tombstone('nobody', NOW), undefined);
      equal(await store.attach('nobody', 1, NOW), undefined);
    },
  ],
  [
    'create: the session holds what was given, and nothing else',
    async (stores) => {
      const fence = await stores.create();
      const fresh = { ...NOTHING, ...ZEROS, attempt: 0, detachedAt: NOW, established: false };
      deepEqual(await stores.load(), { ...fresh, record: recordOf('a'), fence });
      await stores.store.create(recordOf('b'), NOW, 7);
      equal((await stores.load('b')).attempt, 7);
    },
  ],
  [
    'create: credentials and identities of any bytes, ids of any letters, a window without an end',
    async (stores) => {
      const bytes = Buffer.from([...Array(256).keys()]);
      const over = { credential: bytes, identity: Buffer.alloc(0), resumeWindowMs: Number.MAX_SAFE_INTEGER };
      await stores.create('a', over);
      deepEqual((await stores.load()).record, recordOf('a', over));
      for (const id of [' ', 'a\0b', 'ü', '名前', '"', '__proto__', 'x'.repeat(300)]) {
        await stores.create(id);
        deepEqual((await stores.load(id)).record, recordOf(id));
      }
    },
  ],
  [
    'create: refuses an id that is taken, and leaves that session alone',
    async (stores) => {
      const fence = await stores.create();
      await stores.commit(fence, { revision: 7 });
      equal(
        await outcome(() => stores.create('a', { credential: Buffer.from('other') })),
        'NYOTA_STORE_FAILED',
      );
      const { revision, record } = await stores.load();
      deepEqual({ revision, record }, { revision: 7, record: recordOf('a') });
      await stores.commit(fence, { revision: 8 });
    },
  ],
  [
    'create: one of two that come at the same time has the id',
    async (stores) => {
      const other = stores.another();
      const both = [stores.store, other].map((store) => outcome(() => store.create(recordOf('a'), NOW)));
      deepEqual((await Promise.all(both)).sort(), ['NYOTA_STORE_FAILED', 'done']);
    },
  ],
  [
    'create: an id whose session is over may be used again, with fences above all that it had',
    async (stores) => {
      let highest = 0;
      for (let life = 0; life < 3; life++) {
        const first = await stores.create();
        ok(first > highest, `${first} is not above ${highest}`);
        const second = await stores.attach(first);
        await stores.commit(second, { entries: [entry('k', 1)], outbound: [frame(1)], lastSeq: 1 });
        await stores.store.end('a', second, OVER, NOW);
        highest = second;
      }
      const last = await stores.create();
      equal(await outcome(() => stores.commit(highest, { revision: 5 })), 'NYOTA_TAKEN_OVER');
      const { revision, entries, outbound, lastSeq, fence } = await stores.load();
      deepEqual(
        { revision, entries, outbound, lastSeq },
        { revision: 0, entries: [], outbound: [], lastSeq: 0 },
      );
      equal(fence, last);
    },
  ],
  [
    'create: an id that is used again after its tombstone is forgotten has fences above all that it had, too',
    async (stores) => {
      const { store } = stores;
      const last = await stores.attach(await stores.create());
      await store.end('a', last, OVER, NOW);
      await store.sweep(NOW + DAY_MS);
      const fence = await store.create(recordOf('a'), NOW + DAY_MS);
      ok(fence > last, `${fence} is not above ${last}`);
      equal(await outcome(() => stores.commit(last, { revision: 1 })), 'NYOTA_TAKEN_OVER');
    },
  ],
  [
    'attach: raises the fence, not below now, says that the client is there, and keeps all else',
    async (stores) => {
      const fence = await stores.create();
      const batch = { entries: [entry('k', 1)], outbound: [frame(1)], lastSeq: 1, revision: 1 };
      await stores.commit(fence, batch);
      const before = await stores.load();
      const raised = await stores.attach(fence);
      ok(raised > fence);
      deepEqual(await stores.load(), { ...before, fence: raised, detachedAt: null });
      ok(((await stores.store.attach('a', raised, NOW + 5_000)) ?? 0) >= NOW + 5_000);
    },
  ],
  [
    'attach: keeps the attempt that it is given, and the one before where it is given none',
    async (stores) => {
      const fence = await stores.create();
      const second = await stores.store.attach('a', fence, NOW, 4);
      equal((await stores.load()).attempt, 4);
      await stores.attach(second as number);
      equal((await stores.load()).attempt, 4);
    },
  ],
  [
    'takeOver, where the store serves clients: owner at once, whoever else is, of the session as it is then',
    async (stores) => {
      const { store } = stores;
      if (store.takeOver === undefined) return;
      equal(store.takeOver('nobody', NOW), undefined);
      const fence = await stores.create();
      await stores.commit(fence, { entries: [entry('k', 1)], outbound: [frame(1)], lastSeq: 1 });
      const last = outcome(() => store.commit('a', fence, { revision: 1 }));
      const image = store.takeOver('a', NOW + 5_000);
      ok(image !== undefined && image.fence > fence && image.fence >= NOW + 5_000);
      // Either the image has the other's last step, or that step was refused.
      equal(image.revision, (await last) === 'done' ? 1 : 0);
      deepEqual(await stores.load(), image);
      equal(await outcome(() => stores.commit(fence, { revision: 2 })), 'NYOTA_TAKEN_OVER');
      await stores.commit(image.fence, { revision: 3 });
    },
  ],
  [
    'attach: does nothing for another fence, and one of two contenders wins',
    async (stores) => {
      const fence = await stores.create();
      const other = stores.another();
      equal(await stores.store.attach('a', fence + 1, NOW), undefined);
      equal(await stores.store.attach('a', fence - 1, NOW), undefined);
      deepEqual((await stores.load()).detachedAt, NOW);
      const raised = await Promise.all([stores.store, other].map((store) => store.attach('a', fence, NOW)));
      equal(raised.filter((each) => each !== undefined).length, 1);
      equal(
        (await stores.load()).fence,
        raised.find((each) => each !== undefined),
      );
    },
  ],
  [
    'end: forgets the session, and keeps what is known of it for 24 hours',
    async (stores) => {
      const fence = await stores.create();
      await stores.commit(fence, { entries: [entry('k', 1)], outbound: [frame(1)], lastSeq: 1 });
      await stores.store.end('a', fence, OVER, NOW);
      equal(await stores.store.load('a'), undefined);
      deepEqual(await stores.store.tombstone('a', NOW + DAY_MS - 1), OVER);
      equal(await stores.store.tombstone('a', NOW + DAY_MS), undefined);
      equal(await outcome(() => stores.commit(fence, { revision: 1 })), 'NYOTA_TAKEN_OVER');
      equal(await stores.store.attach('a', fence, NOW), undefined);
    },
  ],
  [
    'end: keeps whether what was dispatched is known exactly',
    async (stores) => {
      for (const exact of [true, false]) {
        const id = `exact ${exact}`;
        await stores.store.end(id, await stores.create(id), { ...OVER, exact }, NOW);
        equal((await stores.store.tombstone(id, NOW))?.exact ?? false, exact);
      }
    },
  ],
  [
    'end: with an old fence it does nothing',
    async (stores) => {
      const fence = await stores.create();
      const raised = await stores.attach(fence);
      await stores.store.end('a', fence, OVER, NOW);
      equal((await stores.load()).fence, raised);
      equal(await stores.store.tombstone('a', NOW), undefined);
    },
  ],
  [
    'end: with an old fence it does nothing to the tombstone of a later owner either',
    async (stores) => {
      const fence = await stores.create();
      const raised = (await stores.attach(fence)) as number;
      await stores.store.end('a', raised, OVER, NOW);
      await stores.store.end('a', fence, { ...OVER, received: OVER.received + 1 }, NOW);
      deepEqual(await stores.store.tombstone('a', NOW), OVER);
    },
  ],
  [
    'end: by an earlier owner, when a later one has ended it, leaves what that one said',
    async (stores) => {
      const fence = await stores.create();
      await stores.store.end('a', await stores.attach(fence), OVER, NOW);
      await stores.store.end('a', fence, { code: 'NYOTA_SESSION_EXPIRED', received: 0, sent: 0 }, NOW + 1);
      deepEqual(await stores.store.tombstone('a', NOW + 2), OVER);
    },
  ],
  [
    'sessions are kept apart, also those whose ids begin alike',
    async (stores) => {
      const ids = ['a', 'aa', 'a\0', 'a\0b', 'a/', 'ab', 'b', 'a\u{10ffff}'];
      const fences = new Map<string, number>();
      for (const id of ids) fences.set(id, await stores.create(id));
      for (const [id, fence] of fences) {
        await stores.commit(
          fence,
          { entries: [entry('k', 1, id)], outbound: [frame(1, id)], lastSeq: 1 },
          id,
        );
      }
      await stores.store.end('a', fences.get('a') as number, OVER, NOW);
      equal(await stores.store.load('a'), undefined);
      for (const id of ids.slice(1)) {
        const { entries, outbound } = await stores.load(id);
        deepEqual({ entries, outbound }, { entries: [entry('k', 1, id)], outbound: [frame(1, id)] });
      }
    },
  ],
  [
    'sweep: ends the sessions whose client did not come back in time, and no others',
    async (stores) => {
      const { store } = stores;
      const inbound = { settled: 7, beyond: [[9, 9]] as const };
      const gone = await stores.create('gone');
      await stores.commit(gone, { inbound, outbound: [frame(1)], lastSeq: 1, detachedAt: NOW }, 'gone');
      await stores.commit(await stores.create('later'), { detachedAt: NOW + 1 }, 'later');
      await stores.attach(await stores.create('here'), 'here');
      equal(await store.sweep(NOW + WINDOW_MS - 1), 0);
      equal(await store.sweep(NOW + WINDOW_MS), 1);
      equal(await store.load('gone'), undefined);
      const over = (await store.tombstone('gone', NOW + WINDOW_MS)) ?? OVER;
      const { code, received, sent, exact = false } = over;
      const expected = { code: 'NYOTA_SESSION_EXPIRED', received: 7, sent: 1, exact: false };
      deepEqual({ code, received, sent, exact }, expected);
      equal(await outcome(() => stores.commit(gone, { revision: 1 }, 'gone')), 'NYOTA_TAKEN_OVER');
      for (const id of ['later', 'here']) await stores.load(id);
      equal(await store.sweep(NOW + WINDOW_MS + 1), 1);
      await stores.load('here');
    },
  ],
  [
    'sweep: by two processes at the same time ends each session once',
    async (stores) => {
      const other = stores.another();
      await Promise.all(Array.from({ length: 150 }, (_, i) => stores.create(`s${i}`)));
      const [one, two] = await Promise.all(
        [stores.store, other].map((store) => store.sweep(NOW + WINDOW_MS)),
      );
      equal((one ?? 0) + (two ?? 0), 150);
      equal(await stores.store.sweep(NOW + WINDOW_MS + DAY_MS), 0);
    },
  ],
  [
    'close: lets go once all that was asked for is done; may be called twice, and before anything else',
    async (stores) => {
      const other = stores.another();
      await other.close();
      const fence = await stores.create();
      const committing = outcome(() => stores.commit(fence, { revision: 5 }));
      await stores.store.close();
      await stores.store.close();
      equal(await committing, 'done');
      equal((await stores.load('a', other)).revision, 5);
    },
  ],
  ['one process sees at once what another has done', seesOthers],
];

async function seesOthers(stores: CaseStores): Promise<void> {
  const other = stores.another();
  const fence = await stores.create();
  for (let revision = 1; revision <= 20; revision++) {
    await stores.commit(fence, { revision });
    equal((await stores.load('a', other)).revision, revision);
  }
  const raised = await other.attach('a', fence, NOW);
  notEqual(raised, undefined);
  equal(await outcome(() => stores.commit(fence, { revision: 21 })), 'NYOTA_TAKEN_OVER');
  await other.end('a', raised as number, OVER, NOW);
  equal(await stores.store.load('a'), undefined);
}
