/**
 * Holds src/ to its layers (docs/architecture.md). `biome.layers.json` refuses an import that goes up while it is being
 * written; this file proves that those rules fire, and reads the whole import graph for what they can't see.
 * The table below and biome.layers.json say the same thing: change both.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAst } from 'vitest/node';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Each part of src (a folder, or a file next to index.ts) and the parts it may import, lowest first. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  clock: [],
  lifecycle: [],
  async: ['clock'],
  protocol: ['errors'],
  options: ['errors', 'clock', 'lifecycle', 'protocol'], // of protocol/ its constants alone, see ONLY
  sync: ['errors', 'protocol'], // of protocol/ types alone, see ONLY
  session: ['errors', 'lifecycle', 'options', 'protocol', 'sync'],
  stores: ['errors', 'session'],
  net: ['errors', 'clock', 'lifecycle', 'options', 'protocol'],
  peer: ['errors', 'clock', 'lifecycle', 'options', 'protocol', 'sync', 'session', 'stores', 'net'],
  index: [
    'errors',
    'clock',
    'lifecycle',
    'async',
    'options',
    'protocol',
    'sync',
    'session',
    'stores',
    'net',
    'peer',
  ],
  exorelay: ['errors', 'async', 'index'],
  exocom: ['errors', 'async', 'index', 'exorelay'], // of exorelay/ the message alone, see ONLY
  testing: ['errors', 'clock', 'lifecycle', 'index', 'exorelay', 'exocom'],
  cli: ['stores', 'index', 'exocom', 'testing'],
};
const PARTS = Object.keys(MAY_IMPORT);
const FILES = new Set(['errors', 'clock', 'lifecycle', 'async', 'options', 'index']);
const PURE = ['protocol', 'sync', 'session'];
const SOCKETS = ['node:net', 'node:tls'];
const KNOW_SOCKETS = ['net', 'testing', 'cli'];
const PURE_BUILTINS = ['node:buffer', 'node:util', 'node:crypto'];
/** Packages that one part alone may know. */
const OWNED_PACKAGES: Readonly<Record<string, string>> = {
  msgpackr: 'protocol',
  commander: 'cli',
  'cli-progress': 'cli',
  'cli-table3': 'cli',
  'hdr-histogram-js': 'cli',
};
/** Imports that are allowed in a narrower form than the table says. */
const ONLY: readonly { from: string; to: RegExp; allowed: (found: Import) => boolean; what: string }[] = [
  { from: 'options', to: /^protocol\//, allowed: (i) => i.to === 'protocol/constants', what: 'constants' },
  { from: 'options', to: /^node:(net|tls)$/, allowed: (i) => i.typeOnly, what: 'types' },
  { from: 'sync', to: /^protocol\//, allowed: (i) => i.typeOnly, what: 'types' },
  { from: 'exocom', to: /^exorelay\//, allowed: (i) => i.to === 'exorelay/message', what: 'the message' },
];
/** A name that a pure folder doesn't use, not even for something else: it would read as the global. */
const NOT_IN_PURE = new Set([
  ...['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate'],
  ...['queueMicrotask', 'performance', 'crypto', 'process', 'console', 'globalThis', 'global'],
]);

interface Import {
  /** `session/outbox`, as a path below src without its ending. */
  readonly from: string;
  /** The same, or the name of a package or of a built-in module. */
  readonly to: string;
  readonly typeOnly: boolean;
}
interface SourceFile {
  readonly name: string;
  readonly imports: readonly Import[];
  readonly impure: readonly string[];
}
type Node = { readonly type: string } & Record<string, unknown>;

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const [key, value] of Object.entries(node)) {
    // Names of members are not uses of a global: `timers.setTimeout`, `{ process: 1 }`, `interface { crypto(): void }`.
    if (!node.computed && (key === 'property' || key === 'key')) continue;
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) walk(child, visit);
  }
}

const isNamed = (value: unknown, name: string): boolean =>
  isNode(value) && value.type === 'Identifier' && value.name === name;

