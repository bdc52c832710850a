/** docs/security.md, "TLS": TLS and mutual TLS, and everything that can be wrong with it. */
import net from 'node:net';
import tls from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { createServer, type NyotaError, type Server, type ServerOptions } from '../../../src/index.js';
import { type Certificates, makeCertificates } from '../../support/api-certificates.js';
import {
  causesOf,
  cut,
  deferred,
  once,
  portOf,
  useKit,
  warningsDuring,
  within,
} from '../../support/api-kit.js';

const kit = useKit();
let certificates: Certificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});

const secure = (options: ServerOptions = {}): Promise<Server> =>
  kit.listening({ tls: certificates.server, ...options });
const trusting = () => ({ host: 'localhost', tls: { ca: certificates.ca } });

describe('TLS', () => {
  it('carries everything, through a cut', async () => {
    const { client, session } = await kit.pair({ server: { tls: certificates.server }, client: trusting() });
    session.handle('echo', (...args: unknown[]) => args[0]);
    expect(await client.request('echo', 'secret')).toBe('secret');
    expect((client.socket as tls.TLSSocket).encrypted).toBe(true);
    expect((client.socket as tls.TLSSocket).authorized).toBe(true);
    await cut(session, client);
    expect(client.resumed).toBe(true);
    expect(await client.request('echo', Buffer.alloc(300_000, 7))).toEqual(Buffer.alloc(300_000, 7));
  });

  it('checks the server by its IP address where that was dialled', async () => {
    const { client } = await kit.pair({
      server: { tls: certificates.server },
      client: { host: '127.0.0.1', tls: { ca: certificates.ca } },
    });
    expect((client.socket as tls.TLSSocket).authorized).toBe(true);
  });

  it('tells authenticate about the socket', async () => {
    const seen = deferred<tls.TLSSocket | undefined>();
    const server = await secure({ authenticate: (_, info) => seen.resolve(info.tls) });
    kit.client({ port: portOf(server), ...trusting() });
    const socket = await within(seen.promise, 'authenticate');
    expect(socket).toBeInstanceOf(tls.TLSSocket);
    expect(socket?.getProtocol()).toMatch(/^TLSv1\.[23]$/);
  });

  it('by createServer: tls.createServer takes the options of tls', async () => {
    const server = await kit.listening({ createServer: tls.createServer, tls: certificates.server });
    const client = kit.client({ port: portOf(server), ...trusting() });
    await client.sendWithAck('tick');
    expect(client.socket).toBeInstanceOf(tls.TLSSocket);
  });

  it('needs no warning where everybody can connect', async () => {
    const warnings = await warningsDuring(async () => {
      for (const options of [
        { tls: certificates.server },
        { createServer: tls.createServer, tls: certificates.server },
      ] as ServerOptions[]) {
        const server = kit.own(createServer(options)).listen(0, '0.0.0.0');
        await once(server, 'listening');
      }
    });
    expect(warnings).toEqual([]);
  });
});

describe('mutual TLS', () => {
  const mutual = (authenticate?: ServerOptions['authenticate']) =>
    secure({
      tls: { ...certificates.server, ca: certificates.ca, requestCert: true, rejectUnauthorized: true },
      ...(authenticate === undefined ? {} : { authenticate }),
    });

  it("authenticate sees the client's certificate, and makes the identity of it", async () => {
    const server = await mutual((_, { tls: socket }) => socket?.getPeerCertificate().subject.CN);
    const client = kit.client({
      port: portOf(server),
      host: 'localhost',
      tls: { ca: certificates.ca, ...certificates.client },
    });
    await once(client, 'connect');
    expect(server.sessions.get(client.id)?.identity).toBe('web-1');
  });

  it.each([
    ['without a certificate', () => ({})],
    ['with the certificate of another authority', () => certificates.stranger],
  ])('a client %s does not get in, and the server lives', async (_, keys) => {
    const server = await mutual();
    const refused = once<[NyotaError, { remoteAddress?: string }]>(server, 'clientError');
    const client = kit.client({
      port: portOf(server),
      host: 'localhost',
      tls: { ca: certificates.ca, ...keys() },
      reconnect: false,
    });
    const [[error], [reason]] = await Promise.all([refused, once<[NyotaError]>(client, 'error')]);
    expect(error.code).toBe('NYOTA_CONNECTION_LOST');
    expect(reason.code).toMatch(/^NYOTA_(CONNECT_FAILED|CONNECTION_LOST)$/);
    expect(server.sessions.size).toBe(0);
    const good = kit.client({
      port: portOf(server),
      host: 'localhost',
      tls: { ca: certificates.ca, ...certificates.client },
    });
    await good.sendWithAck('tick');
  });
});

