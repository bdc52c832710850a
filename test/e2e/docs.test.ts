/**
 * The documents: their examples run and compile, their links resolve, and their lists are the code's.
 * The examples run against dist, as a user has it: build first (`npm test` does).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentNames, ROOT, readDocument } from '../support/docs-markdown.js';
import { makeConsumer, programsOf, runProgram, typeScriptOf } from '../support/docs-programs.js';

const documents = documentNames().map(readDocument);
let consumer = '';

beforeAll(async () => {
  if (!existsSync(join(ROOT, 'dist/index.js')))
    throw new Error('there is no dist/: run `npm run build` first');
  consumer = await makeConsumer();
});
afterAll(() => rmSync(consumer, { recursive: true, force: true }));

describe.concurrent('the programs print what their comments say', () => {
  const programs = documents.flatMap(programsOf);
  it.each(programs.map((program) => [program.title, program] as const))('%s', async (_title, program) => {
    const { stdout, stderr, exitCode } = await runProgram(consumer, program);
    expect(stdout, stderr).toEqual(program.prints);
    expect([0, undefined], stderr).toContain(exitCode);
  });
});

describe('the TypeScript examples', () => {
  it('compile, with every check that TypeScript has', () => {
    const snippets = documents.flatMap(typeScriptOf);
    expect(snippets.length).toBeGreaterThan(0);
    const folder = join(consumer, 'types');
    for (const { folder: name, file, source } of snippets) {
      mkdirSync(join(folder, name), { recursive: true });
      // Each is a module of its own, also where it imports nothing.
      writeFileSync(join(folder, name, file), `${source}\nexport {};\n`);
    }
    const compilerOptions = {
      target: 'ES2023',
      lib: ['ES2023', 'ESNext.Disposable'],
      module: 'nodenext',
      moduleResolution: 'nodenext',
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: true,
      noEmit: true,
      typeRoots: [join(ROOT, 'node_modules/@types')],
      types: ['node'],
    };
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['**/*'] }));
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', '.'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });
});

describe('the links', () => {
  const anchorsOf = new Map(documents.map(({ name, anchors }) => [name, anchors]));
  const links = documents.flatMap(({ name, links: all }) => all.map((link) => ({ name, ...link })));
  const relative = links.filter(({ target }) => !/^[a-z]+:/.test(target));

  it('lead to files and headings that exist', () => {
    expect(relative.length).toBeGreaterThan(0);
    const broken = relative.filter(({ name, target }) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? name : posix.join(posix.dirname(name), path);
      if (!existsSync(join(ROOT, file))) return true;
      return anchor !== undefined && anchorsOf.get(file)?.has(anchor) !== true;
    });
    expect(broken.map(({ name, line, target }) => `${name}:${line} ${target}`)).toEqual([]);
  });

  it('in the README lead to every document', () => {
    const linked = links.filter(({ name }) => name === 'README.md').map(({ target }) => target);
    for (const { name } of documents) if (name !== 'README.md') expect(linked).toContain(name);
  });
});
