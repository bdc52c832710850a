/**
 * A client's writes that the server hasn't answered yet: a queue in the order of their frames, and per key what of
 * them shows. Pure. Every step costs the same however many wait: answers come in order, so only the head leaves.
 */

import type { NyotaError } from '../errors.js';
import type { WriteOp } from './types.js';

/** What the server decided about one write. */
export type OpResult = { accepted: true; revision: number } | { accepted: false; error: NyotaError };

export interface PendingOp {
  /** The number of the frame that carries it. */
  readonly seq: number;
  readonly op: WriteOp;
  /** Taken away once it was called. */
  onResult: ((result: OpResult) => void) | undefined;
  next: PendingOp | undefined;
}

/** A key with at least one pending write. */
export interface PendingKey {
  /** Pending writes of all kinds. */
  count: number;
  /** The last set or delete: what the key shows as. undefined: the confirmed value shows. */
  shown: PendingOp | undefined;
  /**
   * The last confirmed revision of the key, also of its deletion: the tombstone that keeps the late answer to an
   * older write from bringing a deleted key back.
   */
  revision: number;
}

export class PendingOps {
  #head: PendingOp | undefined;
  #tail: PendingOp | undefined;
  #keys: Map<string, PendingKey> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get head(): PendingOp | undefined {
    return this.#head;
  }

  get tail(): PendingOp | undefined {
    return this.#tail;
  }

  key(key: string): PendingKey | undefined {
    return this.#keys?.get(key);
  }

  /** Every key with a pending write. */
  keys(): Iterable<[string, PendingKey]> {
    return this.#keys ?? [];
  }

  /** @param revision the confirmed one of the key, 0 if none */
  push(pending: PendingOp, revision: number): void {
    if (this.#tail === undefined) this.#head = pending;
    else this.#tail.next = pending;
    this.#tail = pending;
    this.#size++;
    this.#keys ??= new Map();
    let key = this.#keys.get(pending.op.key);
    if (key === undefined) {
      key = { count: 0, shown: undefined, revision };
      this.#keys.set(pending.op.key, key);
    }
    key.count++;
    if (pending.op.kind !== 'compare-and-set') key.shown = pending;
  }

  /** Takes the head off, and with it what was kept for its key, if nothing else waits there. */
  shift(): void {
    const head = this.#head;
    if (head === undefined) return;
    this.#head = head.next;
    if (head.next === undefined) this.#tail = undefined;
    // Or else one that is old and gone would keep all that came after it until the next full collection.
    head.next = undefined;
    this.#size--;
    const key = this.#keys?.get(head.op.key);
    if (key === undefined) return;
    key.count--;
    if (key.shown === head) key.shown = undefined;
    if (key.count === 0) this.#keys?.delete(head.op.key);
  }

  find(seq: number): PendingOp | undefined {
    for (let op = this.#head; op !== undefined; op = op.next) if (op.seq === seq) return op;
    return undefined;
  }

  /** Takes one out, wherever it is: on the rare occasion that its frame was taken back. Looks at all. */
  remove(gone: PendingOp): void {
    if (gone === this.#head) {
      this.shift();
      return;
    }
    let shown: PendingOp | undefined;
    for (let op = this.#head; op !== undefined; op = op.next) {
      if (op.next === gone) {
        op.next = gone.next;
        if (gone.next === undefined) this.#tail = op;
        this.#size--;
      }
      if (op !== gone && op.op.key === gone.op.key && op.op.kind !== 'compare-and-set') shown = op;
    }
    const key = this.#keys?.get(gone.op.key);
    if (key === undefined) return;
    key.count--;
    key.shown = shown;
    if (key.count === 0) this.#keys?.delete(gone.op.key);
  }

  clear(): void {
    this.#head = undefined;
    this.#tail = undefined;
    this.#keys = undefined;
    this.#size = 0;
  }
}
