/** A simulated client: the real `Client` in a process that may die, stand still, and start again, with a store or without. */

import { type Client, createClient } from '../../src/client/client.js';
import type { ClientOptions } from '../../src/client/options.js';
import { decodePayload } from '../../src/codec/payload.js';
import type { NyotaError } from '../../src/errors.js';
import { sessionId } from '../../src/peer/credentials.js';
import { LENGTH_BYTES, SEQUENCED_HEADER_BYTES } from '../../src/wire/constants.js';
import { FrameType } from '../support/frame-type.js';
import type { Line, Sent } from './books.js';
import { limitsOf } from './limits.js';
import type { CrashMode } from './plan.js';
import { type Context, coreOf } from './sim-context.js';
import { ClientDiskView } from './sim-disk.js';
import { SimPeer } from './sim-peer.js';
import type { SimProcess } from './sim-process.js';

const WIRE = { maxDepth: 64, maxValues: 65_536 };

export class SimClientNode {
  readonly #context: Context;
  readonly #index: number;
  readonly #key: string;
  process: SimProcess;
  client: Client;
  peer: SimPeer;
  line: Line;
  up = true;
  view: ClientDiskView | undefined;
  /** Why the client stopped by itself, where it did. */
  stopped: string | undefined;
  #dials = 0;

  constructor(context: Context, index: number) {
    this.#context = context;
    this.#index = index;
    this.#key = `client${index}`;
    this.process = context.process(this.#key);
    this.line = this.#newLine();
    // What a session that ends has kept is accepted for good: the next one must keep it too.
    context.clientDisk.watchEnd(this.#key, () => {
      for (const record of this.#onDisk()) record.stored = true;
    });
    this.client = this.#start();
    this.peer = this.#equip();
  }

  /** The highest number that this client's store would know after a crash; undefined without one. */
  get storedSeq(): number | undefined {
    if (!this.#context.world.clientStores) return undefined;
    const kept = this.#context.clientDisk.sessions.get(this.#key);
    if (kept === undefined || sessionId(kept.record.credential) !== this.client.id) return undefined;
    return kept.lastSeq;
  }

  get id(): string {
    return this.client.id;
  }

  crash(how: CrashMode, downMs: number): void {
    if (!this.up) return;
    const { network, trace, counts, schedule, fate, world } = this.#context;
    trace.note(this.process.name, 'dies', how);
    counts.crashes++;
    this.up = false;
    this.process.crash();
    network.crashed(this.process, how);
    this.peer.orphan();
    if (world.clientStores) this.#forgetUnstored();
    else for (const record of this.line.records) this.#context.books.excuse(record, 'maybe');
    schedule.after(fate, downMs, () => this.restart());
  }

  restart(): void {
    if (this.up) return;
    this.up = true;
    this.stopped = undefined;
    this.process = this.#context.process(this.#key);
    if (!this.#context.world.clientStores) {
      this.#context.clientOf.delete(this.line);
      this.line = this.#newLine();
    }
    this.client = this.#start();
    this.peer = this.#equip();
  }

  #newLine(): Line {
    const { books, clientLines, clientOf } = this.#context;
    const line = books.line(`client ${this.#index}`);
    clientLines.push(line);
    clientOf.set(line, this);
    return line;
  }

  #start(): Client {
    const context = this.#context;
    const { world, network, schedule } = context;
    const { process } = this;
    const random = context.random(0xc11e);
    const [minMs, maxMs] = world.clientDiskMs;
    this.view = world.clientStores
      ? new ClientDiskView(context.clientDisk, process, schedule, context.random(0xd15d), { minMs, maxMs })
      : undefined;
    const options: ClientOptions = {
      ...limitsOf(world),
      clock: process.clock,
      random: () => random.next(),
      connectTimeoutMs: 2_000,
      reconnect: { minDelayMs: 20, maxDelayMs: 1_000 },
      createConnection: () => network.dial(process, 7_001 + (this.#dials++ % world.servers)),
      ...(this.view && { store: this.view, storeKey: this.#key }),
    };
    return createClient(options);
  }

  #equip(): SimPeer {
    const context = this.#context;
    const { client, process } = this;
    const { name } = process;
    const peer = new SimPeer(context, client, {
      side: 'client',
      name,
      process,
      line: () => this.line,
      stale: () => false,
      accepted: () => {},
      checkStored: (record) => this.#checkServerStored(record),
    });
    this.#watchRestarts();
    if (this.view !== undefined) this.#takeUp();
    client.on('connect', ({ resumed }) => {
      this.stopped = undefined;
      if (process.alive) context.trace.note(name, 'connect', resumed, client.id);
    });
    client.on('disconnect', (reason) => {
      if (process.alive) context.heard(name, 'disconnect', reason);
    });
    client.on('reconnecting', ({ attempt, delayMs, error }) => {
      if (!process.alive) return;
      context.trace.note(name, 'reconnecting', attempt, Math.round(delayMs));
      context.heard(name, 'attempt', error);
    });
    client.on('gap', ({ uncertain, lost, reason }) => {
      if (!process.alive) return;
      context.counts.gaps++;
      context.trace.note(name, 'gap', uncertain, lost);
      context.heard(name, 'gap', reason);
    });
    client.on('error', (error) => {
      this.stopped = error.code;
    });
    return peer;
  }

  /** A client that goes on from its store: what its process before had not kept was not done. */
  #takeUp(): void {
    const { books, sessionLines, clientDisk } = this.#context;
    const line = sessionLines.get(this.client.id);
    if (line === undefined) return;
    books.reopen(line, ({ deliveryId }) =>
      clientDisk.covers(this.#key, Number((deliveryId ?? '').split('/')[1])),
    );
  }

  /** What its disk holds of its messages: of the session that its process had, or of one before that it has not replaced yet. */
  #onDisk(): Set<Sent> {
    const records = new Set<Sent>();
    for (const { frame } of this.#context.clientDisk.store.load(this.#key)?.outbound ?? []) {
      const record = this.#recordOf(frame);
      if (record !== undefined) records.add(record);
    }
    return records;
  }

  /** Its process died: what was not on its disk was never accepted, as far as anybody can know. */
  #forgetUnstored(): void {
    const { books } = this.#context;
    const onDisk = this.#onDisk();
    for (const record of this.line.records) {
      // What was taken back or given up in its last moments may be on the disk as it was.
      if (record.excuse !== undefined && record.excuse !== 'void' && onDisk.has(record))
        record.excuse = 'maybe';
      if (record.done || record.excuse !== undefined || onDisk.has(record)) continue;
      if (record.stored)
        this.#context.fail('no loss', `message ${record.uid} was in the client's store, and is not any more`);
      books.excuse(record, 'void');
    }
  }

  /** What a session that begins anew does with what was queued: each message goes along, or its fate is known or told. */
  #watchRestarts(): void {
    const context = this.#context;
    const core = coreOf(this.client);
    const { outbox } = core.link;
    const restart = core.link.restart.bind(core.link);
    core.link.restart = (handled, error: NyotaError, carryStore) => {
      const { sentSeq } = outbox;
      context.trace.note(this.process.name, 'begins anew', error.message, handled, carryStore);
      outbox.forEach((seq, frame) => {
        const record = this.#recordOf(frame);
        if (record === undefined) return;
        if (!carryStore) context.unordered.add(record.uid);
        if (seq > (handled ?? sentSeq)) {
          if (record.kind === 'request') context.books.excuse(record, 'maybe');
        } else if (handled === undefined) context.books.excuse(record, 'uncertain');
        else if (!record.done && record.excuse === undefined)
          context.fail('no loss', `message ${record.uid} was told to be handled, and is not`);
      });
      this.#forgetHeldRequests();
      // Held messages of the old session are dispatched yet, and the store they belong to is gone.
      if (!carryStore) this.#loosenSession();
      this.peer.renewing = true;
      this.peer.renewed = true;
      const carried = restart(handled, error, carryStore);
      this.peer.renewing = false;
      outbox.forEach((seq, frame) => {
        const record = this.#recordOf(frame);
        if (record !== undefined) record.seq = seq;
      });
      return carried;
    };
  }

