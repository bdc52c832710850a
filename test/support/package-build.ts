/**
 * The package, built from src for the tests that run it in processes of their own, so that dist need not be there or new. Built
 * once for each state of src, however many test files want it.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache/nyota-test-builds');
const KEPT_MS = 24 * 60 * 60 * 1000;

/** The folder that holds its `package.json` and `dist`. It is everybody's: leave it as it is. */
export function builtPackage(): string {
  const folder = join(CACHE, stateOfSources());
  if (existsSync(folder)) return folder;
  mkdirSync(CACHE, { recursive: true });
  const draft = mkdtempSync(join(CACHE, 'draft-'));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const options = ['--outDir', join(draft, 'dist'), '--sourceMap', 'false', '--inlineSources', 'false'];
  const { error } = spawnSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.json'), ...options]);
  if (error !== undefined) throw error;
  cpSync(join(ROOT, 'package.json'), join(draft, 'package.json'));
  try {
    renameSync(draft, folder);
  } catch (failed) {
    rmSync(draft, { recursive: true });
    if (!existsSync(folder)) throw failed; // else another test file was faster
  }
  removeOld();
  return folder;
}

function stateOfSources(): string {
  const hash = createHash('sha256');
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => join('src', path));
  for (const path of [
    'package.json',
    'tsconfig.json',
    'node_modules/typescript/package.json',
    ...sources.sort(),
  ]) {
    hash
      .update(path)
      .update('\0')
      .update(readFileSync(join(ROOT, path)))
      .update('\0');
  }
  return hash.digest('hex').slice(0, 32);
}

function removeOld(): void {
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Number.POSITIVE_INFINITY };
    if (mtimeMs + KEPT_MS < Date.now()) rmSync(path, { recursive: true, force: true });
  }
}
