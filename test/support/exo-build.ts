/**
 * A folder in which programs can `import … from 'nyota/exorelay'`, as users' programs do: the package, built from src so
 * that dist need not be there or new, linked into its node_modules; and processes that run there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtPackage } from './package-build.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export class ExoBuild {
  readonly folder = mkdtempSync(join(tmpdir(), 'nyota-exo-'));
  readonly #children = new Set<ChildProcess>();

  /** @param packages others that the programs import, taken from this project's node_modules */
  constructor(packages: readonly string[] = []) {
    const nyota = join(this.folder, 'nyota');
    cpSync(builtPackage(), nyota, { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(nyota, 'node_modules'), 'junction');
    mkdirSync(join(this.folder, 'node_modules'));
    symlinkSync(nyota, join(this.folder, 'node_modules/nyota'), 'junction');
    for (const name of packages) {
      symlinkSync(join(ROOT, 'node_modules', name), join(this.folder, 'node_modules', name), 'junction');
    }
  }

  /** Copies files of this project there; returns where they are. */
  take(path: string, as: string): string {
    const to = join(this.folder, as);
    cpSync(join(ROOT, path), to, { recursive: true });
    return to;
  }

  start(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const child = spawn(process.execPath, [file, ...args], {
      cwd: this.folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Runs to the end, and answers what it printed. Killed, and an error, after `limitMs`. */
  run(
    file: string,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    limitMs = 20_000,
  ): Promise<string> {
    const child = this.start(file, args, env);
    let said = '';
    let complained = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complained += text;
    });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        if (code === 0) resolve(said);
        else reject(new Error(`${file} ended with ${code ?? signal} and said:\n${said}\n${complained}`));
      });
    });
  }

  /** Ends every process, and removes the folder. */
  async remove(): Promise<void> {
    const gone = [...this.#children].map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(gone);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
