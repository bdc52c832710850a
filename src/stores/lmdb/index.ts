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
import { NyotaError } from '../../errors.js';
import { TOMBSTONE_MS } from '../record.js';
import type {
  SessionBatch,
  SessionRecord,
  SessionStore,
  StoredEntry,
  StoredFrame,
  StoredSession,
  Tombstone,
} from '../session-store.js';
import { closeDatabases, type Databases, openDatabases } from './databases.js';
import { storeFailed } from './errors.js';
import { OwnerLease } from './lease.js';
import type { Step } from './queue.js';
import { anew, firstFence, newFence, type SessionRow, toRow } from './rows.js';
import { LmdbSpace, rowBytes } from './space.js';
import { AFTER_ALL, forget, sweepFolder } from './sweep.js';

export interface LmdbStoreOptions {
  /** The folder. Made where it is missing. It belongs to the store alone. */
  path: string;
  /**
   * What the sessions may take, in bytes, about: a step that does not fit is refused with `NYOTA_STORE_FAILED`, which ends the
   * session's stay in this process; the session itself waits in the store. At least 1 MiB. Default 16 GiB.
   */
  maxBytes?: number;
}

const OPTION_NAMES: readonly string[] = ['path', 'maxBytes'] satisfies (keyof LmdbStoreOptions)[];
const DEFAULT_MAX_BYTES = 16 * 2 ** 30;
const MIN_MAX_BYTES = 2 ** 20;
/** Half of a key of LMDB. The rest is for the key of an entry. */
const MAX_ID_BYTES = 1_024;
/** A row of `sessions` without its record. */
const ROW_BYTES = 512;
/** A value above it may have pages of its own, be the key as long as it may. */
const MAYBE_ELSEWHERE_BYTES = 900;
/** Beyond so many it is quicker to ask which frames there are than to remove each number. */
const TRIM_ONE_BY_ONE = 1_000;

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
  readonly #space: LmdbSpace;
  readonly #owner = randomUUID();
  readonly #lease: OwnerLease;
  /** Opened when first needed, and again after `close`. */
  #open: Databases | undefined;

  constructor(options: LmdbStoreOptions) {
    const { path, maxBytes } = readOptions(options);
    this.#path = path;
    this.#space = new LmdbSpace(path, maxBytes);
    this.#lease = new OwnerLease(this.#owner);
  }

  create(record: SessionRecord, now: number, attempt = 0): Promise<number> {
    if (record.id === '' || Buffer.byteLength(record.id) > MAX_ID_BYTES) {
      const text = `takes ids of 1 to ${MAX_ID_BYTES} bytes, not one of ${Buffer.byteLength(record.id)}`;
      return Promise.reject(storeFailed(this.#path, text));
    }
    const bytes = ROW_BYTES + rowBytes(record.credential.length + record.identity.length);
    return this.#write({ bytes }, (db) => {
      if (db.sessions.get(record.id) !== undefined) {
        return new NyotaError('NYOTA_STORE_FAILED', `there is a session ${record.id} in the store already`);
      }
      const fence = newFence(now, db.tombstones.get(record.id));
      const row = toRow(record, this.#owner, now, fence, attempt);
      db.sessions.put(record.id, row);
      this.#lease.tell(db);
      return row.fence;
    });
  }

  load(id: string): StoredSession | undefined {
    return this.#read((db) => {
      const row = db.sessions.get(id);
      return row && this.#image(db, id, row);
    });
  }

  attach(id: string, fence: number, now: number, attempt?: number): Promise<number | undefined> {
    return this.#write({}, (db) => {
      const row = db.sessions.get(id);
      if (row === undefined || row.fence !== fence) return undefined;
      const owned = this.#owned(row, now, attempt);
      db.sessions.put(id, owned);
      this.#lease.tell(db);
      return owned.fence;
    });
  }

  takeOver(id: string, now: number): StoredSession | undefined {
    const db = this.#databases();
    try {
      // Behind what is on its way to the disk. What waits in the queue comes later, and finds another owner.
      return db.transactions.sync(() => {
        const row = db.sessions.get(id);
        if (row === undefined) return undefined;
        db.sessions.put(id, this.#owned(row, now));
        this.#lease.tell(db);
        return this.#image(db, id, db.sessions.get(id) as SessionRow);
      });
    } catch (cause) {
      throw storeFailed(this.#path, 'can not be written to', cause);
    }
  }

  commit(id: string, fence: number, batch: SessionBatch): Promise<void> {
    return this.#write({ of: { id, fence }, bytes: bytesOf(batch) }, (db) => {
      const kept = db.sessions.get(id);
      if (kept === undefined || kept.fence !== fence) {
        return new NyotaError('NYOTA_TAKEN_OVER', `another process owns the session ${id} by now`);
      }
      const { credential } = batch;
      if (credential !== undefined) forget(db, id);
      const row = credential === undefined ? kept : anew(kept, credential);
      for (const { key, bytes, revision, expiresAt } of batch.entries ?? []) {
        if (bytes === undefined) db.entries.remove([id, key]);
        else db.entries.put([id, key], [revision, expiresAt ?? null, bytes]);
      }
      const { trim = 0 } = batch;
      const trimmed = trim > row.trimmed ? trim : row.trimmed;
      for (const { seq, frame } of batch.outbound ?? []) {
        if (seq > trimmed) db.frames.put([id, seq], frame);
      }
      trimFrames(db, id, row.trimmed + 1, trimmed);
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
    return this.#write({}, (db) => {
      const row = db.sessions.get(id);
      if (row !== undefined && row.fence !== fence) return undefined;
      const last = db.tombstones.get(id)?.fence ?? 0;
      // A later owner has ended it already, and knows more of it.
      if (row === undefined && fence < last) return undefined;
      forget(db, id);
      const { code, received, sent, exact = false } = tombstone;
      db.tombstones.put(id, {
        code,
        received,
        sent,
        exact,
        until: now + TOMBSTONE_MS,
        fence: Math.max(fence, last),
      });
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
    const db = this.#databases();
    const write = <T>(run: (inside: Databases) => T): Promise<T> =>
      db.queue.run<T>({ bytes: 0, space: this.#space, run });
    try {
      const ended = await sweepFolder({ db, lease: this.#lease, now, open: () => this.#open === db, write });
      if (this.#open === db) db.queue.forgive((id, fence) => db.sessions.get(id)?.fence !== fence);
      return ended;
    } catch (cause) {
      throw storeFailed(this.#path, 'can not be read', cause);
    }
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    this.#lease.stop();
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
      this.#lease.start((beat) => this.#write({}, beat));
    }
    return this.#open;
  }

  #image(db: Databases, id: string, row: SessionRow): StoredSession {
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
    const outbound = this.#frames(db, id, row);
    const { owner, credential, identity, resumeWindowMs, ...numbers } = row;
    const record = {
      id,
      credential: Buffer.from(credential),
      identity: Buffer.from(identity),
      resumeWindowMs,
    };
    return { ...numbers, record, entries, outbound };
  }

  #owned(row: SessionRow, now: number, attempt = row.attempt): SessionRow {
    const fence = Math.max(row.fence + 1, firstFence(now));
    return { ...row, fence, attempt, detachedAt: null, owner: this.#owner };
  }

  #frames(db: Databases, id: string, { trimmed, lastSeq }: SessionRow): StoredFrame[] {
    const frames: StoredFrame[] = [];
    for (const { key, value } of db.frames.getRange({ start: [id, trimmed + 1], end: [id, AFTER_ALL] })) {
      frames.push({ seq: key[1] as number, frame: Buffer.from(value) });
    }
    // A hole would be a message that is lost without a word.
    const whole = frames.every(({ seq, frame }, i) => seq === trimmed + 1 + i && !isBlank(frame));
    if (!whole || trimmed + frames.length < lastSeq) {
      throw storeFailed(this.#path, `is damaged: frames of the session ${id} are gone. Put a copy back`);
    }
    return frames;
  }

  #read<T>(fn: (db: Databases) => T): T {
    const db = this.#databases();
    try {
      // Not what an earlier read of this turn has seen: another process may have written since.
      db.env.resetReadTxn();
      return fn(db);
    } catch (cause) {
      throw storeFailed(this.#path, 'can not be read', cause);
    }
  }

  /** One step of a transaction, which it shares with others. Answers when it is on disk. */
  async #write<T>(
    about: Partial<Pick<Step<T>, 'of' | 'bytes'>>,
    run: (db: Databases) => T | NyotaError,
  ): Promise<T> {
    return await this.#databases().queue.run({ bytes: 0, ...about, space: this.#space, run });
  }
}

/** What a batch adds to the file, about. What can't be written is found out where it is written. */
function bytesOf({ entries = [], outbound = [] }: SessionBatch): number {
  let bytes = 0;
  for (const { bytes: value, key } of entries)
    if (value !== undefined) bytes += rowBytes(value.length) + key.length;
  for (const { frame } of outbound as readonly Partial<StoredFrame>[]) bytes += rowBytes(frame?.length ?? 0);
  return bytes;
}

function trimFrames(db: Databases, id: string, from: number, to: number): void {
  if (to - from < TRIM_ONE_BY_ONE) {
    for (let seq = from; seq <= to; seq++) db.frames.remove([id, seq]);
    return;
  }
  // Numbers that never were are none of its business: there may be any number of them.
  const range = { start: [id, from], end: [id, to], inclusiveEnd: true };
  for (const key of [...db.frames.getKeys(range)]) db.frames.remove(key);
}

/** What is read where the file was cut off: such values have pages of their own, which LMDB does not look at. */
function isBlank(frame: Buffer): boolean {
  return frame.length > MAYBE_ELSEWHERE_BYTES && frame.readUInt32BE(0) === 0;
}

function readOptions(options: LmdbStoreOptions): Required<LmdbStoreOptions> {
  if (typeof options !== 'object' || options === null) throw invalid('options', '{ path }');
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.includes(name)) {
      throw new NyotaError('NYOTA_INVALID_OPTION', `lmdbStore has no option '${name}'`);
    }
  }
  const { path, maxBytes = DEFAULT_MAX_BYTES } = options;
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw invalid("option 'path'", 'the path of a folder');
  }
  if (!Number.isSafeInteger(maxBytes) || maxBytes < MIN_MAX_BYTES) {
    throw invalid("option 'maxBytes'", `a whole number of at least ${MIN_MAX_BYTES} (bytes)`);
  }
  return { path, maxBytes };
}

function invalid(what: string, takes: string): NyotaError {
  return new NyotaError('NYOTA_INVALID_OPTION', `${what} of lmdbStore takes ${takes}`);
}

export type { SessionStore } from '../session-store.js';
export type { SessionRow };
