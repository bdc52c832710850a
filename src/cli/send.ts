/** `nyota send ADDRESS EVENT [JSON…]`: one event, acknowledged. */
import type { Command } from 'commander';
import { parseMs, parseValue } from './arguments.js';
import {
  ADDRESS_HELP,
  addConnectionOptions,
  type ConnectionFlags,
  withClient,
} from './connection-options.js';

export function addSend(program: Command): void {
  const command = program
    .command('send')
    .description("Send an event, and wait until the other side's listeners have run.")
    .argument('<address>', ADDRESS_HELP)
    .argument('<event>', 'its name')
    .argument('[json...]', 'its arguments; what is no JSON is taken as a string');
  addConnectionOptions(command)
    .option('--timeout <ms>', 'how long to wait for the acknowledgement, in milliseconds', parseMs, 30_000)
    .action(send);
}

async function send(
  address: string,
  event: string,
  json: readonly string[],
  flags: ConnectionFlags & { timeout: number },
): Promise<void> {
  const args = json.map(parseValue);
  await withClient(address, flags, (client) =>
    client.with({ timeoutMs: flags.timeout }).sendWithAck(event, ...args),
  );
  process.stdout.write('acknowledged\n');
}