/** What a node reads of the clock, of chance or of the process, if it does. */
function impurity(node: Node): string | undefined {
  const name = String(node.name);
  if (node.type === 'Identifier' && NOT_IN_PURE.has(name)) return name;
  if (node.type === 'MemberExpression' && isNode(node.property)) {
    const { object, property } = node;
    const member = String(property.name ?? property.value);
    if (isNamed(object, 'Date') && member === 'now') return 'Date.now';
    if (isNamed(object, 'Math') && member === 'random') return 'Math.random';
  }
  const argless = Array.isArray(node.arguments) && node.arguments.length === 0;
  if (node.type === 'NewExpression' && isNamed(node.callee, 'Date') && argless) return 'new Date()';
  if (node.type === 'CallExpression' && isNamed(node.callee, 'Date')) return 'Date()';
  return undefined;
}

/** `import x`, `export from`, `import()` and `import('x').T`. */
function importOf(node: Node): { specifier: string; typeOnly: boolean } | undefined {
  if (!/^(Import(Declaration|Expression)|Export(All|Named)Declaration|TSImportType)$/.test(node.type)) return;
  const source = node.source ?? node.argument;
  const literal = isNode(source) && isNode(source.literal) ? source.literal : source;
  if (!isNode(literal)) return;
  const names = Array.isArray(node.specifiers) ? node.specifiers.filter(isNode) : [];
  const everyNameIsType =
    names.length > 0 && names.every((n) => n.importKind === 'type' || n.exportKind === 'type');
  const typeOnly =
    node.type === 'TSImportType' ||
    node.importKind === 'type' ||
    node.exportKind === 'type' ||
    everyNameIsType;
  return { specifier: String(literal.value), typeOnly };
}

function readSource(name: string, text: string): SourceFile {
  const imports: Import[] = [];
  const impure: string[] = [];
  walk(parseAst(text, { lang: 'ts' }) as unknown as Node, (node) => {
    const found = importOf(node);
    if (found) {
      const { specifier, typeOnly } = found;
      const to = specifier.startsWith('.')
        ? posix.join(posix.dirname(name), specifier).replace(/\.js$/, '')
        : specifier;
      imports.push({ from: name, to, typeOnly });
    }
    const what = impurity(node);
    if (what) impure.push(what);
  });
  return { name, imports, impure };
}

const isExternal = (to: string): boolean => !PARTS.includes(partOf(to));
const partOf = (name: string): string => name.split('/')[0] ?? name;

/** What is wrong with one import, in words, or nothing. */
function wrong({ from, to, typeOnly }: Import): string | undefined {
  const part = partOf(from);
  const external = isExternal(to) && !to.startsWith('..');
  const narrower = ONLY.find((only) => only.from === part && only.to.test(to));
  if (narrower)
    return narrower.allowed({ from, to, typeOnly }) ? undefined : `${part}: ${narrower.what} alone`;
  if (!external) {
    if (partOf(to) === part && !FILES.has(part)) return undefined;
    return MAY_IMPORT[part]?.includes(partOf(to)) ? undefined : `${part} may not import ${partOf(to)}`;
  }
  const owner = OWNED_PACKAGES[to];
  if (owner !== undefined) return owner === part ? undefined : `${to} is ${owner}/'s business`;
  if (SOCKETS.includes(to))
    return KNOW_SOCKETS.includes(part) ? undefined : 'sockets are the business of net/';
  if (PURE.includes(part) && !PURE_BUILTINS.includes(to)) return `${part}/ is pure and needs no ${to}`;
  return undefined;
}

const files: SourceFile[] = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const name = path.split(sep).join('/').replace(/\.ts$/, '');
    return readSource(name, readFileSync(join(ROOT, 'src', path), 'utf8'));
  });

