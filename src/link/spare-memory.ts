/**
 * The memory of large frames that the other side has acknowledged, for the large frames that come: new memory for each costs a sixth
 * of the bytes a second (page faults; docs/performance.md, "What was tried"). Pure.
 *
 * It is an outbox's own: a peer that acknowledges what it has not read would be sent what was put there since, and that may only be
 * what it is sent anyway.
 */
import type { Segment } from './segments.js';

/** As much as a sender of large messages keeps under way, and no more. */
const MOST_BYTES = 4 * 1024 * 1024;

export class SpareMemory {
  readonly #memory: Buffer[] = [];
  #bytes = 0;

  /** Takes what is large of segments that are gone. What a connection before the current one may hold is left alone. */
  keep(gone: readonly Segment[], largerThan: number): void {
    for (const { buffer, lent } of gone) {
      if (lent === true || buffer.length <= largerThan) continue;
      this.#memory.push(buffer);
      this.#bytes += buffer.length;
    }
    // The oldest goes: what is too small for today's messages must not keep others out for ever.
    while (this.#bytes > MOST_BYTES) this.#bytes -= this.#memory.shift()?.length ?? this.#bytes;
  }

  /** What came last: it is likeliest to be in a cache of the processor. */
  take(): Buffer | undefined {
    const memory = this.#memory.pop();
    if (memory !== undefined) this.#bytes -= memory.length;
    return memory;
  }
}
