/** `nyota serve PORT`: a server that prints what arrives and answers `echo`. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Command } from 'commander';
import { createServer, type Server, type ServerOptions, type Session } from '../index.js';
import { parsePort } from './arguments.js';
import { authOption, readInput } from './connection-options.js';
import { describeError, UsageError } from './failures.js';
import { eventLine, logPeer, type Print } from './peer-log.js';
import { onStopSignal, printLine as print } from './terminal.js';
import { toShortJson } from './text.js';

interface ServeFlags {
  readonly host: string;
  readonly tlsKey?: string;
  readonly tlsCert?: string;
  readonly auth?: string;
}

export function addServe(program: Command): void {
  program
    .command('serve')
    .description("Listen, print what arrives, and answer 'echo' requests. Ctrl-C ends it gracefully.")
    .argument('<port>', 'where to listen; 0 for any free port', parsePort)
    .option('--host <address>', 'the address to listen on', '127.0.0.1')
    .option('--tls-key <file>', 'the private key, as PEM: with --tls-cert, for TLS')
    .option('--tls-cert <file>', 'the certificate and its chain, as PEM')
    .addOption(authOption('let in only clients that give this token'))
    .action(serve);
}

async function serve(port: number, flags: ServeFlags): Promise<void> {
  const server = makeServer(flags);
  const closed = new Promise<void>((resolve) => server.on('close', resolve));
  const offSignals = onStopSignal(
    () => {
      print('closing; once more to end at once');
      void server.close();
    },
    () => server.destroy(),
  );
  try {
    await listening(server, port, flags.host);
    server.on('error', (error) => {
      print(`error ${describeError(error)}`);
    });
    server.on('clientError', (error, { remoteAddress }) => {
      print(`refused ${remoteAddress ?? 'a connection'}: ${describeError(error)}`);
    });
    print(`listening on ${describeAddress(server)}${flags.tlsKey === undefined ? '' : ' with TLS'}`);
    await closed;
    print('closed');
  } finally {
    offSignals();
  }
}

function makeServer(flags: ServeFlags): Server {
  const { tlsKey, tlsCert, auth } = flags;
  if ((tlsKey === undefined) !== (tlsCert === undefined))
    throw new UsageError('--tls-key and --tls-cert go together');
  const options: ServerOptions = {};
  if (auth !== undefined) options.authenticate = (credentials) => checkToken(credentials, auth);
  if (tlsKey !== undefined && tlsCert !== undefined)
    options.tls = { key: readInput('--tls-key', tlsKey), cert: readInput('--tls-cert', tlsCert) };
  try {
    return createServer(options, watchSession);
  } catch (error) {
    if (options.tls === undefined) throw error;
    throw new UsageError(`--tls-key and --tls-cert: ${describeError(error)}`);
  }
}

/** Compared as hashes: equally long, and in constant time. */
function checkToken(given: unknown, expected: string): string {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  if (typeof given !== 'string' || !timingSafeEqual(hash(given), hash(expected)))
    throw new Error('the token is wrong');
  return 'token';
}

async function listening(server: Server, port: number, host: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', reject);
    server.listen(port, host);
  });
  server.off('error');
}

function describeAddress(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') return String(address);
  return `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}

function watchSession(session: Session): void {
  const name = session.id.slice(0, 8);
  const say: Print = (line) => print(`${name} ${line}`);
  session.on('connect', ({ resumed }) => {
    const { remoteAddress, remotePort } = (session.socket ?? {}) as {
      remoteAddress?: string;
      remotePort?: number;
    };
    const from = remoteAddress === undefined ? '' : ` from ${remoteAddress}:${remotePort}`;
    say(`${resumed ? 'connected again' : 'connected'}${from}`);
  });
  logPeer(session, say);
  session.on('close', () => {
    say('session over');
  });
  // The acknowledgement waits until it is printed: a slow reader of this output slows the clients down.
  session.onAny((event, ...args) => say(eventLine(event, args)));
  session.handle('echo', async (...call: unknown[]) => {
    const args = call.slice(0, -1); // the last one is the context
    await say(['request', 'echo', ...args.map((arg) => toShortJson(arg))].join(' '));
    return args.length > 1 ? args : args[0];
  });
}
