/**
 * The databases of a folder, and their rows. Refuses a folder that belongs to something else, has a newer format, or can't be
 * read. The only file that loads the `lmdb` package, and only when a store is first used.
 *
 * Layout, version 1, one LMDB environment with these databases:
 *   meta       'format' -> version
 *   sessions   id -> the head row, and its owner
 *   entries    [id, key] -> [revision, expiresAt, bytes]
 *   frames     [id, seq] -> the frame, as it goes on the wire
 *   tombstones id -> what is known of a session that is over, and until when
 *   owners     process -> when it last said that it lives
 */
import { createRequire } from 'node:module';
import type { Database, Key, RootDatabase, RootDatabaseOptionsWithPath } from 'lmdb';
import { NyotaError } from '../../errors.js';
import { type HeadRow, isWhole, readSession, type StepWrites, type TombstoneRow } from '../record.js';
import type {
  SessionBatch,
  SessionRecord,
  StoredEntry,
  StoredFrame,
  StoredSession,
} from '../session-store.js';
import { beginFolder, FILE_MODE, makeFolder, prepareFiles, storeFailed } from './disk.js';
import { CommitQueue, Transactions } from './transactions.js';

const FORMAT = 1;
const DATABASES = 8;
const NAMES: ReadonlySet<string> = new Set(['meta', 'sessions', 'entries', 'frames', 'tombstones', 'owners']);
/** Sorts behind every key and number, by lmdb's order of types. */
const AFTER_ALL = Buffer.from([0xff]);
/** Beyond so many it is quicker to ask which frames there are than to remove each number. */
const TRIM_ONE_BY_ONE = 1_000;
/** Values above this size may lie on pages of their own, even with the longest key. */
const MAYBE_ELSEWHERE_BYTES = 900;
/** A row of `sessions` without credential and identity. */
const HEAD_BYTES = 512;
/** A node's header and its place in a page. */
const NODE_BYTES = 32;
/** Larger values have pages of their own. */
const INLINE_BYTES = 1_900;
const PAGE_BYTES = 4_096;

type LmdbPackage = typeof import('lmdb');

export interface SessionRow extends HeadRow {
  /** The process that attached it last. */
  readonly owner: string;
}

type EntryRow = readonly [revision: number, expiresAt: number | null, bytes: Uint8Array];

export interface Databases {
  readonly env: RootDatabase;
  readonly sessions: Database<SessionRow, string>;
  readonly entries: Database<EntryRow, Key[]>;
  readonly frames: Database<Buffer, Key[]>;
  readonly tombstones: Database<TombstoneRow, string>;
  readonly owners: Database<number, string>;
  readonly transactions: Transactions;
  /** Writes the steps. */
  readonly queue: CommitQueue;
}

/** An environment may be opened once in a process: stores on one folder share it. */
const opened = new Map<string, { databases: Databases; users: number }>();

/** @throws NyotaError `NYOTA_STORE_FAILED` that names the folder and what is wrong with it */
export function openDatabases(path: string): Databases {
  const { open } = loadPackage();
  const folder = makeFolder(path);
  const shared = opened.get(folder);
  if (shared !== undefined) {
    shared.users++;
    return shared.databases;
  }
  const databases = openFolder(path, folder, open);
  opened.set(folder, { databases, users: 1 });
  return databases;
}

/** Waits for the steps that are queued. The folder's last user closes the environment. */
export async function closeDatabases(databases: Databases): Promise<void> {
  const place = [...opened].find(([, shared]) => shared.databases === databases);
  if (place === undefined) return;
  const [folder, shared] = place;
  shared.users--;
  await databases.queue.whenIdle();
  // In the meantime another store may have opened the folder, or closed it.
  if (shared.users > 0 || opened.get(folder) !== shared) return;
  opened.delete(folder);
  await databases.env.close();
}

function openFolder(path: string, folder: string, open: LmdbPackage['open']): Databases {
  let env: RootDatabase | undefined;
  try {
    prepareFiles(path, folder);
    beginFolder(folder, (draft) => void openAll(path, draft, openEnv(draft, open)).env.close());
    env = openEnv(folder, open);
    return openAll(path, folder, env);
  } catch (cause) {
    void env?.close();
    throw storeFailed(path, 'can not be opened', cause);
  }
}

function openEnv(folder: string, open: LmdbPackage['open']): RootDatabase {
  return open({
    path: folder,
    noSubdir: false,
    maxDbs: DATABASES,
    permissionsMode: FILE_MODE,
    // With overlapping syncs a step would be answered before it is on disk.
    overlappingSync: false,
    // The queue makes the groups. With batching of its own, lmdb would also reject a promise that nobody listens to.
    eventTurnBatching: false,
    cache: false,
  } as RootDatabaseOptionsWithPath);
}

function openAll(path: string, folder: string, env: RootDatabase): Databases {
  const transactions = new Transactions(folder, env);
  checkFormat(path, env, transactions);
  const databases: Databases = {
    env,
    sessions: env.openDB({ name: 'sessions' }),
    entries: env.openDB({ name: 'entries' }),
    frames: env.openDB({ name: 'frames', encoding: 'binary' }),
    tombstones: env.openDB({ name: 'tombstones' }),
    owners: env.openDB({ name: 'owners' }),
    transactions,
    queue: new CommitQueue(path, transactions, () => usedBytes(databases)),
  };
  return databases;
}

/**
 * Refuses a folder that is not ours before anything is written to it. Several processes may start on an empty folder at the
 * same time.
 */
