/** A client's options: defaults, every bad value by name, and the forms of createClient's arguments. */
import net from 'node:net';
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import {
  type ClientOptions,
  clientArguments,
  DEFAULT_SCHEDULE,
  isSocket,
  readClientOptions,
} from '../../../src/client/options.js';
import { systemClock } from '../../../src/clock.js';
import { thrown } from '../../support/session-codes.js';

const read = (options: unknown) => readClientOptions(options as ClientOptions);
const socket = (): Duplex => new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });

describe('a client’s options', () => {
  it('have defaults', () => {
    const options = read({ port: 5555 });
    expect(options).toMatchObject({
      servers: [{ port: 5555 }],
      socket: undefined,
      signal: undefined,
      socketOptions: {},
      tls: undefined,
      createConnection: undefined,
      auth: undefined,
      reconnect: true,
      schedule: { minDelayMs: 100, maxDelayMs: 30_000, factor: 2, jitter: 'full' },
      connectTimeoutMs: 10_000,
      limits: { maxFrameBytes: 1024 * 1024 },
    });
    expect([options.clock, options.random, Object.isFrozen(options)]).toEqual([
      systemClock,
      Math.random,
      true,
    ]);
  });

  it.each([
    [{ port: '5555', host: 'h' }, [{ port: 5555, host: 'h' }]],
    [{ path: '/x' }, [{ path: '/x' }]],
    [
      { servers: [1, 'h:2', { path: '/x' }, 'tls://h:3'] },
      [{ port: 1 }, { host: 'h', port: 2 }, { path: '/x' }, { host: 'h', port: 3, tls: true }],
    ],
    [{ createConnection: () => {} }, []],
    [{ socket: socket() }, []],
  ] as Array<[unknown, unknown]>)('say where to dial: %o', (options, servers) => {
    expect(read(options).servers).toEqual(servers);
  });

  it('hand to net.connect what is its, and nothing of nyota’s', () => {
    const options = {
      port: 1,
      host: 'h',
      noDelay: false,
      localAddress: '::1',
      auth: 1,
      maxDepth: 5,
      tls: true,
    };
    expect(read(options)).toMatchObject({ socketOptions: { noDelay: false, localAddress: '::1' }, tls: {} });
    expect(Object.keys(read(options).socketOptions)).toEqual(['noDelay', 'localAddress']);
  });

  it('may be anything beside with a createConnection, whose own options they are', () => {
    const options = { createConnection: () => {}, proxy: 'p' };
    expect(read(options).socketOptions).toEqual({ proxy: 'p' });
    expect(thrown(() => read({ port: 1, proxy: 'p' })).message).toContain("no option 'proxy'");
  });

  it('take TLS as options, true or false', () => {
    const tls = { ca: 'x' };
    expect([read({ port: 1, tls }).tls, read({ port: 1, tls: false }).tls]).toEqual([tls, undefined]);
  });

  it('take reconnect as false, true, or a part of the schedule', () => {
    expect(read({ port: 1, reconnect: false })).toMatchObject({
      reconnect: false,
      schedule: DEFAULT_SCHEDULE,
    });
    expect(read({ port: 1, reconnect: { minDelayMs: 5, jitter: 'none' } })).toMatchObject({
      reconnect: true,
      schedule: { minDelayMs: 5, maxDelayMs: 30_000, factor: 2, jitter: 'none' },
    });
  });

  it.each([
    [{}, /'port' takes a port; or give 'path', 'servers' or 'socket'/],
    [{ prt: 1 }, /no option 'prt'; did you mean 'port'/],
    [{ port: 1, maxFrameByte: 1 }, /did you mean 'maxFrameBytes'/],
    [{ port: 70_000 }, /^port: a port is a whole number/],
    [{ port: 'x' }, /port/],
    [{ port: 1, host: 5 }, /'host' takes/],
    [{ port: 1, host: '' }, /'host' takes/],
    [{ path: '' }, /path/],
    [{ servers: [] }, /'servers' takes an array of at least one address/],
    [{ servers: 'h:1' }, /'servers'/],
    [{ servers: ['h:1', 'h'] }, /servers\[1\]/],
    [{ port: 1, tls: 5 }, /'tls' takes true, or options of tls\.connect, not 5/],
    [{ port: 1, tls: null }, /'tls'/],
    [{ createConnection: 'x' }, /'createConnection' takes a function/],
    [{ socket: {} }, /'socket' takes a socket/],
    [{ port: 1, reconnect: 5 }, /'reconnect' takes true or false/],
    [{ port: 1, reconnect: { factor: 0.5 } }, /'reconnect\.factor' takes a number from 1 to 100/],
    [{ port: 1, reconnect: { factor: Number.NaN } }, /'reconnect\.factor'/],
    [{ port: 1, reconnect: { jitter: 'some' } }, /'reconnect\.jitter' takes 'full' or 'none'/],
    [{ port: 1, reconnect: { minDelayMs: 0 } }, /'reconnect\.minDelayMs' takes a whole number from 1/],
    [
      { port: 1, reconnect: { minDelayMs: 50, maxDelayMs: 40 } },
      /'reconnect\.maxDelayMs' takes at least minDelayMs \(50\), not 40/,
    ],
    [{ port: 1, reconnect: { min: 5 } }, /no option 'reconnect\.min'/],
    [{ port: 1, reconnect: { minDelay: 5 } }, /'reconnect\.minDelay'; did you mean 'reconnect\.minDelayMs'/],
    [{ port: 1, connectTimeoutMs: 0 }, /'connectTimeoutMs'/],
    [{ port: 1, clock: { now: () => 0 } }, /'clock' takes an object with now, setTimeout and clearTimeout/],
    [{ port: 1, clock: null }, /'clock'/],
    [{ port: 1, random: 5 }, /'random' takes a function/],
    [{ port: 1, signal: {} }, /'signal' takes an AbortSignal/],
    [{ port: 1, localAddress: 'localhost' }, /'localAddress' takes an IP address/],
    [{ port: 1, localPort: -1 }, /'localPort'/],
    [{ port: 1, family: 5 }, /'family' takes 0, 4 or 6/],
    [{ port: 1, lookup: 'x' }, /'lookup' takes a function/],
    [{ port: 1, store: {} }, /'store' takes a durable SessionStore/],
    [{ port: 1, storeKey: '' }, /'storeKey' takes a string of 1 to 128 characters, not ''/],
    [{ port: 1, storeKey: 'k'.repeat(129) }, /'storeKey'/],
    [{ port: 1, localPort: '5' }, /'localPort' takes a port from 0 to 65535, not '5'/],
    [null, /'options' takes an object/],
    [[], /'options' takes an object, not an array/],
    [5, /'options' takes an object/],
  ] as Array<[unknown, RegExp]>)('refuse %o', (options, text) => {
    const error = thrown(() => read(options));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(text);
  });
});

