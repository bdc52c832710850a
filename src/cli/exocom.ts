/** `nyota exocom`: the message hub as a process. Its console shows every message that it passes on. */
import type { Command } from 'commander';
import { ExoCom, type ExoComOptions } from '../exocom/index.js';
import { parsePort } from './arguments.js';
import { readInput } from './connection-options.js';
import { describeError, Failure, UsageError } from './failures.js';
import { onStopSignal, printLine } from './terminal.js';
import { escapeText } from './text.js';

interface ExoComFlags {
  readonly port?: number;
  readonly host?: string;
  readonly routes?: string;
  readonly tokens?: string;
  readonly monitorPort?: number;
  readonly monitorHost?: string;
  readonly tlsKey?: string;
  readonly tlsCert?: string;
  readonly tlsCa?: string;
  readonly development?: boolean;
  readonly security?: boolean;
  readonly quiet?: boolean;
}

const ENVIRONMENT = `
Environment:
  EXOCOM_PORT     the port, where --port is not given
  SERVICE_DATA    the routes as JSON, where --routes is not given
  EXOCOM_TOKENS   the tokens as JSON, where --tokens is not given`;

export function addExoCom(program: Command): void {
  program
    .command('exocom')
    .description('Run ExoCom, the hub between ExoRelays. Without routes it is in development mode.')
    .option(
      '--port <port>',
      'where to listen; 0 for any free port (default: EXOCOM_PORT, then 3010)',
      parsePort,
    )
    .option('--host <address>', 'the address to listen on (default: all)')
    .option('--routes <file>', 'who sends and receives what, as JSON or YAML')
    .option('--tokens <file>', 'the token of each role, as JSON or YAML')
    .option('--monitor-port <port>', 'for /config.json, /metrics, /healthz and /readyz', parsePort)
    .option('--monitor-host <address>', 'where the monitor port listens (default: 127.0.0.1)')
    .option('--tls-key <file>', 'the private key, as PEM: with --tls-cert, for TLS')
    .option('--tls-cert <file>', 'the certificate and its chain, as PEM')
    .option('--tls-ca <file>', 'who vouches for client certificates, as PEM: their common name proves a role')
    .option('--development', 'take roles that nothing proves at their word, also with routes')
    .option('--security', "let nothing pass without the consent of the 'security' role")
    .option('--quiet', 'no line for each message')
    .addHelpText('after', ENVIRONMENT)
    .action(run);
}

async function run(flags: ExoComFlags): Promise<void> {
  const exocom = new ExoCom(readOptions(flags));
  const say = (kind: string, message: string): void => {
    process.stderr.write(`nyota: ${kind}: ${escapeText(message)}\n`);
  };
  exocom.on('warning', ({ message }) => say('warning', message));
  exocom.on('alarm', ({ message }) => say('alarm', message));
  const closed = new Promise<void>((resolve) => {
    exocom.on('close', () => resolve());
  });
  const offSignals = onStopSignal(
    () => void exocom.close(),
    () => exocom.destroy(),
  );
  try {
    await online(exocom, flags);
    exocom.on('error', (error) => say('error', describeError(error)));
    await closed;
  } finally {
    offSignals();
  }
}

/** Resolves once it listens; a port that is taken is a failure. */
async function online(exocom: ExoCom, { port, host }: ExoComFlags): Promise<void> {
  let fail: (error: Error) => void = () => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      fail = reject;
      exocom.on('error', fail);
      exocom.on('close', resolve);
      exocom.listen(port, host, resolve);
    });
  } catch (error) {
    exocom.destroy();
    throw failureOf(error);
  }
  exocom.off('error', fail);
  const address = exocom.address();
  if (address === null) return; // stopped before it was up
  void printLine(`ExoCom online at port ${typeof address === 'string' ? address : address.port}`);
  const monitor = exocom.monitorAddress();
  if (monitor !== null) void printLine(`monitor at http://${monitor.address}:${monitor.port}/`);
}

function failureOf(error: unknown): unknown {
  const { code, cause, port } = error as { code?: unknown; cause?: { code?: unknown }; port?: unknown };
  if (code !== 'EADDRINUSE' && cause?.code !== 'EADDRINUSE') return error;
  return new Failure(`address already in use${port === undefined ? '' : `: port ${String(port)}`}`);
}

function readOptions(flags: ExoComFlags): ExoComOptions {
  const { routes, tokens, monitorPort, monitorHost, tlsKey, tlsCert, tlsCa, development, security } = flags;
  if ((tlsKey === undefined) !== (tlsCert === undefined)) {
    throw new UsageError('--tls-key and --tls-cert go together');
  }
  if (tlsCa !== undefined && tlsKey === undefined)
    throw new UsageError('--tls-ca needs --tls-key and --tls-cert');
  const ca =
    tlsCa === undefined
      ? {}
      : { ca: readInput('--tls-ca', tlsCa), requestCert: true, rejectUnauthorized: false };
  return {
    ...(routes !== undefined && { routes }),
    ...(tokens !== undefined && { tokens }),
    ...(monitorPort !== undefined && { monitorPort }),
    ...(monitorHost !== undefined && { monitorHost }),
    ...(tlsKey !== undefined &&
      tlsCert !== undefined && {
        tls: { key: readInput('--tls-key', tlsKey), cert: readInput('--tls-cert', tlsCert), ...ca },
      }),
    ...(development === true && { development }),
    ...(security === true && { security }),
    ...(flags.quiet !== true && { log: (line: string) => void printLine(escapeText(line)) }),
  };
}
