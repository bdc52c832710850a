/** docs/api.md, "Types": without a contract any name and any argument is allowed; and the forms of "Client". Compiled, never run. */
import net from 'node:net';
import tls from 'node:tls';
import {
  type Client,
  createClient,
  createServer,
  ERROR_CODES,
  type ErrorCode,
  NyotaError,
  type Server,
  type Session,
} from '../../src/index.js';

const server: Server = createServer((session, resumed) => {
  session.on('anything', (a, b: number, ...rest: string[]) => [a, b, rest, resumed]);
  session.handle('add', (a: number, b: number) => a + b);
  session.handle('nothing', () => {});
  session.handle('async', async (text: string) => text);
  session.handle('context', (text: string, { signal }: { signal: AbortSignal }) => [text, signal.aborted]);
  session.send('anything', 1, 'two', { three: 3 }, null, undefined, 4n, () => {});
  session.set('any key', { any: 'value' });
  session.set({ a: 1 });
  const identity: unknown = session.identity;
  return identity as undefined;
});
server.send('anything', 1, 2);
server.on('session', (session: Session) => session.send('anything'));

const client: Client = createClient(5555, () => {});
client.on('anything', (text: string) => text.length);
client.onAny((event, ...args) => [event.length, args.length]);
client.send('anything', 1, 2, 3);
client.request('anything').then((reply) => reply.whatever);
client.store.set('key', 5);
client.store.update('key', (value) => value + 1);
const value: number = client.get('key');
const id: string = client.get('sessionID');
client
  .with({ timeoutMs: 5, ttlMs: 5, volatile: false, signal: AbortSignal.timeout(5) })
  .send('anything', value, id);
// @ts-expect-error a name is a string
client.send(5);
// @ts-expect-error a listener is a function
client.on('anything', 5);
// @ts-expect-error known events have their arguments all the same
client.on('reconnecting', ({ delay }) => delay);

// The forms of createServer and createClient.
createServer();
createServer({});
createServer({ tls: { key: 'key', cert: 'cert' }, resumeWindowMs: 5, maxFrameBytes: 5 }, () => {});
createServer({ createServer: net.createServer });
createServer({ createServer: tls.createServer });
createServer({
  authenticate: (credentials, { remoteAddress, tls: socket }) => [
    credentials,
    remoteAddress,
    socket?.getPeerCertificate(),
  ],
});
createServer({ authenticate: async () => ({ user: 'a' }) });
createServer(5555, (session) => session.id);
createServer('5555', () => {});
createClient(5555);
createClient('5555', () => {});
createClient(5555, 'localhost');
createClient('5555', 'localhost', () => {});
createClient('tls://localhost:5555');
createClient(net.connect(5555));
createClient(tls.connect(5555), () => {});
createClient({ port: 5555, host: 'localhost', keepAlive: true, family: 4 });
createClient({ port: '5555', timeout: 5, allowHalfOpen: false }, () => {});
createClient({ path: '/run/x.sock' });
createClient({ servers: ['a:1', 2, { port: 3, host: 'b' }, { path: '/run/x.sock' }] });
createClient({ port: 1, createConnection: net.connect });
createClient({ port: 1, createConnection: tls.connect, tls: { ca: 'ca' } });
createClient({ port: 1, createConnection: (options, callback) => net.connect(options, callback) });
createClient({ port: 1, createConnection: async () => new net.Socket() });
createClient({ socket: net.connect(1), createConnection: () => net.connect(1) });
createClient({ port: 1, auth: { token: 'a' } });
createClient({ port: 1, auth: async () => 'a', reconnect: false });
createClient({
  port: 1,
  reconnect: { minDelayMs: 1, maxDelayMs: 2, factor: 3, jitter: 'none' },
  connectTimeoutMs: 5,
});
// @ts-expect-error a misspelt option
createClient({ port: 1, reconect: false });
// @ts-expect-error a wrong value
createClient({ port: 1, connectTimeoutMs: '5s' });
// @ts-expect-error no such jitter
createClient({ port: 1, reconnect: { jitter: 'half' } });
// @ts-expect-error a misspelt option
createServer({ resumeWindow: 5 });
// @ts-expect-error a wrong value
createServer({ authenticate: 'password' });
// @ts-expect-error an option of clients
createServer({ auth: 'a' });

// listen, address, close.
server.listen(5555, '127.0.0.1', 5, () => {});
server.listen({ port: 5555 }).address();
server.listen(5555, function () {
  this.address();
});
server.close((error) => error?.message).then(() => {});
server.destroy();

// Errors.
const code: ErrorCode = new NyotaError('NYOTA_TIMEOUT', 'text').code;
const retry: 'never' | 'new-session' | 'backoff' | 'elsewhere' = ERROR_CODES[code];
retry.length;
// @ts-expect-error no such code
new NyotaError('NYOTA_TIMEUOT', 'text');
