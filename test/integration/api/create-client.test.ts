/** docs/api.md, "Client": every form of `createClient`'s arguments. */
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { Client, createClient, createServer, type Server } from '../../../src/index.js';
import { type Certificates, makeCertificates } from '../../support/api-certificates.js';
import { deferred, nyotaErrorOf, once, portOf, useKit, within } from '../../support/api-kit.js';

const kit = useKit();
let certificates: Certificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});

/** The client connects, and the server holds its session. */
async function reaches(server: Server, client: Client): Promise<void> {
  kit.own(kit.quiet(client));
  if (!client.connected) await once(client, 'connect');
  expect(server.sessions.get(client.id)?.connected).toBe(true);
}

async function onUnixSocket(): Promise<[server: Server, path: string]> {
  const folder = mkdtempSync(join(tmpdir(), 'nyota-api-'));
  kit.cleanup(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'api.sock');
  const server = kit.own(createServer()).listen(path);
  await once(server, 'listening');
  return [server, path];
}

describe('a client for a port', () => {
  it('is created from a number', async () => {
    const server = await kit.listening();
    const client = createClient(portOf(server));
    expect(client).toBeInstanceOf(Client);
    await reaches(server, client);
  });

  it("is created from a string: '5555'", async () => {
    const server = await kit.listening();
    await reaches(server, createClient(String(portOf(server))));
  });

  it('is created from a port and a host', async () => {
    const server = await kit.listening();
    await reaches(server, createClient(portOf(server), '127.0.0.1'));
    await reaches(server, createClient(String(portOf(server)), '127.0.0.1'));
  });

  it('takes onConnect last, and calls it once, at the first connection', async () => {
    const server = await kit.listening();
    const port = portOf(server);
    for (const create of [
      (onConnect: () => void) => createClient(port, onConnect),
      (onConnect: () => void) => createClient(port, '127.0.0.1', onConnect),
      (onConnect: () => void) => createClient(`127.0.0.1:${port}`, onConnect),
      (onConnect: () => void) => createClient({ port, host: '127.0.0.1' }, onConnect),
    ]) {
      let calls = 0;
      const connected = deferred();
      const client = create(() => {
        calls++;
        connected.resolve();
      });
      kit.own(kit.quiet(client));
      await within(connected.promise, 'onConnect');
      client.reconnect();
      await once(client, 'connect');
      expect(calls).toBe(1);
    }
  });
});

describe('a client for a string', () => {
  it("is created from 'host:port'", async () => {
    const server = await kit.listening();
    await reaches(server, createClient(`127.0.0.1:${portOf(server)}`));
    await reaches(server, createClient(`localhost:${portOf(server)}`));
  });

  it('is created from tcp://host:port', async () => {
    const server = await kit.listening();
    await reaches(server, createClient(`tcp://127.0.0.1:${portOf(server)}`));
  });

  it('is created from tls://host:port, and speaks TLS', async () => {
    const server = await kit.listening({ tls: certificates.server });
    const url = `tls://localhost:${portOf(server)}`;
    const client = createClient({ servers: [url], tls: { ca: certificates.ca } });
    await reaches(server, client);
    expect(client.socket).toBeInstanceOf(tls.TLSSocket);
    // Without the authority's certificate nobody is trusted: the URL alone is not less careful.
    const careful = kit.own(kit.quiet(createClient(url)));
    const [, error] = await Promise.all([once(careful, 'reconnecting'), once(server, 'clientError')]);
    expect(careful.connected).toBe(false);
    expect(error).toBeDefined();
  });

  it('is created from a unix path', async () => {
    const [server, path] = await onUnixSocket();
    await reaches(server, createClient(path));
  });

  it('is created from unix:path, with or without slashes before it', async () => {
    const [server, path] = await onUnixSocket();
    await reaches(server, createClient(`unix:${path}`));
    await reaches(server, createClient(`unix://${path}`));
  });

  it('of IPv6 is created from [::1]:port', async (context) => {
    const server = kit.own(kit.quiet(createServer()));
    const outcome = await new Promise<string>((resolve) => {
      server.once('error', (error) => resolve(error.message));
      server.listen(0, '::1', () => resolve('listening'));
    });
    if (outcome !== 'listening') context.skip(`this machine has no IPv6 loopback: ${outcome}`);
    await reaches(server, createClient(`[::1]:${portOf(server)}`));
    await reaches(server, createClient(`tcp://[::1]:${portOf(server)}`));
  });
});

