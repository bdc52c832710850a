/**
 * Opens the folder of an LMDB store, and refuses what is not one: a folder of something else, of a newer version, or one that
 * can't be read. The only file that knows the `lmdb` package, which it asks for when a store is first used.
 */
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import type { Database, Key, RootDatabase } from 'lmdb';
import { NyotaError } from '../errors.js';
import { refuseBrokenFile } from './lmdb-file.js';
import type { EntryRow, SessionRow, TombstoneRow } from './lmdb-rows.js';

export const FORMAT = 1;
const DATABASES = 8;
const NAMES: ReadonlySet<string> = new Set(['meta', 'sessions', 'entries', 'frames', 'tombstones', 'owners']);
/** Sessions hold secrets of clients. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

export interface Databases {
  readonly env: RootDatabase;
  readonly sessions: Database<SessionRow, string>;
  readonly entries: Database<EntryRow, Key[]>;
  readonly frames: Database<Buffer, Key[]>;
  readonly tombstones: Database<TombstoneRow, string>;
  readonly owners: Database<number, string>;
}

/** An environment may be opened once in a process: stores on one folder share it. */
const opened = new Map<string, { databases: Databases; users: number }>();

/** @throws NyotaError `NYOTA_STORE_FAILED` that names the folder and what is wrong with it */
export function openDatabases(path: string): Databases {
  const folder = resolve(path);
  const shared = opened.get(folder);
  if (shared !== undefined) {
    shared.users++;
    return shared.databases;
  }
  const databases = openFolder(folder);
  opened.set(folder, { databases, users: 1 });
  return databases;
}

/** Its last user closes the environment. */
export async function closeDatabases(databases: Databases): Promise<void> {
  for (const [folder, shared] of opened) {
    if (shared.databases !== databases) continue;
    if (--shared.users > 0) return;
    opened.delete(folder);
    await databases.env.close();
  }
}

function openFolder(path: string): Databases {
  const { open } = loadPackage();
  refuseBrokenFile(join(path, 'data.mdb'), (text) => storeFailed(path, text));
  let env: RootDatabase;
  try {
    mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
    const options = {
      path,
      noSubdir: false,
      maxDbs: DATABASES,
      permissionsMode: FILE_MODE,
      // With it a step would be answered before it is on disk.
      overlappingSync: false,
      cache: false,
    };
    env = open(options);
  } catch (cause) {
    throw storeFailed(
      path,
      'can not be opened: is it the folder of a nyota store, and may it be written?',
      cause,
    );
  }
  try {
    checkFormat(path, env);
  } catch (error) {
    void env.close();
    throw error;
  }
  return {
    env,
    sessions: env.openDB({ name: 'sessions' }),
    entries: env.openDB({ name: 'entries' }),
    frames: env.openDB({ name: 'frames', encoding: 'binary' }),
    tombstones: env.openDB({ name: 'tombstones' }),
    owners: env.openDB({ name: 'owners' }),
  };
}

/** Refuses what is not ours, before anything is made in it. Several processes may begin an empty folder at the same time. */
function checkFormat(path: string, env: RootDatabase): void {
  for (const name of env.getKeys()) {
    if (!NAMES.has(String(name))) {
      throw storeFailed(
        path,
        'holds an LMDB database that is no nyota store: give the store a folder of its own',
      );
    }
  }
  const meta = env.openDB<number, string>({ name: 'meta' });
  const format = env.transactionSync(() => {
    const found = meta.get('format');
    if (found === undefined) meta.putSync('format', FORMAT);
    return found ?? FORMAT;
  });
  if (format !== FORMAT) {
    throw storeFailed(
      path,
      `has the format ${format}, and this version of nyota reads format ${FORMAT}: use a version that knows it`,
    );
  }
}

export function storeFailed(path: string, text: string, cause?: unknown): NyotaError {
  if (cause instanceof NyotaError) return cause;
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  return new NyotaError('NYOTA_STORE_FAILED', `the store in '${path}' ${text}${why}`, { cause });
}

function loadPackage(): typeof import('lmdb') {
  try {
    return createRequire(import.meta.url)('lmdb') as typeof import('lmdb');
  } catch (cause) {
    throw new NyotaError(
      'NYOTA_STORE_FAILED',
      "nyota/stores/lmdb needs the package 'lmdb': npm install lmdb",
      { cause },
    );
  }
}
