/** What the types of the built package show is what docs/api.md lists, both ways: nothing that is ours alone, and nothing promised in vain. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Declarations } from '../support/declarations.js';
import { ROOT, readDocument } from '../support/docs-markdown.js';

/** The tables of docs/api.md that list the members of a class, by their headings. */
const LISTED_UNDER: Readonly<Record<string, readonly string[]>> = {
  Server: ['Members of a server'],
  Client: ['Peer', 'Members of a client'],
  Session: ['Peer', 'Session'],
  Peer: ['Peer'],
  SharedStore: ['Shared store'],
};

const api = readDocument('docs/api.md');
const declarations = new Declarations(join(ROOT, 'dist'));

/** The names in a table's first column: `send` of `` `send(event, ...args)` ``. */
function listed(heading: string): string[] {
  const cells = (api.rowsUnder.get(heading) ?? []).map(([cell]) => cell ?? '');
  return cells.flatMap((cell) =>
    [...cell.matchAll(/`(\[Symbol\.\w+\]|\w+)/g)].map((match) => match[1] ?? ''),
  );
}

describe.each(Object.entries(LISTED_UNDER))('%s', (name, headings) => {
  const shown = declarations.membersOf(name);
  // What only nyota's own classes can hand over, as a class that others extend must show it.
  if (name === 'Peer') shown.delete('constructor');
  const inDocs = new Set(headings.flatMap(listed));

  it('shows nothing but what docs/api.md lists', () => {
    expect([...shown].filter((member) => !inDocs.has(member))).toEqual([]);
  });

  it('has all that docs/api.md lists', () => {
    expect(inDocs.size).toBeGreaterThan(5);
    expect([...inDocs].filter((member) => !shown.has(member))).toEqual([]);
  });
});
