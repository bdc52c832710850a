/**
 * About how many bytes of memory a payload takes: what the bounds in bytes count. Cheap, not exact: a payload that
 * came over the wire is no deeper and holds no more values than the session's limits allow. Pure.
 */
const PER_VALUE = 16;

export function sizeOf(value: unknown): number {
  if (typeof value === 'string') return PER_VALUE + value.length * 2;
  if (typeof value !== 'object' || value === null) return PER_VALUE;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return PER_VALUE + value.byteLength;
  let size = PER_VALUE;
  if (Array.isArray(value) || value instanceof Set) {
    for (const item of value) size += sizeOf(item);
  } else if (value instanceof Map) {
    for (const [key, item] of value) size += sizeOf(key) + sizeOf(item);
  } else {
    if (value instanceof Error) size += sizeOf(value.message);
    for (const [key, item] of Object.entries(value)) size += sizeOf(key) + sizeOf(item);
  }
  return size;
}
