/** docs/api.md, the options of servers and clients, and "Limits": a bad option throws at once, naming the option and what it takes. */
import { describe, expect, it } from 'vitest';
import { type ClientOptions, createClient, createServer, type ServerOptions } from '../../../src/index.js';
import { nyotaErrorOf, useKit } from '../../support/api-kit.js';

const kit = useKit();

const server = (options: object) => kit.own(createServer(options as ServerOptions));
const client = (options: object) =>
  kit.own(
    createClient({
      port: 1,
      reconnect: false,
      createConnection: () => undefined,
      ...options,
    } as ClientOptions),
  );
/** Without a function of its own, so that unknown names are refused. It dials where nobody listens. */
const plainClient = (options: object) => kit.own(createClient({ port: 1, ...options } as ClientOptions));

const MIB = 1024 * 1024;

/** Those of both sides: a value that is just in range, and some that are not. */
const LIMITS: ReadonlyArray<[name: string, good: number, ...bad: unknown[]]> = [
  ['maxFrameBytes', 16 * MIB, 16 * MIB + 1, 0, -1, 1.5, '1024'],
  ['maxOutboxBytes', 16 * MIB, 0, -1, Number.NaN, '1mb'],
  ['maxOutboxFrames', 1, 0, 1.5, null],
  ['highWaterBytes', 1, 0, -1, Number.POSITIVE_INFINITY],
  ['handshakeTimeoutMs', 1, 0, 2 ** 31, '10s'],
  ['pingIntervalMs', 1, 0, 2 ** 31, {}],
  ['pingTimeoutMs', 1, 0, -5, []],
  ['requestTimeoutMs', 1, 0, -1, true],
  ['maxRunningHandlers', 1, 0, 0.5, 'many'],
  ['settleTimeoutMs', 1, 0, 2 ** 31, () => 1],
  ['drainTimeoutMs', 0, -1, 2 ** 31, 1n],
  ['maxDepth', 64, 0, -1, 1.5, 'deep'],
  ['maxValues', 65_536, 0, -1, 1.5, Symbol('many')],
];

describe.each([
  ['a client', client],
  ['a server', server],
] as const)('the limits of %s', (_, create) => {
  it.each(LIMITS.map(([name, good]) => [name, good] as const))('%s takes %s', (name, good) => {
    create({ [name]: good });
  });

  const bad = LIMITS.flatMap(([name, , ...values]) =>
    values.map((value) => [name, String(value), value] as const),
  );
  it.each(bad)('%s refuses %s', (name, _, value) => {
    const error = nyotaErrorOf(() => create({ [name]: value }));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.retry).toBe('never');
    expect(error.message).toContain(`'${name}'`);
    // What it takes, and what it got.
    expect(error.message).toMatch(/takes .+ from .+ to .+, not .+/);
  });

  it.each(LIMITS.map(([name]) => name))('%s may be undefined, which means the default', (name) => {
    create({ [name]: undefined });
  });
});

