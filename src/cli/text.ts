/**
 * Values and texts as they are printed. Much of it comes from the wire, so nothing in it may move the cursor, colour the
 * terminal or turn the reading direction around. Pure.
 */

/** Control characters, line separators, lone surrogates, and the invisible characters that reorder text. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** The text on one line, each unsafe character as JSON would escape it. */
export function escapeText(text: string): string {
  return text.replace(
    UNSAFE,
    (char) => SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * A value as JSON on one line. What JSON does not know: undefined is null, a bigint its digits as a string, a Date its ISO
 * text, a Map an array of pairs, a Set an array, bytes their base64, an Error an object of name, message and the rest.
 */
export function toJson(value: unknown): string {
  // JSON is plain ASCII outside of its strings, so whatever is escaped here lies inside of one.
  return escapeText(JSON.stringify(value, jsonForm) ?? 'null');
}

/** The same, cut for a screen: the value of an event may be as large as a frame. */
export function toShortJson(value: unknown, maxLength = 2_000): string {
  const json = toJson(value);
  if (json.length <= maxLength) return json;
  return `${json.slice(0, maxLength)}… (${json.length} characters)`;
}

function jsonForm(this: unknown, key: string, value: unknown): unknown {
  // `value` is what toJSON made of it already: for a Buffer that would be a list of numbers.
  const original = (this as Record<string, unknown>)[key];
  if (typeof original === 'bigint') return String(original);
  if (original instanceof Map || original instanceof Set) return [...original];
  if (ArrayBuffer.isView(original)) {
    return Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString('base64');
  }
  if (original instanceof ArrayBuffer) return Buffer.from(original).toString('base64');
  if (original instanceof Error) return { ...original, name: original.name, message: original.message };
  return value;
}