describe('the arguments of createClient', () => {
  const onConnect = (): void => {};
  const given = socket();

  it.each([
    [[5555], { servers: [{ port: 5555 }] }],
    [['5555'], { servers: [{ port: 5555 }] }],
    [['h:1'], { servers: [{ host: 'h', port: 1 }] }],
    [['tls://h:1'], { servers: [{ host: 'h', port: 1, tls: true }] }],
    [['/run/x'], { path: '/run/x' }],
    [['unix:/run/x'], { path: '/run/x' }],
    [[5555, 'h'], { port: 5555, host: 'h' }],
    [['5555', 'h'], { port: 5555, host: 'h' }],
    [[{ port: 1 }], { port: 1 }],
    [[given], { socket: given }],
    [[given, { auth: 1 }], { socket: given, auth: 1 }],
    [[5555, { auth: 1 }], { servers: [{ port: 5555 }], auth: 1 }],
  ] as Array<[unknown[], unknown]>)('%o', ([target, ...rest], options) => {
    expect(clientArguments(target, rest)).toEqual({ options, onConnect: undefined });
    expect(clientArguments(target, [...rest, onConnect])).toEqual({ options, onConnect });
    expect(clientArguments(target, [...rest, undefined])).toEqual({ options, onConnect: undefined });
    readClientOptions(clientArguments(target, rest).options);
  });

  it.each([
    [[], /'port' takes a port, a string, a socket or options, not undefined/],
    [[null], /'port'/],
    [['nonsense'], /port/],
    [[5555, 5], /'host'/],
    [['/run/x', 'h'], /'host' takes nothing beside/],
    [[5555, 'h', 'later'], /'onConnect' takes a function, as the last argument/],
    [[{ port: 1 }, 'later'], /'onConnect'/],
    [[given, 'h'], /'onConnect'/],
    [[5555, onConnect, 5], /./],
  ] as Array<[unknown[], RegExp]>)('refuse %o', ([target, ...rest], text) => {
    const error = thrown(() => clientArguments(target, rest));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(text);
  });
});

describe('a socket', () => {
  it('is told from options by what it can do', () => {
    const real = new net.Socket();
    expect([real, socket(), { write() {}, on() {} }].map(isSocket)).toEqual([true, true, true]);
    expect([null, undefined, 5, 'x', {}, { write() {} }, { port: 1 }].map(isSocket)).not.toContain(true);
    real.destroy();
  });
});