describe('the options of a client', () => {
  it.each<[string, object, RegExp]>([
    ['tls', { tls: 'yes' }, /'tls'/],
    ['tls', { tls: 5 }, /'tls'/],
    ['createConnection', { createConnection: {} }, /'createConnection'/],
    ['reconnect', { reconnect: 'always' }, /'reconnect'/],
    ['reconnect', { reconnect: null }, /'reconnect'/],
    ['reconnect.factor', { reconnect: { factor: 0.5 } }, /factor'/],
    ['reconnect.factor', { reconnect: { factor: '2' } }, /factor'/],
    ['reconnect.jitter', { reconnect: { jitter: 'half' } }, /jitter'/],
    ['reconnect.minDelayMs', { reconnect: { minDelayMs: -1 } }, /minDelayMs'/],
    ['reconnect.maxDelayMs', { reconnect: { maxDelayMs: 1.5 } }, /maxDelayMs'/],
    [
      'reconnect.maxDelayMs below minDelayMs',
      { reconnect: { minDelayMs: 500, maxDelayMs: 100 } },
      /maxDelayMs'/,
    ],
    ['connectTimeoutMs', { connectTimeoutMs: 0 }, /'connectTimeoutMs'/],
    ['connectTimeoutMs', { connectTimeoutMs: '1s' }, /'connectTimeoutMs'/],
    ['socket', { socket: {} }, /'socket'/],
    ['random', { random: 0.5 }, /'random'/],
    ['clock', { clock: {} }, /'clock'/],
    ['port', { port: 'http' }, /port/],
  ])('%s is checked: %o', (_, options, names) => {
    const error = nyotaErrorOf(() => client(options));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(names);
  });

  it.each<[string, object, string]>([
    ['localAddress', { localAddress: 'nowhere' }, 'localAddress'],
    ['localPort', { localPort: -1 }, 'localPort'],
    ['lookup', { lookup: 'dns' }, 'lookup'],
    ['family', { family: 5 }, 'family'],
  ])('%s, which net.connect would refuse at every attempt, is refused at once', (_, options, name) => {
    const error = nyotaErrorOf(() => plainClient({ host: '127.0.0.1', ...options }));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toContain(name);
  });

  it.each<[string, object, string]>([
    ['maxFramBytes', { maxFramBytes: 1 }, 'maxFrameBytes'],
    ['reconect', { reconect: false }, 'reconnect'],
    ['Host', { Host: 'a' }, 'host'],
    ['requestTimeout', { requestTimeout: 1 }, 'requestTimeoutMs'],
    ['connectTimeout', { connectTimeout: 1 }, 'connectTimeoutMs'],
    ['server', { server: ['a:1'] }, 'servers'],
    ['reconnect.minDelay', { reconnect: { minDelay: 1 } }, 'reconnect.minDelayMs'],
  ])('a misspelt %s is refused, with the name that was meant', (name, options, meant) => {
    const error = nyotaErrorOf(() => plainClient(options));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toContain(`'${name}'`);
    expect(error.message).toContain(`'${meant}'`);
  });

  it('a name like no other is refused without a guess', () => {
    const error = nyotaErrorOf(() => plainClient({ colour: 'red' }));
    expect(error.message).toContain("'colour'");
    expect(error.message).not.toContain('did you mean');
  });

  it('are read once: changing the object afterwards changes nothing', async () => {
    const { server: listening, port } = await kit.pair();
    const options: ClientOptions = { port, host: '127.0.0.1', auth: 'x' };
    const created = kit.own(createClient(options));
    options.port = 1;
    await created.sendWithAck('anything');
    expect(listening.sessions.has(created.id)).toBe(true);
  });
});

describe('the options of a server', () => {
  it.each<[string, unknown, RegExp]>([
    ['options that are none', null, /options/],
    ['tls', { tls: true }, /'tls'/],
    ['tls', { tls: 'yes' }, /'tls'/],
    ['tls with a broken key', { tls: { key: 'no key', cert: 'no certificate' } }, /tls/],
    ['createServer', { createServer: {} }, /'createServer'/],
    ['createServer that makes no server', { createServer: () => 5 }, /'createServer'/],
    ['authenticate', { authenticate: 'password' }, /'authenticate'/],
    ['resumeWindowMs', { resumeWindowMs: -1 }, /'resumeWindowMs'/],
    ['resumeWindowMs', { resumeWindowMs: '2m' }, /'resumeWindowMs'/],
    ['store', { store: 'redis' }, /'store'/],
    ['store', { store: {} }, /'store'/],
    ['maxSessions', { maxSessions: 0 }, /'maxSessions'/],
    ['maxSessions', { maxSessions: 'all' }, /'maxSessions'/],
    ['maxUnauthenticated', { maxUnauthenticated: -1 }, /'maxUnauthenticated'/],
    ['clock', { clock: {} }, /'clock'/],
  ])('%s is checked: %o', (_, options, names) => {
    const error = nyotaErrorOf(() => server(options as object));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(names);
  });

  it.each<[string, object, string]>([
    ['maxSession', { maxSession: 1 }, 'maxSessions'],
    ['authentificate', { authentificate: () => 1 }, 'authenticate'],
    ['resumeWindow', { resumeWindow: 1 }, 'resumeWindowMs'],
    ['highwaterBytes', { highwaterBytes: 1 }, 'highWaterBytes'],
  ])('a misspelt %s is refused, with the name that was meant', (name, options, meant) => {
    const error = nyotaErrorOf(() => server(options));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toContain(`'${name}'`);
    expect(error.message).toContain(`'${meant}'`);
  });

  it('an onSession that is no function is refused', () => {
    const create = createServer as unknown as (...args: unknown[]) => unknown;
    for (const args of [
      [{}, 'onSession'],
      [0, {}],
    ]) {
      const error = nyotaErrorOf(() => create(...args));
      expect(error.code).toBe('NYOTA_INVALID_OPTION');
      expect(error.message).toContain('onSession');
    }
  });
});

describe('what with() takes', () => {
  it.each<[string, unknown, RegExp]>([
    ['timeoutMs', { timeoutMs: -1 }, /'timeoutMs'/],
    ['timeoutMs', { timeoutMs: '1s' }, /'timeoutMs'/],
    ['timeoutMs', { timeoutMs: Number.NaN }, /'timeoutMs'/],
    ['ttlMs', { ttlMs: 0 }, /'ttlMs'/],
    ['ttlMs', { ttlMs: null }, /'ttlMs'/],
    ['signal', { signal: new AbortController() }, /'signal'/],
    ['volatile', { volatile: 1 }, /'volatile'/],
    ['an unknown name', { timeout: 5 }, /'timeout'.*'timeoutMs'/],
    ['nothing', undefined, /with/],
    ['a number', 5, /with/],
  ])('%s is checked: %o', (_, options, names) => {
    const peer = client({});
    const error = nyotaErrorOf(() => peer.with(options as object));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(names);
  });
});

describe('autoReconnect', () => {
  it.each<[string, unknown[], RegExp]>([
    ['a minimum that is no number', ['1s'], /minDelayMs/],
    ['a negative minimum', [-1], /minDelayMs/],
    ['a maximum that is no number', [1, '1s'], /maxDelayMs/],
    ['a maximum below the minimum', [100, 50], /maxDelayMs/],
  ])('refuses %s', (_, args, names) => {
    const peer = client({});
    const error = nyotaErrorOf(() =>
      (peer.autoReconnect as (...args: unknown[]) => unknown).apply(peer, args),
    );
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(names);
  });
});
