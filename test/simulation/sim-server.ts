/** A simulated server: the real `Server` in a process that may die, stand still, drain, and start again. */

import type { NyotaError } from '../../src/errors.js';
import type { ServerOptions } from '../../src/server/options.js';
import { createServer, type Server } from '../../src/server/server.js';
import type { Session } from '../../src/server/session.js';
import type { Line, Sent, SessionLife } from './books.js';
import { limitsOf } from './limits.js';
import type { CrashMode } from './plan.js';
import { type Context, coreOf } from './sim-context.js';
import { DiskView } from './sim-disk.js';
import { SimServer } from './sim-network.js';
import { SimPeer } from './sim-peer.js';
import type { SimProcess } from './sim-process.js';

export class SimServerNode {
  readonly port: number;
  readonly #context: Context;
  readonly #index: number;
  process: SimProcess;
  server: Server;
  listener: SimServer | undefined;
  view: DiskView | undefined;
  /** Session objects that were made in this process's life. */
  sessions = new Map<Session, SimPeer>();
  /** False while it is down on purpose. */
  up = true;

  constructor(context: Context, index: number) {
    this.#context = context;
    this.#index = index;
    this.port = 7_001 + index;
    this.process = context.process(`server${index}`);
    this.server = this.#start();
  }

  /** The session of that id, where this process holds it. */
  peerOf(id: string): SimPeer | undefined {
    if (!this.process.alive) return undefined;
    const session = this.server.sessions.get(id);
    return session && this.sessions.get(session);
  }

  owns(id: string): boolean {
    if (!this.#context.world.durable) return true;
    return this.#context.serverDisk.sessions.get(id)?.owner === this.process;
  }

  crash(how: CrashMode, downMs: number): void {
    if (!this.up) return;
    const { network, trace, counts, world, schedule, fate } = this.#context;
    trace.note(this.process.name, 'dies', how);
    counts.crashes++;
    counts.serverEnds++;
    this.up = false;
    this.process.crash();
    network.crashed(this.process, how);
    for (const peer of this.sessions.values()) peer.orphan();
    if (!world.durable) for (const [session] of this.sessions) this.#giveUp(session.id);
    schedule.after(fate, downMs, () => this.restart());
  }

  /** Closes gracefully, and starts again so much later. */
  drain(downMs: number): void {
    if (!this.up) return;
    const { trace, schedule, fate, counts } = this.#context;
    trace.note(this.process.name, 'closes');
    counts.serverEnds++;
    if (this.view !== undefined) this.#context.closedWell.set(this.process, this.view);
    this.up = false;
    const { process } = this;
    this.server.close().then(() => {
      if (!process.alive) return;
      trace.note(process.name, 'closed');
      schedule.after(fate, downMs, () => this.restart());
    });
  }

  restart(): void {
    if (this.up) return;
    this.up = true;
    this.process = this.#context.process(`server${this.#index}`);
    this.sessions = new Map();
    this.server = this.#start();
  }

  #start(): Server {
    const context = this.#context;
    const { world, network, schedule } = context;
    const { process } = this;
    let listener: SimServer | undefined;
    const [minMs, maxMs] = world.serverDiskMs;
    this.view = world.durable
      ? new DiskView(context.serverDisk, process, schedule, context.random(0xd15c), { minMs, maxMs })
      : undefined;
    const options: ServerOptions = {
      ...limitsOf(world),
      clock: process.clock,
      resumeWindowMs: world.resumeWindowMs,
      createServer: ((_options: unknown, onConnection: (socket: unknown) => void) => {
        listener = new SimServer(network, process, onConnection);
        return listener;
      }) as unknown as NonNullable<ServerOptions['createServer']>,
      ...(this.view && { store: this.view }),
    };
    const server = createServer(options, (session, resumed) => this.#begun(session, resumed, process));
    this.listener = listener;
    server.on('error', (error) => {
      if (process.alive) context.reported(process.name, error as never);
    });
    server.on('clientError', (error) => {
      if (process.alive) context.heard(process.name, 'clientError', error);
    });
    server.listen(this.port);
    return server;
  }

  #begun(session: Session, resumed: boolean, process: SimProcess): void {
    if (!process.alive) return;
    const context = this.#context;
    const { id } = session;
    const name = `${process.name}/${id.slice(0, 4)}`;
    context.trace.note(name, resumed ? 'comes back' : 'begins');
    const stale = (): boolean =>
      context.world.durable && context.serverDisk.sessions.get(id)?.owner !== process;
    const life: SessionLife = { closed: false, told: false, owes: [] };
    let line = context.sessionLines.get(id);
    // One that another process took while this one was being told changes nothing: it will find out.
    if (line === undefined || !stale()) {
      // Without a WELCOME its client knew nothing of the first session of that id, and its end is no loss to it.
      if (!resumed) this.#giveUp(id);
      if (line === undefined || !resumed) {
        line = context.books.line(`session ${id.slice(0, 4)}`);
        context.sessionLines.set(id, line);
      }
      if (resumed) this.#takenOver(id, line);
      line.holder = process;
      line.life = life;
    }
    const peer = new SimPeer(context, session as Session, {
      side: 'server',
      name,
      process,
      line: () => line as Line,
      stale,
      accepted: (record) => {
        if (stale()) context.books.excuse(record, 'void');
      },
      checkStored: (record) => this.#checkClientStored(record, id),
    });
    this.sessions.set(session, peer);
    session.on('connect', ({ resumed: again }) => {
      if (!process.alive) return;
      context.counts.connects++;
      if (again) context.counts.resumes++;
      context.trace.note(name, 'connect', again);
    });
    session.on('disconnect', (reason) => {
      if (process.alive) context.heard(name, 'disconnect', reason);
    });
    session.on('expired', () => {
      if (!process.alive) return;
      context.trace.note(name, 'expired');
      life.told = true;
      if (coreOf(session).link.state.is === 'attached')
        context.fail('expiry', `${name}: expired while its client was there`);
    });
    session.on('error', ({ code }) => {
      if (code === 'NYOTA_TAKEN_OVER' || code === 'NYOTA_STORE_FAILED') life.told = true;
    });
    session.on('close', () => {
      if (!process.alive) return;
      life.closed = true;
      this.#settleDebts(life);
      context.trace.note(name, 'close');
      const gone = context.serverDisk.sessions.get(id) === undefined;
      if (gone || (isOver(session) && !stale())) this.#giveUp(id);
    });
  }

