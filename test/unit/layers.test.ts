/**
 * Holds src/ to the house in docs/architecture.md, whose table is the only one: it is read here, and what a row does not allow
 * is forbidden. Imports of types count as imports.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeName, ROOT, readDocument } from '../support/docs-markdown.js';
import { importsOf, isNode, type Node, parse, walk } from '../support/source-tree.js';

interface Part {
  readonly name: string;
  readonly pure: boolean;
  /** Parts, and single files of a part. */
  readonly mayImport: readonly string[];
  /** Packages and modules of Node; `node:*` is all of them but the sockets. */
  readonly mayUse: readonly string[];
}
const namesIn = (cell: string | undefined): string[] =>
  [...(cell ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
/** Lowest first: the rows of four cells that begin with a name. */
const parts = readDocument('docs/architecture.md').rows.flatMap(
  ([name, what, ours, outside, ...more]): Part[] =>
    outside === undefined || more.length > 0 || codeName(name) === undefined
      ? []
      : [
          {
            name: codeName(name) ?? '',
            pure: /\bPure\b/.test(what ?? ''),
            mayImport: namesIn(ours),
            mayUse: namesIn(outside),
          },
        ],
);
const covers = (part: string, file: string): boolean => file === part || file.startsWith(`${part}/`);
/** Of the rows that cover a file the most special one: `stores/lmdb` rather than `stores`. */
const partOf = (file: string): Part | undefined =>
  parts.filter(({ name }) => covers(name, file)).sort((a, b) => b.name.length - a.name.length)[0];

const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const name = path.split(sep).join('/').replace(/\.ts$/, '');
    const text = readFileSync(join(ROOT, 'src', path), 'utf8');
    const tree = parse(text);
    return { name, text, tree, imports: importsOf(name, tree) };
  });
const names = new Set(files.map(({ name }) => name));
const edges = files.flatMap(({ name, imports }) => imports.map((to) => ({ from: name, to })));

function isAllowed(from: string, to: string): boolean {
  const part = partOf(from);
  if (part === undefined) return false;
  if (!names.has(to))
    return part.mayUse.includes(to) || (part.mayUse.includes('node:*') && /^node:(?!net$|tls$)/.test(to));
  const below = partOf(to);
  return below === part || part.mayImport.includes(below?.name ?? '') || part.mayImport.includes(to);
}

/** Names that a pure part uses for nothing, since they would read as the globals; and calls that ask for the time or for chance. */
const IMPURE_NAMES = new Set([
  ...['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate'],
  ...['queueMicrotask', 'performance', 'crypto', 'process', 'console', 'globalThis', 'global'],
  ...['randomBytes', 'randomUUID', 'randomInt', 'randomFill', 'randomFillSync', 'webcrypto'],
]);
const isNamed = (value: unknown, name: string): boolean =>
  isNode(value) && value.type === 'Identifier' && value.name === name;

function isImpure(node: Node): boolean {
  if (node.type === 'Identifier') return IMPURE_NAMES.has(String(node.name));
  if (node.type === 'MemberExpression' && isNode(node.property)) {
    const member = node.property.name ?? node.property.value;
    return (
      (isNamed(node.object, 'Date') && member === 'now') ||
      (isNamed(node.object, 'Math') && member === 'random')
    );
  }
  if (node.type === 'CallExpression') return isNamed(node.callee, 'Date');
  return (
    node.type === 'NewExpression' &&
    isNamed(node.callee, 'Date') &&
    (node.arguments as unknown[]).length === 0
  );
}
const impureLines = (text: string, tree: Node): string[] =>
  [...walk(tree)].filter(isImpure).map((node) => text.slice(Number(node.start), Number(node.end)).trim());

/** The first circle of imports that is found, as the files on the way round. */
function circle(below: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const look = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const next of below.get(file) ?? []) {
      const found = look(next, [...path, file]);
      if (found.length > 0) return found;
    }
    done.add(file);
    return [];
  };
  for (const file of below.keys()) {
    const found = look(file, []);
    if (found.length > 0) return found;
  }
  return [];
}

describe('the house of docs/architecture.md', () => {
  it('has a row for every file, and files for every row', () => {
    expect(parts.length).toBeGreaterThan(10);
    expect(files.filter(({ name }) => partOf(name) === undefined).map(({ name }) => name)).toEqual([]);
    expect(
      parts.filter((part) => !files.some(({ name }) => partOf(name) === part)).map(({ name }) => name),
    ).toEqual([]);
  });

  it('lets a row import only what stands above it', () => {
    const upward = parts.flatMap((part, row) =>
      part.mayImport
        .filter((name) => !parts.slice(0, row).some((lower) => covers(lower.name, name)))
        .map((name) => `${part.name} -> ${name}`),
    );
    expect(upward).toEqual([]);
  });
});

describe('src', () => {
  it('imports nothing but what its row allows', () => {
    const forbidden = edges.filter(({ from, to }) => !isAllowed(from, to));
    expect(forbidden.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  it('has no circle of imports, types included', () => {
    const below = files.map(({ name, imports }) => [name, imports] as const);
    expect(circle(new Map(below))).toEqual([]);
  });

  it('keeps clocks, timers, chance and the process out of what is pure', () => {
    const pure = files.filter(({ name }) => partOf(name)?.pure);
    expect(pure.length).toBeGreaterThan(0);
    const found = pure.map(({ name, text, tree }) => ({ name, impure: impureLines(text, tree) }));
    expect(found.filter(({ impure }) => impure.length > 0)).toEqual([]);
  });

  it('has no comment that switches a check off', () => {
    const silenced = /(?:biome|eslint)-(?:ignore|disable)|@ts-(?:ignore|nocheck|expect-error)/;
    expect(files.filter(({ text }) => silenced.test(text)).map(({ name }) => name)).toEqual([]);
  });
});

describe('the reader of src', () => {
  it.each([
    ["import { A } from '../errors.js';", 'errors'],
    ["import type { A } from '../net/dialer.js';", 'net/dialer'],
    ["import { type A, B } from './b.js';", 'link/b'],
    ["export * from '../cli/main.js';", 'cli/main'],
    ["export type { A } from 'msgpackr';", 'msgpackr'],
    ["const a = await import('node:net');", 'node:net'],
    ["let a: import('node:net').Socket;", 'node:net'],
    ["import 'node:tls';", 'node:tls'],
  ])('sees %s', (text, to) => {
    expect(importsOf('link/a', parse(text))).toEqual([to]);
  });

  it('is not taken in by comments, strings and regular expressions', () => {
    const text = `// import '../net/a.js'\nconst a = "import '../net/a.js'"; const b = /['"]/; /* Date.now() */`;
    const tree = parse(text);
    expect([importsOf('link/a', tree), impureLines(text, tree)]).toEqual([[], []]);
  });

  it.each([
    'setTimeout(f, 1)',
    'const t = setImmediate',
    'Date.now()',
    "Date['now']()",
    '[1].map(Math.random)',
    'new Date()',
    'Date()',
    'process.hrtime()',
    "import { randomBytes } from 'node:crypto'",
    'globalThis.performance.now()',
  ])('sees that %s is not pure', (text) => {
    expect(impureLines(text, parse(text))).not.toEqual([]);
  });

  it('lets what was handed in be called what it is', () => {
    const text =
      'clock.setTimeout(f, 1); clock.now(); new Date(5); a instanceof Date; interface C { setTimeout(): void }';
    expect(impureLines(text, parse(text))).toEqual([]);
  });
});
