/**
 * The package as a user gets it: packed from a copy of this folder, installed from the tarball into an empty one,
 * imported, required, compiled against and run. That needs the registry that npm is configured with, for nyota's dependencies, and
 * is of the long form; the short one looks at what is packed.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDocument } from '../support/docs-markdown.js';
import { itLong, LONG } from '../support/length.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const WINDOWS = process.platform === 'win32';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Record<string, string>;
  readonly exports: Record<string, string | { types: string; default: string }>;
}
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
const entries = Object.keys(manifest.exports)
  .filter((subpath) => subpath !== './package.json')
  .map((subpath) => `${manifest.name}${subpath.slice(1)}`);

let scratch = '';
let tarball = '';
let consumer = '';
let packed: { path: string; mode: number }[] = [];

/** What `npm run` tells its children about this project is not for an npm that works on another one. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(npm_(package|lifecycle)_|npm_config_local_prefix$|NODE_OPTIONS$)/i.test(name),
  ),
);

/** Runs to the end and answers stdout; a failure shows all that was said. */
function run(cwd: string, command: string, args: readonly string[]): string {
  const result = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    shell: WINDOWS && command === 'npm',
  });
  if (result.status !== 0) {
    const outcome = result.error?.message ?? result.signal ?? `exit code ${result.status}`;
    throw new Error(`${command} ${args.join(' ')}: ${outcome}\n${result.stdout}\n${result.stderr}`);
  }
  return result.stdout;
}
const node = (cwd: string, ...args: string[]): string => run(cwd, process.execPath, args);
const tool = (path: string): string => join(ROOT, 'node_modules', path);

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'nyota-package-'));
  // A copy, since packing builds, and other tests use dist while this one runs.
  const copy = join(scratch, 'copy');
  mkdirSync(copy);
  for (const name of [
    'package.json',
    '.npmrc',
    'tsconfig.json',
    'src',
    'docs',
    'README.md',
    'LICENSE',
    'test',
  ]) {
    if (existsSync(join(ROOT, name))) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'), 'junction');
  const output = run(copy, 'npm', ['pack', '--json', '--silent', '--pack-destination', scratch]);
  const [pack] = JSON.parse(output.slice(output.indexOf('[\n'))) as [
    { filename: string; files: typeof packed },
  ];
  packed = pack.files;
  tarball = join(scratch, pack.filename);
  if (!LONG) return;

  consumer = join(scratch, 'consumer');
  mkdirSync(consumer);
  writeFileSync(join(consumer, 'package.json'), '{ "name": "consumer", "private": true }\n');
  run(consumer, 'npm', [
    'install',
    tarball,
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ]);
}, 180_000);

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('the packed files', () => {
  it('are dist, docs, README, LICENSE and package.json, and nothing else', () => {
    const others = packed.map((file) => file.path).filter((path) => !/^(dist|docs)\//.test(path));
    expect(others.sort()).toEqual(['LICENSE', 'README.md', 'package.json']);
  });

  it('hold every file that package.json points to', () => {
    const targets = Object.values(manifest.exports).flatMap((to) =>
      typeof to === 'string' ? [to] : Object.values(to),
    );
    const paths = packed.map((file) => `./${file.path}`);
    for (const target of [...targets, ...Object.values(manifest.bin).map((path) => `./${path}`)]) {
      expect(paths).toContain(target);
    }
  });

  it('pass publint with nothing to say', () => {
    node(scratch, tool('publint/src/cli.js'), 'run', tarball, '--strict');
  });

  itLong('have types that resolve from an ES module and from a bundler', () => {
    node(
      scratch,
      tool('@arethetypeswrong/cli/dist/index.js'),
      tarball,
      '--profile',
      'esm-only',
      '--no-definitely-typed',
    );
  });
});

/** Of the tarball, installed. */
function describeInstalled(): void {
  describe.each(entries)('the installed %s', (entry) => {
    it('can be imported', () => {
      const code = `const all = await import('${entry}'); console.log(Object.keys(all).length)`;
      expect(Number(node(consumer, '--input-type=module', '-e', code))).toBeGreaterThan(0);
    });

    it('can be required, and is the same as what import gives', () => {
      const code = `const all = require('${entry}'); import('${entry}').then((other) => console.log(all === other || Object.keys(all).every((name) => all[name] === other[name])))`;
      expect(node(consumer, '-e', code).trim()).toBe('true');
    });
  });

  describe('the installed command', () => {
    const installed = (name: string): string =>
      join(consumer, 'node_modules/.bin', WINDOWS ? `${name}.cmd` : name);

    it.each(Object.keys(manifest.bin))('%s is executable and prints its help', (name) => {
      if (!WINDOWS) expect(statSync(installed(name)).mode & 0o111).toBe(0o111);
      expect(run(consumer, installed(name), ['--help'])).toMatch(new RegExp(`usage: ${name}`, 'i'));
    });
  });

  describe("the README's first example, pasted into two files", () => {
    const { blocks } = readDocument('README.md');
    const pasted = (name: string): string => {
      const block = blocks.find(({ text }) => text.startsWith(`// file: ${name}\n`));
      if (block === undefined) throw new Error(`README.md has no ${name}`);
      return block.text;
    };

    /** A process that runs on, and what it says. */
    class Running {
      readonly child: ChildProcess;
      readonly #name: string;
      #said = { stdout: '', stderr: '' };
      #look = (): void => {};

      constructor(name: string) {
        this.#name = name;
        this.child = spawn(process.execPath, [name], {
          cwd: consumer,
          env,
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        for (const stream of ['stdout', 'stderr'] as const) {
          this.child[stream]?.setEncoding('utf8').on('data', (text: string) => {
            this.#said[stream] += text;
            this.#look();
          });
        }
        this.child.on('close', () => this.#look());
      }

      get said(): { readonly stdout: string; readonly stderr: string } {
        return this.#said;
      }

      /** Waits for a text. Rejects where the process ends without it; a hang is the test's timeout. */
      says(stream: 'stdout' | 'stderr', text: string): Promise<void> {
        return new Promise((resolve, reject) => {
          this.#look = () => {
            const { exitCode, signalCode } = this.child;
            if (this.#said[stream].includes(text)) resolve();
            else if (exitCode !== null || signalCode !== null)
              reject(
                new Error(`${this.#name} ended and did not say '${text}':\n${JSON.stringify(this.#said)}`),
              );
          };
          this.#look();
        });
      }
    }

    /** A port that is free, once the function has resolved: with what dialled it first, if that is waited for. */
    async function probePort(): Promise<{ port: number; dialled: Promise<unknown>; free(): Promise<void> }> {
      const probe = createServer((socket) => socket.on('error', () => {}).resetAndDestroy());
      await once(probe.listen(0), 'listening');
      const address = probe.address();
      if (address === null || typeof address === 'string') throw new Error('no port');
      const free = (): Promise<void> => new Promise((resolve) => probe.close(() => resolve()));
      return { port: address.port, dialled: once(probe, 'connection'), free };
    }

    it.each(['server', 'client'])('prints what it says, the %s started first', async (first) => {
      const { port, dialled, free } = await probePort();
      for (const name of ['server.mjs', 'client.mjs'])
        writeFileSync(join(consumer, name), pasted(name).replace(/\b5555\b/g, String(port)));
      const running: Running[] = [];
      const start = (name: string): Running => {
        const started = new Running(name);
        running.push(started);
        return started;
      };
      try {
        let client: Running;
        if (first === 'client') {
          client = start('client.mjs');
          await dialled; // and found nobody who speaks nyota
          await free();
          start('server.mjs');
        } else {
          await free();
          await start('server.mjs').says('stderr', `port ${port}`); // its warning that it listens for everybody
          client = start('client.mjs');
        }
        await client.says('stdout', '\n');
        expect(client.said).toEqual({ stdout: 'pong received\n', stderr: '' });
        // Both run on: the one serves, the other stays connected.
        for (const { child } of running) expect([child.exitCode, child.signalCode]).toEqual([null, null]);
      } finally {
        for (const { child } of running) child.kill('SIGKILL');
        await free();
      }
    });
  });

  describe('a strict TypeScript program that uses the package', () => {
    const compile = (name: string, source: string): void => {
      const folder = join(consumer, name);
      mkdirSync(folder);
      const compilerOptions = {
        target: 'ES2023',
        lib: ['ES2023', 'ESNext.Disposable'],
        module: 'nodenext',
        moduleResolution: 'nodenext',
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: false,
        noEmit: true,
        typeRoots: [join(ROOT, 'node_modules/@types')],
        types: ['node'],
      };
      const extension = name === 'commonjs' ? 'cts' : 'mts';
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*'] }));
      writeFileSync(join(folder, `program.${extension}`), source);
      node(folder, tool('typescript/bin/tsc'), '-p', '.');
    };
    // Every name of every entry is used as a value, so that none of them is `any` by an unresolved import.
    const uses = entries
      .map(
        (_, i) =>
          `const notAny${i}: 0 extends 1 & typeof entry${i} ? never : true = true;\nconsole.log(entry${i}, notAny${i});\n`,
      )
      .join('');

    it('compiles as an ES module, libraries checked too', () => {
      compile(
        'module',
        `${entries.map((entry, i) => `import * as entry${i} from '${entry}';\n`).join('')}${uses}`,
      );
    });

    it('compiles as CommonJS, libraries checked too', () => {
      compile(
        'commonjs',
        `${entries.map((entry, i) => `import entry${i} = require('${entry}');\n`).join('')}${uses}`,
      );
    });
  });
}
if (LONG) describeInstalled();

describe('the lockfile', () => {
  interface Locked {
    readonly resolved?: string;
    readonly optionalDependencies?: Record<string, string>;
  }
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };

  it('names no registry, so that an install asks the one that is configured', () => {
    expect(Object.keys(packages).filter((path) => packages[path]?.resolved !== undefined)).toEqual([]);
  });

  it('holds the native parts for every platform, so that npm ci works on each', () => {
    const optional = Object.values(packages).flatMap((entry) =>
      Object.keys(entry.optionalDependencies ?? {}),
    );
    const locked = new Set(Object.keys(packages).map((path) => path.replace(/^.*node_modules\//, '')));
    expect(optional.length).toBeGreaterThan(0);
    expect(optional.filter((name) => !locked.has(name))).toEqual([]);
  });
});
