/**
 * The package that the processes of the kill tests run: built from src, so that dist need not be there or new, or the one in the
 * folder that NYOTA_KILL_DIST names.
 */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll } from 'vitest';
import { ExoBuild } from './exo-build.js';

/** Call once at the top of a file. Answers the folder of the built package, as a URL, while tests run. */
export function useBuild(): () => string {
  const given = process.env.NYOTA_KILL_DIST;
  let build: ExoBuild | undefined;
  beforeAll(() => {
    if (given === undefined) build = new ExoBuild();
  }, 60_000);
  afterAll(() => build?.remove());
  return () => {
    const folder = given === undefined ? join(build?.folder ?? '', 'nyota/dist') : resolve(given);
    return `${pathToFileURL(folder).href}/`;
  };
}
