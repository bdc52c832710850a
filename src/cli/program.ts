/**
 * The command line as a whole: its commands, and what becomes of what they throw: one line on stderr and an exit code.
 * 0: done. 1: it was tried and failed. 2: a wrong call, nothing was tried.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addBench } from './bench.js';
import { addConnect } from './connect.js';
import { addDemo } from './demo.js';
import { addExoCom } from './exocom.js';
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
    if (error instanceof CommanderError) return finishCommander(error, args);
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
  for (const add of [addDemo, addServe, addConnect, addSend, addRequest, addBench, addExoCom]) add(program);
  return program;
}

function finishCommander(error: CommanderError, args: readonly string[]): number {
  if (error.exitCode === 0) return 0; // --help and --version
  process.stderr.write(`nyota: ${escapeText(describeWrongCall(error, args))}\n`);
  return 2;
}

/** Commander's own text, which may be long-winded: an `error:` before it, a suggestion on a line of its own. */
function describeWrongCall({ code, message }: CommanderError, args: readonly string[]): string {
  const elsewhere = "'nyota --help' lists them";
  // No command was given, so commander prints its help.
  if (code === 'commander.help') {
    return args[0] === 'help' && args[1] !== undefined
      ? `unknown command '${args[1]}'; ${elsewhere}`
      : `a command is missing; ${elsewhere}`;
  }
  const text = message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\.$/, '');
  return code === 'commander.unknownCommand' ? `${text}; ${elsewhere}` : text;
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return String((manifest as { version?: unknown }).version);
}
