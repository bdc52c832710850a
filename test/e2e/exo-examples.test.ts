/** The examples of docs/examples, run as a user runs them, against the built package. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ExoBuild } from '../support/exo-build.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let build: ExoBuild;
let folder: string;
beforeAll(() => {
  build = new ExoBuild(['express', 'yaml']);
  folder = build.take('docs/examples', 'examples');
}, 60_000);
afterAll(() => build.remove());

describe('a program of docs/examples', () => {
  it.each(['progress', 'streamed-file', 'transfer'])('%s prints what its comments say', async (name) => {
    const source = readFileSync(`${ROOT}docs/examples/${name}.mjs`, 'utf8');
    const promised = [...source.matchAll(/^ *\/\/ prints: (.*)$/gm)].map(([, line]) => line);
    const said = await build.run(`${folder}/${name}.mjs`);
    expect(said.trim().split('\n')).toEqual(promised);
    expect(promised.length).toBeGreaterThan(2);
  });
});

describe('the todo application', () => {
  it('shows the page although the todo instance that was at work is killed', async () => {
    const said = await build.run(`${folder}/todo/run.mjs`);
    const lines = said.split('\n');
    const page = '<!doctype html><title>Todos</title><ul><li>buy milk</li><li>call grandma</li></ul>';
    expect(lines).toContain(`the page: ${page}`);
    const [, killed] = said.match(/^(todo [12]) was killed while it was at work$/m) ?? [];
    const other = killed === 'todo 1' ? 'todo 2' : 'todo 1';
    expect(lines).toContain(`${killed}   | at work`);
    expect(lines).toContain(`${other}   | at work, on what another instance left behind`);
  });
});