describe('what is wrong with TLS', () => {
  it('a certificate that nobody vouches for is not trusted', async () => {
    const server = await secure();
    const client = kit.client({ port: portOf(server), host: 'localhost', tls: true, reconnect: false });
    const [error] = await once<[NyotaError]>(client, 'error');
    expect(error.code).toBe('NYOTA_CONNECT_FAILED');
    expect(causesOf(error)).toMatch(/self.signed|unable to (verify|get)/i);
  });

  it('a certificate for another name is not trusted', async () => {
    const server = await kit.listening({ tls: certificates.misnamed });
    const client = kit.client({ port: portOf(server), ...trusting(), reconnect: false });
    const [error] = await once<[NyotaError]>(client, 'error');
    expect(error.code).toBe('NYOTA_CONNECT_FAILED');
    expect(causesOf(error)).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(server.sessions.size).toBe(0);
  });

  it('a certificate for another name is trusted under that name', async () => {
    const { client } = await kit.pair({
      server: { tls: certificates.misnamed },
      client: { host: '127.0.0.1', tls: { ca: certificates.ca, servername: 'elsewhere.example' } },
    });
    expect((client.socket as tls.TLSSocket).authorized).toBe(true);
  });

  it('a TLS client at a plain port fails, and the server lives', async () => {
    const server = await kit.listening();
    const refused = once<[NyotaError]>(server, 'clientError');
    const client = kit.client({ port: portOf(server), ...trusting(), reconnect: false });
    const [[error], [reason]] = await Promise.all([refused, once<[NyotaError]>(client, 'error')]);
    expect(error.code).toMatch(/^NYOTA_(BAD_PREAMBLE|CONNECTION_LOST)$/);
    expect(reason.code).toMatch(/^NYOTA_CONNECT(_FAILED|ION_LOST)$/);
    const good = kit.client({ port: portOf(server) });
    await good.sendWithAck('tick');
  });

  it('a plain client at a TLS port fails, and the server lives', async () => {
    const server = await secure();
    const refused = once<[NyotaError]>(server, 'clientError');
    const client = kit.client({ port: portOf(server), host: 'localhost', reconnect: false });
    const [[error], [reason]] = await Promise.all([refused, once<[NyotaError]>(client, 'error')]);
    expect(error.code).toBe('NYOTA_CONNECTION_LOST');
    expect(error.message).toContain('TLS');
    expect(reason).toMatchObject({ name: 'NyotaError', retry: 'backoff' });
    const good = kit.client({ port: portOf(server), ...trusting() });
    await good.sendWithAck('tick');
  });

  it('a TLS handshake that the server never answers is given up after connectTimeoutMs', async () => {
    const mute = net.createServer((socket) => {
      kit.own(socket).on('error', () => {});
    });
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    kit.cleanup(() => mute.close());
    const { port } = mute.address() as net.AddressInfo;
    const client = kit.client({ port, ...trusting(), reconnect: false, connectTimeoutMs: 30 });
    expect((await once<[NyotaError]>(client, 'error'))[0].code).toBe('NYOTA_CONNECT_TIMEOUT');
  });

  it('a TLS handshake that a client never begins is ended after handshakeTimeoutMs', async () => {
    const server = await secure({ handshakeTimeoutMs: 50 });
    const refused = once<[NyotaError]>(server, 'clientError');
    const socket = kit.own(net.connect(portOf(server), '127.0.0.1'));
    socket.on('error', () => {});
    const closed = once(socket, 'close');
    await refused;
    await closed;
  });

  it('a key that does not fit is refused when the client is created or at its first attempt, never a crash', async () => {
    const server = await secure();
    let failure: unknown;
    try {
      const client = kit.client({
        port: portOf(server),
        host: 'localhost',
        tls: { ca: certificates.ca, cert: certificates.client.cert, key: certificates.stranger.key },
        reconnect: false,
      });
      [failure] = await once(client, 'error');
    } catch (error) {
      failure = error;
    }
    expect((failure as NyotaError).code).toMatch(/^NYOTA_(INVALID_OPTION|CONNECT_FAILED)$/);
  });
});
