/**
 * UTF-8 to strings, fast for the short ASCII ones that messages are full of. Pure; the caller has checked the bounds.
 * Keeps some strings that were read before, each of 31 bytes at most.
 */

/** Up to here a string is made from its letters: calling into the runtime costs more than such a string itself. */
const SPELLED_BYTES = 8;
/** Up to here it is looked for among those read before; these are the lengths of a fixstr. */
const CACHED_BYTES = 31;

const CACHE_SLOTS = 2048;
/**
 * Strings repeat: one that was read before is found by its bytes, made already. Bounded, ASCII only. Values have a cache of
 * their own, so that they don't drive out the keys.
 */
const keyCache: string[] = new Array<string>(CACHE_SLOTS).fill('');
const textCache: string[] = new Array<string>(CACHE_SLOTS).fill('');
/** The keys that are interned: 1 in their slot. */
const interned = new Uint8Array(CACHE_SLOTS);

/** @param length 1 to `CACHED_BYTES` */
function slotOf(source: Buffer, from: number, length: number): number {
  return (
    ((source[from] as number) * 31 +
      (source[from + (length >> 1)] as number) * 7 +
      (source[from + length - 1] as number) * 131 +
      length * 17) &
    (CACHE_SLOTS - 1)
  );
}

/** Whether the text, of ASCII, is what lies there. */
export function isText(text: string, source: Buffer, from: number, length: number): boolean {
  if (text.length !== length) return false;
  let i = 0;
  while (i < length && text.charCodeAt(i) === source[from + i]) i++;
  return i === length;
}

function cachedText(source: Buffer, from: number, length: number): string {
  const slot = slotOf(source, from, length);
  const cached = textCache[slot] as string;
  if (isText(cached, source, from, length)) return cached;
  const text = source.toString('utf8', from, from + length);
  // Longer in bytes than in letters is not ASCII.
  if (text.length === length) textCache[slot] = text;
  return text;
}

function cachedKey(source: Buffer, from: number, length: number): string {
  const slot = slotOf(source, from, length);
  const cached = keyCache[slot] as string;
  if (isText(cached, source, from, length)) return interned[slot] === 1 ? cached : intern(slot, cached);
  const key = source.toString('utf8', from, from + length);
  if (key.length === length) {
    keyCache[slot] = key;
    interned[slot] = 0;
  }
  return key;
}

/**
 * A key that comes again: from here on it is the very string that V8 has objects' keys in, which makes a store by it a fifth
 * faster. Not at its first time: one that does not come again would cost twice.
 */
function intern(slot: number, key: string): string {
  const object: Record<string, true> = Object.create(null);
  object[key] = true;
  const same = Object.keys(object)[0] as string;
  keyCache[slot] = same;
  interned[slot] = 1;
  return same;
}

/** A value. */
export function textOf(source: Buffer, from: number, length: number): string {
  if (length > CACHED_BYTES) return source.toString('utf8', from, from + length);
  if (length > SPELLED_BYTES) return cachedText(source, from, length);
  const end = from + length;
  for (let i = from; i < end; i++) {
    if ((source[i] as number) >= 0x80) return source.toString('utf8', from, end);
  }
  return spell(source, from, length);
}

/** A key of a map. */
export function keyOf(source: Buffer, from: number, length: number): string {
  if (length === 0 || length > CACHED_BYTES) return source.toString('utf8', from, from + length);
  return cachedKey(source, from, length);
}

/** ASCII of at most `SPELLED_BYTES`. */
function spell(s: Buffer, f: number, length: number): string {
  const { fromCharCode } = String;
  switch (length) {
    case 0:
      return '';
    case 1:
      return fromCharCode(s[f] as number);
    case 2:
      return fromCharCode(s[f] as number, s[f + 1] as number);
    case 3:
      return fromCharCode(s[f] as number, s[f + 1] as number, s[f + 2] as number);
    case 4:
      return fromCharCode(s[f] as number, s[f + 1] as number, s[f + 2] as number, s[f + 3] as number);
    case 5:
      return fromCharCode(
        s[f] as number,
        s[f + 1] as number,
        s[f + 2] as number,
        s[f + 3] as number,
        s[f + 4] as number,
      );
    case 6:
      return fromCharCode(
        s[f] as number,
        s[f + 1] as number,
        s[f + 2] as number,
        s[f + 3] as number,
        s[f + 4] as number,
        s[f + 5] as number,
      );
    case 7:
      return fromCharCode(
        s[f] as number,
        s[f + 1] as number,
        s[f + 2] as number,
        s[f + 3] as number,
        s[f + 4] as number,
        s[f + 5] as number,
        s[f + 6] as number,
      );
    default:
      return fromCharCode(
        s[f] as number,
        s[f + 1] as number,
        s[f + 2] as number,
        s[f + 3] as number,
        s[f + 4] as number,
        s[f + 5] as number,
        s[f + 6] as number,
        s[f + 7] as number,
      );
  }
}
