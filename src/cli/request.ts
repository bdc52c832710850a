/** `nyota request ADDRESS EVENT [JSON…]`: asks the other side's handler and prints the reply as JSON. */
import type { Command } from 'commander';
import { parseMs, parseValue } from './arguments.js';
import {
  ADDRESS_HELP,
  addConnectionOptions,
  type ConnectionFlags,
  withClient,
} from './connection-options.js';
import { toJson } from './text.js';

export function addRequest(program: Command): void {
  const command = program
    .command('request')
    .description('Send a request and print the reply as JSON, on one line.')
    .argument('<address>', ADDRESS_HELP)
    .argument('<event>', 'its name')
    .argument('[json...]', 'its arguments; what is no JSON is taken as a string');
  addConnectionOptions(command)
    .option('--timeout <ms>', 'how long to wait for the reply, in milliseconds', parseMs, 30_000)
    .action(request);
}

async function request(
  address: string,
  event: string,
  json: readonly string[],
  flags: ConnectionFlags & { timeout: number },
): Promise<void> {
  const args = json.map(parseValue);
  const reply: unknown = await withClient(address, flags, (client) =>
    client.with({ timeoutMs: flags.timeout }).request(event, ...args),
  );
  process.stdout.write(`${toJson(reply)}\n`);
}
