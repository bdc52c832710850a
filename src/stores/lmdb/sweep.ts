/**
 * Ends the sessions in a folder that nobody came back for in time, and forgets tombstones and owners that have had their time.
 * Looks at some rows at a time outside of transactions, which hold up everybody else, and checks again inside of them.
 */
import { setImmediate } from 'node:timers/promises';
import type { Database } from 'lmdb';
import { TOMBSTONE_MS } from '../record.js';
import type { Databases } from './databases.js';
import type { OwnerLease } from './lease.js';
import type { SessionRow } from './rows.js';

/** Rows that are looked at in one go. */
const LOOK_ROWS = 1_000;
/** Rows that one transaction changes. */
const CHANGE_ROWS = 500;

export interface Sweep {
  readonly db: Databases;
  readonly lease: OwnerLease;
  readonly now: number;
  /** False once the store is closed: the sweep ends early then. */
  open(): boolean;
  /** A transaction of its own. */
  write<T>(run: (db: Databases) => T): Promise<T>;
}

/** Returns how many sessions it ended. */
export async function sweepFolder(sweep: Sweep): Promise<number> {
  const { db, lease, now, write } = sweep;
  // Those of processes that were killed: what they had read could not be used again.
  db.env.readerCheck();
  let ended = 0;
  for await (const rows of pages(sweep, db.sessions)) {
    const over = rows.filter(({ value }) => lease.isOver(db, value, now));
    for (let i = 0; i < over.length && sweep.open(); i += CHANGE_ROWS) {
      const some = over.slice(i, i + CHANGE_ROWS);
      ended += await write((inside) => some.filter(({ key, value }) => end(inside, key, value, now)).length);
    }
  }
  for await (const rows of pages(sweep, db.tombstones)) {
    const keys = rows.filter(({ value }) => value.until <= now).map(({ key }) => key);
    await write((inside) => {
      for (const key of keys)
        if ((inside.tombstones.get(key)?.until ?? now) <= now) inside.tombstones.remove(key);
    });
  }
  if (sweep.open()) await write((inside) => lease.forgetDead(inside));
  return ended;
}

/** In a transaction: everything that is kept of a session. */
export function forget(db: Databases, id: string): void {
  // Lists: a cursor would stumble over what is removed under it.
  const all = { start: [id], end: [id, AFTER_ALL] };
  for (const key of [...db.entries.getKeys(all)]) db.entries.remove(key);
  for (const key of [...db.frames.getKeys(all)]) db.frames.remove(key);
  db.sessions.remove(id);
}

/** Sorts behind every key and number, by lmdb's order of types. */
export const AFTER_ALL = Buffer.from([0xff]);

/** False where the session has changed hands since it was looked at. */
function end(db: Databases, id: string, { fence }: SessionRow, now: number): boolean {
  const row = db.sessions.get(id);
  if (row === undefined || row.fence !== fence || (row.detachedAt ?? 0) + row.resumeWindowMs > now)
    return false;
  forget(db, id);
  const { inbound, lastSeq } = row;
  const numbers = { received: inbound.settled, sent: lastSeq, exact: false, fence };
  db.tombstones.put(id, { code: 'NYOTA_SESSION_EXPIRED', ...numbers, until: now + TOMBSTONE_MS });
  return true;
}

async function* pages<V>(
  { db, open }: Sweep,
  table: Database<V, string>,
): AsyncGenerator<{ key: string; value: V }[]> {
  let after: string | undefined;
  while (open()) {
    db.env.resetReadTxn();
    const from = after === undefined ? {} : { start: after, exclusiveStart: true };
    const rows = [...table.getRange({ ...from, limit: LOOK_ROWS })];
    yield rows;
    after = rows.at(-1)?.key;
    if (rows.length < LOOK_ROWS) return;
    await setImmediate();
  }
}
