/** What can be typed at `nyota connect`, and what each does with the client. */
import type { Client } from '../index.js';
import { nameOfWord, valueOfWord } from './command-line.js';
import { Failure } from './failures.js';
import { toShortJson } from './text.js';

/** What the commands act on. */
export interface Desk {
  readonly client: Client;
  /** The events that are printed; undefined: all of them. */
  shownEvents: ReadonlySet<string> | undefined;
  print(line: string): void;
  /** Ends the program once all that was begun has settled. */
  quit(): void;
}

interface DeskCommand {
  /** What follows the name, for the help. */
  readonly takes: string;
  readonly does: string;
  /** How many words it takes, at least and at most. */
  readonly words: readonly [number, number];
  /** May answer a promise: the next line is read meanwhile, and the end waits for it. */
  run(desk: Desk, words: readonly string[]): unknown;
}

const ANY = Number.POSITIVE_INFINITY;

const COMMANDS: Readonly<Record<string, DeskCommand>> = {
  send: {
    takes: 'EVENT [JSON…]',
    does: 'send an event, and tell when it is acknowledged',
    words: [1, ANY],
    async run({ client, print }, [event = '', ...json]) {
      const startedAt = performance.now();
      await client.sendWithAck(nameOfWord(event), ...json.map(valueOfWord));
      print(`acknowledged ${nameOfWord(event)} after ${since(startedAt)}`);
    },
  },
  request: {
    takes: 'EVENT [JSON…]',
    does: 'send a request, and print the reply',
    words: [1, ANY],
    async run({ client, print }, [event = '', ...json]) {
      const startedAt = performance.now();
      const reply: unknown = await client.request(nameOfWord(event), ...json.map(valueOfWord));
      print(`reply ${toShortJson(reply)} after ${since(startedAt)}`);
    },
  },
  set: {
    takes: 'KEY JSON',
    does: 'write to the shared store',
    words: [2, 2],
    run({ client }, [key = '', json = '']) {
      client.set(nameOfWord(key), valueOfWord(json));
      return client.store.synced();
    },
  },
  get: {
    takes: '[KEY]',
    does: 'print a value of the shared store, or all of it',
    words: [0, 1],
    run({ client, print }, [key]) {
      print(toShortJson(key === undefined ? client.get() : client.get(nameOfWord(key))));
    },
  },
  delete: {
    takes: 'KEY',
    does: 'delete from the shared store',
    words: [1, 1],
    run({ client, print }, [key = '']) {
      print(client.delete(nameOfWord(key)) ? 'deleted' : 'there was nothing to delete');
      return client.store.synced();
    },
  },
  on: {
    takes: '[EVENT…]',
    does: 'print only these events from now on; without any, all of them',
    words: [0, ANY],
    run(desk, events) {
      desk.shownEvents = events.length === 0 ? undefined : new Set(events.map(nameOfWord));
    },
  },
  stats: {
    takes: '',
    does: 'print what was counted: sent, received, replayed, reconnects, …',
    words: [0, 0],
    run({ client, print }) {
      for (const [name, value] of Object.entries(client.stats())) {
        if (value !== undefined) print(`${name.padEnd(18)} ${String(value)}`);
      }
    },
  },
  cut: {
    takes: '',
    does: 'break the connection off: the session comes back by itself',
    words: [0, 0],
    run({ client }) {
      if (client.socket === undefined) throw new Failure('there is no connection at the moment');
      client.socket.destroy();
    },
  },
  help: {
    takes: '',
    does: 'print this',
    words: [0, 0],
    run({ print }) {
      for (const [name, { takes, does }] of Object.entries(COMMANDS)) {
        print(`${`${name} ${takes}`.padEnd(24)} ${does}`);
      }
    },
  },
  quit: {
    takes: '',
    does: 'wait for what was begun, close the session, and end',
    words: [0, 0],
    run: (desk) => desk.quit(),
  },
};

/** Answers what the command answers. @throws Failure for a command that there is not, or that takes other words */
export function runCommand(desk: Desk, name: string, words: readonly string[]): unknown {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new Failure(`there is no command '${name}'; 'help' lists them`);
  const [least, most] = command.words;
  if (words.length < least || words.length > most) {
    throw new Failure(`${name} takes ${command.takes === '' ? 'nothing' : command.takes}`);
  }
  return command.run(desk, words);
}

export function commandNames(): string[] {
  return Object.keys(COMMANDS);
}

function since(startedAt: number): string {
  return `${(performance.now() - startedAt).toFixed(1)} ms`;
}
