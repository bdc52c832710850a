/** The stores of nyota against the contract of stores. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { lmdbStore } from '../../src/stores/lmdb/index.js';
import { MemoryStore } from '../../src/stores/memory.js';
import { type SessionStorePlace, sessionStoreContract } from '../../src/testing/index.js';

function inMemory(): SessionStorePlace {
  const store = new MemoryStore({ durable: true });
  return { open: () => store };
}

/** Its stores share a database, as those of one process do; test/unit/stores has several processes. */
function inFolder(): SessionStorePlace {
  const path = mkdtempSync(join(tmpdir(), 'nyota-store-'));
  return { open: () => lmdbStore({ path }), remove: () => rmSync(path, { recursive: true, force: true }) };
}

describe.each<[string, () => SessionStorePlace]>([
  ['MemoryStore, durable', inMemory],
  ['lmdbStore', inFolder],
])('%s', (_name, makePlace) => {
  for (const { name, run } of sessionStoreContract(makePlace)) it(name, run);
});
