/**
 * Copies of the shared store's values, one behind the other in memory of their own: a store writes many small ones, and Node's
 * ways to copy one make a view more than is needed, which costs more than the copy. Pure.
 */

const POOL_BYTES = 8 * 1024;
/** Above this size a value has memory of its own, so that a pool is not left half empty. */
const POOLED_BYTES = POOL_BYTES / 4;

let pool = Buffer.allocUnsafeSlow(0);
let used = 0;

/** A copy of `view[from..to)`. What is before and behind it should be little: of a small view all is copied. */
export function keepPart(view: Buffer, from: number, to: number): Buffer {
  const { length } = view;
  if (length > POOLED_BYTES) {
    const own = Buffer.allocUnsafeSlow(to - from);
    view.copy(own, 0, from, to);
    return own;
  }
  if (pool.length - used < length) {
    pool = Buffer.allocUnsafeSlow(POOL_BYTES);
    used = 0;
  }
  pool.set(view, used);
  const own = pool.subarray(used + from, used + to);
  used += length;
  return own;
}
