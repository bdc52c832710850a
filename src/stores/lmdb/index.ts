/**
 * `nyota/stores/lmdb`: sessions in a folder, by the `lmdb` package, which is an optional peer dependency.
 *
 * A step is answered when it is on disk. Steps of many sessions that come at about the same time share one transaction
 * and one fsync. Several processes may share a folder: each asks the rules of ../record.ts inside of transactions, so it finds there
 * who owns a session. Below: databases.ts (what lies in the folder), transactions.ts (how it is written), disk.ts (its files and their room).
 */
import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Database } from 'lmdb';
import { NyotaError } from '../../errors.js';
import { bytes, invalidOption, readOptions, type TableOf } from '../../options.js';
import {
  attachSession,
  commitStep,
  createSession,
  endSession,
  expireSession,
  type HeadRow,
  isForgotten,
  isOver,
  readTombstone,
} from '../record.js';
import type {
  SessionBatch,
  SessionRecord,
  SessionStore,
  StoredSession,
  Tombstone,
} from '../session-store.js';
import {
  bytesOfHead,
  bytesOfStep,
  closeDatabases,
  type Databases,
  loadSession,
  openDatabases,
  removeSession,
  type SessionRow,
  writeStep,
} from './databases.js';
import { Room, storeFailed } from './disk.js';
import type { Step } from './transactions.js';

export type { SessionStore } from '../session-store.js';

export interface LmdbStoreOptions {
  /** The folder. Made where it is missing. It belongs to the store alone. */
  path: string;
  /**
   * About how many bytes the sessions may take. A step that does not fit is refused with `NYOTA_STORE_FAILED`: this process
   * lets go of the session, which stays in the store. At least 1 MiB. Default 16 GiB.
   */
  maxBytes?: number;
}

const OPTIONS = {
  path: folder,
  maxBytes: bytes(16 * 2 ** 30, 2 ** 20),
} satisfies TableOf<LmdbStoreOptions>;

/** Half of a key of LMDB. The rest is for the key of an entry. */
const MAX_ID_BYTES = 1_024;
/** Rows that a sweep reads at a time. */
const LOOK_ROWS = 1_000;
/** Rows that one transaction of a sweep changes. */
const CHANGE_ROWS = 500;
/** How often each process writes a sign of life. */
const BEAT_MS = 5_000;
/** A process that has been silent for so long is dead. */
const DEAD_AFTER_MS = 4 * BEAT_MS;
/** Dead owners are forgotten after so long: no session of theirs waits any more. */
const FORGET_OWNER_AFTER_MS = 48 * 60 * 60 * 1000;

/**
 * A durable session store in a folder, for `createServer({ store })` and `createClient({ store })`.
 * @throws NyotaError `NYOTA_INVALID_OPTION`; `NYOTA_STORE_FAILED` where the package `lmdb` is missing
 */
export function lmdbStore(options: LmdbStoreOptions): SessionStore {
  return new LmdbStore(options);
}

class LmdbStore implements SessionStore {
  readonly durable = true;
  readonly #path: string;
  readonly #room: Room;
  /** The name of this process, as the owner of its sessions. */
  readonly #owner = randomUUID();
  /** Opened when first needed, and again after `close`. */
  #open: Databases | undefined;
  #beating: NodeJS.Timeout | undefined;

  constructor(options: LmdbStoreOptions) {
    const { path, maxBytes } = readOptions(options, OPTIONS);
    this.#path = path;
    this.#room = new Room(path, maxBytes);
  }

  create(record: SessionRecord, now: number, attempt?: number): Promise<number> {
    const { id } = record;
    if (id === '' || Buffer.byteLength(id) > MAX_ID_BYTES) {
      const text = `takes ids of 1 to ${MAX_ID_BYTES} bytes, not one of ${Buffer.byteLength(id)}`;
      return Promise.reject(storeFailed(this.#path, text));
    }
    return this.#write({ bytes: bytesOfHead(record) }, (db) => {
      const head = createSession(record, db.sessions.get(id), db.tombstones.get(id), now, attempt);
      if (head instanceof NyotaError) return head;
      this.#own(db, id, head);
      return head.fence;
    });
  }

