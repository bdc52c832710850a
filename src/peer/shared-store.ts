/**
 * The shared store as its users see it: values in and out, encoded at the border, so that nothing handed in or
 * out can be changed behind the store's back.
 */

import { Encoded, isNothing } from '../codec/encoded.js';
import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import type { SessionCore } from '../features/session-core.js';
import { compilePattern } from '../features/store/pattern.js';
import { type CompareAndSetResult, encodeValue } from '../features/store/store.js';
import {
  type Change,
  checkKey,
  type DeleteOp,
  SESSION_ID_KEY,
  type SetOp,
} from '../features/store/writes.js';
import { describeValue, invalidOption, refuseUnknown } from '../options.js';
import type { Names, Sendable } from './contract.js';
import { listenerFailed } from './lifecycle-emitter.js';

export interface SetOptions {
  /** The server deletes the entry this many milliseconds after it took the write. Default: never. */
  ttlMs?: number;
}

/** Hears what becomes of a key; `value` is undefined where it was deleted. */
export type Watcher = (key: string, value: unknown, revision: number) => void;

/** What a store needs of its peer. */
export interface SharedStoreHost {
  readonly core: SessionCore;
  /** The session's id. */
  readonly id: string;
  report(error: NyotaError): void;
}

interface Watch {
  readonly matches: (key: string) => boolean;
  readonly fn: Watcher;
}

/**
 * One store a session, seen by both sides; its server decides. Keys are strings of 1 to 256 bytes, values what an
 * event's arguments may be, up to 64 KiB; 10 000 keys and 16 MiB in all. A value of `undefined` is no entry.
 */
export class SharedStore<State = Record<string, unknown>> {
  readonly #host: SharedStoreHost;
  #watches: Set<Watch> | undefined;

  /** Made by a peer; not by users. */
  constructor(host: SharedStoreHost) {
    this.#host = host;
    host.core.store.tellOwn?.(false);
  }

  /** The visible value, as a copy; undefined where there is none. `sessionID` is the session's id. */
  get<K extends Names<State>>(key: K): State[K] | undefined;
  get(key: typeof SESSION_ID_KEY): string;
  get(key: string): unknown {
    if (key === SESSION_ID_KEY) return this.#host.id;
    checkKey(key);
    const entry = this.#host.core.store.get(key);
    return entry === undefined ? undefined : this.#decode(entry.bytes);
  }

  /**
   * Shows at once, and reaches the other side in order with `send`.
   * @throws NyotaError `NYOTA_STORE_LIMIT`, `NYOTA_READ_ONLY_KEY`, `NYOTA_INVALID_ARGUMENT`, and all that `send` throws
   */
  set<K extends Names<State>>(key: K, value: Sendable<State[K]>, options?: SetOptions): void {
    checkKey(key);
    const { core } = this.#host;
    if (isNothing(value)) {
      core.store.write({ kind: 'delete', key });
    } else {
      core.store.set(key, value, ttlOf(options));
    }
  }

  /** Each entry of an object. All are checked before the first is written. */
  setAll(values: Partial<State>): void {
    const entries = Object.entries(values as Record<string, unknown>);
    this.writeAll(entries.map(([key, value]) => this.writeOf(key, value)));
  }

  /** True where there was something to delete. */
  delete(key: Names<State>): boolean {
    checkKey(key);
    const had = this.#host.core.store.has(key);
    if (had) this.#host.core.store.write({ kind: 'delete', key });
    return had;
  }

  has(key: Names<State> | typeof SESSION_ID_KEY): boolean {
    return key === SESSION_ID_KEY || this.#host.core.store.has(key);
  }

  keys(): IterableIterator<Names<State>> {
    return this.#host.core.store.keys() as IterableIterator<Names<State>>;
  }

