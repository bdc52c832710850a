/**
 * A line typed at `nyota connect`, taken apart: words, JSON values with blanks inside, and 'quoted' text. Pure.
 */
import { parseValue } from './arguments.js';
import { Failure } from './failures.js';

export interface TypedCommand {
  /** Empty for an empty line. */
  readonly name: string;
  /** As typed, quotes and all: nameOfWord and valueOfWord read them. */
  readonly words: readonly string[];
}

export function parseLine(line: string): TypedCommand {
  const [name = '', ...words] = splitLine(line);
  return { name, words };
}

/** A word as a name: an event's or a key's. JSON strings and quoted text are what they hold, all else is itself. */
export function nameOfWord(word: string): string {
  const value = valueOfWord(word);
  return typeof value === 'string' ? value : word;
}

/** A word as a value: JSON, or the text itself. Text in single quotes is read as the shell does, JSON inside included. */
export function valueOfWord(word: string): unknown {
  return parseValue(word.startsWith("'") ? word.slice(1, -1) : word);
}

/** @throws Failure where a quote or a bracket is left open */
function splitLine(line: string): string[] {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && /\s/.test(line.charAt(at))) at++;
    if (at === line.length) return words;
    const end = endOfWord(line, at);
    words.push(line.slice(at, end));
    at = end;
  }
}

function endOfWord(line: string, start: number): number {
  const first = line.charAt(start);
  if (first === "'") return endOfQuoted(line, start);
  if (first !== '"' && first !== '{' && first !== '[') {
    const blank = line.slice(start).search(/\s/);
    return blank === -1 ? line.length : start + blank;
  }
  let depth = 0;
  for (let at = start; at < line.length; at++) {
    const char = line.charAt(at);
    if (char === '"') at = endOfQuoted(line, at) - 1;
    else if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') depth--;
    if (depth === 0) return at + 1;
  }
  throw new Failure(`the value that begins with ${line.slice(start, start + 20)} is not closed`);
}

/** The place after the closing quote. In double quotes a backslash hides one, as in JSON; in single quotes nothing does. */
function endOfQuoted(line: string, start: number): number {
  const quote = line.charAt(start);
  for (let at = start + 1; at < line.length; at++) {
    const char = line.charAt(at);
    if (char === '\\' && quote === '"') at++;
    else if (char === quote) return at + 1;
  }
  throw new Failure(`the quote before ${line.slice(start + 1, start + 21)} is not closed`);
}
