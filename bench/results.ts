/** The files of bench/results: this run, and the one before it. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './package-version.js';
import { markdown, type RunFile } from './report.js';

const FOLDER = join(ROOT, 'bench/results');

const fileOf = (kind: string): string => join(FOLDER, `${kind}.json`);

export function readBefore(kind: string): RunFile | undefined {
  if (!existsSync(fileOf(kind))) return undefined;
  return JSON.parse(readFileSync(fileOf(kind), 'utf8')) as RunFile;
}

/** Keeps the run before as `….before.json`. Answers where the new one is. */
export function writeRun(kind: string, run: RunFile): string {
  mkdirSync(FOLDER, { recursive: true });
  const file = fileOf(kind);
  if (existsSync(file)) renameSync(file, join(FOLDER, `${kind}.before.json`));
  writeFileSync(file, `${JSON.stringify(run, null, 2)}\n`);
  writeFileSync(join(FOLDER, `${kind}.md`), markdown(run));
  return file;
}
