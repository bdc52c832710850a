/**
 * The lists in the documents are those of the code: error codes, options, exports, types and numbers of the wire,
 * dependencies. The hex of docs/protocol.md is that of the wire vectors. And what documents and comments cite is there: files,
 * rules, mutants, and the tests of each rule.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as client from '../../src/client/options.js';
import { ERROR_CODES, isRetry } from '../../src/errors.js';
import { OPTIONS as EXOCOM_OPTIONS } from '../../src/exocom/options.js';
import { OPTIONS as RELAY_OPTIONS } from '../../src/exorelay/options.js';
import * as nyota from '../../src/index.js';
import { LIFECYCLE_EVENTS } from '../../src/lifecycle.js';
import { LIMITS, type Option } from '../../src/options.js';
import { sessionId, verifierOf } from '../../src/peer/credentials.js';
import * as server from '../../src/server/options.js';
import { ElementType, ExtKind, Flag } from '../../src/wire/constants.js';
import { MUTANTS } from '../simulation/mutants.js';
import { codeName, type Document, documentNames, ROOT, readDocument } from '../support/docs-markdown.js';
import { FrameType } from '../support/frame-type.js';

const source = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const isCode = (name: string | undefined): name is string => name?.startsWith('NYOTA_') === true;

/** `code -> retry class` of the rows that begin with a code. */
function retryClasses(document: Document): Map<string, string> {
  const found = document.rows.map((row) => [codeName(row[0]), codeName(row[1])] as const);
  const codes = found.filter((entry): entry is [string, string] => isCode(entry[0]) && isRetry(entry[1]));
  expect(codes.length, 'codes listed twice').toBe(new Set(codes.map(([code]) => code)).size);
  return new Map(codes);
}

describe('docs/errors.md', () => {
  it('has every code with its retry class, and no other', () => {
    expect(Object.fromEntries(retryClasses(readDocument('docs/errors.md')))).toEqual(ERROR_CODES);
  });
});

describe('docs/protocol.md', () => {
  const protocol = readDocument('docs/protocol.md');
  const hex = (number: number): string => `\`0x${number.toString(16).padStart(2, '0')}\``;

  it.each([
    ['frame type', FrameType],
    ['flag', Flag],
    ['extension kind', ExtKind],
    ['element type', ElementType],
  ])('has the number of every %s', (_what, numbers) => {
    for (const [name, number] of Object.entries(numbers)) {
      const row = protocol.rows.find((cells) => cells[1] === name && cells[0] === hex(number));
      expect(row, `${name} ${hex(number)}`).toBeDefined();
    }
  });

  it('gives codes the retry classes that they have', () => {
    for (const [code, retry] of retryClasses(protocol)) expect(ERROR_CODES).toHaveProperty(code, retry);
  });

  it('names every code that is mentioned rightly', () => {
    for (const [code] of protocol.text.matchAll(/NYOTA_[A-Z_]+/g)) expect(ERROR_CODES).toHaveProperty(code);
  });

  it('names every event that may not be sent', () => {
    for (const event of LIFECYCLE_EVENTS) expect(protocol.text).toContain(`\`${event}\``);
  });

  it('derives id and verifier from the secret as the code does', () => {
    const secret = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
    const derived = Object.fromEntries(protocol.rows.map((row) => [row[0], codeName(row[1])]));
    expect(derived.id).toBe(sessionId(secret));
    expect(derived.verifier).toBe(verifierOf(secret).toString('hex'));
  });

  it('has hex examples that are wire vectors', () => {
    const vectors: unknown = JSON.parse(source('test/fixtures/wire-vectors.json'));
    const known = new Map<string, string>();
    for (const list of Object.values(vectors as Record<string, unknown>)) {
      if (!Array.isArray(list)) continue;
      for (const { description, hex: bytes } of list) known.set(String(description), String(bytes));
    }
    const lines = protocol.blocks.filter((block) => block.language === 'wire').map((block) => block.text);
    const examples = lines.join('\n').split('\n');
    expect(examples.length).toBeGreaterThan(30);
    for (const example of examples) {
      const [, bytes, description = ''] = /^([0-9a-f ]+?) +# (.*)$/.exec(example) ?? [];
      expect(bytes, example).toBe(known.get(description));
    }
  });
});

