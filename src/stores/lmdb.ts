/**
 * `nyota/stores/lmdb`: sessions in a folder, by the `lmdb` package, which is an optional peer dependency.
 *
 * A step is answered when it is on disk. Steps of many sessions that come at about the same time share one transaction
 * and one fsync. Several processes may share a folder: the fence of each session is checked inside the transaction.
 *
 * Layout, version 1, one LMDB environment with these databases:
 *   meta       'format' -> version
 *   sessions   id -> what does not repeat: record, fence, numbers, owner
 *   entries    [id, key] -> [revision, expiresAt, bytes]
 *   frames     [id, seq] -> the frame, as it goes on the wire
 *   tombstones id -> what is known of a session that is over, and until when
 *   owners     process -> when it last said that it lives
 */
import { randomUUID } from 'node:crypto';
import { NyotaError } from '../errors.js';
import { closeDatabases, type Databases, openDatabases, storeFailed } from './lmdb-databases.js';
import { OwnerLease } from './lmdb-lease.js';
import { firstFence, type SessionRow, toRow } from './lmdb-rows.js';
import {
  type SessionBatch,
  type SessionRecord,
  type SessionStore,
  type StoredEntry,
  type StoredFrame,
  type StoredSession,
  TOMBSTONE_MS,
  type Tombstone,
} from './session-store.js';

export interface LmdbStoreOptions {
  /** The folder. Made where it is missing. */
  path: string;
}

/** Sessions that `sweep` looks at in one go before it lets others have a turn. */
const SWEEP_BATCH = 500;

/**
 * A durable session store in a folder, for `createServer({ store })` and `createClient({ store })`.
 * @throws NyotaError `NYOTA_INVALID_OPTION`; `NYOTA_STORE_FAILED` where the package `lmdb` is missing
 */
export function lmdbStore(options: LmdbStoreOptions): SessionStore {
  return new LmdbStore(options);
}

class LmdbStore implements SessionStore {
  readonly durable = true;
  readonly #options: LmdbStoreOptions;
  readonly #owner = randomUUID();
  readonly #lease: OwnerLease;
  /** Opened when first needed, and again after `close`. */
  #open: Databases | undefined;

  constructor(options: LmdbStoreOptions) {
    const { path } = options ?? {};
    if (typeof path !== 'string' || path === '') {
      throw new NyotaError('NYOTA_INVALID_OPTION', "option 'path' of lmdbStore takes the path of a folder");
    }
    this.#options = options;
    this.#lease = new OwnerLease(this.#owner);
  }

