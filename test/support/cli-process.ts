/** Runs the built command line (dist/cli/main.js) as a process of its own, as a user does: build first (`npm test` does). */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { runProgram } from '../../src/cli/program.js';
import { LONG } from './length.js';

export const MAIN_FILE = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface CliResult {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  /** What is piped in; without it stdin is empty. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A process that is kept, and talked to. */
export class CliProcess {
  readonly ended: Promise<CliResult>;
  readonly #child: ChildProcessWithoutNullStreams;
  #stdout = '';
  #stderr = '';
  #over = false;
  readonly #looks = new Set<() => void>();

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    if (!existsSync(MAIN_FILE)) throw new Error('there is no dist/: run `npm run build` first');
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !/^(NYOTA_AUTH|NODE_OPTIONS|NO_COLOR|FORCE_COLOR)$/.test(name),
      ),
    );
    this.#child = spawn(process.execPath, [MAIN_FILE, ...args], { env: { ...clean, ...env } });
    this.#child.stdin.on('error', () => {}); // it may end before it has read all
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#look();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#look();
    });
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code) => {
        this.#over = true;
        this.#look();
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  /** Waits until stdout or stderr matches. Rejects, with all that was said, where the process ends before or takes too long. */
  prints(pattern: RegExp, withinMs = 10_000): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        this.#looks.delete(look);
        settle();
      };
      const missing = (why: string): void =>
        finish(() => reject(new Error(`no ${pattern} ${why}:\n${this.#stdout}\n${this.#stderr}`)));
      const look = (): void => {
        const match = pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr);
        if (match !== null) finish(() => resolve(match));
        else if (this.#over) missing('before its end');
      };
      const timer = setTimeout(() => missing(`within ${withinMs} ms`), withinMs);
      this.#looks.add(look);
      look();
    });
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  endInput(text = ''): void {
    this.#child.stdin.end(text);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #look(): void {
    for (const look of [...this.#looks]) look();
  }
}

/** Runs it to its end. */
export function nyota(
  args: readonly string[],
  { input = '', env = {} }: CliOptions = {},
): Promise<CliResult> {
  const running = new CliProcess(args, env);
  running.endInput(input);
  return running.ended;
}

/**
 * The same within this process, for calls that end by themselves and open nothing: the start of a process takes longer than all
 * that they do. In the long form it is a process.
 */
export async function nyotaHere(args: readonly string[]): Promise<CliResult> {
  if (LONG) return nyota(args);
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      said[stream] += String(text);
      return true;
    }),
  );
  try {
    return { code: await runProgram(args), ...said };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