describe('the import graph of src', () => {
  it('has only the parts that the table of layers names', () => {
    expect(files.map((file) => partOf(file.name)).filter((part) => !PARTS.includes(part))).toEqual([]);
  });

  it('goes downward only, and uses packages and sockets where they belong', () => {
    const found = files.flatMap((file) => file.imports);
    expect(found.length).toBeGreaterThan(0);
    const complaints = found.map((i) => ({ ...i, problem: wrong(i) })).filter((i) => i.problem);
    expect(complaints).toEqual([]);
  });

  it('has no cycle between its parts', () => {
    const below = new Map<string, Set<string>>();
    for (const { from, to } of files.flatMap((file) => file.imports)) {
      if (isExternal(to) || partOf(from) === partOf(to)) continue;
      below.set(partOf(from), (below.get(partOf(from)) ?? new Set()).add(partOf(to)));
    }
    const cycleFrom = (part: string, path: readonly string[]): readonly string[] | undefined => {
      if (path.includes(part)) return [...path.slice(path.indexOf(part)), part];
      for (const next of below.get(part) ?? []) {
        const cycle = cycleFrom(next, [...path, part]);
        if (cycle) return cycle;
      }
      return undefined;
    };
    for (const part of below.keys()) expect(cycleFrom(part, [])).toBeUndefined();
  });

  it('keeps clocks, timers, chance and the process out of the pure folders', () => {
    const pure = files.filter((file) => PURE.includes(partOf(file.name)));
    expect(pure.length).toBeGreaterThan(0);
    expect(
      pure.filter((file) => file.impure.length > 0).map(({ name, impure }) => ({ name, impure })),
    ).toEqual([]);
  });

  it('has no comment that switches a check off', () => {
    const silenced = /(?:biome|eslint)-(?:ignore|disable)|@ts-(?:ignore|nocheck|expect-error)/;
    const offenders = files.filter((f) =>
      silenced.test(readFileSync(join(ROOT, 'src', `${f.name}.ts`), 'utf8')),
    );
    expect(offenders.map((file) => file.name)).toEqual([]);
  });
});

describe('the reader of the import graph', () => {
  it.each([
    ["import { A } from '../errors.js';", 'errors', false],
    ["import type { A } from '../net/dialer.js';", 'net/dialer', true],
    ["import { type A, type B } from './b.js';", 'session/b', true],
    ["import { type A, B } from './b.js';", 'session/b', false],
    ["export * from '../cli/main.js';", 'cli/main', false],
    ["export type { A } from 'msgpackr';", 'msgpackr', true],
    ["const a = await import('node:net');", 'node:net', false],
    ["let a: import('node:net').Socket;", 'node:net', true],
    ["import 'node:tls';", 'node:tls', false],
  ])('sees %s', (text, to, typeOnly) => {
    expect(readSource('session/a', text).imports).toEqual([{ from: 'session/a', to, typeOnly }]);
  });

  it('is not taken in by comments, strings and regular expressions', () => {
    const text = `// import '../net/a.js'\nconst a = "import '../net/a.js'"; const b = /['"]/; /* Date.now() */`;
    expect(readSource('session/a', text)).toMatchObject({ imports: [], impure: [] });
  });

  it.each([
    ['setTimeout(f, 1)', 'setTimeout'],
    ['const t = setImmediate', 'setImmediate'],
    ['Date.now()', 'Date.now'],
    ["Date['now']()", 'Date.now'],
    ['[1].map(Math.random)', 'Math.random'],
    ['new Date()', 'new Date()'],
    ['Date()', 'Date()'],
    ['process.hrtime()', 'process'],
    ['globalThis.performance.now()', 'globalThis'],
  ])('sees that %s is not pure', (text, what) => {
    expect(readSource('session/a', text).impure).toContain(what);
  });

  it('lets what was handed in be called what it is', () => {
    const text =
      'clock.setTimeout(f, 1); clock.now(); new Date(5); a instanceof Date; interface C { setTimeout(): void }';
    expect(readSource('session/a', text).impure).toEqual([]);
  });
});

