/** Bytes in line, put in as they come and taken out in pieces of any size. A leaf: imports nothing. */

export class ByteQueue {
  #chunks: Buffer[] = [];
  /** Chunks before this one are taken: moved on rather than shifted, which is slow for many small chunks. */
  #head = 0;
  #length = 0;

  /** Bytes in the queue. */
  get length(): number {
    return this.#length;
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  /** The first bytes: `max` of them, or all there are. */
  take(max: number): Buffer {
    const taken: Buffer[] = [];
    let missing = Math.min(max, this.#length);
    this.#length -= missing;
    while (missing > 0) {
      const first = this.#chunks[this.#head];
      if (first === undefined) break;
      if (first.length <= missing) {
        taken.push(first);
        this.#head += 1;
        missing -= first.length;
      } else {
        taken.push(first.subarray(0, missing));
        this.#chunks[this.#head] = first.subarray(missing);
        missing = 0;
      }
    }
    this.#compact();
    return taken.length === 1 && taken[0] !== undefined ? taken[0] : Buffer.concat(taken);
  }

  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#length = 0;
  }

  #compact(): void {
    if (this.#head < 32 || this.#head * 2 < this.#chunks.length) return;
    this.#chunks = this.#chunks.slice(this.#head);
    this.#head = 0;
  }
}
