/**
 * Opens the folder of an LMDB store, and refuses what is not one: a folder of something else, of a newer version, or one that
 * can't be read. The only file that knows the `lmdb` package, which it asks for when a store is first used.
 */
import { mkdirSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Database, Key, RootDatabase, RootDatabaseOptionsWithPath } from 'lmdb';
import { NyotaError } from '../../errors.js';
import { storeFailed } from './errors.js';
import { beginFolder, prepareFiles } from './file.js';
import { CommitQueue } from './queue.js';
import type { EntryRow, SessionRow, TombstoneRow } from './rows.js';
import { Transactions } from './transactions.js';

export const FORMAT = 1;
const DATABASES = 8;
const NAMES: ReadonlySet<string> = new Set(['meta', 'sessions', 'entries', 'frames', 'tombstones', 'owners']);
/** Sessions hold secrets of clients. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

type LmdbPackage = typeof import('lmdb');

export interface Databases {
  readonly env: RootDatabase;
  readonly sessions: Database<SessionRow, string>;
  readonly entries: Database<EntryRow, Key[]>;
  readonly frames: Database<Buffer, Key[]>;
  readonly tombstones: Database<TombstoneRow, string>;
  readonly owners: Database<number, string>;
  readonly transactions: Transactions;
  /** By which steps are written. */
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

/** What was asked for is done first. Its last user closes the environment. */
export async function closeDatabases(databases: Databases): Promise<void> {
  const place = [...opened].find(([, shared]) => shared.databases === databases);
  if (place === undefined) return;
  const [folder, shared] = place;
  shared.users--;
  await databases.queue.whenIdle();
  // Another one may have come, or have closed it, meanwhile.
  if (shared.users > 0 || opened.get(folder) !== shared) return;
  opened.delete(folder);
  await databases.env.close();
}

/** Its path without links: an environment must not be opened twice. */
function makeFolder(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
    return realpathSync(path);
  } catch (cause) {
    throw storeFailed(path, 'can not be opened', cause);
  }
}

function openFolder(path: string, folder: string, open: LmdbPackage['open']): Databases {
  let env: RootDatabase | undefined;
  try {
    prepareFiles(folder, (text) => storeFailed(path, text));
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
    // With it a step would be answered before it is on disk.
    overlappingSync: false,
    // The queue makes the groups; and what lmdb waits for by itself would be rejected with nobody to hear it.
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
    queue: new CommitQueue(path, () => databases),
  };
  return databases;
}

/** Refuses what is not ours, before anything is made in it. Several processes may begin an empty folder at the same time. */
function checkFormat(path: string, env: RootDatabase, transactions: Transactions): void {
  const names = (): string[] => [...env.getKeys()].map(String);
  if (names().some((name) => !NAMES.has(name))) throw foreign(path);
  const meta = env.openDB<number, string>({ name: 'meta' });
  const format = transactions.sync(() => {
    const found = meta.get('format');
    if (found !== undefined) return found;
    // It is the first thing that is written.
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
