/** The version of a package that is really there, not the one that was asked for. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The project's folder. Compiled, this file lies deeper in it than its source. */
export const ROOT = findRoot(import.meta.dirname);

function findRoot(folder: string): string {
  if (existsSync(join(folder, 'package-lock.json')) && existsSync(join(folder, 'biome.json'))) return folder;
  if (dirname(folder) === folder) throw new Error('the project has no folder');
  return findRoot(dirname(folder));
}

/** @param folder where its node_modules is */
export function packageVersion(name: string, folder = ROOT): string {
  const manifest: unknown = JSON.parse(
    readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8'),
  );
  return String((manifest as { version?: unknown }).version);
}
