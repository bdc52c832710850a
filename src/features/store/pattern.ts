/**
 * Which keys a watcher wants. Pure.
 */

import { NyotaError } from '../../errors.js';

/**
 * A test for keys.
 * - a string without `*` is one key;
 * - in a string, each `*` stands for any run of characters, also an empty one; nothing else is special;
 * - a RegExp is used as it is, from the start of each key (a `g` or `y` flag carries nothing over).
 * @throws NyotaError `NYOTA_INVALID_ARGUMENT` for anything else
 */
export function compilePattern(pattern: string | RegExp): (key: string) => boolean {
  if (pattern instanceof RegExp) {
    // A copy: the caller's may be in the middle of a loop that lives by its lastIndex.
    const own = new RegExp(pattern);
    return (key) => {
      own.lastIndex = 0;
      return own.test(key);
    };
  }
  if (typeof pattern !== 'string') {
    throw new NyotaError(
      'NYOTA_INVALID_ARGUMENT',
      `a pattern must be a string or a RegExp, not ${typeof pattern}`,
    );
  }
  if (!pattern.includes('*')) return (key) => key === pattern;
  const [prefix = '', ...rest] = pattern.split('*');
  const suffix = rest.pop() ?? '';
  return (key) => matches(key, prefix, rest, suffix);
}

/** By search from left to right, not as a RegExp: many `*` would make that one try for ever. */
function matches(key: string, prefix: string, middle: readonly string[], suffix: string): boolean {
  const end = key.length - suffix.length;
  if (end < prefix.length || !key.startsWith(prefix) || !key.endsWith(suffix)) return false;
  let position = prefix.length;
  for (const part of middle) {
    const found = key.indexOf(part, position);
    if (found === -1 || found + part.length > end) return false;
    position = found + part.length;
  }
  return true;
}
