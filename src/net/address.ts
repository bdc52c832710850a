/**
 * Where a client dials: numbers, strings, URLs and objects become one form. Pure.
 */
import { isIP } from 'node:net';
import { NyotaError, printable } from '../errors.js';
import { describeValue, invalidOption } from '../options.js';

/** A place to dial. `tls` is undefined if the address doesn't say. */
export type Address =
  | { readonly port: number; readonly host?: string; readonly tls?: boolean }
  | { readonly path: string };

const TAKES =
  "a port (5555 or '5555'), 'host:port', a unix path ('/run/x.sock'), or a URL (tcp://host:port, tls://host:port, unix:/run/x.sock)";

/**
 * Reads an address.
 * @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes
 */
export function parseAddress(value: unknown, option = 'address'): Address {
  if (typeof value === 'number') return { port: checkPort(value, option) };
  if (typeof value === 'string') return parseString(value, option);
  if (typeof value === 'object' && value !== null) {
    const { path, port, host } = value as { path?: unknown; port?: unknown; host?: unknown };
    if (typeof path === 'string' && path !== '') return { path };
    if (port !== undefined) {
      const number = typeof port === 'string' && /^\d+$/.test(port) ? Number(port) : port;
      if (host !== undefined && (typeof host !== 'string' || host === '')) {
        throw invalidOption('host', 'a host name or an IP address', host);
      }
      return { port: checkPort(number, option), ...(host === undefined ? {} : { host }) };
    }
  }
  throw refuse(option, value);
}

/** For messages: 'host:port' or the path. */
export function formatAddress(address: Address): string {
  if ('path' in address) return address.path;
  const host = address.host ?? 'localhost';
  return `${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}

function parseString(text: string, option: string): Address {
  if (/^\d+$/.test(text)) return { port: checkPort(Number(text), option) };
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (path === '') throw refuse(option, text);
    return { path };
  }
  const url = /^(tcp|tls):\/\/(.*)$/s.exec(text);
  if (url !== null) return { ...parseHostPort(url[2] ?? '', text, option), tls: url[1] === 'tls' };
  if (text.startsWith('/') || text.startsWith('./') || text.startsWith('\\\\')) return { path: text };
  return parseHostPort(text, text, option);
}

function parseHostPort(text: string, whole: string, option: string): { port: number; host: string } {
  const match = /^(?:\[([^\]]+)\]|([^:/\s[\]]+)):(\d+)\/?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) throw refuse(option, whole);
  return { port: checkPort(Number(match[3]), option), host };
}

function checkPort(port: unknown, option: string): number {
  if (typeof port === 'number' && Number.isInteger(port) && port >= 0 && port < 65_536) return port;
  throw new NyotaError(
    'NYOTA_INVALID_OPTION',
    `${option}: a port is a whole number from 0 to 65535, not ${describeValue(port)}`,
  );
}

function refuse(option: string, got: unknown): NyotaError {
  const shown = typeof got === 'string' ? `'${printable(got)}'` : describeValue(got);
  return new NyotaError('NYOTA_INVALID_OPTION', `${option} takes ${TAKES}, not ${shown}`);
}

export function isIpAddress(text: string): boolean {
  return isIP(text) !== 0;
}
