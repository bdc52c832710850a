/**
 * The command line as a whole: its commands, and what becomes of what they throw: one line on stderr and an exit code.
 * 0: done. 1: it was tried and failed. 2: a wrong call, nothing was tried.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addConnect } from './connect.js';
import { addDemo } from './demo.js';
import { describeError, Exit, exitCodeOf } from './failures.js';
import { addRequest } from './request.js';
import { addSend } from './send.js';
import { addServe } from './serve.js';
import { escapeText } from './text.js';

/** Answers the exit code. Never rejects. */
export async function runProgram(args: readonly string[]): Promise<number> {
  const program = createProgram();
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof Exit) return error.exitCode;
    if (error instanceof CommanderError) return finishCommander(error);
    process.stderr.write(`nyota: ${describeError(error)}\n`);
    return exitCodeOf(error);
  }
}

function createProgram(): Command {
  const program = new Command('nyota')
    .description('Events between servers over TCP: one event emitter and one store for two processes.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print what there is to call')
    .helpCommand('help [command]', 'the same for one command')
    // Thrown, not ended on the spot: what a command has opened must be closed first.
    .exitOverride()
    // What commander would write on several lines is written by `finishCommander` on one.
    .configureOutput({ writeErr: () => {} });
  for (const add of [addDemo, addServe, addConnect, addSend, addRequest]) add(program);
  return program;
}

function finishCommander(error: CommanderError): number {
  if (error.exitCode === 0) return 0; // --help and --version
  const text =
    error.code === 'commander.help' ? 'a command is missing' : error.message.replace(/^error: /, '');
  // A suggestion stands on a line of its own.
  const line = escapeText(text.replace(/\s*\n\s*/g, ' '));
  process.stderr.write(`nyota: ${line}; 'nyota --help' shows what there is\n`);
  return 2;
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return String((manifest as { version?: unknown }).version);
}
