/** What the store in memory does beyond the contract: it is asked by servers whose sessions are not kept, and forgets what is too much. */
import { expect, it } from 'vitest';
import { MemoryStore } from '../../../src/stores/memory.js';
import { TOMBSTONE_MS } from '../../../src/stores/record.js';

const NOW = 1_000_000;
const MAX_TOMBSTONES = 100_000;

it('is not durable unless it is told so', () => {
  expect(new MemoryStore().durable).toBe(false);
  expect(new MemoryStore({ durable: true }).durable).toBe(true);
});

it('keeps the tombstones of the last 100,000 sessions, and of one that ended twice the last', () => {
  const store = new MemoryStore();
  const end = (id: string, received: number): void =>
    store.end(id, 1, { code: 'NYOTA_SESSION_CLOSED', received, sent: 0 }, NOW);
  for (let i = 0; i < MAX_TOMBSTONES; i++) end(`session ${i}`, i);
  end('session 0', 7);
  expect(store.tombstone('session 1', NOW)?.received).toBe(1);
  end('one more', 0);
  expect(store.tombstone('session 1', NOW)).toBeUndefined();
  expect(store.tombstone('session 2', NOW)?.received).toBe(2);
  expect(store.tombstone('session 0', NOW)?.received).toBe(7);
});

it('an end lets go of the tombstones that have had their time', () => {
  const store = new MemoryStore();
  const over = { code: 'NYOTA_SESSION_CLOSED', received: 0, sent: 0 } as const;
  store.end('a', 9, over, NOW);
  store.end('b', 1, over, NOW + TOMBSTONE_MS);
  // With it went the last fence of the id.
  const record = { id: 'a', credential: Buffer.alloc(0), identity: Buffer.alloc(0), resumeWindowMs: 1_000 };
  expect(store.create(record, 1)).toBe(1);
});