describe('the lint rules', () => {
  /** A line of a made-up file in a part of src, and whether it is refused there. */
  interface Case {
    readonly part: string;
    readonly text: string;
    readonly refused: boolean;
  }
  const pathOf = (part: string): string => (FILES.has(part) ? `src/${part}.ts` : `src/${part}/made-up.ts`);
  const specifierOf = (from: string, to: string): string => {
    const target = FILES.has(to) ? to : `${to}/${to === 'protocol' ? 'constants' : 'made-up'}`;
    return `${FILES.has(from) ? '.' : '..'}/${target}.js`;
  };
  const may = (from: string, to: string): boolean => MAY_IMPORT[from]?.includes(to) === true;

  const between = PARTS.flatMap((part) =>
    PARTS.filter((other) => other !== part).map((other) => {
      return { part, text: `import '${specifierOf(part, other)}';`, refused: !may(part, other) };
    }),
  );
  const sockets = PARTS.filter((part) => part !== 'options').flatMap((part) =>
    SOCKETS.map((name) => ({ part, text: `import '${name}';`, refused: !KNOW_SOCKETS.includes(part) })),
  );
  const packages = PARTS.flatMap((part) =>
    Object.entries(OWNED_PACKAGES).map(([name, owner]) => {
      return { part, text: `import '${name}';`, refused: owner !== part };
    }),
  );
  const own = PARTS.filter((part) => !FILES.has(part)).map((part) => {
    return { part, text: "import './other.js';", refused: false };
  });
  const purity = PURE.flatMap((part) => [
    ...['node:timers', 'node:timers/promises', 'node:fs', 'node:fs/promises', 'node:os'].map((name) => {
      return { part, text: `import '${name}';`, refused: true };
    }),
    ...['eventemitter3', 'p-retry'].map((name) => ({ part, text: `import '${name}';`, refused: true })),
    ...PURE_BUILTINS.slice(0, 2).map((name) => ({ part, text: `import '${name}';`, refused: false })),
    { part, text: "export { randomBytes } from 'node:crypto';", refused: true },
    { part, text: "export { createHash, timingSafeEqual } from 'node:crypto';", refused: false },
    ...[...NOT_IN_PURE].map((name) => ({ part, text: `void ${name};`, refused: true })),
    ...['Date.now()', 'Date.now', 'Math.random()', 'new Date()', 'Date()'].map((expression) => {
      return { part, text: `void ${expression};`, refused: true };
    }),
    ...['new Date(5)', 'Math.max(1, 2)', 'Buffer.alloc(1)'].map((expression) => {
      return { part, text: `void ${expression};`, refused: false };
    }),
  ]);
  const elsewhere = ['net', 'peer', 'testing'].map((part) => {
    return { part, text: 'setTimeout(() => Date.now(), 1);', refused: false };
  });
  const cases: readonly Case[] = [...between, ...sockets, ...packages, ...own, ...purity, ...elsewhere];

  /** `src/session/made-up.ts:3`: the lines that the rules of layers refused. */
  const refused = new Set<string>();
  const placeOf = (wanted: Case): string => {
    const lines = cases.filter((other) => other.part === wanted.part);
    return `${pathOf(wanted.part)}:${lines.indexOf(wanted) + 1}`;
  };
  let scratch = '';

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'nyota-layers-'));
    for (const name of ['biome.json', 'biome.layers.json', 'scripts']) {
      cpSync(join(ROOT, name), join(scratch, name), { recursive: true });
    }
    for (const part of PARTS) {
      const lines = cases.filter((wanted) => wanted.part === part).map((wanted) => wanted.text);
      mkdirSync(dirname(join(scratch, pathOf(part))), { recursive: true });
      writeFileSync(join(scratch, pathOf(part)), `${lines.join('\n')}\n`);
    }
    const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome');
    const args = ['lint', '--vcs-enabled=false', '--reporter=github', '--max-diagnostics=none', 'src'];
    const { stdout, stderr } = spawnSync(process.execPath, [biome, ...args], {
      cwd: scratch,
      encoding: 'utf8',
    });
    const layerRule = /^::error title=(?:plugin|lint\/style\/noRestricted\w+),file=(.+?),line=(\d+),/gm;
    for (const [, file, line] of stdout.matchAll(layerRule)) {
      refused.add(
        `${`${file}`
          .split(sep)
          .join('/')
          .replace(/^.*(?=src\/)/, '')}:${line}`,
      );
    }
    // Without one diagnostic the lint did not run, and every "lets through" below would pass for nothing.
    expect(refused.size, stderr).toBeGreaterThan(0);
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it.each(PARTS)('hold for %s', (part) => {
    const mine = cases.filter((wanted) => wanted.part === part);
    const outcome = mine.map((wanted) => ({ text: wanted.text, refused: refused.has(placeOf(wanted)) }));
    expect(outcome).toEqual(mine.map(({ text, refused: expected }) => ({ text, refused: expected })));
  });

  it('refuse dynamic and type-only imports as well', () => {
    const text = ["await import('../peer/a.js');", "export type { Socket } from 'node:net';"].join('\n');
    writeFileSync(join(scratch, 'src/session/made-up.ts'), `${text}\n`);
    const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome');
    const args = ['lint', '--vcs-enabled=false', '--reporter=github', 'src/session'];
    const { stdout } = spawnSync(process.execPath, [biome, ...args], { cwd: scratch, encoding: 'utf8' });
    expect(stdout.match(/noRestrictedImports/g)).toHaveLength(2);
  });
});