  *entries(): IterableIterator<[Names<State>, State[Names<State>]]> {
    for (const key of this.#host.core.store.keys()) {
      const entry = this.#host.core.store.get(key);
      if (entry !== undefined) yield [key as Names<State>, this.#decode(entry.bytes) as State[Names<State>]];
    }
  }

  [Symbol.iterator](): IterableIterator<[Names<State>, State[Names<State>]]> {
    return this.entries();
  }

  /** Entries, `sessionID` not counted. */
  get size(): number {
    return this.#host.core.store.size;
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
      const expectedRevision = this.#host.core.store.revisionOf(key);
      const value = await fn(this.get(key));
      if ((await this.#compareAndSet(key, value, expectedRevision)) === 'accepted')
        return value instanceof Encoded ? value.decode() : value;
    }
  }

  /** Sets the key where it is not there yet. False where it was. */
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
    const watch: Watch = { matches: compilePattern(pattern), fn };
    this.#watches ??= new Set();
    const watches = this.#watches;
    watches.add(watch);
    this.#host.core.store.tellOwn?.(true);
    return () => {
      watches.delete(watch);
      this.#host.core.store.tellOwn?.(watches.size > 0);
    };
  }

  /** Resolves once all of this side's writes are confirmed by the other. Rejects where the session ends before. */
  synced(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#host.core.link.assertLive();
      this.#host.core.store.whenSynced((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /** For the peer: a write, checked and encoded. */
  writeOf(key: string, value: unknown): SetOp | DeleteOp {
    checkKey(key);
    return isNothing(value) ? { kind: 'delete', key } : { kind: 'set', key, bytes: this.#encode(key, value) };
  }

  /** For the peer: all of the writes, or none where one of them can't be taken. */
  writeAll(ops: ReadonlyArray<SetOp | DeleteOp>): void {
    this.#host.core.store.checkAll(ops);
    for (const op of ops) this.#host.core.store.write(op);
  }

  /** For the peer: the watchers' share of visible changes. */
  notify(changes: readonly Change[]): void {
    const watches = this.#watches;
    if (watches === undefined || watches.size === 0) return;
    for (const { key, bytes, revision } of changes) {
      for (const watch of [...watches]) {
        if (!watch.matches(key)) continue;
        try {
          watch.fn(key, bytes === undefined ? undefined : this.#decode(bytes), revision);
        } catch (cause) {
          this.#host.report(listenerFailed(`watch of ${key}`, cause));
        }
      }
    }
  }

  /** For the peer: a value that is not in the store any more, or not yet. */
  decode(bytes: Buffer | undefined): unknown {
    return bytes === undefined ? undefined : this.#decode(bytes);
  }

  async #compareAndSet(
    key: string,
    value: unknown,
    expectedRevision: number,
    options?: SetOptions,
  ): Promise<'accepted' | 'conflict' | 'session lost'> {
    checkKey(key);
    this.#host.core.link.assertLive();
    const bytes = isNothing(value) ? undefined : this.#encode(key, value);
    const result = await new Promise<CompareAndSetResult>((resolve) => {
      this.#host.core.store.compareAndSet(
        { kind: 'compare-and-set', key, bytes, expectedRevision, ttlMs: ttlOf(options) },
        resolve,
      );
    });
    if (result.accepted) return 'accepted';
    if (result.error.code === 'NYOTA_STORE_CONFLICT') return 'conflict';
    // The store's content went along into the new session: the write can be tried there.
    if (result.error.code === 'NYOTA_SESSION_LOST' && this.#host.core.link.state.is !== 'ended')
      return 'session lost';
    throw result.error;
  }

  #encode(key: string, value: unknown): Buffer {
    return encodeValue(key, value, this.#host.core.link.payloadLimits);
  }

  #decode(bytes: Buffer): unknown {
    return decodePayload(bytes, 0, bytes.length, this.#host.core.link.limits);
  }
}

const SET_OPTIONS: ReadonlySet<string> = new Set(['ttlMs']);

function ttlOf(options: SetOptions | undefined): number | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null) throw invalidOption('options', 'an object', options);
  refuseUnknown(options, SET_OPTIONS);
  return options.ttlMs;
}