  create(record: SessionRecord, now: number, attempt = 0): Promise<number> {
    return this.#write((db) => {
      if (db.sessions.get(record.id) !== undefined) {
        return new NyotaError('NYOTA_STORE_FAILED', `there is a session ${record.id} in the store already`);
      }
      const row = toRow(record, this.#owner, now, attempt);
      db.sessions.put(record.id, row);
      return row.fence;
    });
  }

  load(id: string): StoredSession | undefined {
    return this.#read((db) => {
      const row = db.sessions.get(id);
      if (row === undefined) return undefined;
      const entries: StoredEntry[] = [];
      for (const { key, value } of db.entries.getRange({ start: [id], end: [id, AFTER_ALL] })) {
        const [revision, expiresAt, bytes] = value;
        entries.push({
          key: key[1] as string,
          revision,
          expiresAt: expiresAt ?? undefined,
          bytes: Buffer.from(bytes),
        });
      }
      const outbound: StoredFrame[] = [];
      for (const { key, value } of db.frames.getRange({
        start: [id, row.trimmed + 1],
        end: [id, AFTER_ALL],
      })) {
        outbound.push({ seq: key[1] as number, frame: Buffer.from(value) });
      }
      const { owner, credential, identity, resumeWindowMs, ...numbers } = row;
      const record = {
        id,
        credential: Buffer.from(credential),
        identity: Buffer.from(identity),
        resumeWindowMs,
      };
      return { ...numbers, record, entries, outbound };
    });
  }

  attach(id: string, fence: number, now: number, attempt?: number): Promise<number | undefined> {
    return this.#write((db) => {
      const row = db.sessions.get(id);
      if (row === undefined || row.fence !== fence) return undefined;
      const raised = Math.max(fence + 1, firstFence(now));
      db.sessions.put(id, {
        ...row,
        fence: raised,
        attempt: attempt ?? row.attempt,
        detachedAt: null,
        owner: this.#owner,
      });
      return raised;
    });
  }

  commit(id: string, fence: number, batch: SessionBatch): Promise<void> {
    return this.#write((db) => {
      const row = db.sessions.get(id);
      if (row === undefined || row.fence !== fence) {
        return new NyotaError('NYOTA_TAKEN_OVER', `another process owns the session ${id} by now`);
      }
      for (const { key, bytes, revision, expiresAt } of batch.entries ?? []) {
        if (bytes === undefined) db.entries.remove([id, key]);
        else db.entries.put([id, key], [revision, expiresAt ?? null, bytes]);
      }
      const trimmed = Math.max(row.trimmed, batch.trim ?? 0);
      for (const { seq, frame } of batch.outbound ?? []) {
        if (seq > trimmed) db.frames.put([id, seq], frame);
      }
      for (let seq = row.trimmed + 1; seq <= trimmed; seq++) db.frames.remove([id, seq]);
      db.sessions.put(id, {
        ...row,
        trimmed,
        inbound: batch.inbound ?? row.inbound,
        revision: batch.revision ?? row.revision,
        lastSeq: batch.lastSeq ?? row.lastSeq,
        resolvedSeq: batch.resolvedSeq ?? row.resolvedSeq,
        detachedAt: batch.detachedAt === undefined ? row.detachedAt : batch.detachedAt,
        established: batch.established ?? row.established,
      });
      return undefined;
    });
  }

  end(id: string, fence: number, tombstone: Tombstone, now: number): Promise<void> {
    return this.#write((db) => {
      const row = db.sessions.get(id);
      if (row !== undefined && row.fence !== fence) return undefined;
      forget(db, id);
      const { code, received, sent, exact = false } = tombstone;
      db.tombstones.put(id, { code, received, sent, exact, until: now + TOMBSTONE_MS });
      return undefined;
    });
  }

  tombstone(id: string, now: number): Tombstone | undefined {
    return this.#read((db) => {
      const buried = db.tombstones.get(id);
      if (buried === undefined || buried.until <= now) return undefined;
      const { code, received, sent, exact } = buried;
      return { code, received, sent, ...(exact ? { exact } : {}) };
    });
  }

  async sweep(now: number): Promise<number> {
    const over = this.#read((db) => [...this.#lease.expired(db, now)]);
    let ended = 0;
    for (let i = 0; i < over.length; i += SWEEP_BATCH) {
      ended += await this.#write((db) => {
        let count = 0;
        for (const { id, fence } of over.slice(i, i + SWEEP_BATCH)) {
          const row = db.sessions.get(id);
          if (row === undefined || row.fence !== fence) continue;
          forget(db, id);
          const code = 'NYOTA_SESSION_EXPIRED';
          db.tombstones.put(id, {
            code,
            received: row.inbound.settled,
            sent: row.lastSeq,
            exact: false,
            until: now + TOMBSTONE_MS,
          });
          count++;
        }
        return count;
      });
    }
    await this.#write((db) => {
      for (const { key, value } of db.tombstones.getRange())
        if (value.until <= now) db.tombstones.remove(key);
      this.#lease.forgetDead(db);
      return undefined;
    });
    return ended;
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    this.#lease.stop();
    if (open === undefined) return;
    try {
      await closeDatabases(open);
    } catch (cause) {
      throw storeFailed(this.#options.path, 'can not be closed', cause);
    }
  }

  #databases(): Databases {
    if (this.#open === undefined) {
      this.#open = openDatabases(this.#options.path);
      this.#lease.start(this.#open);
    }
    return this.#open;
  }

  #read<T>(fn: (db: Databases) => T): T {
    const db = this.#databases();
    try {
      return fn(db);
    } catch (cause) {
      throw storeFailed(this.#options.path, 'can not be read', cause);
    }
  }

  /**
   * One step of a transaction, which it shares with others. It must not throw behind its first write: an error that it
   * returns is a refusal, with nothing written. Answers when the transaction is on disk.
   */
  async #write<T>(step: (db: Databases) => T | NyotaError): Promise<T> {
    const db = this.#databases();
    let result: T | NyotaError;
    try {
      result = (await db.env.transaction(() => step(db))) as T | NyotaError;
    } catch (cause) {
      throw storeFailed(this.#options.path, 'can not be written to', cause);
    }
    if (result instanceof NyotaError) throw result;
    return result;
  }
}

/** Sorts behind every key and number, by lmdb's order of types. */
const AFTER_ALL = Buffer.from([0xff]);

function forget(db: Databases, id: string): void {
  for (const key of db.entries.getKeys({ start: [id], end: [id, AFTER_ALL] })) db.entries.remove(key);
  for (const key of db.frames.getKeys({ start: [id], end: [id, AFTER_ALL] })) db.frames.remove(key);
  db.sessions.remove(id);
}

export type { SessionStore } from './session-store.js';
export type { SessionRow };
