/**
 * `nyota connect ADDRESS`: a session by hand. Prints all that the other side sends, and does what is typed; the same with
 * a file or a pipe as its input.
 */

import { clearLine, cursorTo } from 'node:readline';
import { createInterface, type Interface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { Client } from '../index.js';
import { parseLine } from './command-line.js';
import { commandNames, type Desk, runCommand } from './connect-commands.js';
import {
  ADDRESS_HELP,
  addConnectionOptions,
  type ConnectionFlags,
  openClient,
  stopped,
} from './connection-options.js';
import { describeError, Exit } from './failures.js';
import { eventLine, logPeer } from './peer-log.js';
import { onStopSignal, paint, printLine } from './terminal.js';

const PROMPT = 'nyota> ';

export function addConnect(program: Command): void {
  const command = program
    .command('connect')
    .description("Open a session and type: 'help' there lists what. Reads a pipe as well.")
    .argument('<address>', ADDRESS_HELP);
  addConnectionOptions(command).action(connect);
}

async function connect(address: string, flags: ConnectionFlags): Promise<void> {
  const client = openClient(address, flags);
  const over = stopped(client);
  try {
    const typing = new TypedSession(client);
    await Promise.race([new Promise<void>((resolve) => client.once('connect', () => resolve())), over]);
    const failures = await Promise.race([typing.run(), over]).finally(() => typing.stop());
    await client.close();
    if (failures > 0) throw new Exit(1);
  } catch (error) {
    client.destroy();
    throw error;
  }
}

class TypedSession implements Desk {
  readonly client: Client;
  readonly #interactive = process.stdin.isTTY === true && process.stdout.isTTY === true;
  readonly #pending = new Set<Promise<void>>();
  #input: Interface | undefined;
  #failures = 0;
  shownEvents: ReadonlySet<string> | undefined;

  constructor(client: Client) {
    this.client = client;
    client.on('connect', ({ resumed }) => {
      this.#note(resumed ? 'connected, session resumed' : `connected, session ${client.id}`);
    });
    client.on('reconnecting', ({ attempt, delayMs }) => {
      this.#note(`reconnecting in ${Math.round(delayMs)} ms, attempt ${attempt}`);
    });
    client.on('session', ({ reason }) => {
      if (reason !== undefined) this.#note(`new session ${client.id}: ${describeError(reason)}`);
    });
    client.on('sessionInvalidated', () => this.#note('the server has invalidated the session'));
    client.on('gap', ({ uncertain, lost, reason }) => {
      this.#note(`gap: ${uncertain} uncertain, ${lost} lost: ${describeError(reason)}`);
    });
    // Printed from the first connection on; a client that never connects is reported at the exit.
    client.once('connect', () => logPeer(client, (line) => this.#note(line)));
    client.onAny((event, ...args) => {
      if (this.shownEvents?.has(event) === false) return undefined;
      return this.#write(eventLine(event, args));
    });
  }

  print = (line: string): void => {
    void this.#write(line);
  };

  /** Reads to the end of the input, or to `quit`, and waits for what was begun. Answers how many lines failed. */
  async run(): Promise<number> {
    const input = createInterface({
      input: process.stdin,
      ...(this.#interactive ? { output: process.stdout, completer: complete } : {}),
      terminal: this.#interactive,
      prompt: PROMPT,
    });
    this.#input = input;
    const offSignals = onStopSignal(
      () => input.close(),
      () => process.exit(130),
    );
    if (this.#interactive) input.prompt();
    // By events: an iterator would still hand out lines that were read before `quit` closed the input.
    await new Promise<void>((resolve) => {
      input.on('line', (line) => this.#line(line));
      input.once('close', resolve);
    });
    this.#input = undefined;
    if (this.#interactive) process.stdout.write('\n');
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    offSignals();
    return this.#interactive ? 0 : this.#failures;
  }

  quit(): void {
    this.stop();
  }

  /** Reads no further. */
  stop(): void {
    const input = this.#input;
    this.#input = undefined;
    input?.close();
    // Otherwise a pipe that its writer keeps open would hold the process.
    process.stdin.destroy();
  }

  #line(line: string): void {
    if (this.#input === undefined) return; // read together with `quit`, and ignored
    try {
      const { name, words } = parseLine(line);
      if (name !== '') this.#follow(runCommand(this, name, words));
    } catch (error) {
      this.#failed(error);
    }
    if (this.#interactive) this.#input?.prompt();
  }

  #follow(result: unknown): void {
    if (!(result instanceof Promise)) return;
    const settled: Promise<void> = result
      .catch((error: unknown) => this.#failed(error))
      .then(() => {
        this.#pending.delete(settled);
      });
    this.#pending.add(settled);
  }

  #failed(error: unknown): void {
    this.#failures++;
    const line = `nyota: ${describeError(error)}`;
    if (this.#interactive) void this.#write(paint(process.stdout, 'red', line));
    else process.stderr.write(`${line}\n`);
  }

  /** A line about the connection, dimmed: it is neither typed nor sent by anybody. */
  #note(line: string): undefined | Promise<void> {
    return this.#write(paint(process.stdout, 'dim', line));
  }

  /** Above the line that is being typed, which stays as it is. */
  #write(line: string): undefined | Promise<void> {
    const typing = this.#interactive && this.#input !== undefined;
    if (typing) {
      cursorTo(process.stdout, 0);
      clearLine(process.stdout, 0);
    }
    const room = printLine(line);
    if (typing) this.#input?.prompt(true);
    return room;
  }
}

function complete(line: string): [string[], string] {
  const hits = commandNames().filter((name) => name.startsWith(line));
  return [hits, line];
}