describe.each<[file: string, document: string, table: Readonly<Record<string, Option<unknown>>>]>([
  ['src/options.ts', 'docs/api.md', LIMITS],
  ['src/client/options.ts', 'docs/api.md', client.OWN_OPTIONS],
  ['src/server/options.ts', 'docs/api.md', server.OWN_OPTIONS],
  ['src/exorelay/options.ts', 'docs/exorelay.md', RELAY_OPTIONS],
  ['src/exocom/options.ts', 'docs/exocom.md', EXOCOM_OPTIONS],
])('the options of %s in %s', (file, document, table) => {
  const { rows } = readDocument(document);
  const declaration = source(file);

  it.each(Object.entries(table))(
    '%s: a row with its default, which the comment at its declaration has too',
    (name, read) => {
      const fallback = read(undefined, name);
      const spelled = typeof fallback === 'number' ? spellings(fallback) : [];
      const told = rows.filter(([names]) => names?.includes(`\`${name}\``)).map((row) => row[1] ?? '');
      const one = spelled.length === 0 ? /./ : new RegExp(`(^|, )(${spelled.join('|')})($|, | \\()`);
      expect(told).toContainEqual(expect.stringMatching(one));
      const [, comment = ''] =
        new RegExp(`\\n +/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\n +${name}\\?:`).exec(declaration) ?? [];
      const [, said] = /\bDefault (\d+(?: \d{3})*(?: MiB)?)/.exec(comment) ?? [];
      if (said !== undefined && spelled.length > 0) expect(spelled).toContain(said);
    },
  );
});

/** 1 048 576, or 1 MiB. */
function spellings(number: number): string[] {
  const mib = number / 2 ** 20;
  return [
    String(number).replace(/\B(?=(\d{3})+$)/g, ' '),
    ...(number > 0 && Number.isInteger(mib) ? [`${mib} MiB`] : []),
  ];
}

describe('docs/api.md', () => {
  const api = readDocument('docs/api.md');
  const mentions = (name: string): boolean =>
    new RegExp(`\`[^\`\\n]*\\b${name}\\b[^\`\\n]*\``).test(api.text);

  it.each([
    ['net.connect', client.TCP_OPTIONS],
    ['net.createServer', server.TCP_OPTIONS],
  ])('mentions every option that goes on to %s', (_, table) => {
    expect(Object.keys(table).filter((name) => !mentions(name))).toEqual([]);
  });

  it('mentions every export, its types too', () => {
    const types = [...source('src/index.ts').matchAll(/\{([^}]*)\}/g)].flatMap(([, names = '']) =>
      names.split(',').map((name) => name.replace('type ', '').trim()),
    );
    const all = new Set([...Object.keys(nyota), ...types.filter((name) => name !== '')]);
    expect([...all].filter((name) => !mentions(name))).toEqual([]);
  });

  it('mentions every lifecycle event', () => {
    expect(LIFECYCLE_EVENTS.filter((event) => !mentions(event))).toEqual([]);
  });
});

describe('docs/architecture.md', () => {
  const architecture = readDocument('docs/architecture.md');

  it('gives a reason for every dependency', () => {
    const { dependencies, peerDependencies } = JSON.parse(source('package.json')) as {
      dependencies: Record<string, string>;
      peerDependencies: Record<string, string>;
    };
    for (const name of Object.keys(dependencies)) {
      const row = architecture.rows.find((cells) => codeName(cells[0]) === name);
      expect(row?.[2], name).toBeTruthy();
    }
    for (const name of Object.keys(peerDependencies)) expect(architecture.text).toContain(`\`${name}\``);
  });
});

/** Every file of ours below a folder, by its path from the root of the repository. */
function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => posix.join(folder, path.split(sep).join('/')))
    .filter((path) => !/\/(node_modules|dist)\//.test(path));
}
const PROGRAMS = ['src', 'test', 'bench', 'scripts', 'docs/examples']
  .flatMap(filesBelow)
  .filter((path) => /\.(ts|js|mjs)$/.test(path));
const exists = (path: string): boolean => existsSync(join(ROOT, path));

/** The comments of a program, each as one line, without the marks at the beginnings of its lines. */
function commentsOf(path: string): string[] {
  const found = source(path).match(/\/\*[\s\S]*?\*\/|(?:^[ \t]*\/\/.*\n)+|\/\/.*$/gm) ?? [];
  return found.map((comment) => comment.replace(/\s*\n[ \t]*(?:\*(?!\/)|\/\/)?[ \t]*/g, ' '));
}
const comments = PROGRAMS.flatMap((path) => commentsOf(path).map((text) => ({ path, text })));

