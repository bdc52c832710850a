/**
 * A process of the demo: the server or a client, as its parent says. It does what it is told, counts what happens, and
 * ends by itself once all is closed; where its parent has gone it ends at once.
 */
import { join } from 'node:path';
import { createClient, createServer } from '../index.js';
import { lmdbStore } from '../stores/lmdb/index.js';
import { Ledger } from './demo-ledger.js';
import type { DemoContract, FromWorker, LinkName, ToWorker } from './demo-messages.js';
import { LINK_NAMES } from './demo-messages.js';
import { Traffic } from './demo-traffic.js';
import { describeError } from './failures.js';

/** Often, so that the server is killed at the planned point. */
const PROGRESS_EVERY_MS = 20;

const traffic = new Map<LinkName, Traffic>();
/** How far each link may send. The parent may say it before there is a link. */
const paces = new Map<LinkName, number>();
let close: () => Promise<void> = async () => {};

const tell = (message: FromWorker): void => {
  process.send?.(message);
};
const failed = (error: unknown): void => tell({ type: 'failed', reason: describeError(error) });

const progress = setInterval(() => {
  let handled = 0;
  for (const end of traffic.values()) handled += end.handled;
  tell({ type: 'progress', handled });
}, PROGRESS_EVERY_MS);

function serve(port: number, folder: string | undefined): void {
  const options = {
    authenticate: checkLink,
    ...(folder === undefined ? {} : { store: lmdbStore({ path: join(folder, 'sessions') }) }),
  };
  const server = createServer<DemoContract>(options, (session) => {
    const link = checkLink(session.identity);
    const ledger = new Ledger(folder && join(folder, `${link}.log`));
    const start = { link, side: 'server', ledger, upTo: paces.get(link) ?? 0 } as const;
    traffic.set(link, new Traffic(session, start, failed));
    tell({ type: 'linked', link });
  });
  server.on('error', failed);
  server.on('listening', () => {
    const address = server.address();
    if (typeof address === 'object' && address !== null) tell({ type: 'listening', port: address.port });
  });
  close = () => server.close();
  server.listen(port, '127.0.0.1');
}

/** The clients' credentials are the names of their links. */
function checkLink(name: unknown): LinkName {
  const link = LINK_NAMES.find((known) => known === name);
  if (link === undefined) throw new Error('there is no such link');
  return link;
}

function connect(link: LinkName, port: number): void {
  const client = createClient<DemoContract>({
    port,
    host: '127.0.0.1',
    auth: link,
    // Short waits: what is shown is the coming back, many times.
    reconnect: { minDelayMs: 50, maxDelayMs: 400 },
  });
  client.once('connect', () => tell({ type: 'linked', link }));
  client.on('gap', ({ reason }) => failed(reason));
  traffic.set(link, new Traffic(client, { link, side: 'client', ledger: new Ledger(), upTo: 0 }, failed));
  close = () => client.close();
}

async function settle(): Promise<void> {
  await Promise.all([...traffic.values()].map((end) => end.settle()));
  tell({ type: 'settled' });
}

async function stop(): Promise<void> {
  clearInterval(progress);
  await close();
  process.disconnect();
}

function pace(link: LinkName, upTo: number): void {
  paces.set(link, upTo);
  traffic.get(link)?.pace(upTo);
}

function follow(message: ToWorker): void {
  if (message.type === 'serve') serve(message.port, message.folder);
  else if (message.type === 'connect') connect(message.link, message.port);
  else if (message.type === 'pace') pace(message.link, message.upTo);
  else if (message.type === 'settle') settle().catch(failed);
  else if (message.type === 'report')
    tell({ type: 'report', ends: [...traffic.values()].map((end) => end.report()) });
  else {
    process.off('disconnect', orphaned);
    stop().catch(failed);
  }
}

function orphaned(): void {
  process.exit(1);
}

process.on('message', (message: ToWorker) => follow(message));
process.on('disconnect', orphaned);
// Ctrl-C reaches the whole group of processes; what becomes of this one is for the parent to say.
process.on('SIGINT', () => {});
