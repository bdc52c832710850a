/**
 * The examples of the documents as programs: found, written to a folder as a user has it, and run.
 *
 * A `js` block is a program if it begins with `// file: name.mjs` or holds a `// prints: ...` line; what it prints must
 * be the text of its `// prints:` lines, in order. Files of one section lie in one folder. One that prints nothing
 * runs beside the others of its section, for as long as they do. Port 5555 becomes a free one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { type CodeBlock, type Document, ROOT } from './docs-markdown.js';

export interface Program {
  /** `README.md:12 server.mjs` */
  readonly title: string;
  readonly file: string;
  readonly source: string;
  /** The lines that it must print. */
  readonly prints: readonly string[];
  /** Programs that run beside it. */
  readonly beside: readonly Program[];
}

export interface Outcome {
  readonly stdout: readonly string[];
  readonly stderr: string;
  /** Undefined where it was still running when it had printed all that it should, and was ended. */
  readonly exitCode: number | null | undefined;
}

const PORT = /\b5555\b/g;
/** A program that prints nothing more for so long hangs. */
const PATIENCE_MS = 15_000;

/** The programs of a document whose output is known. */
export function programsOf(document: Document): Program[] {
  const blocks = document.blocks.filter((block) => block.language === 'js' && isProgram(block.text));
  const all = blocks.map((block) => ({ section: block.section, program: programOf(document, block) }));
  const silent = all.filter(({ program }) => program.prints.length === 0);
  return all
    .filter(({ program }) => program.prints.length > 0)
    .map(({ section, program }) => ({
      ...program,
      beside: silent.filter((other) => other.section === section).map((other) => other.program),
    }));
}

/** `ts` blocks, all of which must compile: name in the folder, and text. */
export function typeScriptOf(document: Document): { folder: string; file: string; source: string }[] {
  const folder = document.name.replace(/\W/g, '-');
  return document.blocks
    .filter((block) => block.language === 'ts')
    .map((block) => ({
      folder: `${folder}-${block.section}`,
      file: fileName(block.text) ?? `line-${block.line}.ts`,
      source: block.text,
    }));
}

function isProgram(text: string): boolean {
  return fileName(text) !== undefined || printedBy(text).length > 0;
}

function fileName(text: string): string | undefined {
  return /^\/\/ file: (\S+)$/m.exec(text.split('\n', 1)[0] ?? '')?.[1];
}

function printedBy(text: string): string[] {
  return [...text.matchAll(/^\s*\/\/ prints: (.*)$/gm)].map((match) => match[1] ?? '');
}

function programOf(document: Document, block: CodeBlock): Program {
  const file = fileName(block.text) ?? `line-${block.line}.mjs`;
  return {
    title: `${document.name}:${block.line} ${file}`,
    file,
    source: block.text,
    prints: printedBy(block.text),
    beside: [],
  };
}

/** An empty folder in which `nyota` is installed, and the certificates that the examples name. */
export async function makeConsumer(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'nyota-docs-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules', 'nyota'), 'junction');
  writeFileSync(join(folder, 'package.json'), '{ "name": "consumer", "private": true }\n');
  for (const [name, text] of Object.entries(await certificates())) writeFileSync(join(folder, name), text);
  return folder;
}

async function certificates(): Promise<Record<string, string>> {
  const common = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;
  const subject = (value: string) => [{ name: 'commonName', value }];
  const authority = await generate(subject('Example CA'), {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  });
  const ca = { key: authority.private, cert: authority.cert };
  const server = await generate(subject('localhost'), {
    ...common,
    ca,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  });
  const client = await generate(subject('billing'), { ...common, ca });
  return {
    'ca.pem': authority.cert,
    'server-cert.pem': server.cert,
    'server-key.pem': server.private,
    'client-cert.pem': client.cert,
    'client-key.pem': client.private,
  };
}

/** Runs a program, with those beside it, in a folder that `makeConsumer` made. */
export async function runProgram(consumer: string, program: Program): Promise<Outcome> {
  const port = String(await freePort());
  const children: ChildProcess[] = [];
  try {
    for (const other of program.beside) children.push(start(consumer, other, port));
    const child = start(consumer, program, port);
    children.push(child);
    // A program that has others beside it may run for ever, as they do.
    return await outcomeOf(child, program, program.beside.length > 0);
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

function start(consumer: string, program: Program, port: string): ChildProcess {
  const name = `${port}-${program.file}`;
  writeFileSync(join(consumer, name), program.source.replace(PORT, port));
  return spawn(process.execPath, [name], { cwd: consumer, stdio: ['ignore', 'pipe', 'pipe'] });
}

function outcomeOf(child: ChildProcess, program: Program, endsWithUs: boolean): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    const lines = (): string[] => stdout.split('\n').slice(0, -1);
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${program.title} hangs; it printed:\n${stdout}\n${stderr}`));
    }, PATIENCE_MS);
    const settle = (exitCode: number | null | undefined): void => {
      clearTimeout(timer);
      resolve({ stdout: lines(), stderr, exitCode });
    };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (endsWithUs && lines().length >= program.prints.length) settle(undefined);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', settle);
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject);
    probe.listen(0, () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}
