/**
 * The shared store as its users see it: values in and out, encoded at the border, so that nothing handed in or out can be
 * changed behind the store's back. Checks what is handed in; the rest is done by `StoreValues` and the session.
 */
import { Encoded, isNothing } from '../codec/encoded.js';
import { NyotaError } from '../errors.js';
import { compilePattern } from '../features/store/pattern.js';
import type { CompareAndSetResult } from '../features/store/store.js';
import { checkKey, SESSION_ID_KEY } from '../features/store/writes.js';
import { anything, describeValue, readOptions, type TableOf } from '../options.js';
import type { Names, Sendable } from './contract.js';
import type { Pump } from './pump.js';
import type { Watcher } from './store-values.js';

/** Makes the store of a peer. */
export let sharedStoreOf: <State>(pump: Pump) => SharedStore<State>;

export interface SetOptions {
  /** The server deletes the entry this many milliseconds after it took the write. Default: never. */
  ttlMs?: number;
}

/**
 * One store a session, seen by both sides; its server decides. Keys are strings of 1 to 256 bytes, values what an
 * event's arguments may be, up to 64 KiB; 10 000 keys and 16 MiB in all. A value of `undefined` is no entry.
 */
export class SharedStore<State = Record<string, unknown>> {
  readonly #pump: Pump;

  static {
    sharedStoreOf = (pump) => new SharedStore(pump);
  }

  private constructor(pump: Pump) {
    this.#pump = pump;
  }

  /** The visible value, as a copy; undefined if there is none. `sessionID` is the session's id. */
  get<K extends Names<State>>(key: K): State[K] | undefined;
  get(key: typeof SESSION_ID_KEY): string;
  get(key: string): unknown {
    if (key === SESSION_ID_KEY) return this.#pump.id;
    checkKey(key);
    const { values } = this.#pump;
    return values.decode(values.feature.get(key)?.bytes);
  }

  /**
   * Shows at once, and reaches the other side in order with `send`.
   * @throws NyotaError `NYOTA_STORE_LIMIT`, `NYOTA_READ_ONLY_KEY`, `NYOTA_INVALID_ARGUMENT`, and all that `send` throws
   */
  set<K extends Names<State>>(key: K, value: Sendable<State[K]>, options?: SetOptions): void {
    checkKey(key);
    const { values } = this.#pump;
    if (isNothing(value)) values.feature.write({ kind: 'delete', key });
    else values.set(key, value, ttlOf(options));
  }

  /** Each entry of an object. All are checked before the first is written. */
  setAll(values: Partial<State>): void {
    const store = this.#pump.values;
    const entries = Object.entries(values as Record<string, unknown>);
    store.writeAll(entries.map(([key, value]) => store.writeOf(key, value)));
  }

  /** True if there was something to delete. */
  delete(key: Names<State>): boolean {
    checkKey(key);
    const { feature } = this.#pump.values;
    const had = feature.has(key);
    if (had) feature.write({ kind: 'delete', key });
    return had;
  }

  has(key: Names<State> | typeof SESSION_ID_KEY): boolean {
    return key === SESSION_ID_KEY || this.#pump.values.feature.has(key);
  }

  keys(): IterableIterator<Names<State>> {
    return this.#pump.values.feature.keys() as IterableIterator<Names<State>>;
  }

  *entries(): IterableIterator<[Names<State>, State[Names<State>]]> {
    const { values } = this.#pump;
    for (const key of values.feature.keys()) {
      const entry = values.feature.get(key);
      if (entry !== undefined) yield [key as Names<State>, values.decode(entry.bytes) as State[Names<State>]];
    }
  }

  [Symbol.iterator](): IterableIterator<[Names<State>, State[Names<State>]]> {
    return this.entries();
  }

  /** Entries, `sessionID` not counted. */
  get size(): number {
    return this.#pump.values.feature.size;
  }

  /** A copy of all of it, as an object without a prototype. */
  toObject(): Partial<State> {
    const all: Record<string, unknown> = Object.create(null);
    for (const [key, value] of this.entries()) all[key] = value;
    return all as Partial<State>;
  }

  /**
   * Compare and set: `fn` gets the current value and returns the new one, or a promise of it; where the entry was
   * changed meanwhile, it is called again with the newer value. Resolves to what was stored.
   * @throws what `fn` throws, and all that `set` throws
   */
  async update<K extends Names<State>>(
    key: K,
    fn: (value: State[K] | undefined) => State[K] | undefined | PromiseLike<State[K] | undefined>,
  ): Promise<State[K] | undefined> {
    checkKey(key);
    for (;;) {
      const expectedRevision = this.#pump.values.feature.revisionOf(key);
      const value = await fn(this.get(key));
      if ((await this.#compareAndSet(key, value, expectedRevision)) === 'accepted')
        return value instanceof Encoded ? value.decode() : value;
    }
  }

  /** Sets the key where it is not there yet. False if it was. */
  async create<K extends Names<State>>(
    key: K,
    value: Sendable<State[K]>,
    options?: SetOptions,
  ): Promise<boolean> {
    for (;;) {
      const outcome = await this.#compareAndSet(key, value, 0, options);
      if (outcome !== 'session lost') return outcome === 'accepted';
    }
  }

  /**
   * Calls `fn(key, value, revision)` for every visible change of a key, whoever made it. In a pattern `*` stands for any
   * run of characters; a RegExp works too. Returns the function that stops it.
   */
  watch(pattern: string | RegExp, fn: Watcher): () => void {
    if (typeof pattern !== 'string' && !(pattern instanceof RegExp)) {
      throw new NyotaError(
        'NYOTA_INVALID_ARGUMENT',
        `watch takes a key, a pattern or a RegExp, not ${describeValue(pattern)}`,
      );
    }
    if (typeof fn !== 'function') {
      throw new NyotaError('NYOTA_INVALID_ARGUMENT', `watch takes a function, not ${describeValue(fn)}`);
    }
    return this.#pump.values.watch(compilePattern(pattern), fn);
  }

  /** Resolves once all of this side's writes are confirmed by the other. Rejects if the session ends before. */
  synced(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pump.assertLive();
      this.#pump.values.feature.whenSynced((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  async #compareAndSet(
    key: string,
    value: unknown,
    expectedRevision: number,
    options?: SetOptions,
  ): Promise<'accepted' | 'conflict' | 'session lost'> {
    checkKey(key);
    this.#pump.assertLive();
    const { values } = this.#pump;
    const bytes = isNothing(value) ? undefined : values.encode(key, value);
    const result = await new Promise<CompareAndSetResult>((resolve) => {
      values.feature.compareAndSet(
        { kind: 'compare-and-set', key, bytes, expectedRevision, ttlMs: ttlOf(options) },
        resolve,
      );
    });
    if (result.accepted) return 'accepted';
    if (result.error.code === 'NYOTA_STORE_CONFLICT') return 'conflict';
    // The store's content went along into the new session: the write can be tried there.
    if (result.error.code === 'NYOTA_SESSION_LOST' && !this.#pump.ended) return 'session lost';
    throw result.error;
  }
}

/** The value is checked with the write. */
const SET_OPTIONS = { ttlMs: anything<number | undefined>() } satisfies TableOf<SetOptions>;

function ttlOf(options: SetOptions | undefined): number | undefined {
  return options === undefined ? undefined : readOptions(options, SET_OPTIONS).ttlMs;
}
