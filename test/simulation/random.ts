/** Seeded random numbers: the only source of chance in a simulation, so that a seed is a whole run. */

export class Random {
  #a = 0x9e3779b9;
  #b = 0x243f6a88;
  #c = 0xb7e15162;
  #d = 1;

  /** Several numbers make one seed: streams of one run that must not disturb each other differ in one of them. */
  constructor(...seeds: readonly number[]) {
    for (const seed of seeds) {
      this.#a ^= seed >>> 0;
      this.#b ^= Math.floor(seed / 2 ** 32) >>> 0;
      for (let i = 0; i < 12; i++) this.#next();
    }
  }

  /** From 0 to below 1. */
  next(): number {
    return this.#next() / 2 ** 32;
  }

  /** A whole number from 0 to below `bound`. */
  int(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** A whole number, both ends included. */
  between(min: number, max: number): number {
    return min + this.int(max - min + 1);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T;
  }

  bytes(size: number): Buffer {
    const bytes = Buffer.allocUnsafe(size);
    for (let i = 0; i < size; i++) bytes[i] = this.#next() & 0xff;
    return bytes;
  }

  /** sfc32 */
  #next(): number {
    const t = (this.#a + this.#b + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + t) | 0;
    return t >>> 0;
  }
}
