/** The trace of a run: a hash of everything that could be observed, in order; with `keep`, the lines themselves. */

export class Trace {
  readonly lines: string[] = [];
  readonly #now: () => number;
  readonly #keep: boolean;
  #a = 0x811c9dc5;
  #b = 0x9e3779b9;

  constructor(now: () => number, keep: boolean) {
    this.#now = now;
    this.#keep = keep;
  }

  get hash(): string {
    const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, '0');
    return hex(this.#a) + hex(this.#b);
  }

  note(...what: ReadonlyArray<string | number | boolean | undefined>): void {
    const line = `${this.#now()} ${what.join(' ')}`;
    if (this.#keep) this.lines.push(line);
    let a = this.#a;
    let b = this.#b;
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b ^ code, 0x85ebca6b) + 0x27d4eb2f;
    }
    this.#a = a;
    this.#b = b ^ (b >>> 13);
  }
}
