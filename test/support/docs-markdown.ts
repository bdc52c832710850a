/**
 * What the documents say, as data: code blocks, headings, links and table rows of a Markdown file.
 * Reads the small part of Markdown that the documents use.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface CodeBlock {
  readonly language: string;
  readonly text: string;
  /** Line of the document on which the text begins, from 1. */
  readonly line: number;
  /** How many headings come before it: blocks of one section have the same. */
  readonly section: number;
}

interface Link {
  readonly target: string;
  readonly line: number;
}

export interface Document {
  /** From the root of the repository: `docs/delivery.md`. */
  readonly name: string;
  readonly text: string;
  readonly blocks: readonly CodeBlock[];
  readonly links: readonly Link[];
  /** The anchors of its headings, as GitHub makes them. */
  readonly anchors: ReadonlySet<string>;
  /** The cells of every row of every table, trimmed. */
  readonly rows: readonly Row[];
  /** The same by the heading that they stand under. */
  readonly rowsUnder: ReadonlyMap<string, readonly Row[]>;
}
type Row = readonly string[];

/** The documents in the root of the repository, README.md among them, and everything in docs/. */
export function documentNames(): string[] {
  const markdownIn = (folder: string): string[] =>
    readdirSync(new URL(`../../${folder}`, import.meta.url))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}${name}`)
      .sort();
  return [...markdownIn(''), ...markdownIn('docs/')];
}

export function readDocument(name: string): Document {
  return parseDocument(name, readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8'));
}

function parseDocument(name: string, text: string): Document {
  const blocks: CodeBlock[] = [];
  const links: Link[] = [];
  const rowsUnder = new Map<string, Row[]>([['', []]]);
  const anchors = new Set<string>();
  let title = '';
  let section = 0;
  let open: { language: string; line: number; lines: string[] } | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^```(\w*)\s*$/.exec(line);
    if (open !== undefined) {
      if (fence === null) open.lines.push(line);
      else {
        blocks.push({ language: open.language, line: open.line, text: open.lines.join('\n'), section });
        open = undefined;
      }
    } else if (fence !== null) {
      open = { language: fence[1] ?? '', line: index + 2, lines: [] };
    } else {
      const heading = /^#{1,6} (.*)$/.exec(line);
      if (heading !== null) {
        section++;
        title = heading[1] ?? '';
        rowsUnder.set(title, rowsUnder.get(title) ?? []);
        anchors.add(freeAnchor(slugOf(title), anchors));
      }
      for (const match of withoutCode(line).matchAll(/\]\(([^)\s]+)\)/g)) {
        links.push({ target: match[1] ?? '', line: index + 1 });
      }
      if (/^\|.*\|$/.test(line) && !/^\|[-:| ]+\|$/.test(line)) rowsUnder.get(title)?.push(cellsOf(line));
    }
  }
  if (open !== undefined) throw new Error(`${name}:${open.line}: the code block is never closed`);
  return { name, text, blocks, links, anchors, rows: [...rowsUnder.values()].flat(), rowsUnder };
}

/** A name in code quotes, without them: `` `maxDepth` `` is maxDepth. Undefined for anything else. */
export function codeName(cell: string | undefined): string | undefined {
  return /^`([^`]+)`$/.exec(cell ?? '')?.[1];
}

function cellsOf(line: string): string[] {
  const unescaped = line.slice(1, -1).replaceAll('\\|', '\0');
  return unescaped.split('|').map((cell) => cell.replaceAll('\0', '|').trim());
}

function withoutCode(line: string): string {
  return line.replace(/`[^`]*`/g, (code) => '`'.repeat(code.length));
}

/** As GitHub does it: lower case, no punctuation, blanks to hyphens. */
function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

function freeAnchor(slug: string, taken: ReadonlySet<string>): string {
  if (!taken.has(slug)) return slug;
  let count = 1;
  while (taken.has(`${slug}-${count}`)) count++;
  return `${slug}-${count}`;
}
