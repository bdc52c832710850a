/**
 * The forms of `createClient`'s arguments, as options.
 */
import { parseAddress } from '../net/address.js';
import { invalidOption } from '../options.js';
import { type ClientOptions, isSocket } from './options.js';

export interface ClientArguments {
  readonly options: ClientOptions;
  readonly onConnect: (() => void) | undefined;
}

/** @throws NyotaError `NYOTA_INVALID_OPTION` that names the argument and what it takes */
export function clientArguments(target: unknown, rest: readonly unknown[]): ClientArguments {
  if (target === undefined || target === null) {
    throw invalidOption('port', 'a port, a string, a socket or options', target);
  }
  const between = [...rest];
  const onConnect = takeCallback(between);
  const host = typeof between[0] === 'string' ? (between.shift() as string) : undefined;
  const more = takeOptions(between, host === undefined && typeof target !== 'object');
  if (between.length > 0) throw invalidOption('onConnect', 'a function, as the last argument', between[0]);
  return { options: withTarget(target, host, more), onConnect };
}

function withTarget(target: unknown, host: string | undefined, more: ClientOptions): ClientOptions {
  if (typeof target === 'object') {
    if (host !== undefined) throw invalidOption('onConnect', 'a function, as the last argument', host);
    return isSocket(target) ? { ...more, socket: target } : { ...target, ...more };
  }
  const address = parseAddress(target, 'port');
  if (host !== undefined) {
    if ('path' in address || 'host' in address)
      throw invalidOption('host', 'nothing beside an address that names one', host);
    return { ...more, port: address.port, host };
  }
  return 'path' in address ? { ...more, path: address.path } : { ...more, servers: [address] };
}

/** A function at the end; undefined may stand for one that is left out. */
function takeCallback(rest: unknown[]): (() => void) | undefined {
  while (rest.length > 0 && rest[rest.length - 1] === undefined) rest.pop();
  return typeof rest[rest.length - 1] === 'function' ? (rest.pop() as () => void) : undefined;
}

function takeOptions(rest: unknown[], mayBeHost: boolean): ClientOptions {
  const first = rest[0];
  if (first === undefined) {
    rest.shift();
    return {};
  }
  if (typeof first !== 'object' || first === null) {
    if (mayBeHost && rest.length === 1) throw invalidOption('host', 'a host name or an IP address', first);
    throw invalidOption('onConnect', 'a function, as the last argument', first);
  }
  rest.shift();
  return first;
}
