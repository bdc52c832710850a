/**
 * Processes that use a store in a folder, for what can't be tried in the test's own: being killed, damaged files that would take
 * the process along, a full disk. Built from src, so that dist need not be there or new.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ExoBuild } from './exo-build.js';

const LIMIT_MS = 20_000;

/** What every program begins with. */
const HEAD = `
const rec = (id, resumeWindowMs = 60_000) =>
  ({ id, credential: Buffer.from('secret'), identity: Buffer.from('who'), resumeWindowMs });
const frame = (seq, bytes = 100) => {
  const wire = Buffer.alloc(bytes, seq);
  wire.writeUInt32BE(bytes - 4);
  return { seq, frame: wire };
};
const codeOf = async (call) => {
  try { return (await call()) ?? 'done'; } catch (error) { return error.code + ' ' + error.message; }
};
const say = (...words) => console.log(...words);
`;

export interface StoreOutcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly string[];
  readonly stderr: string;
}

export interface RunOptions {
  /** A shell script that runs "$@" in its end. */
  readonly within?: string;
  readonly uid?: number;
  /** Where the package `lmdb` is not installed. */
  readonly bare?: boolean;
}

export class StoreProcesses {
  readonly #build = new ExoBuild();
  readonly #bare = mkdtempSync(join(tmpdir(), 'nyota-bare-'));
  readonly #children = new Set<ChildProcess>();
  #programs = 0;

  constructor() {
    cpSync(join(this.#build.folder, 'nyota/dist'), join(this.#bare, 'dist'), { recursive: true });
    writeFileSync(join(this.#bare, 'package.json'), '{ "type": "module" }\n');
    spawnSync('chmod', ['-R', 'a+rX', this.#bare, this.#build.folder]);
  }

  /** An empty folder that is removed in the end. */
  place(): string {
    return mkdtempSync(join(this.#build.folder, 'place-'));
  }

  start(source: string, { within, uid, bare = false }: RunOptions = {}): ChildProcess {
    const folder = bare ? this.#bare : join(this.#build.folder, 'nyota');
    const dist = (file: string): string => JSON.stringify(pathToFileURL(join(folder, 'dist', file)).href);
    const imports = [`import { lmdbStore } from ${dist('stores/lmdb/index.js')};`];
    if (!bare) imports.push(`import * as nyota from ${dist('index.js')};`);
    const program = join(folder, `program-${++this.#programs}.mjs`);
    writeFileSync(program, [...imports, HEAD, source].join('\n'), { mode: 0o644 });
    const command = [process.execPath, program];
    const [file = '', ...args] = within === undefined ? command : ['bash', '-c', within, 'bash', ...command];
    const child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  run(source: string, options?: RunOptions): Promise<StoreOutcome> {
    return outcomeOf(this.start(source, options));
  }

  async remove(): Promise<void> {
    const gone = [...this.#children].map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(gone);
    await this.#build.remove();
    rmSync(this.#bare, { recursive: true, force: true });
  }
}

export function outcomeOf(child: ChildProcess): Promise<StoreOutcome> {
  let said = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    child.once('error', reject); // it could not be started
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, lines: said.split('\n').filter((line) => line !== ''), stderr });
    });
  });
}

/** Resolves once the process has printed this line. */
export function whenSaid(child: ChildProcess, line: string): Promise<void> {
  let said = '';
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (text: string) => {
      said += String(text);
      if (said.split('\n').includes(line)) resolve();
    });
    child.once('close', () => reject(new Error(`it ended without saying '${line}': ${said}`)));
  });
}
