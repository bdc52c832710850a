/**
 * Programs that use the library, each in a process of its own: what a process does when nothing is left to do can't be seen
 * from within.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { builtPackage } from './package-build.js';

/** How long a process that has said its word is watched before it counts as one that stays, in ms. */
const STAYS_MS = 300;
const LIMIT_MS = 8_000;

interface Outcome {
  /** undefined where it had to be killed. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Built {
  /**
   * Runs a module that may `import … from 'nyota'`, written as text, until it ends by itself; killed after 8 s.
   *
   * @param said for a process that is expected to stay: it is killed `STAYS_MS` after it has printed this
   */
  run(source: string, said?: string): Promise<Outcome>;
  remove(): void;
}

export function build(): Built {
  const folder = mkdtempSync(join(tmpdir(), 'nyota-built-'));
  const entry = pathToFileURL(join(builtPackage(), 'dist/index.js')).href;
  let runs = 0;
  return {
    run(source, said) {
      const file = join(folder, `run-${runs++}.mjs`);
      writeFileSync(file, source.replaceAll("'nyota'", `'${entry}'`));
      const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
        if (said !== undefined && stdout.includes(said)) setTimeout(() => child.kill('SIGKILL'), STAYS_MS);
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
      });
      return new Promise((resolve) => {
        const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
        child.on('close', (code) => {
          clearTimeout(timer);
          resolve({ code: code ?? undefined, stdout: stdout.trim(), stderr: stderr.trim() });
        });
      });
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