  load(id: string): StoredSession | undefined {
    return this.#read((db) => this.#load(db, id));
  }

  attach(id: string, fence: number, now: number, attempt?: number): Promise<number | undefined> {
    return this.#write({}, (db) => {
      const row = attachSession(db.sessions.get(id), fence, now, attempt);
      if (row !== undefined) this.#own(db, id, row);
      return row?.fence;
    });
  }

  takeOver(id: string, now: number): StoredSession | undefined {
    const db = this.#databases();
    try {
      // Runs behind the transaction that is being written. Steps that wait in the queue run later, and are refused: the
      // session has another owner by then.
      return db.transactions.sync(() => {
        const row = db.sessions.get(id);
        const owned = row && attachSession(row, row.fence, now);
        if (owned !== undefined) this.#own(db, id, owned);
        return this.#load(db, id);
      });
    } catch (cause) {
      throw storeFailed(this.#path, 'can not be written to', cause);
    }
  }

  commit(id: string, fence: number, batch: SessionBatch): Promise<void> {
    return this.#write({ of: { id, fence }, bytes: bytesOfStep(batch) }, (db) => {
      const step = commitStep(id, db.sessions.get(id), fence, batch);
      if (step instanceof NyotaError) return step;
      writeStep(db, id, step);
      return undefined;
    });
  }

  end(id: string, fence: number, tombstone: Tombstone, now: number): Promise<void> {
    return this.#write({}, (db) => {
      const row = endSession(db.sessions.get(id), db.tombstones.get(id), fence, tombstone, now);
      if (row === undefined) return;
      removeSession(db, id);
      db.tombstones.put(id, row);
    });
  }

  tombstone(id: string, now: number): Tombstone | undefined {
    return this.#read((db) => readTombstone(db.tombstones.get(id), now));
  }

  /**
   * Ends the sessions whose client did not come back in time, and deletes tombstones and owners that are too old. Reads the
   * rows in pages, outside of transactions, because a transaction holds up every other writer; checks each row again in the
   * transaction that changes it (docs/design.md, rule 28).
   */
  async sweep(now: number): Promise<number> {
    const db = this.#databases();
    try {
      // Clears the read locks of killed processes: the pages that they were reading could not be used again.
      db.env.readerCheck();
      const ended = await this.#endLeftAlone(db, now);
      await this.#forgetTombstones(db, now);
      if (this.#open === db) await this.#write({}, forgetDeadOwners, db);
      if (this.#open === db) db.queue.forgetFailed((id) => db.sessions.get(id)?.fence);
      return ended;
    } catch (cause) {
      throw storeFailed(this.#path, 'can not be read', cause);
    }
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    clearInterval(this.#beating);
    if (open === undefined) return;
    try {
      await closeDatabases(open);
    } catch (cause) {
      throw storeFailed(this.#path, 'can not be closed', cause);
    }
  }

  #databases(): Databases {
    if (this.#open === undefined) {
      this.#open = openDatabases(this.#path);
      this.#beat();
      this.#beating = setInterval(() => this.#beat(), BEAT_MS);
      this.#beating.unref();
    }
    return this.#open;
  }

  #load(db: Databases, id: string): StoredSession | undefined {
    const row = db.sessions.get(id);
    if (row === undefined) return undefined;
    const session = loadSession(db, id, row);
    if (session !== undefined) return session;
    throw storeFailed(this.#path, `is damaged: frames of the session ${id} are gone. Put a copy back`);
  }

  #read<T>(fn: (db: Databases) => T): T {
    const db = this.#databases();
    try {
      // Drops the snapshot of an earlier read in this turn: another process may have written since.
      db.env.resetReadTxn();
      return fn(db);
    } catch (cause) {
      throw storeFailed(this.#path, 'can not be read', cause);
    }
  }

  /** Queues one step, which shares its transaction with others. Resolves when it is on disk. */
  async #write<T>(
    about: Partial<Pick<Step<T>, 'of' | 'bytes'>>,
    run: (db: Databases) => T | NyotaError,
    db = this.#databases(),
  ): Promise<T> {
    return await db.queue.run({ bytes: 0, ...about, room: this.#room, run: () => run(db) });
  }

  /** In a transaction. */
  #own(db: Databases, id: string, head: HeadRow): void {
    db.sessions.put(id, { ...head, owner: this.#owner });
    // There is none yet if the first sign of life could not be written.
    if (db.owners.get(this.#owner) === undefined) db.owners.put(this.#owner, Date.now());
  }

  #beat(): void {
    // If this can't be written, neither can the sessions' steps, and those report it.
    this.#write({}, (db) => void db.owners.put(this.#owner, Date.now())).catch(() => {});
  }

  /**
   * Since when the session's client has been away. When a process dies while a client is connected, nobody records that the
   * client has left; the session then counts as left at that process's last sign of life (docs/design.md, rule 28).
   */
  #leftAt(db: Databases, { detachedAt, owner }: SessionRow): number | null {
    if (detachedAt !== null || owner === this.#owner) return detachedAt;
    const aliveAt = db.owners.get(owner) ?? 0;
    return aliveAt + DEAD_AFTER_MS < Date.now() ? aliveAt : null;
  }

  async #endLeftAlone(db: Databases, now: number): Promise<number> {
    const isLeft = (row: SessionRow): boolean => isOver(row, now, this.#leftAt(db, row));
    let ended = 0;
    for await (const rows of this.#pages(db, db.sessions)) {
      const left = rows.filter(({ value }) => isLeft(value));
      for (let i = 0; i < left.length && this.#open === db; i += CHANGE_ROWS) {
        const some = left.slice(i, i + CHANGE_ROWS);
        ended += await this.#write(
          {},
          () => {
            let count = 0;
            for (const { key: id, value } of some) {
              const row = db.sessions.get(id);
              // Since the row was read, the session may have got another owner, or its process has shown that it lives.
              if (row === undefined || row.fence !== value.fence || !isLeft(row)) continue;
              removeSession(db, id);
              db.tombstones.put(id, expireSession(row, now));
              count++;
            }
            return count;
          },
          db,
        );
      }
    }
    return ended;
  }

  async #forgetTombstones(db: Databases, now: number): Promise<void> {
    for await (const rows of this.#pages(db, db.tombstones)) {
      const ids = rows.filter(({ value }) => isForgotten(value, now)).map(({ key }) => key);
      const forget = (): void => {
        for (const id of ids) {
          const row = db.tombstones.get(id);
          if (row !== undefined && isForgotten(row, now)) db.tombstones.remove(id);
        }
      };
      if (ids.length > 0) await this.#write({}, forget, db);
    }
  }

  /** The rows of a database, in pages. Ends early if the store is closed. */
  async *#pages<V>(db: Databases, table: Database<V, string>): AsyncGenerator<{ key: string; value: V }[]> {
    let after: string | undefined;
    while (this.#open === db) {
      db.env.resetReadTxn();
      const from = after === undefined ? {} : { start: after, exclusiveStart: true };
      const rows = [...table.getRange({ ...from, limit: LOOK_ROWS })];
      yield rows;
      after = rows.at(-1)?.key;
      if (rows.length < LOOK_ROWS) return;
      await setImmediate();
    }
  }
}

function forgetDeadOwners(db: Databases): void {
  for (const { key, value } of [...db.owners.getRange()]) {
    if (value + FORGET_OWNER_AFTER_MS < Date.now()) db.owners.remove(key);
  }
}

function folder(given: unknown, name: string): string {
  if (typeof given === 'string' && given !== '' && !given.includes('\0')) return given;
  throw invalidOption(name, 'the path of a folder', given);
}
