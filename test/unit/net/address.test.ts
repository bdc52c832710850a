/** Every form of an address, and every bad one. */
import { describe, expect, it } from 'vitest';
import { type Address, formatAddress, isIpAddress, parseAddress } from '../../../src/net/address.js';
import { thrown } from '../../support/session-codes.js';

const GOOD: Array<[value: unknown, address: Address]> = [
  [5555, { port: 5555 }],
  [0, { port: 0 }],
  [65_535, { port: 65_535 }],
  ['5555', { port: 5555 }],
  ['localhost:80', { host: 'localhost', port: 80 }],
  ['127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
  ['[::1]:80', { host: '::1', port: 80 }],
  ['a-b.example.com:80', { host: 'a-b.example.com', port: 80 }],
  ['/run/x.sock', { path: '/run/x.sock' }],
  ['./x.sock', { path: './x.sock' }],
  ['\\\\.\\pipe\\x', { path: '\\\\.\\pipe\\x' }],
  ['unix:/run/x.sock', { path: '/run/x.sock' }],
  ['unix:///run/x.sock', { path: '/run/x.sock' }],
  ['unix:x.sock', { path: 'x.sock' }],
  ['tcp://example.com:80', { host: 'example.com', port: 80, tls: false }],
  ['tcp://example.com:80/', { host: 'example.com', port: 80, tls: false }],
  ['tls://[2001:db8::1]:443', { host: '2001:db8::1', port: 443, tls: true }],
  [{ port: 5 }, { port: 5 }],
  [
    { port: '5', host: 'h' },
    { port: 5, host: 'h' },
  ],
  [{ port: 5, host: undefined }, { port: 5 }],
  [{ path: '/x' }, { path: '/x' }],
  [{ path: '/x', port: 5 }, { path: '/x' }],
];

const BAD: unknown[] = [
  ...[-1, 65_536, 1.5, Number.NaN, Number.POSITIVE_INFINITY],
  ...[
    '',
    ' ',
    'localhost',
    'localhost:',
    ':80',
    'localhost:65536',
    'a:b',
    'a b:80',
    '::1:80',
    '[::1]',
    '[]:80',
  ],
  ...[
    'http://example.com:80',
    'tcp://',
    'tcp://example.com',
    'tls://:443',
    'tcp://h:1/path',
    'unix:',
    '-1',
    '5.5',
  ],
  ...['localhost:80\n', '5555 '],
  ...[null, undefined, true, [], {}, { host: 'h' }, { path: '' }, { port: 'x' }, { port: null }],
  ...[{ port: 5, host: '' }, { port: 5, host: 5 }, () => {}, Symbol('s'), 5n],
];

describe('an address', () => {
  it.each(GOOD)('may be %j', (value, address) => {
    expect(parseAddress(value)).toEqual(address);
  });

  it.each(BAD.map((value) => [value]))('may not be %s', (value) => {
    expect(thrown(() => parseAddress(value, 'servers[3]')).code).toBe('NYOTA_INVALID_OPTION');
  });

  it('that is bad names the option, what it takes and what it got', () => {
    expect(thrown(() => parseAddress('nonsense', 'servers[3]')).message).toMatch(
      /^servers\[3\] takes a port .*'host:port'.*tls:\/\/host:port.*, not 'nonsense'$/,
    );
    expect(thrown(() => parseAddress('h:70000', 'port')).message).toBe(
      'port: a port is a whole number from 0 to 65535, not 70000',
    );
    const { message } = thrown(() => parseAddress('a\u001b[31m\n'.repeat(99)));
    expect([message.includes('\u001b'), message.includes('\n'), message.length < 500]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it.each([
    [{ port: 80 }, 'localhost:80'],
    [{ port: 80, host: 'h' }, 'h:80'],
    [{ port: 80, host: '::1' }, '[::1]:80'],
    [{ path: '/x' }, '/x'],
  ] as Array<[Address, string]>)('%j is shown as %s', (address, text) => {
    expect(formatAddress(address)).toBe(text);
  });

  it('that was shown reads the same', () => {
    for (const [, address] of GOOD) {
      if ('port' in address && address.host !== undefined) {
        expect(parseAddress(formatAddress(address))).toEqual({ port: address.port, host: address.host });
      }
    }
  });

  it('is an IP address or a name', () => {
    expect(['127.0.0.1', '::1', 'localhost', '1.2.3', ''].map(isIpAddress)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
