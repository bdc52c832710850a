/** The command line as it is built and called: its commands against real servers, and what a wrong call gets. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  createClient,
  createServer,
  type Server,
  type ServerOptions,
  type Session,
} from '../../src/index.js';
import { createFaultProxy } from '../../src/testing/index.js';
import { makeCertificates } from '../support/api-certificates.js';
import { CliProcess, type CliResult, nyota, nyotaHere } from '../support/cli-process.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A server of this process; answers its port. */
async function listen(onSession: (session: Session) => void, options: ServerOptions = {}): Promise<number> {
  const server: Server = createServer(options, onSession);
  cleanUps.push(() => server.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** `nyota serve` on a free port. */
async function serve(...args: string[]): Promise<{ served: CliProcess; port: string }> {
  const served = new CliProcess(['serve', '0', ...args]);
  cleanUps.push(() => {
    served.signal('SIGKILL');
    return served.ended;
  });
  const [, port = ''] = await served.prints(/listening on 127\.0\.0\.1:(\d+)/);
  return { served, port };
}

/** `nyota connect`, to type at. */
function connect(port: number): CliProcess {
  const connected = new CliProcess(['connect', String(port)]);
  cleanUps.push(() => {
    connected.signal('SIGKILL');
    return connected.ended;
  });
  return connected;
}

/** A port where nobody listens. */
async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** One line, and nothing of how the program looks inside. */
function expectOneLine({ stdout, stderr }: CliResult): void {
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^nyota: [^\n]+\n$/);
  expect(stderr).not.toMatch(/\bat .*:\d+:\d+/);
}

describe('a wrong call exits 2 with one line that says what is wrong', () => {
  it.each([
    ['no command', [], /a command is missing/],
    ['an unknown command', ['frobnicate'], /unknown command 'frobnicate'/],
    ['a misspelt command', ['serv', '1'], /unknown command 'serv' \(Did you mean serve\?\)/],
    ['help for what there is not', ['help', 'serv'], /unknown command 'serv'/],
    ['a missing argument', ['serve'], /missing required argument 'port'/],
    ['a missing event', ['send', '5555'], /missing required argument 'event'/],
    ['an argument too many', ['serve', '1', '2'], /too many arguments/],
    ['a port that is no number', ['serve', 'http'], /'http'.* port .*0 to 65535/],
    ['a port out of range', ['serve', '65536'], /'65536'.* port .*0 to 65535/],
    ['an unknown option', ['serve', '1', '--hots', 'x'], /unknown option '--hots' \(Did you mean --host\?\)/],
    ['an option without its value', ['send', '1', 'x', '--auth'], /--auth <token>' argument missing/],
    ['a key without its certificate', ['serve', '0', '--tls-key', 'x'], /--tls-key and --tls-cert/],
    ['a file that is not there', ['send', '1', 'x', '--ca', '/nope.pem'], /--ca: ENOENT/],
    ['a bad address', ['send', 'nowhere', 'x'], /ADDRESS takes a port .*not 'nowhere'/],
    ['a bad port in an address', ['connect', 'localhost:70000'], /ADDRESS: a port .*70000/],
    ['TLS to an address without', ['send', 'tcp://h:1', 'x', '--tls'], /tcp:\/\/ address is never encrypted/],
    ['an event that may not be sent', ['send', '1', 'connect'], /NYOTA_RESERVED_EVENT/],
    ['a bad timeout', ['request', '1', 'x', '--timeout', '0'], /'0' is invalid.* milliseconds/],
    ['a count of nothing', ['demo', '--events', '0'], /'0' is invalid.* count from 1/],
    ['a line break in what is wrong', ['a\nb\u001b[31m'], /unknown command 'a b\\u001b\[31m'/],
  ])('%s', async (_what, args, says) => {
    const result = await nyotaHere(args);
    expect(result.code, result.stderr).toBe(2);
    expectOneLine(result);
    expect(result.stderr).toMatch(says);
  });
});

describe('help and version', () => {
  it.each([
    [['--help'], /Usage: nyota/],
    [['help'], /Usage: nyota/],
    [['demo', '--help'], /--events/],
    [['serve', '--help'], /--tls-key/],
    [['connect', '--help'], /unix:\/path/],
    [['send', '--help'], /--timeout/],
    [['request', '--help'], /--timeout/],
    [['help', 'send'], /Usage: nyota send/],
  ])('nyota %j', async (args, says) => {
    const { code, stdout, stderr } = await nyotaHere(args);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(says);
  });

  it('nyota --version prints that of the package', async () => {
    const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    expect(await nyota(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });
});

describe('where nothing answers, the exit code is 1 and the line names why', () => {
  it.concurrent.each([['send'], ['request'], ['connect']])('nyota %s', async (command) => {
    const port = await freePort();
    const result = await nyota([command, `127.0.0.1:${port}`, ...(command === 'connect' ? [] : ['ping'])]);
    expect(result.code).toBe(1);
    expectOneLine(result);
    expect(result.stderr).toContain('NYOTA_CONNECT_FAILED');
    expect(result.stderr).toContain('ECONNREFUSED');
  });

  it('nyota serve on a port that is taken', async () => {
    const port = await listen(() => {});
    const result = await nyota(['serve', String(port)]);
    expect(result.code).toBe(1);
    expectOneLine(result);
    expect(result.stderr).toContain('EADDRINUSE');
  });
});

describe('nyota serve', () => {
  it('prints what arrives and answers echo, and ends gracefully', async () => {
    const { served, port } = await serve();
    const client = createClient(Number(port));
    cleanUps.push(() => client.destroy());
    await client.sendWithAck('greet', 'hello', { a: [1, null] });
    expect(await client.request('echo', { x: 1 })).toEqual({ x: 1 });
    expect(await client.request('echo', 1, 2)).toEqual([1, 2]);
    client.set('cart', ['apple']).delete('cart');
    await client.store.synced();
    await served.prints(/connected from 127\.0\.0\.1:\d+/);
    await served.prints(/event greet "hello" \{"a":\[1,null\]\}\n/);
    await served.prints(/request echo 1 2\n/);
    await served.prints(/store cart = \["apple"\], revision 1\n/);
    await served.prints(/store cart deleted, revision 2\n/);

    const told = new Promise((resolve) => client.once('disconnect', resolve));
    served.signal('SIGTERM');
    expect(await told).toMatchObject({ code: 'NYOTA_SERVER_CLOSING' });
    const { code, stdout, stderr } = await served.ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/\nclosed\n$/);
  });

  it('ends gracefully on SIGINT too', async () => {
    const { served } = await serve();
    served.signal('SIGINT');
    expect((await served.ended).code).toBe(0);
  });

  it('shows what comes from the wire with nothing in it that a terminal obeys', async () => {
    const { served, port } = await serve();
    const client = createClient(Number(port));
    cleanUps.push(() => client.destroy());
    await client.sendWithAck('evil\u001b[2J\nfake line', 'text\u001b]0;title\u0007\u202e');
    await served.prints(/event evil\\u001b\[2J\\nfake line "text\\u001b\]0;title\\u0007\\u202e"\n/);
    served.signal('SIGTERM');
    expect((await served.ended).stdout).not.toMatch(/[^\P{Cc}\n]|\u202e/u);
  });

  it('shows a connection that is no client, and goes on', async () => {
    const { served, port } = await serve();
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
    await served.prints(/refused 127\.0\.0\.1: NYOTA_BAD_PREAMBLE/);
    expect((await nyota(['send', port, 'ping'])).code).toBe(0);
  });

  it('lets in only those that give the token, on the command line or in the environment', async () => {
    const { served, port } = await serve('--auth', 'secret');
    expect((await nyota(['send', port, 'ping', '--auth', 'secret'])).code).toBe(0);
    expect((await nyota(['send', port, 'ping'], { env: { NYOTA_AUTH: 'secret' } })).code).toBe(0);
    for (const wrong of [[], ['--auth', 'other']]) {
      const result = await nyota(['send', port, 'ping', ...wrong]);
      expect(result.code).toBe(1);
      expectOneLine(result);
      expect(result.stderr).toContain('NYOTA_UNAUTHORIZED');
    }
    served.signal('SIGTERM');
    expect((await served.ended).stdout).not.toContain('secret');
  });
});

describe('TLS', () => {
  let folder = '';
  const file = (name: string): string => join(folder, name);
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'nyota-cli-'));
    const { ca, server } = await makeCertificates();
    writeFileSync(file('ca.pem'), ca);
    writeFileSync(file('key.pem'), server.key);
    writeFileSync(file('cert.pem'), server.cert);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const tlsServer = () => serve('--tls-key', file('key.pem'), '--tls-cert', file('cert.pem'));

  it('carries what is sent where the certificate is trusted', async () => {
    const { port } = await tlsServer();
    const ca = ['--ca', file('ca.pem')];
    const byOption = await nyota(['request', `localhost:${port}`, 'echo', 'safe', '--tls', ...ca]);
    expect(byOption).toEqual({ code: 0, stdout: '"safe"\n', stderr: '' });
    const byUrl = await nyota(['request', `tls://localhost:${port}`, 'echo', 'safe', ...ca]);
    expect(byUrl).toEqual({ code: 0, stdout: '"safe"\n', stderr: '' });
  });

  it('refuses a certificate that nobody vouches for', async () => {
    const { port } = await tlsServer();
    const result = await nyota(['send', `tls://localhost:${port}`, 'ping']);
    expect(result.code).toBe(1);
    expectOneLine(result);
    expect(result.stderr).toContain('NYOTA_CONNECT_FAILED');
  });

  it('wants a key that is one', async () => {
    const result = await nyota(['serve', '0', '--tls-key', file('ca.pem'), '--tls-cert', file('cert.pem')]);
    expect(result.code).toBe(2);
    expectOneLine(result);
    expect(result.stderr).toContain('--tls-key');
  });
});

describe('nyota send', () => {
  it('sends JSON as values and everything else as strings', async () => {
    const heard: unknown[][] = [];
    const port = await listen((session) => session.onAny((...all) => void heard.push(all)));
    const result = await nyota([
      ...['send', String(port), 'my event'],
      ...['1', '-5', '"quoted"', 'plain text', '{"a":[1]}', 'null', 'true', '{broken', ''],
    ]);
    expect(result).toEqual({ code: 0, stdout: 'acknowledged\n', stderr: '' });
    expect(heard).toEqual([
      ['my event', 1, -5, 'quoted', 'plain text', { a: [1] }, null, true, '{broken', ''],
    ]);
  });

  it('ends only after the listeners have settled', async () => {
    let heard = (): void => {};
    let letGo = (): void => {};
    const listening = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const waiting = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    let settled = false;
    const port = await listen((session) =>
      session.on('slow', async () => {
        heard();
        await waiting;
        settled = true;
      }),
    );
    const sending = nyota(['send', String(port), 'slow']);
    const settledAtItsEnd = sending.then(() => settled);
    await listening;
    letGo();
    expect((await sending).code).toBe(0);
    expect(await settledAtItsEnd).toBe(true);
  });

  it('gives up at its timeout', async () => {
    const port = await listen((session) => session.on('never', () => new Promise(() => {})));
    const result = await nyota(['send', String(port), 'never', '--timeout', '200']);
    expect(result.code).toBe(1);
    expectOneLine(result);
    expect(result.stderr).toContain('NYOTA_TIMEOUT');
  });

  it('reaches a unix socket, by its path and by its URL', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nyota-cli-'));
    cleanUps.push(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, 's.sock');
    const server = createServer();
    cleanUps.push(() => server.destroy());
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect((await nyota(['send', path, 'ping'])).code).toBe(0);
    expect((await nyota(['send', `unix:${path}`, 'ping'])).code).toBe(0);
  });
});

describe('nyota request', () => {
  it.concurrent.each([
    ['a port', (port: string) => port],
    ['host:port', (port: string) => `127.0.0.1:${port}`],
    ['a URL', (port: string) => `tcp://127.0.0.1:${port}`],
  ])('prints the reply as JSON, from %s', async (_what, address) => {
    const port = await listenUntilTheEnd((session) =>
      session.handle('add', (a: number, b: number) => ({ sum: a + b })),
    );
    const result = await nyota(['request', address(String(port)), 'add', '1', '2']);
    expect(result).toEqual({ code: 0, stdout: '{"sum":3}\n', stderr: '' });
  });

  it('prints code and message of the error, on one line and escaped', async () => {
    const port = await listen((session) => {
      session.handle('fail', () => {
        throw Object.assign(new Error('no\nsuch\u001b[31m order'), { code: 'E_ORDER' });
      });
    });
    const result = await nyota(['request', String(port), 'fail']);
    expect(result).toEqual({
      code: 1,
      stdout: '',
      stderr: 'nyota: E_ORDER: no\\nsuch\\u001b[31m order\n',
    });
  });

  it('exits 1 where nobody handles it, and where the handler refuses with a code of nyota', async () => {
    const port = await listen((session) => {
      session.handle('refuse', () => {
        throw Object.assign(new Error('not this'), { name: 'NyotaError', code: 'NYOTA_INVALID_ARGUMENT' });
      });
    });
    const unhandled = await nyota(['request', String(port), 'nobody']);
    expect([unhandled.code, unhandled.stderr]).toEqual([1, expect.stringContaining('NYOTA_NO_HANDLER')]);
    const refused = await nyota(['request', String(port), 'refuse']);
    expect([refused.code, refused.stderr]).toEqual([1, 'nyota: NYOTA_INVALID_ARGUMENT: not this\n']);
  });

  it('gets its reply through a cut of the connection', async () => {
    let runs = 0;
    const port = await listen((session) => {
      session.handle('slow', async () => {
        runs++;
        const back = new Promise((resolve) => session.once('connect', resolve));
        proxy.cut();
        await back;
        return 'after the cut';
      });
    });
    const proxy = await createFaultProxy({ target: { port } });
    cleanUps.push(() => proxy.close());
    const result = await nyota(['request', `127.0.0.1:${proxy.port}`, 'slow']);
    expect(result).toEqual({ code: 0, stdout: '"after the cut"\n', stderr: '' });
    expect(runs).toBe(1);
  });

  it('says so where the server ends the session instead', async () => {
    const port = await listen((session) => {
      session.handle('bye', () => {
        session.destroy();
        return new Promise(() => {});
      });
    });
    const result = await nyota(['request', String(port), 'bye', '--timeout', '5000']);
    expect(result.code).toBe(1);
    expectOneLine(result);
    expect(result.stderr).toMatch(/NYOTA_/);
  });
});

describe('nyota connect', () => {
  it('does what is piped in, and ends when all of it has settled', async () => {
    const { port } = await serve();
    const { code, stdout, stderr } = await nyota(['connect', port], {
      input: [
        'send hi {"a": 1, "b": [1, 2]} "two words"',
        'request echo {"deep": [1, 2]}',
        'set cart ["apple"]',
        'get cart',
        'get',
        'delete cart',
        'get cart',
        'stats',
        'help',
      ].join('\n'),
    });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^connected, session \S+\n/);
    expect(stdout).toMatch(/\nacknowledged hi after [\d.]+ ms\n/);
    expect(stdout).toMatch(/\nreply \{"deep":\[1,2\]\} after [\d.]+ ms\n/);
    expect(stdout).toContain('\n["apple"]\n{"cart":["apple"]}\ndeleted\nnull\n');
    expect(stdout).toMatch(/\nreconnects +0\n/);
    for (const name of ['send', 'request', 'set', 'get', 'on', 'stats', 'cut', 'help', 'quit'])
      expect(stdout).toMatch(new RegExp(`\n${name} .*`));
  });

  it('prints events, store changes and what becomes of the connection, and survives its own cut', async () => {
    const port = await listen((session) => {
      session.on('start', () => {
        session.send('news', { n: 1 });
        session.set('shared', 'value');
      });
    });
    const connected = connect(port);
    connected.type('send start\n');
    await connected.prints(/event news \{"n":1\}\n/);
    await connected.prints(/store shared = "value", revision 1\n/);
    connected.type('cut\n');
    await connected.prints(/disconnected/);
    await connected.prints(/reconnecting in \d+ ms, attempt 1\n/);
    await connected.prints(/connected, session resumed\n/);
    connected.type('quit\n');
    expect((await connected.ended).code).toBe(0);
  });

  it('shows only the events that were asked for', async () => {
    const port = await listen((session) => {
      session.on('start', (name: string) => {
        for (const event of ['one', 'two', 'three']) session.send(event, name);
      });
    });
    const connected = connect(port);
    connected.type('on two three\nsend start first\n');
    await connected.prints(/event three "first"\n/);
    connected.type('on\nsend start second\n');
    await connected.prints(/event three "second"\n/);
    connected.endInput();
    const { stdout } = await connected.ended;
    expect(stdout).not.toContain('event one "first"');
    expect(stdout).toContain('event two "first"');
    expect(stdout).toContain('event one "second"');
  });

  it('tells of every line that is wrong, does the others, and exits 1', async () => {
    const { port } = await serve();
    const { code, stdout, stderr } = await nyota(['connect', port], {
      input: 'bogus\nset key\nsend "open\n\nsend connect\nrequest nobody\nrequest echo fine\nquit\nget\n',
    });
    expect(code).toBe(1);
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(5);
    expect(lines.every((line) => line.startsWith('nyota: '))).toBe(true);
    expect(stderr).toContain("there is no command 'bogus'");
    expect(stderr).toContain('set takes KEY JSON');
    expect(stderr).toContain('not closed');
    expect(stderr).toContain('NYOTA_RESERVED_EVENT');
    expect(stderr).toContain('NYOTA_NO_HANDLER');
    expect(stdout).toContain('reply "fine"');
    expect(stdout).not.toContain('{}'); // what came after quit
  });

  it('ends with the reason where the server ends the session', async () => {
    const port = await listen((session) => session.on('bye', () => void session.close()));
    const connected = connect(port);
    connected.type('send bye\n');
    const { code, stderr } = await connected.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/^nyota: NYOTA_SESSION_CLOSED: [^\n]+\n$/);
  });
});

/** For concurrent tests, which share their `afterEach`. */
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.destroy();
});
async function listenUntilTheEnd(onSession: (session: Session) => void): Promise<number> {
  const server: Server = createServer(onSession);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
