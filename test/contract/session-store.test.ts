/**
 * What every session store must do, whatever it keeps sessions in. One suite, run over each of them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lmdbStore } from '../../src/stores/lmdb.js';
import { MemoryStore } from '../../src/stores/memory-store.js';
import {
  type SessionBatch,
  type SessionRecord,
  type SessionStore,
  TOMBSTONE_MS,
  type Tombstone,
} from '../../src/stores/session-store.js';

const NOW = 1_000_000_000_000;
const OVER: Tombstone = { code: 'NYOTA_SESSION_CLOSED', received: 7, sent: 9 };

let folder: string;
let store: SessionStore;

function record(id: string, resumeWindowMs = 60_000): SessionRecord {
  return { id, credential: Buffer.from(`secret of ${id}`), identity: Buffer.from([0xc0]), resumeWindowMs };
}

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return 'no error';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

async function loaded(id = 'a') {
  const stored = await store.load(id);
  if (stored === undefined) throw new Error(`${id} is not there`);
  return stored;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nyota-store-'));
});

afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

describe.each<[string, () => SessionStore]>([
  ['MemoryStore, durable', () => new MemoryStore({ durable: true })],
  ['lmdbStore', () => lmdbStore({ path: join(folder, 'sessions') })],
])('%s', (_name, make) => {
  beforeEach(() => {
    store = make();
  });

  it('keeps the attempt that a session began with or was attached for, and lets no fence stay behind the time', async () => {
    const fence = await store.create(record('a'), NOW, 7);
    expect((await loaded()).attempt).toBe(7);
    const second = (await store.attach('a', fence, NOW)) as number;
    expect((await loaded()).attempt).toBe(7);
    const third = (await store.attach('a', second, NOW + 5_000, 9)) as number;
    expect((await loaded()).attempt).toBe(9);
    expect(third).toBeGreaterThanOrEqual(NOW + 5_000);
    expect(await store.attach('a', second, NOW, 11)).toBeUndefined();
    expect((await loaded()).attempt).toBe(9);
  });

  it('says that it is durable, and knows no session that was never created', async () => {
    expect(store.durable).toBe(true);
    expect(await store.load('nobody')).toBeUndefined();
    expect(await store.tombstone('nobody', NOW)).toBeUndefined();
    expect(await store.attach('nobody', 1, NOW)).toBeUndefined();
  });

  it('keeps a new session as it was created, and gives its id to nobody else', async () => {
    const fence = await store.create(record('a'), NOW);
    expect(await loaded()).toEqual({
      record: record('a'),
      fence,
      attempt: 0,
      inbound: { settled: 0, beyond: [] },
      entries: [],
      revision: 0,
      outbound: [],
      trimmed: 0,
      lastSeq: 0,
      resolvedSeq: 0,
      detachedAt: NOW,
      established: false,
    });
    expect(await codeOf(() => store.create(record('a'), NOW))).toBe('NYOTA_STORE_FAILED');
  });

  it('lets one of two attach: the fence rises by compare and set', async () => {
    const fence = await store.create(record('a'), NOW);
    const raised = await Promise.all([store.attach('a', fence, NOW), store.attach('a', fence, NOW)]);
    expect(raised.filter((value) => value !== undefined)).toHaveLength(1);
    expect((await loaded()).fence).toBeGreaterThan(fence);
    expect((await loaded()).detachedAt).toBeNull();
  });

  it('refuses a step with an old fence, and nothing of it is there', async () => {
    const fence = await store.create(record('a'), NOW);
    const newer = (await store.attach('a', fence, NOW)) as number;
    const step: SessionBatch = { revision: 5, outbound: [{ seq: 1, frame: Buffer.from('x') }], lastSeq: 1 };
    expect(await codeOf(() => store.commit('a', fence, step))).toBe('NYOTA_TAKEN_OVER');
    expect(await loaded()).toMatchObject({ revision: 0, lastSeq: 0, outbound: [] });
    await store.commit('a', newer, step);
    expect(await loaded()).toMatchObject({ revision: 5, lastSeq: 1 });
    expect(await codeOf(() => store.commit('nobody', 1, step))).toBe('NYOTA_TAKEN_OVER');
  });

  it('keeps all of a step, and leaves alone what the step does not hold', async () => {
    const fence = await store.create(record('a'), NOW);
    await store.commit('a', fence, {
      inbound: {
        settled: 3,
        beyond: [
          [5, 6],
          [9, 9],
        ],
      },
      entries: [
        { key: 'k', bytes: Buffer.from([1]), revision: 1, expiresAt: undefined },
        { key: '__proto__', bytes: Buffer.from([2]), revision: 2, expiresAt: NOW + 5 },
      ],
      revision: 2,
      outbound: [1, 2, 3].map((seq) => ({ seq, frame: Buffer.from([seq, 0, 255]) })),
      lastSeq: 3,
      resolvedSeq: 2,
      detachedAt: null,
      established: true,
    });
    await store.commit('a', fence, { trim: 1 });
    const { entries, outbound, ...rest } = await loaded();
    expect(rest).toMatchObject({
      inbound: {
        settled: 3,
        beyond: [
          [5, 6],
          [9, 9],
        ],
      },
      revision: 2,
      lastSeq: 3,
      trimmed: 1,
      resolvedSeq: 2,
      detachedAt: null,
      established: true,
    });
    expect([...entries].sort((a, b) => a.revision - b.revision)).toEqual([
      { key: 'k', bytes: Buffer.from([1]), revision: 1, expiresAt: undefined },
      { key: '__proto__', bytes: Buffer.from([2]), revision: 2, expiresAt: NOW + 5 },
    ]);
    expect(outbound).toEqual([2, 3].map((seq) => ({ seq, frame: Buffer.from([seq, 0, 255]) })));
  });

  it('replaces and deletes entries and frames, and never brings back what was trimmed', async () => {
    const fence = await store.create(record('a'), NOW);
    const entry = (bytes: Buffer | undefined, revision: number) => ({
      key: 'k',
      bytes,
      revision,
      expiresAt: undefined,
    });
    await store.commit('a', fence, {
      entries: [entry(Buffer.from('one'), 1)],
      outbound: [{ seq: 1, frame: Buffer.from('old') }],
      lastSeq: 1,
    });
    await store.commit('a', fence, {
      entries: [entry(Buffer.from('two'), 2)],
      outbound: [{ seq: 1, frame: Buffer.from('new') }],
    });
    expect(await loaded()).toMatchObject({
      entries: [entry(Buffer.from('two'), 2)],
      outbound: [{ seq: 1, frame: Buffer.from('new') }],
    });
    await store.commit('a', fence, { entries: [entry(undefined, 3)], trim: 1 });
    await store.commit('a', fence, { trim: 0 });
    expect(await loaded()).toMatchObject({ entries: [], outbound: [], trimmed: 1 });
  });

  it('takes the steps of a session in the order of the calls, also when nobody waits in between', async () => {
    const fence = await store.create(record('a'), NOW);
    await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        store.commit('a', fence, {
          inbound: { settled: i + 1, beyond: [] },
          outbound: [{ seq: i + 1, frame: Buffer.from(`frame ${i + 1}`) }],
          lastSeq: i + 1,
          trim: i - 10,
        }),
      ),
    );
    const stored = await loaded();
    expect(stored.inbound.settled).toBe(200);
    expect(stored.outbound.map(({ seq }) => seq)).toEqual(Array.from({ length: 11 }, (_, i) => i + 190));
  });

  it('keeps sessions apart, also those whose ids begin alike', async () => {
    const fences = new Map<string, number>();
    for (const id of ['a', 'aa', 'a/', 'b']) fences.set(id, await store.create(record(id), NOW));
    for (const [id, fence] of fences) {
      await store.commit(id, fence, {
        entries: [{ key: 'id', bytes: Buffer.from(id), revision: 1, expiresAt: undefined }],
        outbound: [{ seq: 1, frame: Buffer.from(id) }],
        lastSeq: 1,
      });
    }
    await store.end('a', fences.get('a') as number, OVER, NOW);
    expect(await store.load('a')).toBeUndefined();
    for (const id of ['aa', 'a/', 'b']) {
      expect(await loaded(id)).toMatchObject({
        entries: [{ bytes: Buffer.from(id) }],
        outbound: [{ frame: Buffer.from(id) }],
      });
    }
  });

  it('owns what it is given: a buffer that is changed afterwards changes nothing', async () => {
    const fence = await store.create(record('a'), NOW);
    const [bytes, frame] = [Buffer.from('value'), Buffer.from('frame')];
    const step = {
      entries: [{ key: 'k', bytes, revision: 1, expiresAt: undefined }],
      outbound: [{ seq: 1, frame }],
      lastSeq: 1,
    };
    await store.commit('a', fence, step);
    bytes.fill(0);
    frame.fill(0);
    expect(await loaded()).toMatchObject({
      entries: [{ bytes: Buffer.from('value') }],
      outbound: [{ frame: Buffer.from('frame') }],
    });
  });

  it('remembers the end of a session for 24 hours, and forgets all else of it', async () => {
    const fence = await store.create(record('a'), NOW);
    await store.end('a', fence, OVER, NOW);
    expect(await store.load('a')).toBeUndefined();
    expect(await store.tombstone('a', NOW + TOMBSTONE_MS - 1)).toEqual(OVER);
    expect(await store.tombstone('a', NOW + TOMBSTONE_MS)).toBeUndefined();
    expect(await codeOf(() => store.commit('a', fence, { revision: 1 }))).toBe('NYOTA_TAKEN_OVER');
  });

  it('does not let a process end a session that another one has taken over', async () => {
    const fence = await store.create(record('a'), NOW);
    await store.attach('a', fence, NOW);
    await store.end('a', fence, OVER, NOW);
    expect((await loaded()).fence).toBeGreaterThan(fence);
    expect(await store.tombstone('a', NOW)).toBeUndefined();
  });

  it('sweeps away the sessions whose client did not come back in time, and no others', async () => {
    const first = await store.create(record('here', 1_000), NOW);
    const waiting = await store.create(record('waiting', 1_000), NOW);
    await store.create(record('gone', 1_000), NOW);
    const fence = (await store.attach('here', first, NOW)) as number;
    await store.commit('here', fence, { revision: 1 });
    await store.commit('waiting', waiting, { detachedAt: NOW + 500 });
    expect(await store.sweep(NOW + 1_000)).toBe(1);
    expect(await store.load('gone')).toBeUndefined();
    expect(await store.tombstone('gone', NOW + 1_000)).toMatchObject({ code: 'NYOTA_SESSION_EXPIRED' });
    expect((await loaded('waiting')).record.id).toBe('waiting');
    expect((await loaded('here')).record.id).toBe('here');
    expect(await store.sweep(NOW + 1_500)).toBe(1);
    expect(await store.load('waiting')).toBeUndefined();
  });

  it('holds what a large session has: 2 000 entries, 5 000 frames, one of 1 MiB', async () => {
    const fence = await store.create(record('a'), NOW);
    await store.commit('a', fence, {
      entries: Array.from({ length: 2_000 }, (_, i) => ({
        key: `k${i}`,
        bytes: Buffer.alloc(100, i),
        revision: i + 1,
        expiresAt: undefined,
      })),
      outbound: Array.from({ length: 5_000 }, (_, i) => ({
        seq: i + 1,
        frame: Buffer.alloc(i === 4_000 ? 2 ** 20 : 50, i),
      })),
      lastSeq: 5_000,
      revision: 2_000,
    });
    const stored = await loaded();
    expect(stored.entries).toHaveLength(2_000);
    expect(stored.outbound.map(({ seq }) => seq)).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1));
    expect(stored.outbound[4_000]?.frame.equals(Buffer.alloc(2 ** 20, 4_000))).toBe(true);
  });

  it('can be closed, and used again', async () => {
    const fence = await store.create(record('a'), NOW);
    await store.commit('a', fence, { revision: 3 });
    await store.close();
    await store.close();
    if (store instanceof MemoryStore) return;
    expect(await loaded()).toMatchObject({ revision: 3 });
    await store.commit('a', fence, { revision: 4 });
    expect(await loaded()).toMatchObject({ revision: 4 });
  });
});
