/**
 * What lies between the shared store's users, who have values, and the session, which has bytes: encodes, decodes, puts
 * writes that belong together through as one, and tells those who watch. The public class over it is shared-store.ts.
 * Touches the session's store and its limits, nothing else.
 */
import { isNothing } from '../codec/encoded.js';
import { decodePayload } from '../codec/payload.js';
import type { SessionCore } from '../features/session-core.js';
import { encodeValue, type StoreFeature } from '../features/store/store.js';
import { type Change, checkKey, type DeleteOp, type SetOp } from '../features/store/writes.js';
import { type LifecycleEmitter, listenerFailed } from './listeners.js';

/** Hears what becomes of a key; `value` is undefined if it was deleted. */
export type Watcher = (key: string, value: unknown, revision: number) => void;

interface Watch {
  readonly matches: (key: string) => boolean;
  readonly fn: Watcher;
}

export class StoreValues {
  readonly #core: SessionCore;
  #watches: Set<Watch> | undefined;

  constructor(core: SessionCore) {
    this.#core = core;
    core.store.tellOwn?.(false);
  }

  /** The session's store, in bytes. */
  get feature(): StoreFeature {
    return this.#core.store;
  }

  /** @throws what makes the value one that can't travel to the other side */
  encode(key: string, value: unknown): Buffer {
    return encodeValue(key, value, this.#core.link.payloadLimits);
  }

  /** Undefined for no bytes. */
  decode(bytes: Buffer | undefined): unknown {
    return bytes === undefined ? undefined : decodePayload(bytes, 0, bytes.length, this.#core.link.limits);
  }

  /** The key has been checked, and the value is not undefined. Encoded once, in the place from which it is sent. */
  set(key: string, value: unknown, ttlMs: number | undefined): void {
    this.#core.store.set(key, value, ttlMs);
  }

  /** A write to be made by `writeAll`: checked and encoded. A value of undefined deletes. */
  writeOf(key: string, value: unknown): SetOp | DeleteOp {
    checkKey(key);
    return isNothing(value) ? { kind: 'delete', key } : { kind: 'set', key, bytes: this.encode(key, value) };
  }

  /** All of the writes, or none where one of them can't be taken. */
  writeAll(ops: ReadonlyArray<SetOp | DeleteOp>): void {
    const { store } = this.#core;
    store.checkAll(ops);
    for (const op of ops) store.write(op);
  }

  /** Returns the function that stops it. */
  watch(matches: (key: string) => boolean, fn: Watcher): () => void {
    const watch: Watch = { matches, fn };
    this.#watches ??= new Set();
    const watches = this.#watches;
    watches.add(watch);
    this.#core.store.tellOwn?.(true);
    return () => {
      watches.delete(watch);
      this.#core.store.tellOwn?.(watches.size > 0);
    };
  }

  /** Calls the watchers for visible changes. A watcher that throws is reported to `lifecycle`. */
  notify(changes: readonly Change[], lifecycle: LifecycleEmitter): void {
    const watches = this.#watches;
    if (watches === undefined || watches.size === 0) return;
    for (const { key, bytes, revision } of changes) {
      for (const watch of [...watches]) {
        if (!watch.matches(key)) continue;
        try {
          watch.fn(key, this.decode(bytes), revision);
        } catch (cause) {
          lifecycle.emit('error', listenerFailed(`watch of ${key}`, cause));
        }
      }
    }
  }
}
