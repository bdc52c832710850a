/**
 * `createClient`: reads the arguments in all their forms, and makes the client from them. Touches nothing else.
 */
import type { Duplex } from 'node:stream';
import type { AnyContract } from '../peer/contract.js';
import { type Client, newClient } from './client.js';
import { clientArguments } from './client-arguments.js';
import { type ClientOptions, readClientOptions } from './options.js';

/**
 * Connects to a nyota server, at once, and reconnects for ever. `onConnect` is called at the first connection.
 *
 * The target is a port, `'host:port'`, a unix path, a URL (`tcp://`, `tls://`, `unix:`), an existing socket, or options.
 * @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes
 */
export function createClient<C = AnyContract>(
  target: number | string | Duplex | ClientOptions,
  onConnect?: () => void,
): Client<C>;
export function createClient<C = AnyContract>(
  target: number | string,
  host: string,
  onConnect?: () => void,
): Client<C>;
export function createClient<C = AnyContract>(
  target: Duplex,
  options: ClientOptions,
  onConnect?: () => void,
): Client<C>;
export function createClient<C = AnyContract>(target: unknown, ...rest: unknown[]): Client<C> {
  const { options, onConnect } = clientArguments(target, rest);
  return newClient<C>(readClientOptions(options), onConnect);
}
