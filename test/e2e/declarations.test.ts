/**
 * What the public classes show in the built declarations is what docs/api.md lists: every member, and no other. What nyota's
 * own parts need of each other would show here. Reads dist, so it is to be built.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { codeSpans, ROOT, sectionRows } from '../support/docs-markdown.js';

/** Each class with the file that declares it, and the sections of docs/api.md that list its members. */
const CLASSES = {
  Server: { files: { Server: 'server/server' }, sections: ['Members of a server'] },
  Client: {
    files: { Peer: 'peer/peer', Client: 'client/client' },
    sections: ['Peer', 'Members of a client'],
  },
  Session: { files: { Peer: 'peer/peer', Session: 'server/session' }, sections: ['Peer', 'Session'] },
  SharedStore: { files: { SharedStore: 'peer/shared-store' }, sections: ['Shared store'] },
};

/** The lines of a class's body in its declaration, without comments. */
function declared(name: string, file: string): string[] {
  const text = readFileSync(join(ROOT, 'dist', `${file}.d.ts`), 'utf8');
  const [, body] = new RegExp(`class ${name}\\b[^{]*\\{\\n([\\s\\S]*?)\\n\\}`).exec(text) ?? [];
  if (body === undefined) throw new Error(`${file}.d.ts declares no ${name}`);
  return body.split('\n').filter((line) => /^ {4}[^ /*]/.test(line) && line.trim() !== '#private;');
}

/** Undefined for what users can't reach. */
function memberOf(line: string): string | undefined {
  if (/^ {4}(private|protected) /.test(line)) return undefined;
  return /^ {4}(?:(?:static|abstract|readonly|async|get|set) )*(\[[\w.]+\]|\w+)/.exec(line)?.[1];
}

/** `send(event, ...args)` is a member named send. */
function listed(section: string): string[] {
  const cells = sectionRows('docs/api.md', section).map(([cell = '']) => cell);
  return cells.flatMap((cell) => codeSpans(cell).map((span) => /^(\[[\w.]+\]|\w+)/.exec(span)?.[1] ?? span));
}

const sorted = (names: readonly (string | undefined)[]): (string | undefined)[] => [...new Set(names)].sort();

describe('the declarations', () => {
  beforeAll(() => {
    if (!existsSync(join(ROOT, 'dist/index.d.ts'))) throw new Error('this test reads dist: npm run build');
  });

  it.each(Object.entries(CLASSES))('of %s are what docs/api.md lists', (_name, { files, sections }) => {
    const lines = Object.entries(files).flatMap(([name, file]) => declared(name, file));
    const members = lines.map(memberOf).filter((member) => member !== undefined);
    expect(members.length).toBeGreaterThan(10);
    expect(sorted(members)).toEqual(sorted(sections.flatMap(listed)));
  });

  it.each(['Server', 'Client', 'Session', 'SharedStore'] as const)('show no constructor of %s', (name) => {
    const file = Object.entries(CLASSES[name].files).at(-1) as [string, string];
    expect(declared(...file)).toContain('    private constructor();');
  });
});
