/** The cases of the contract of stores about steps: what `commit` keeps, in which order, and what it refuses. */
import { deepEqual, equal } from 'node:assert/strict';
import type { SessionBatch, StoredFrame, StoredSession } from '../index.js';
import { entry, frame, NOW, outcome, recordOf, type StoreCase } from './store-case.js';

const byKey = ({ entries }: StoredSession) => [...entries].sort((a, b) => a.revision - b.revision);
const seqs = ({ outbound }: StoredSession) => outbound.map(({ seq }) => seq);
const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, i) => from + i);

export const stepCases: readonly StoreCase[] = [
  [
    'commit: keeps each part of a step, and leaves alone what is not in it',
    async (stores) => {
      const fence = await stores.create();
      const beyond = [
        [7, 8],
        [10, 10],
      ] as const;
      const steps: SessionBatch[] = [
        { inbound: { settled: 5, beyond } },
        { entries: [entry('k', 3)], revision: 3 },
        { outbound: [frame(1), frame(2)], lastSeq: 2 },
        { resolvedSeq: 9 },
        { established: true },
        { detachedAt: null },
        { detachedAt: NOW + 5, established: false, inbound: { settled: 6, beyond: [] } },
        {},
      ];
      let expected = await stores.load();
      for (const step of steps) {
        await stores.commit(fence, step);
        expected = { ...expected, ...(step as Partial<StoredSession>) };
        deepEqual(await stores.load(), expected);
      }
    },
  ],
  [
    'commit: sets, replaces and deletes entries, with the time when they expire',
    async (stores) => {
      const fence = await stores.create();
      const expiring = { ...entry('b', 2), expiresAt: NOW + 1_234 };
      await stores.commit(fence, { entries: [entry('a', 1), expiring, entry('c', 3)], revision: 3 });
      deepEqual(byKey(await stores.load()), [entry('a', 1), expiring, entry('c', 3)]);
      const gone = { key: 'a', bytes: undefined, revision: 4, expiresAt: undefined };
      await stores.commit(fence, { entries: [gone, entry('b', 5, 'new'), { ...gone, key: 'never' }] });
      deepEqual(byKey(await stores.load()), [entry('c', 3), entry('b', 5, 'new')]);
    },
  ],
  [
    'commit: takes empty values, odd keys, keys of 256 bytes and values of 64 KiB',
    async (stores) => {
      const fence = await stores.create();
      const keys = ['', ' ', 'a\0b', 'a\0', '__proto__', 'ü', 'k'.repeat(256), '名'.repeat(85)];
      const entries = keys.map((key, i) => entry(key, i + 1, 'x'.repeat(i * 9_362)));
      await stores.commit(fence, { entries, revision: keys.length });
      deepEqual(byKey(await stores.load()), entries);
    },
  ],
  [
    'commit: adds, replaces and trims frames, and gives them in rising order',
    async (stores) => {
      const fence = await stores.create();
      await stores.commit(fence, { outbound: [frame(1), frame(2), frame(3)], lastSeq: 3 });
      await stores.commit(fence, { outbound: [frame(2, 'another'), frame(4)], lastSeq: 4, trim: 1 });
      const { outbound, trimmed, lastSeq } = await stores.load();
      deepEqual(outbound, [frame(2, 'another'), frame(3), frame(4)]);
      deepEqual([trimmed, lastSeq], [1, 4]);
    },
  ],
  [
    'commit: what was trimmed never comes back, and a lower trim is none',
    async (stores) => {
      const fence = await stores.create();
      await stores.commit(fence, { outbound: [frame(1), frame(2)], lastSeq: 2, trim: 2 });
      await stores.commit(fence, { outbound: [frame(2)], trim: 1 });
      await stores.commit(fence, { trim: -1 });
      await stores.commit(fence, { trim: Number.NaN });
      const { outbound, trimmed, lastSeq } = await stores.load();
      deepEqual({ outbound, trimmed, lastSeq }, { outbound: [], trimmed: 2, lastSeq: 2 });
    },
  ],
  [
    'commit: numbers of any size; a trim over a wide range takes no longer than what is there',
    async (stores) => {
      const fence = await stores.create();
      for (const edge of [255, 65_535, 2 ** 32 - 1, 2 ** 40, 2 ** 48 - 10]) {
        const outbound = upTo(edge + 2, edge - 1).map((seq) => frame(seq));
        await stores.commit(fence, { outbound, trim: edge - 2, lastSeq: edge + 2 });
        deepEqual(seqs(await stores.load()), upTo(edge + 2, edge - 1));
      }
      await stores.commit(fence, { trim: Number.MAX_SAFE_INTEGER });
      deepEqual(seqs(await stores.load()), []);
    },
  ],
  [
    'commit: takes effect in the order of the calls, also where nobody waits in between',
    async (stores) => {
      const fence = await stores.create();
      const commits = upTo(300).map((seq) =>
        stores.commit(fence, {
          inbound: { settled: seq, beyond: [] },
          entries: [entry('last', seq, `${seq}`)],
          outbound: [frame(seq)],
          lastSeq: seq,
          trim: seq - 3,
        }),
      );
      await Promise.all(commits);
      const stored = await stores.load();
      equal(stored.inbound.settled, 300);
      deepEqual(stored.entries, [entry('last', 300, '300')]);
      deepEqual(stored.outbound, [frame(298), frame(299), frame(300)]);
    },
  ],
  [
    'commit: with an old fence nothing of it is there, and it says that the session is taken over',
    async (stores) => {
      const fence = await stores.create();
      await stores.commit(fence, { entries: [entry('k', 1)], revision: 1, outbound: [frame(1)], lastSeq: 1 });
      await stores.another().attach('a', fence, NOW);
      const before = await stores.load();
      const step: SessionBatch = {
        inbound: { settled: 9, beyond: [] },
        entries: [entry('k', 2, 'lost'), entry('l', 3)],
        outbound: [frame(2)],
        lastSeq: 2,
        trim: 1,
        detachedAt: NOW,
      };
      equal(await outcome(() => stores.commit(fence, step)), 'NYOTA_TAKEN_OVER');
      deepEqual(await stores.load(), before);
      equal(await outcome(() => stores.commit(1, step, 'nobody')), 'NYOTA_TAKEN_OVER');
      equal(await stores.store.load('nobody'), undefined);
    },
  ],
  [
    'commit: one that was called before an attach is in, one behind it is refused',
    async (stores) => {
      const fence = await stores.create();
      const first = outcome(() => stores.commit(fence, { revision: 1 }));
      const attaching = stores.store.attach('a', fence, NOW);
      const second = outcome(() => stores.commit(fence, { revision: 2 }));
      deepEqual([await first, await second], ['done', 'NYOTA_TAKEN_OVER']);
      const raised = await attaching;
      const { revision, fence: now } = await stores.load();
      deepEqual({ revision, now }, { revision: 1, now: raised });
    },
  ],
  [
    'commit: a step that can not be kept leaves nothing behind, and others at the same time are in',
    async (stores) => {
      const fences = await Promise.all(['a', 'b', 'c'].map((id) => stores.create(id)));
      const [a = 0, b = 0, c = 0] = fences;
      await stores.commit(a, { entries: [entry('k', 1)], outbound: [frame(1)], lastSeq: 1 });
      const before = await stores.load();
      const broken = { seq: 3, frame: undefined } as unknown as StoredFrame;
      const bad: SessionBatch = {
        entries: [entry('k', 2, 'half')],
        outbound: [frame(2), broken],
        lastSeq: 3,
      };
      const outcomes = await Promise.all([
        outcome(() => stores.commit(b, { revision: 1 }, 'b')),
        outcome(() => stores.commit(a, bad)),
        outcome(() => stores.commit(a, { revision: 9 })),
        outcome(() => stores.commit(c, { revision: 1 }, 'c')),
      ]);
      const failed = 'NYOTA_STORE_FAILED';
      deepEqual(outcomes, ['done', failed, failed, 'done']);
      deepEqual(await stores.load(), before);
      equal((await stores.load('b')).revision, 1);
      equal((await stores.load('c')).revision, 1);
    },
  ],
  [
    'commit: behind a step that failed none with that fence is taken; who attaches goes on from what is there',
    async (stores) => {
      const fence = await stores.create();
      const broken = { seq: 1, frame: undefined } as unknown as StoredFrame;
      equal(
        await outcome(() => stores.commit(fence, { outbound: [broken], lastSeq: 1 })),
        'NYOTA_STORE_FAILED',
      );
      equal(
        await outcome(() => stores.commit(fence, { outbound: [frame(2)], lastSeq: 2 })),
        'NYOTA_STORE_FAILED',
      );
      deepEqual(seqs(await stores.load()), []);
      const raised = await stores.attach(fence);
      await stores.commit(raised, { outbound: [frame(1)], lastSeq: 1 });
      deepEqual(seqs(await stores.load()), [1]);
    },
  ],
  [
    'commit: a new credential begins another session under the same id, owner and attempt',
    async (stores) => {
      await stores.store.create(recordOf('a'), NOW, 3);
      const fence = await stores.attach((await stores.load()).fence);
      await stores.commit(fence, {
        inbound: { settled: 4, beyond: [[6, 6]] },
        entries: [entry('old', 1)],
        revision: 1,
        outbound: [frame(1), frame(2)],
        lastSeq: 2,
        trim: 1,
        established: true,
      });
      const credential = Buffer.from('another secret');
      await stores.commit(fence, {
        credential,
        entries: [entry('new', 1)],
        outbound: [frame(1)],
        lastSeq: 1,
      });
      deepEqual(await stores.load(), {
        record: recordOf('a', { credential }),
        fence,
        attempt: 3,
        inbound: { settled: 0, beyond: [] },
        entries: [entry('new', 1)],
        revision: 0,
        outbound: [frame(1)],
        trimmed: 0,
        lastSeq: 1,
        resolvedSeq: 0,
        detachedAt: null,
        established: false,
      });
    },
  ],
  [
    'buffers that were handed over may be changed once it has answered, and so may those that it gives out',
    async (stores) => {
      const record = recordOf('a');
      const fence = await stores.store.create(record, NOW);
      const [value, wire] = [entry('k', 1, 'value'), frame(1, 'frame')];
      await stores.commit(fence, { entries: [value], outbound: [wire], lastSeq: 1 });
      const before = await stores.load();
      const given = await stores.load();
      const all = [record, given.record].flatMap(({ credential, identity }) => [credential, identity]);
      all.push(value.bytes as Buffer, wire.frame);
      all.push(given.entries[0]?.bytes as Buffer, given.outbound[0]?.frame as Buffer);
      for (const buffer of all) buffer.fill(0);
      deepEqual(await stores.load(), before);
      deepEqual(before.record, recordOf('a'));
    },
  ],
  [
    'a large session: 2,000 entries, 5,000 frames, one of 1 MiB; and all of it goes with its end',
    async (stores) => {
      const fence = await stores.create();
      const entries = upTo(2_000).map((i) => entry(`k${i}`, i, `value ${i}`.repeat(10)));
      const outbound = upTo(5_000).map((seq) => frame(seq, `${seq} `.repeat(seq === 4_000 ? 2 ** 18 : 10)));
      await stores.commit(fence, { entries, outbound, lastSeq: 5_000, revision: 2_000 });
      const stored = await stores.load();
      deepEqual(byKey(stored), entries);
      deepEqual(stored.outbound, outbound);
      await stores.commit(fence, { trim: 2_500 });
      deepEqual(seqs(await stores.load()), upTo(5_000, 2_501));
      await stores.store.end('a', fence, { code: 'NYOTA_SESSION_CLOSED', received: 0, sent: 5_000 }, NOW);
      await stores.create();
      const { entries: left, outbound: sent } = await stores.load();
      deepEqual([left.length, sent.length], [0, 0]);
    },
  ],
];