  /** From another process's store: what that one had not kept was not done. */
  #takenOver(id: string, line: Line): void {
    const { serverDisk, books, clientLines } = this.#context;
    const lastSeq = serverDisk.sessions.get(id)?.lastSeq ?? 0;
    const view = line.holder && this.#context.closedWell.get(line.holder);
    const closedWell = view !== undefined && !view.failed.has(id);
    for (const record of line.records) {
      // What was taken back in its last moments may be in the store as it was.
      if (record.excuse === 'withdrawn' && record.seq <= lastSeq) record.excuse = 'maybe';
      if (record.seq <= lastSeq || record.excuse === 'void') continue;
      if (closedWell && record.excuse === undefined && line.life !== undefined) {
        line.life.owes.push(record.uid);
        if (line.life.closed) this.#settleDebts(line.life);
      }
      if (record.done)
        this.#context.fail(
          'stored before it is sent',
          `message ${record.uid} was heard, and its sender has lost it`,
        );
      books.excuse(record, 'void');
    }
    for (const sent of clientLines) {
      books.reopen(sent, ({ deliveryId }) => {
        const [of, seq] = (deliveryId ?? '').split('/');
        return of !== id || serverDisk.covers(id, Number(seq));
      });
    }
  }

  /** A server that closes well, and whose session was taken by another before all was stored, has to say so. */
  #settleDebts({ told, owes }: SessionLife): void {
    if (told || owes.length === 0) return;
    const text = `message ${owes.join(', ')} was not kept by a server that closed well, and nothing was said`;
    this.#context.fail('no loss', text);
  }

  /** The session is over: what it had to say may still arrive, or not. */
  #giveUp(id: string): void {
    for (const record of this.#context.sessionLines.get(id)?.records ?? [])
      this.#context.books.excuse(record, 'maybe');
  }

  /** A client with a store sends nothing that it would have forgotten if it died now. */
  #checkClientStored(record: Sent, id: string): void {
    const client = this.#context.clientOf.get(record.line);
    if (client === undefined || client.id !== id || client.storedSeq === undefined) return;
    if (record.seq > client.storedSeq)
      this.#context.fail(
        'stored before it is sent',
        `message ${record.uid} was heard before its client's store had it`,
      );
  }
}

/** Ended for good, though the disk may not have heard of it yet; not only given away. */
function isOver(session: Session): boolean {
  const { state } = coreOf(session).link;
  const reason = state.is === 'ended' ? (state.error.cause as NyotaError).code : undefined;
  return (
    reason !== 'NYOTA_TAKEN_OVER' && reason !== 'NYOTA_SERVER_CLOSING' && reason !== 'NYOTA_STORE_FAILED'
  );
}
