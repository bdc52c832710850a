/**
 * Where routes come from: an object, a JSON or YAML file, or the environment's SERVICE_DATA. Reads files, and loads the
 * `yaml` package if a file asks for it.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { NyotaError } from '../index.js';
import type { Routes } from './routes.js';
import { checkRoutes } from './routes-check.js';

const require = createRequire(import.meta.url);

/**
 * Routes from an object, or from a file by its path; `.yml` and `.yaml` are YAML, everything else is JSON.
 * @throws NyotaError `NYOTA_INVALID_OPTION` with the file, the place and the reason
 */
export function loadRoutes(routes: Routes | string): Routes {
  if (typeof routes !== 'string') return checkRoutes(routes, 'routes');
  const source = `routes file '${routes}'`;
  return checkRoutes(readDataFile(routes, source), source);
}

/** What a JSON or YAML file holds. */
export function readDataFile(file: string, source: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw refused(source, reasonOf(cause), cause);
  }
  const yaml = ['.yml', '.yaml'].includes(extname(file).toLowerCase());
  return yaml ? parseYaml(text, source) : parseJson(text, source);
}

/** Routes from SERVICE_DATA, which is JSON; undefined where it is not set. */
export function routesFromEnvironment(env: NodeJS.ProcessEnv): Routes | undefined {
  const text = env.SERVICE_DATA;
  if (text === undefined || text.trim() === '') return undefined;
  return checkRoutes(parseJson(text, 'SERVICE_DATA'), 'SERVICE_DATA');
}

export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    const reason = reasonOf(cause);
    // Node 20 gives the position alone, and later ones the line as well.
    const position = /at position (\d+)/.exec(reason)?.[1];
    const place =
      position === undefined || /line \d+/.test(reason) ? '' : `${lineOf(text, Number(position))}: `;
    throw refused(source, `${place}${reason}`, cause);
  }
}

function parseYaml(text: string, source: string): unknown {
  const yaml = loadYaml(source);
  try {
    // Unique keys are its default, and `maxAliasCount` keeps a small file from being a huge object.
    return yaml.parse(text, { prettyErrors: true, maxAliasCount: 100 });
  } catch (cause) {
    throw refused(source, reasonOf(cause).split('\n')[0] ?? '', cause);
  }
}

function loadYaml(source: string): typeof import('yaml') {
  try {
    return require('yaml') as typeof import('yaml');
  } catch (cause) {
    throw refused(source, "YAML needs the package 'yaml': npm install yaml", cause);
  }
}

function refused(source: string, reason: string, cause: unknown): NyotaError {
  return new NyotaError('NYOTA_INVALID_OPTION', `${source}: ${reason}`, { cause });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function lineOf(text: string, position: number): string {
  const before = text.slice(0, position).split('\n');
  return `line ${before.length} column ${(before.at(-1) ?? '').length + 1}`;
}
