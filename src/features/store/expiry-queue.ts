/**
 * Which key expires next: a binary heap that knows where each key is, so that a key that is written again
 * leaves nothing behind. Pure; times are numbers that the caller hands in.
 */

interface Node {
  readonly key: string;
  readonly at: number;
  /** Keys of one moment expire in the order in which they were added: the same run gives the same revisions. */
  readonly order: number;
  index: number;
}

export class ExpiryQueue {
  readonly #heap: Node[] = [];
  readonly #nodes = new Map<string, Node>();
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** The earliest time at which a key expires; Infinity if there is none. */
  next(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** The key that expires first, if its time has come by `now`. It stays until it is removed. */
  due(now: number): string | undefined {
    const first = this.#heap[0];
    return first !== undefined && first.at <= now ? first.key : undefined;
  }

  /** Instead of an earlier time of the same key. */
  set(key: string, at: number): void {
    this.remove(key);
    const node: Node = { key, at, order: this.#order++, index: this.#heap.length };
    this.#nodes.set(key, node);
    this.#heap.push(node);
    this.#up(node);
  }

  remove(key: string): void {
    const node = this.#nodes.get(key);
    if (node === undefined) return;
    this.#nodes.delete(key);
    const last = this.#heap.pop();
    if (last === undefined || last === node) return;
    this.#place(last, node.index);
    this.#up(last);
    this.#down(last);
  }

  #up(node: Node): void {
    while (node.index > 0) {
      const parent = this.#heap[(node.index - 1) >> 1];
      if (parent === undefined || !before(node, parent)) return;
      this.#swap(node, parent);
    }
  }

  #down(node: Node): void {
    for (;;) {
      const left = this.#heap[2 * node.index + 1];
      const right = this.#heap[2 * node.index + 2];
      const child = left !== undefined && right !== undefined && before(right, left) ? right : left;
      if (child === undefined || !before(child, node)) return;
      this.#swap(node, child);
    }
  }

  #swap(a: Node, b: Node): void {
    const index = a.index;
    this.#place(a, b.index);
    this.#place(b, index);
  }

  #place(node: Node, index: number): void {
    this.#heap[index] = node;
    node.index = index;
  }
}

function before(a: Node, b: Node): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
