/**
 * A client's writes that the server hasn't answered yet: a queue in the order of their frames, each with the record of its
 * key at hand. Pure. Every step costs the same however many wait: answers come in order, so only the head leaves.
 */

import type { NyotaError } from '../../errors.js';
import type { KeyRecord } from './key-table.js';
import type { WriteOp } from './types.js';

/** What the server decided about one write. */
export type OpResult = { accepted: true; revision: number } | { accepted: false; error: NyotaError };

export interface PendingOp {
  /** The number of the frame that carries it. */
  readonly seq: number;
  readonly record: KeyRecord;
  readonly kind: WriteOp['kind'];
  /** undefined: a delete. */
  readonly bytes: Buffer | undefined;
  readonly ttlMs: number | undefined;
  /** Taken away once it was called. */
  onResult: ((result: OpResult) => void) | undefined;
  next: PendingOp | undefined;
}

export class PendingOps {
  #head: PendingOp | undefined;
  #tail: PendingOp | undefined;
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

  push(op: PendingOp): void {
    if (this.#tail === undefined) this.#head = op;
    else this.#tail.next = op;
    this.#tail = op;
    this.#size++;
    op.record.pending++;
    if (op.kind !== 'compare-and-set') op.record.shown = op;
  }

  /** Takes the head off. */
  shift(): void {
    const head = this.#head;
    if (head === undefined) return;
    this.#head = head.next;
    if (head.next === undefined) this.#tail = undefined;
    // Or else one that is old and gone would keep all that came after it until the next full collection.
    head.next = undefined;
    this.#size--;
    const { record } = head;
    record.pending--;
    if (record.shown === head) record.shown = undefined;
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
    const { record } = gone;
    let shown: PendingOp | undefined;
    for (let op = this.#head; op !== undefined; op = op.next) {
      if (op.next === gone) {
        op.next = gone.next;
        if (gone.next === undefined) this.#tail = op;
        this.#size--;
      }
      if (op !== gone && op.record === record && op.kind !== 'compare-and-set') shown = op;
    }
    record.pending--;
    record.shown = shown;
  }

  clear(): void {
    this.#head = undefined;
    this.#tail = undefined;
    this.#size = 0;
  }
}
