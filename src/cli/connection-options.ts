/** What `connect`, `send` and `request` share: how a client is opened from the command line, and how it fails. */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { type Client, type ClientOptions, createClient, type LimitOptions, NyotaError } from '../index.js';
import { describeError, Failure, UsageError } from './failures.js';

export interface ConnectionFlags {
  readonly tls?: boolean;
  readonly ca?: string;
  readonly auth?: string;
}

export const ADDRESS_HELP =
  'a port, host:port, a path of a unix socket, or a URL: tcp://host:port, tls://host:port, unix:/path';

export function addConnectionOptions(command: Command): Command {
  return command
    .option('--tls', 'connect with TLS')
    .option('--ca <file>', 'the certificates to trust, as PEM; with TLS')
    .addOption(authOption('the token that the server asks for'));
}

/** A token on the command line is seen by others on the machine; one in the environment is not. */
export function authOption(description: string): Option {
  return new Option('--auth <token>', description).env('NYOTA_AUTH');
}

/** A client that gives up where the first attempt fails, and from then on comes back through every cut. */
export function openClient(address: string, flags: ConnectionFlags, limits: LimitOptions = {}): Client {
  const encrypted = flags.tls === true || flags.ca !== undefined;
  if (encrypted && address.startsWith('tcp://'))
    throw new UsageError('a tcp:// address is never encrypted: give tls://, or leave --tls and --ca');
  const tls = flags.ca === undefined ? encrypted : { ca: readInput('--ca', flags.ca) };
  const options: ClientOptions = { ...limits, servers: [address], tls, reconnect: false };
  if (flags.auth !== undefined) options.auth = flags.auth;
  try {
    const client = createClient(options);
    client.once('connect', () => client.autoReconnect());
    return client;
  } catch (error) {
    // The library names its own option.
    if (!(error instanceof NyotaError) || !error.message.startsWith('servers[0]')) throw error;
    throw new UsageError(error.message.replace('servers[0]', 'ADDRESS'));
  }
}

/** A file that was named on the command line. */
export function readInput(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new UsageError(`${option}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * Rejects once the client has stopped and will not come back by itself. Nobody has to listen: it never counts as an unhandled
 * rejection.
 */
export function stopped(client: Client): Promise<never> {
  const promise = new Promise<never>((_resolve, reject) => {
    const check = (reason: Error | undefined): void => {
      // The client decides after these events whether it comes back.
      setImmediate(() => {
        if (client.state !== 'idle' && client.state !== 'closed') return;
        reject(reason ?? new Failure('the connection is over'));
      });
    };
    client.on('error', check).on('disconnect', check);
  });
  promise.catch(() => {});
  return promise;
}

/** After a failure there may be nobody who answers the close. */
const CLOSE_WITHIN_MS = 1_000;

/** Does one thing with a client, and closes it. */
export async function withClient<T>(
  address: string,
  flags: ConnectionFlags,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const client = openClient(address, flags, { drainTimeoutMs: CLOSE_WITHIN_MS });
  const over = stopped(client);
  try {
    const result = await Promise.race([use(client), over]);
    await client.close();
    return result;
  } catch (error) {
    // Once the call was accepted, an error is the other side's answer, whatever its code, and not a wrong call.
    const accepted = client.stats().sent > 0;
    if (client.connected) await client.close();
    else client.destroy();
    throw accepted ? new Failure(describeError(error)) : error;
  }
}
