/**
 * The invariants that are looked at from outside (docs/design.md, rule 100): after every event, at rest, and at the end. Those
 * of single messages are in books.ts.
 */
import type { Server } from '../../src/server/server.js';
import type { SimClientNode } from './sim-client.js';
import { type Context, coreOf } from './sim-context.js';
import type { SimSocket } from './sim-link.js';
import type { SimPeer } from './sim-peer.js';
import type { SimServerNode } from './sim-server.js';

/** What a socket may hold: nyota writes no further ahead, a slice more at most. */
const MAX_SOCKET_BYTES = 2 * 256 * 1024;
/** Timers of one process: a few a connection, and the listeners' own. */
const MAX_TIMERS = 400;

export function checkNow(
  context: Context,
  servers: readonly SimServerNode[],
  clients: readonly SimClientNode[],
): void {
  for (const disk of [context.serverDisk, context.clientDisk]) {
    const wrong = disk.wrong.pop();
    if (wrong !== undefined) context.fail('one owner', wrong);
  }
  for (const server of servers) {
    if (!server.process.alive) continue;
    checkConnections(context, server);
    for (const peer of server.sessions.values()) checkLimits(context, peer);
    checkTimers(context, server.process);
  }
  for (const client of clients) {
    if (!client.process.alive) continue;
    checkLimits(context, client.peer);
    checkTimers(context, client.process);
  }
}

/** Every connection that is open has its session, or is in its handshake; nobody else holds one. */
function checkConnections(context: Context, { listener, server, process }: SimServerNode): void {
  let open = 0;
  for (const socket of listener?.sockets ?? []) if (socket.open) open++;
  const { connected, unauthenticated } = server.stats();
  if (open !== connected + unauthenticated)
    context.fail(
      'one owner',
      `${process.name} has ${open} open connections for ${connected} sessions and ${unauthenticated} handshakes`,
    );
}

function checkTimers(context: Context, process: SimServerNode['process']): void {
  if (process.timers > MAX_TIMERS) context.fail('limits', `${process.name} has ${process.timers} timers`);
}

function checkLimits(context: Context, { peer, host }: SimPeer): void {
  const core = coreOf(peer);
  if (core.link.state.is === 'ended') return;
  const { outbox } = core.link;
  const { maxOutboxBytes, maxOutboxFrames } = core.link.limits;
  // Replies and what went along from a session before may go over, by half at most before the connection is ended.
  if (outbox.bytes > maxOutboxBytes * 2.5 + 8_192 || outbox.frames > maxOutboxFrames * 2.5 + 80)
    context.fail('limits', `${host.name}: the outbox holds ${outbox.frames} frames, ${outbox.bytes} bytes`);
  const inSocket = peer.socket?.writableLength ?? 0;
  if (inSocket > MAX_SOCKET_BYTES)
    context.fail('limits', `${host.name}: ${inSocket} bytes wait in the socket`);
  const socket = peer.socket as unknown as SimSocket | undefined;
  if (!core.link.reading && socket?.open === true && !socket.paused)
    context.fail('limits', `${host.name}: reads on, though it holds more than it should`);
}

/** What is not at rest; undefined where everything is. */
export function unrest(
  context: Context,
  servers: readonly SimServerNode[],
  clients: readonly SimClientNode[],
): string | undefined {
  if (servers.some(({ up }) => !up)) return 'a server is down';
  for (const client of clients) {
    if (!client.up) return 'a client is down';
    const { name } = client.process;
    const { state, id } = client.client;
    if (state !== 'open')
      return `${name} is ${state}${client.stopped === undefined ? '' : ` (${client.stopped})`}`;
    const holders = servers.filter((server) => server.peerOf(id) !== undefined && server.owns(id));
    const [holder] = holders;
    const session = holder?.peerOf(id);
    if (session === undefined) return `no server holds the session of ${name}`;
    const mine = unrestOf(client.peer) ?? unrestOf(session);
    if (mine !== undefined) return mine;
  }
  if (context.serverDisk.waiting + context.clientDisk.waiting > 0) return 'a disk is at work';
  return undefined;
}

function unrestOf({ peer, host, wantsDrain }: SimPeer): string | undefined {
  const core = coreOf(peer);
  if (!peer.connected) return `${host.name} is not connected`;
  if (core.link.outbox.frames > 0)
    return `${host.name} has ${core.link.outbox.frames} frames that nobody acknowledged`;
  if (!core.link.idle) return `${host.name} has messages that are not handled`;
  if (core.requests.pending > 0) return `${host.name} waits for replies`;
  if (core.store.firstKeptSeq !== undefined) return `${host.name} has store writes that nobody decided`;
  if (wantsDrain) return `${host.name} was never told to drain`;
  return undefined;
}

export function checkAtRest(
  context: Context,
  servers: readonly SimServerNode[],
  clients: readonly SimClientNode[],
): void {
  const { books } = context;
  for (const client of clients) {
    const { id } = client.client;
    books.checkAtRest(client.line);
    const line = context.sessionLines.get(id);
    if (line !== undefined) books.checkAtRest(line);
    const session = servers.find((server) => server.owns(id) && server.peerOf(id) !== undefined)?.peerOf(id);
    checkAnswers(context, client.peer);
    if (session !== undefined) {
      checkAnswers(context, session);
      checkReplicas(context, client.peer, session);
    }
    const holders = servers.filter((server) => liveSession(server.server, id) && server.owns(id));
    if (holders.length !== 1) context.fail('one owner', `${holders.length} servers hold the session ${id}`);
  }
}

function checkAnswers(context: Context, { asked }: SimPeer): void {
  for (const record of asked) {
    if (record.answers > 0 || !context.asking.has(record.uid)) continue;
    context.fail('answers', `message ${record.uid} (${record.line.name}) was never answered`);
  }
}

function liveSession(server: Server, id: string): boolean {
  const session = server.sessions.get(id);
  return session !== undefined && session.state !== 'dead';
}

function checkReplicas(context: Context, client: SimPeer, server: SimPeer): void {
  const show = ({ peer }: SimPeer): string => {
    const { store } = coreOf(peer);
    return [...store.keys()]
      .sort()
      .map((key) => `${key}@${store.get(key)?.revision}=${store.get(key)?.bytes.toString('hex')}`)
      .join(' ');
  };
  const [mine, theirs] = [show(client), show(server)];
  if (mine !== theirs)
    context.fail('replicas equal', `${client.host.name} has [${mine}], its server [${theirs}]`);
}

/** Nothing is left once all is closed. */
export function checkOver(context: Context, unclosed: number, clients: readonly SimClientNode[]): void {
  if (unclosed > 0) context.fail('nothing left', `${unclosed} sides did not finish closing`);
  for (const { client, process } of clients) {
    if (client.state !== 'closed')
      context.fail('nothing left', `${process.name} is ${client.state} after its end`);
  }
  for (const uid of context.asking) {
    if (context.books.find(uid)?.answers === 0) context.fail('answers', `message ${uid} was never answered`);
  }
  for (const process of context.processes) {
    if (process.alive && process.timers > 0)
      context.fail('nothing left', `${process.name} has ${process.timers} timers left`);
  }
  const [socket] = context.network.openSockets().filter(({ process }) => process.alive);
  if (socket !== undefined) context.fail('nothing left', `${socket.process.name} has a socket left`);
}
