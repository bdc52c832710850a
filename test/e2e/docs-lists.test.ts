/**
 * The lists in the documents are those of the code: error codes, options, exports, types and numbers of the wire,
 * dependencies. And the hex of docs/protocol.md is that of the wire vectors.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readClientOptions } from '../../src/client/options.js';
import { ERROR_CODES, isRetry } from '../../src/errors.js';
import * as nyota from '../../src/index.js';
import { LIFECYCLE_EVENTS } from '../../src/lifecycle.js';
import { LIMIT_NAMES, readLimits } from '../../src/options.js';
import { sessionId, verifierOf } from '../../src/peer/credentials.js';
import { readServerOptions } from '../../src/server/options.js';
import { ElementType, ExtKind, Flag } from '../../src/wire/constants.js';
import { codeName, type Document, ROOT, readDocument } from '../support/docs-markdown.js';
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

describe('docs/api.md', () => {
  const api = readDocument('docs/api.md');
  const defaults = new Map(api.rows.map((row) => [codeName(row[0]), row[1] ?? '']));
  const mentions = (name: string): boolean =>
    new RegExp(`\`[^\`\\n]*\\b${name}\\b[^\`\\n]*\``).test(api.text);

  /** The strings of an array or a Set of strings in a source file. */
  function listIn(path: string, name: string): string[] {
    const [, body = ''] = new RegExp(`const ${name}[^=]*= [^\\[]*\\[([^\\]]*)\\]`).exec(source(path)) ?? [];
    return [...body.matchAll(/'(\w+)'/g)].map((match) => match[1] ?? '');
  }

  it.each([...LIMIT_NAMES])('has the default of %s', (name) => {
    const value = readLimits({})[name as keyof ReturnType<typeof readLimits>];
    expect(defaults.get(name)?.replaceAll(' ', '')).toBe(String(value));
  });

  it.each([
    ['src/client/options.ts', 'OWN_NAMES'],
    ['src/client/options.ts', 'TCP_NAMES'],
    ['src/server/options.ts', 'OWN_NAMES'],
    ['src/server/options.ts', 'TCP_NAMES'],
  ])('mentions every option of %s, %s', (path, list) => {
    const names = listIn(path, list);
    expect(names.length).toBeGreaterThan(3);
    expect(names.filter((name) => !mentions(name))).toEqual([]);
    if (list !== 'TCP_NAMES') expect(names.filter((name) => !defaults.get(name))).toEqual([]);
  });

  it('has the defaults of the numbers among the options', () => {
    const all = { ...readServerOptions({}), ...readClientOptions({ port: 1 }) };
    for (const [name, value] of Object.entries(all)) {
      if (typeof value === 'number')
        expect(defaults.get(name)?.replaceAll(' ', ''), name).toBe(String(value));
    }
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

  it('names files that exist', () => {
    const named = [...architecture.text.matchAll(/`((?:[\w-]+\/)+[\w-]+\.ts)`/g)].map(
      (match) => match[1] ?? '',
    );
    expect(named.length).toBeGreaterThan(10);
    for (const path of named) {
      const full = /^(src|test)\//.test(path) ? path : `src/${path}`;
      expect(() => source(full), path).not.toThrow();
    }
  });

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