describe('a client for a socket', () => {
  it('uses one that is connected already', async () => {
    const server = await kit.listening();
    const socket = net.connect(portOf(server), '127.0.0.1');
    await once(socket, 'connect');
    const client = createClient(socket);
    await reaches(server, client);
    expect(client.socket).toBe(socket);
  });

  it('uses one that is still connecting', async () => {
    const server = await kit.listening();
    const socket = net.connect(portOf(server), '127.0.0.1');
    expect(socket.connecting).toBe(true);
    const client = createClient(socket);
    await reaches(server, client);
    expect(client.socket).toBe(socket);
  });

  it.each([
    ['connected', true],
    ['still connecting', false],
  ])('uses a tls socket that is %s', async (_, wait) => {
    const server = await kit.listening({ tls: certificates.server });
    const socket = tls.connect({ port: portOf(server), host: 'localhost', ca: certificates.ca });
    if (wait) await once(socket, 'secureConnect');
    const client = createClient(socket);
    await reaches(server, client);
    expect(client.socket).toBe(socket);
  });

  it('calls onConnect for it too', async () => {
    const server = await kit.listening();
    const called = deferred();
    const client = createClient(net.connect(portOf(server), '127.0.0.1'), () => called.resolve());
    kit.own(client);
    await within(called.promise, 'onConnect');
  });
});

describe('a client for options', () => {
  it('takes { port }, the port as a string too, and { host, port }', async () => {
    const server = await kit.listening();
    await reaches(server, createClient({ port: portOf(server) }));
    await reaches(server, createClient({ port: String(portOf(server)) }));
    await reaches(server, createClient({ host: '127.0.0.1', port: portOf(server) }));
  });

  it('takes { path }', async () => {
    const [server, path] = await onUnixSocket();
    await reaches(server, createClient({ path }));
  });

  it('takes { servers } with every form of an address', async () => {
    const server = await kit.listening();
    const port = portOf(server);
    for (const address of [port, String(port), `127.0.0.1:${port}`, { port }, { port, host: '127.0.0.1' }]) {
      await reaches(server, createClient({ servers: [address] }));
    }
  });

  it('hands what net.connect takes on to it', async () => {
    const server = await kit.listening();
    const looked: string[] = [];
    const client = createClient({
      port: portOf(server),
      host: 'somewhere.invalid',
      lookup: (name, options, callback) => {
        looked.push(name);
        if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }]);
        else callback(null, '127.0.0.1', 4);
      },
      noDelay: true,
      keepAlive: true,
      localAddress: '127.0.0.1',
    });
    await reaches(server, client);
    expect(looked).toEqual(['somewhere.invalid']);
    expect((client.socket as net.Socket).localAddress).toBe('127.0.0.1');
  });

  it('takes allowHalfOpen and timeout, which net.connect takes as well', async () => {
    const server = await kit.listening();
    const options = { port: portOf(server), host: '127.0.0.1', allowHalfOpen: false, timeout: 60_000 };
    const asNet: net.NetConnectOpts = options;
    expect(asNet).toBe(options);
    await reaches(server, createClient(options));
  });

  it('connects at once, without being told to, and queues what is sent before', async () => {
    const heard = deferred<unknown>();
    const server = await kit.listening({}, (session) => session.on('hello', (text) => heard.resolve(text)));
    const client = kit.own(createClient(portOf(server)));
    expect(client.connected).toBe(false);
    client.send('hello', 'early');
    expect(await within(heard.promise, 'hello')).toBe('early');
  });
});

describe('a bad target throws at once', () => {
  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /port/],
    ['null', null, /port/],
    ['a boolean', true, /port/],
    ['a port above 65535', 65_536, /port/],
    ['a negative port', -1, /port/],
    ['a broken port', 1.5, /port/],
    ['NaN', Number.NaN, /port/],
    ['an empty string', '', /port/],
    ['a string that is no address', 'not an address', /port/],
    ['a URL of another kind', 'http://localhost:80', /port/],
    ['a host without a port', 'tcp://localhost', /port/],
    ['options without a place', {}, /port/],
    ['an empty list of servers', { servers: [] }, /servers/],
    ['a list of servers that is none', { servers: 'localhost:1' }, /servers/],
    ['a bad one among the servers', { servers: [1, 'nowhere'] }, /servers\[1\]/],
    ['a host that is no string', { port: 1, host: 5 }, /^host|'host'|option host/],
    ['a path that is no string', { path: 5 }, /path/],
    ['a socket that is none', { socket: 5 }, /socket/],
  ])('%s', (_, target, names) => {
    const error = nyotaErrorOf(() => kit.own(createClient(target as number)));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(names);
  });

  it.each<[string, unknown[], RegExp]>([
    ['a host that is no string', [5555, 5], /host/],
    ['an onConnect that is no function', [5555, '127.0.0.1', 'later'], /onConnect/],
    ['an onConnect that is no function, after options', [{ port: 5555 }, 'later'], /onConnect/],
    ['a host beside a unix path', ['/run/x.sock', '127.0.0.1'], /host/],
  ])('%s, as a further argument', (_, args, names) => {
    const create = createClient as unknown as (...args: unknown[]) => Client;
    const error = nyotaErrorOf(() => kit.own(create(...args)));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(names);
  });
});
