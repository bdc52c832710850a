/** What the cases of the contract work with: stores on one place, and short ways to call them. */
import { fail } from 'node:assert/strict';
import type {
  SessionBatch,
  SessionRecord,
  SessionStore,
  StoredEntry,
  StoredFrame,
  StoredSession,
  Tombstone,
} from '../index.js';

/** Where the sessions of one case are kept. */
export interface SessionStorePlace {
  /** A store on it, as one more process would open it. Called more than once; each is closed in the end. */
  open(): SessionStore;
  /** Takes it away. */
  remove?(): PromiseLike<void> | void;
}

export type StoreCase = readonly [name: string, run: (stores: CaseStores) => Promise<void>];

export const NOW = 1_800_000_000_000;
export const WINDOW_MS = 60_000;
export const DAY_MS = 24 * 60 * 60 * 1000;
export const OVER: Tombstone = { code: 'NYOTA_SESSION_CLOSED', received: 3, sent: 4 };

export function recordOf(id: string, over: Partial<SessionRecord> = {}): SessionRecord {
  const [credential, identity] = [Buffer.from(`verifier of ${id}`), Buffer.from(`who has ${id}`)];
  return { id, credential, identity, resumeWindowMs: WINDOW_MS, ...over };
}

export function frame(seq: number, text = `frame ${seq}`): StoredFrame {
  return { seq, frame: Buffer.from(text) };
}

export function entry(key: string, revision: number, text = key): StoredEntry {
  return { key, revision, bytes: Buffer.from(text), expiresAt: undefined };
}

/** 'done', or the code of the error. */
export async function outcome(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return 'done';
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
}

export class CaseStores {
  readonly #place: SessionStorePlace;
  readonly #opened: SessionStore[] = [];
  readonly store: SessionStore;

  constructor(place: SessionStorePlace) {
    this.#place = place;
    this.store = this.another();
  }

  /** Opens one more store on the same place, as another process would. */
  another(): SessionStore {
    const store = this.#place.open();
    this.#opened.push(store);
    return store;
  }

  async create(id = 'a', over: Partial<SessionRecord> = {}): Promise<number> {
    return await this.store.create(recordOf(id, over), NOW);
  }

  async commit(fence: number, batch: SessionBatch, id = 'a'): Promise<void> {
    await this.store.commit(id, fence, batch);
  }

  async attach(fence: number, id = 'a'): Promise<number> {
    return (await this.store.attach(id, fence, NOW)) ?? fail(`the session ${id} could not be attached`);
  }

  async load(id = 'a', store = this.store): Promise<StoredSession> {
    return (await store.load(id)) ?? fail(`the session ${id} is not there`);
  }

  async clear(): Promise<void> {
    for (const store of this.#opened) await store.close();
    await this.#place.remove?.();
  }
}