function checkFormat(path: string, env: RootDatabase, transactions: Transactions): void {
  const names = (): string[] => [...env.getKeys()].map(String);
  if (names().some((name) => !NAMES.has(name))) throw foreign(path);
  const meta = env.openDB<number, string>({ name: 'meta' });
  const format = transactions.sync(() => {
    const found = meta.get('format');
    if (found !== undefined) return found;
    // The format is the first thing that is written into a folder of ours.
    if (names().length > 1 || meta.getKeysCount() > 0) throw foreign(path);
    meta.putSync('format', FORMAT);
    return FORMAT;
  });
  if (format !== FORMAT) {
    throw storeFailed(
      path,
      `has the format ${format}, and this version of nyota reads format ${FORMAT}: use the version that wrote it, or name another folder`,
    );
  }
}

function foreign(path: string): NyotaError {
  return storeFailed(
    path,
    'holds an LMDB database that is no nyota store: give the store a folder of its own',
  );
}

function loadPackage(): LmdbPackage {
  try {
    return createRequire(import.meta.url)('lmdb') as LmdbPackage;
  } catch (cause) {
    const { code, message } = cause as { code?: unknown; message?: unknown };
    const text =
      code === 'MODULE_NOT_FOUND'
        ? "needs the package 'lmdb', which is not installed: npm install lmdb"
        : `can't load the package 'lmdb', install it again: npm install lmdb (${String(message)})`;
    throw new NyotaError('NYOTA_STORE_FAILED', `nyota/stores/lmdb ${text}`, { cause });
  }
}

/** What the types of `lmdb` lack: how many pages a tree has. */
interface TreeStats {
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
}

/** Counts the pages in use, and not those that are free again. */
function usedBytes({ env, sessions, entries, frames, tombstones, owners }: Databases): number {
  env.resetReadTxn();
  const { pageSize, free, root } = env.getStats() as { pageSize: number; root: TreeStats; free: TreeStats };
  const trees = [sessions, entries, frames, tombstones, owners].map((one) => one.getStats() as TreeStats);
  let pages = 2;
  for (const tree of [root, free, ...trees]) {
    pages += tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages;
  }
  return pages * pageSize;
}

/** In a transaction: the rows of one step. */
export function writeStep(db: Databases, id: string, step: StepWrites<SessionRow>): void {
  if (step.restart) removeSession(db, id);
  for (const { key, bytes, revision, expiresAt } of step.entries) {
    if (bytes === undefined) db.entries.remove([id, key]);
    else db.entries.put([id, key], [revision, expiresAt ?? null, bytes]);
  }
  for (const { seq, frame } of step.frames) db.frames.put([id, seq], frame);
  const [from, to] = step.trim;
  if (to - from < TRIM_ONE_BY_ONE) {
    for (let seq = from; seq <= to; seq++) db.frames.remove([id, seq]);
  } else {
    // Only frames that are there: the range may hold any number of numbers that never were.
    const range = { start: [id, from], end: [id, to], inclusiveEnd: true };
    for (const key of [...db.frames.getKeys(range)]) db.frames.remove(key);
  }
  db.sessions.put(id, step.head);
}

/** In a transaction: everything that is kept of a session. */
export function removeSession(db: Databases, id: string): void {
  // Copied into arrays first: a cursor must not run while its rows are removed.
  const all = { start: [id], end: [id, AFTER_ALL] };
  for (const key of [...db.entries.getKeys(all)]) db.entries.remove(key);
  for (const key of [...db.frames.getKeys(all)]) db.frames.remove(key);
  db.sessions.remove(id);
}

/** Returns undefined if frames of it are missing. */
export function loadSession(db: Databases, id: string, row: SessionRow): StoredSession | undefined {
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
  const frames: StoredFrame[] = [];
  for (const { key, value } of db.frames.getRange({ start: [id, row.trimmed + 1], end: [id, AFTER_ALL] })) {
    frames.push({ seq: key[1] as number, frame: Buffer.from(value) });
  }
  if (!isWhole(row, frames) || frames.some(isBlank)) return undefined;
  return readSession(id, row, entries, frames);
}

/**
 * True for a frame that reads as zeros because the file was cut off. Large values lie on pages of their own, which LMDB does
 * not check.
 */
function isBlank({ frame }: StoredFrame): boolean {
  return frame.length > MAYBE_ELSEWHERE_BYTES && frame.readUInt32BE(0) === 0;
}

/** About how many bytes a new session adds to the file. */
export function bytesOfHead({ credential, identity }: SessionRecord): number {
  return HEAD_BYTES + rowBytes(credential.length + identity.length);
}

/** About how many bytes a step adds to the file. A value that can't be written fails later, when it is written. */
export function bytesOfStep({ entries = [], outbound = [] }: SessionBatch): number {
  let bytes = 0;
  for (const { bytes: value, key } of entries)
    if (value !== undefined) bytes += rowBytes(value.length) + key.length;
  for (const { frame } of outbound as readonly Partial<StoredFrame>[]) bytes += rowBytes(frame?.length ?? 0);
  return bytes;
}

/** About how many bytes a row adds to the file. */
function rowBytes(valueBytes: number): number {
  if (valueBytes <= INLINE_BYTES) return NODE_BYTES + valueBytes;
  return NODE_BYTES + Math.ceil((valueBytes + 16) / PAGE_BYTES) * PAGE_BYTES;
}
