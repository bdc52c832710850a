/** What a sweep of an LMDB store leaves behind: nothing of what has had its time, and all of what has not. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lmdbStore } from '../../../../src/stores/lmdb/index.js';
import { TOMBSTONE_MS } from '../../../../src/stores/record.js';
import type { SessionRecord, SessionStore } from '../../../../src/stores/session-store.js';

const { open } = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');
const NOW = 1_000_000;
const MANY = 2_500;

let path: string;
let store: SessionStore;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'nyota-sweep-'));
  store = lmdbStore({ path });
});
afterEach(async () => {
  await store.close();
  rmSync(path, { recursive: true, force: true });
});

const record = (id: string, resumeWindowMs = 1_000): SessionRecord => ({
  id,
  credential: Buffer.from('secret'),
  identity: Buffer.from('who'),
  resumeWindowMs,
});

/** Rows of each database. The store is closed for it. */
async function rows(): Promise<Record<string, number>> {
  await store.close();
  const env = open({ path, noSubdir: false, maxDbs: 8 });
  const names = ['sessions', 'entries', 'frames', 'tombstones'];
  const counts = names.map((name) => [name, env.openDB({ name }).getKeysCount()] as const);
  await env.close();
  return Object.fromEntries(counts);
}

it('ends thousands of sessions in pieces, with all that they hold, and forgets their tombstones a day later', async () => {
  const ids = Array.from({ length: MANY }, (_, i) => `session ${i}`);
  const fences = await Promise.all(
    ids.map((id, i) => store.create(record(id, i % 5 === 0 ? 5_000 : 1_000), NOW)),
  );
  await Promise.all(
    ids.map((id, i) =>
      store.commit(id, fences[i] as number, {
        entries: [{ key: 'k', bytes: Buffer.from(id), revision: 1, expiresAt: undefined }],
        outbound: [1, 2].map((seq) => ({ seq, frame: Buffer.from(id) })),
        lastSeq: 2,
      }),
    ),
  );
  let turns = 0;
  const counting = setInterval(() => turns++, 1);
  expect(await store.sweep(NOW + 1_000)).toBe(MANY * 0.8);
  clearInterval(counting);
  expect(turns).toBeGreaterThan(1);
  const left = MANY * 0.2;
  expect(await rows()).toEqual({ sessions: left, entries: left, frames: 2 * left, tombstones: MANY - left });
  expect(await store.sweep(NOW + 5_000)).toBe(left);
  expect(await store.sweep(NOW + 1_000 + TOMBSTONE_MS)).toBe(0);
  expect(await rows()).toEqual({ sessions: 0, entries: 0, frames: 0, tombstones: left });
  await store.sweep(NOW + 5_000 + TOMBSTONE_MS);
  expect(await rows()).toEqual({ sessions: 0, entries: 0, frames: 0, tombstones: 0 });
}, 30_000);

it('that is under way when the store is closed ends, and does not open the folder again', async () => {
  await Promise.all(Array.from({ length: MANY }, (_, i) => store.create(record(`session ${i}`), NOW)));
  const sweeping = store.sweep(NOW + 1_000);
  await store.close();
  const ended = await sweeping;
  expect(ended).toBeLessThan(MANY);
  const env = open({ path, noSubdir: false, maxDbs: 8 });
  expect(env.openDB({ name: 'sessions' }).getKeysCount()).toBe(MANY - ended);
  await env.close();
  expect(await store.sweep(NOW + 1_000)).toBe(MANY - ended);
});

it('leaves a session alone whose client came back while it looked', async () => {
  const fence = await store.create(record('a'), NOW);
  const sweeping = store.sweep(NOW + 1_000);
  const raised = await store.attach('a', fence, NOW);
  const ended = await sweeping;
  // One of the two has it.
  expect([ended, raised === undefined]).toEqual(ended === 1 ? [1, true] : [0, false]);
  expect((await store.load('a')) === undefined).toBe(ended === 1);
});