describe('docs/design.md', () => {
  const { text } = readDocument('docs/design.md');
  const rules = [...text.matchAll(/^### (G?\d+)\. /gm)].map((match) => match[1] ?? '');

  it('gives no number to two rules', () => {
    expect(rules.length).toBeGreaterThan(80);
    expect(rules.length).toBe(new Set(rules).size);
  });

  it('has every rule that a comment cites', () => {
    const cited = comments.flatMap(({ path, text: comment }) =>
      [...comment.matchAll(/docs\/design\.md, ((?:rules? |and |to |G?\d+(?:, |\b) ?)+)/g)]
        .flatMap(([, numbers = '']) => numbers.match(/G?\d+/g) ?? [])
        .map((rule) => ({ path, rule })),
    );
    expect(cited.length).toBeGreaterThan(50);
    expect(cited.filter(({ rule }) => !rules.includes(rule))).toEqual([]);
  });

  it('has every rule that docs/architecture.md cites', () => {
    const cited = [...readDocument('docs/architecture.md').text.matchAll(/\[(\d+(?:, \d+)*)\]/g)]
      .flatMap(([, numbers = '']) => numbers.split(', '))
      .filter((rule) => !rules.includes(rule));
    expect(cited).toEqual([]);
  });

  it('is cited by the number of a rule in comments of src', () => {
    const vague = comments.filter(
      ({ path, text: comment }) =>
        path.startsWith('src/') && /docs\/design\.md(?!, (?:rules? \d|G\d))/.test(comment),
    );
    expect(vague).toEqual([]);
  });

  it('has every mutant under a rule', () => {
    const words = text.replace(/\s+/g, ' ');
    const missing = MUTANTS.filter(({ name }) => !words.includes(`*${name}*`));
    expect(missing.map(({ name }) => name)).toEqual([]);
  });

  const map = readDocument('CONTRIBUTING.md').rowsUnder.get('Find the tests of a rule')?.slice(1) ?? [];

  it('has a row for every rule in the map of tests in CONTRIBUTING.md', () => {
    expect(map.map(([rule]) => rule)).toEqual(rules);
  });

  it('has tests that exist in that map', () => {
    const wrong = map.flatMap(([rule, cell = '']) => {
      const tests = [...cell.matchAll(/`([^`]+)`/g)].map((match) => `test/${match[1]}`);
      const missing = tests.filter((path) => !exists(path));
      return tests.length === 0 ? [`${rule}: none`] : missing.map((path) => `${rule}: ${path}`);
    });
    expect(wrong).toEqual([]);
  });

  it('has every mutant in that map, and no other', () => {
    const named = map.flatMap(([, , cell = '']) => cell.match(/(?<=\*)[^*,][^*]*(?=\*)/g) ?? []);
    expect(new Set(named)).toEqual(new Set(MUTANTS.map(({ name }) => name)));
  });
});

describe('what is named', () => {
  it('in documents: files and folders that exist', () => {
    const missing = documentNames().flatMap((name) =>
      [...readDocument(name).text.matchAll(/`((?:[\w-]+\/)+[\w.-]*)`/g)]
        .map((match) => match[1] ?? '')
        .filter((path) => /^(src|test|bench|scripts|docs)\/|\.ts$/.test(path))
        .filter((path) => !['', 'src/', 'test/'].some((folder) => exists(folder + path)))
        .map((path) => `${name}: ${path}`),
    );
    expect(missing).toEqual([]);
  });

  it('in comments of src: files that exist', () => {
    const names = new Set(PROGRAMS.map((path) => posix.basename(path)));
    const isThere = (named: string, from: string): boolean =>
      named.includes('/')
        ? ['', 'src/', `${posix.dirname(from)}/`].some((folder) => exists(folder + named))
        : names.has(named);
    const missing = comments
      .filter(({ path }) => path.startsWith('src/'))
      .flatMap(({ path, text }) =>
        (text.match(/(?<![\w./-])(?:\.\.?\/|[\w-]+\/)*[\w-]+\.ts\b/g) ?? [])
          .filter((named) => !isThere(named, path))
          .map((named) => `${path}: ${named}`),
      );
    expect(missing).toEqual([]);
  });

  it('anywhere: no paper that is not in the repository', () => {
    const settings = readdirSync(ROOT).filter((name) => /\.(json|js|ts)$/.test(name));
    const missing = [...documentNames(), ...settings, ...PROGRAMS].flatMap((path) =>
      (source(path).match(/(?<![\w./-])(?:[\w-]+\/|\.\.?\/)*[\w-]+\.md\b/g) ?? [])
        .filter((named) => !['', 'docs/', `${posix.dirname(path)}/`].some((folder) => exists(folder + named)))
        .map((named) => `${path}: ${named}`),
    );
    expect(missing).toEqual([]);
  });
});
