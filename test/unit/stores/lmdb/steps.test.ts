/** Steps of the LMDB store that share a transaction: what one of them does wrong is no other one's business. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lmdbStore } from '../../../../src/stores/lmdb/index.js';
import type { SessionRecord, SessionStore, StoredFrame } from '../../../../src/stores/session-store.js';

const NOW = 1_000_000;
const BROKEN = { seq: 2, frame: undefined } as unknown as StoredFrame;

let path: string;
let store: SessionStore;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'nyota-steps-'));
  store = lmdbStore({ path });
});
afterEach(async () => {
  await store.close();
  rmSync(path, { recursive: true, force: true });
});

const record = (id: string): SessionRecord => ({
  id,
  credential: Buffer.from('secret'),
  identity: Buffer.from('who'),
  resumeWindowMs: 1_000,
});
const frame = (seq: number): StoredFrame => ({ seq, frame: Buffer.from(`frame ${seq}`) });
const code = (work: PromiseLike<unknown> | unknown): Promise<string> =>
  Promise.resolve(work).then(
    () => 'done',
    (error: { code: string }) => error.code,
  );

it('five of a hundred that can not be written: the others are there, in their order, and of the five nothing', async () => {
  const ids = Array.from({ length: 100 }, (_, i) => `session ${i}`);
  const fences = await Promise.all(ids.map((id) => store.create(record(id), NOW)));
  const bad = new Set([3, 4, 50, 98, 99]);
  const steps = [1, 2, 3].flatMap((seq) =>
    ids.map((id, i) => {
      const breaks = seq === 2 && bad.has(i);
      return store.commit(id, fences[i] as number, {
        outbound: [breaks ? BROKEN : frame(seq)],
        lastSeq: seq,
      });
    }),
  );
  const codes = await Promise.all(steps.map(code));
  for (const [i, id] of ids.entries()) {
    const mine = [codes[i], codes[100 + i], codes[200 + i]];
    const expected = bad.has(i)
      ? ['done', 'NYOTA_STORE_FAILED', 'NYOTA_STORE_FAILED']
      : ['done', 'done', 'done'];
    expect(mine, id).toEqual(expected);
    const stored = await store.load(id);
    expect(stored?.outbound, id).toEqual((bad.has(i) ? [1] : [1, 2, 3]).map(frame));
  }
});

it('an owner whose step failed gets none in any more; the next owner goes on', async () => {
  const fence = await store.create(record('a'), NOW);
  expect(await code(store.commit('a', fence, { outbound: [frame(1), BROKEN], lastSeq: 2 }))).toBe(
    'NYOTA_STORE_FAILED',
  );
  await expect(store.commit('a', fence, { revision: 1 })).rejects.toThrow(/did not take an earlier step/);
  await store.sweep(NOW);
  expect(await code(store.commit('a', fence, { revision: 1 }))).toBe('NYOTA_STORE_FAILED');
  const raised = (await store.attach('a', fence, NOW)) as number;
  await store.commit('a', raised, { outbound: [frame(1)], lastSeq: 1 });
  expect(await code(store.commit('a', fence, { revision: 1 }))).toBe('NYOTA_STORE_FAILED');
  expect(await store.load('a')).toMatchObject({ revision: 0, lastSeq: 1 });
  // Forgotten with the fence.
  await store.sweep(NOW);
  expect(await code(store.commit('a', fence, { revision: 1 }))).toBe('NYOTA_TAKEN_OVER');
});

it('a refusal is no failure: who has lost a session hears so every time, and a taken id leaves its session alone', async () => {
  const fence = await store.create(record('a'), NOW);
  const codes = await Promise.all([
    code(store.create(record('a'), NOW)),
    code(store.commit('a', fence - 1, { revision: 1 })),
    code(store.commit('a', fence - 1, { revision: 1 })),
    code(store.commit('a', fence, { revision: 2 })),
  ]);
  expect(codes).toEqual(['NYOTA_STORE_FAILED', 'NYOTA_TAKEN_OVER', 'NYOTA_TAKEN_OVER', 'done']);
});

it('an id that is too long, or empty, is refused; the longest one takes the longest keys', async () => {
  for (const id of ['', 'x'.repeat(1_025), '名'.repeat(342)]) {
    await expect(store.create(record(id), NOW)).rejects.toThrow(/ids of 1 to 1024 bytes/);
  }
  const id = 'x'.repeat(1_024);
  const fence = await store.create(record(id), NOW);
  const entry = { key: 'k'.repeat(256), bytes: Buffer.alloc(65_536, 1), revision: 1, expiresAt: undefined };
  await store.commit(id, fence, {
    entries: [entry],
    outbound: [frame(2 ** 48 - 1)],
    trim: 2 ** 48 - 2,
    lastSeq: 2 ** 48 - 1,
  });
  expect(await store.load(id)).toMatchObject({ entries: [entry], outbound: [frame(2 ** 48 - 1)] });
});

it('frames of which some are missing are not given out as if they were all', async () => {
  const fence = await store.create(record('a'), NOW);
  await store.commit('a', fence, { outbound: [frame(1), frame(3)], lastSeq: 3 });
  expect(() => store.load('a')).toThrow(/is damaged: frames of the session a are gone/);
});