  /** Nobody waits for the replies of requests that are held here. */
  #forgetHeldRequests(): void {
    for (const line of this.#context.sessionLines.values()) {
      for (const record of line.records) {
        if (record.kind === 'request') this.#context.books.excuse(record, 'maybe');
      }
    }
  }

  #loosenSession(): void {
    for (const line of this.#context.sessionLines.values()) {
      for (const { done, uid } of line.records) if (!done) this.#context.unordered.add(uid);
    }
  }

  #recordOf(frame: Buffer): Sent | undefined {
    const type = frame[LENGTH_BYTES];
    if (type !== FrameType.EVENT && type !== FrameType.REQUEST) return undefined;
    const body = decodePayload(frame, SEQUENCED_HEADER_BYTES, frame.length, WIRE) as unknown[];
    const args = body[type === FrameType.EVENT ? 1 : 2] as [number];
    return this.#context.books.find(args[0]);
  }

  /** A server with a durable store sends nothing that it would have forgotten if it died now. */
  #checkServerStored(record: Sent): void {
    if (!this.#context.world.durable) return;
    for (const [id, line] of this.#context.sessionLines) {
      if (line !== record.line) continue;
      const kept = this.#context.serverDisk.sessions.get(id);
      if (kept !== undefined && record.seq > kept.lastSeq)
        this.#context.fail(
          'stored before it is sent',
          `message ${record.uid} was heard before its server's store had it`,
        );
    }
  }
}
