/**
 * The shared store against a model: any interleaving of writes on both sides, with frames in flight both ways.
 * After every step both sides are compared with a reference that works everything out from scratch, slowly.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NyotaError } from '../../src/errors.js';
import { type Conflict, type OpResult, Replica } from '../../src/features/store/replica.js';
import { Sequencer } from '../../src/features/store/sequencer.js';
import type { Change, StoreEntry, StoreLimits, WriteOp } from '../../src/features/store/writes.js';
import { runs } from '../support/length.js';
import { KEYS, type Step, step, type Write } from '../unit/features/store/store-steps.js';

// Tight at the server, so that it refuses; wide at the client, so that it lets everything through.
const SERVER_LIMITS: StoreLimits = { maxKeyBytes: 9, maxValueBytes: 12, maxKeys: 3, maxStoreBytes: 26 };
const CLIENT_LIMITS: StoreLimits = { maxKeyBytes: 99, maxValueBytes: 99, maxKeys: 99, maxStoreBytes: 9999 };

type Frame =
  | { delta: Change }
  | { upToSeq: number; revision: number; refusal?: { error: NyotaError; current: StoreEntry | undefined } };
interface Sent {
  readonly seq: number;
  readonly op: WriteOp;
  /** What the server decided, once it has. */
  decided?: OpResult;
  /** What the client was told. */
  told: OpResult[];
}

/** A store's content as plain data: `[key, text, revision]`, sorted. */
type Content = [string, string, number][];
const sorted = (content: Content): Content => content.sort((a, b) => (a[0] < b[0] ? -1 : 1));

class World {
  now = 0;
  nextSeq = 1;
  fill = 0;
  readonly server = new Sequencer(() => this.now, SERVER_LIMITS);
  readonly client = new Replica(CLIENT_LIMITS);
  readonly toServer: Sent[] = [];
  readonly toClient: Frame[] = [];
  /** Accepted writes whose result is not sent yet. */
  unsent: { upToSeq: number; revision: number } | undefined;
  /** A result may wait while the server's own changes go ahead, as long as revisions stay consecutive. */
  readonly lazyResults: boolean;

  // The reference.
  readonly sent: Sent[] = [];
  /** Every accepted write, in order of revision, with the time at which it ends. */
  readonly log: { change: Change; expiresAt: number }[] = [];
  /** The newest change of each key that has reached the client. */
  readonly known = new Map<string, Change>();
  /** What the client's visible changes add up to, and the server's. */
  readonly seen = new Map<string, string>();
  readonly conflicts: Conflict[] = [];
  readonly refused: Sent[] = [];

  constructor(lazyResults: boolean) {
    this.lazyResults = lazyResults;
  }

  run(step: Step): void {
    if (step.side === 'network') this.deliver(step.to, step.frames);
    else if (step.side === 'flush') this.flush();
    else if (step.side === 'time') this.pass(step.ms);
    else if (step.side === 'client') this.clientWrite(step.write);
    else this.serverWrite(step.write);
  }

  op(write: Write, believed: number): WriteOp {
    const { key } = write;
    if (write.do === 'delete') return { kind: 'delete', key };
    // No two values are the same, so that none is taken for another.
    const bytes =
      write.size === undefined ? undefined : Buffer.from(`${this.fill++}`.padStart(write.size, '.'));
    const ttl = write.ttlMs === undefined ? {} : { ttlMs: write.ttlMs };
    if (write.do === 'cas') {
      return { kind: 'compare-and-set', key, bytes, expectedRevision: believed + write.off, ...ttl };
    }
    return { kind: 'set', key, bytes: bytes ?? Buffer.alloc(0), ...ttl };
  }

  clientWrite(write: Write): void {
    const op = this.op(write, this.client.confirmedRevision(write.key));
    this.client.check(op);
    const sent: Sent = { seq: this.nextSeq, op, told: [] };
    this.nextSeq += 1 + (this.nextSeq % 3);
    this.see(this.client.submit(op, sent.seq, (result) => sent.told.push(result)));
    this.sent.push(sent);
    this.toServer.push(sent);
  }

  serverWrite(write: Write): void {
    const op = this.op(write, this.server.get(write.key)?.revision ?? 0);
    const expectation = this.refusalByModel(op);
    const before = this.server.revision;
    let change: Change | undefined;
    try {
      change = this.server.write(op);
    } catch (error) {
      expect(error instanceof NyotaError && error.code).toBe(expectation);
      expect(this.server.revision).toBe(before);
      return;
    }
    expect(change === undefined ? 'NYOTA_STORE_CONFLICT' : undefined).toBe(expectation);
    if (change !== undefined) this.serverChanged(change, op);
  }

  pass(ms: number): void {
    this.now += ms;
    const due = this.content().filter(([key]) => this.endOf(key) <= this.now);
    const changes = this.server.expire(this.now);
    expect(changes.map((change) => change.key).sort()).toEqual(due.map(([key]) => key).sort());
    const ends = changes.map((change) => this.endOf(change.key));
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
    for (const change of changes) this.serverChanged(change, { kind: 'delete', key: change.key });
  }

  /** A change that is not a client's write. */
  serverChanged(change: Change, op: WriteOp): void {
    if (!this.lazyResults) this.flush();
    this.logChange(change, op);
    this.toClient.push({ delta: change });
  }

  deliver(to: 'server' | 'client', frames: number): void {
    for (let i = 0; i < frames; i++) {
      if (to === 'server') this.deliverToServer();
      else this.deliverToClient();
    }
  }

  deliverToServer(): void {
    const sent = this.toServer.shift();
    if (sent === undefined) return;
    const { seq, op } = sent;
    const expectation = this.refusalByModel(op);
    const result = this.server.apply(op);
    expect(result.accepted ? undefined : result.error.code).toBe(expectation);
    if (result.accepted) {
      const { revision } = result.change;
      sent.decided = { accepted: true, revision };
      if (this.unsent !== undefined && this.unsent.revision + 1 !== revision) this.flush();
      this.unsent = { upToSeq: seq, revision };
      this.logChange(result.change, op);
    } else {
      const { error, current } = result;
      sent.decided = { accepted: false, error };
      if (op.kind !== 'compare-and-set') this.refused.push(sent);
      this.toClient.push({ upToSeq: seq, revision: this.unsent?.revision ?? 0, refusal: { error, current } });
      this.unsent = undefined;
    }
  }

  flush(): void {
    if (this.unsent === undefined) return;
    this.toClient.push(this.unsent);
    this.unsent = undefined;
  }

  deliverToClient(): void {
    const frame = this.toClient.shift();
    if (frame === undefined) return;
    if ('delta' in frame) {
      this.learn(frame.delta);
      this.see(this.client.delta(frame.delta));
      return;
    }
    for (const { seq, decided } of this.sent) {
      if (seq > frame.upToSeq || !decided?.accepted) continue;
      const logged = this.log[decided.revision - 1];
      if (logged !== undefined) this.learn(logged.change);
    }
    const { changes, conflicts } = this.client.result(frame.upToSeq, frame.revision, frame.refusal);
    this.see(changes);
    this.conflicts.push(...conflicts);
  }

  /** Everything that is on its way arrives. */
  settle(): void {
    while (this.toServer.length > 0) this.deliverToServer();
    this.flush();
    while (this.toClient.length > 0) this.deliverToClient();
  }

  see(changes: readonly Change[]): void {
    for (const { key, bytes } of changes) {
      if (bytes === undefined) expect(this.seen.delete(key)).toBe(true);
      else this.seen.set(key, bytes.toString());
    }
  }

  learn(change: Change): void {
    if (change.revision > (this.known.get(change.key)?.revision ?? 0)) this.known.set(change.key, change);
  }

  logChange(change: Change, op: WriteOp): void {
    expect(change.revision).toBe(this.log.length + 1);
    const ttlMs = op.kind !== 'delete' && op.bytes !== undefined ? op.ttlMs : undefined;
    this.log.push({ change, expiresAt: this.now + (ttlMs ?? Number.POSITIVE_INFINITY) });
  }

  /** The server's content, from the log alone. */
  content(): Content {
    const last = new Map(this.log.map(({ change }) => [change.key, change]));
    return sorted(
      [...last.values()].flatMap(({ key, bytes, revision }) => (bytes ? [[key, `${bytes}`, revision]] : [])),
    );
  }

  /** When the entry that is there now ends. */
  endOf(key: string): number {
    return this.log.findLast(({ change }) => change.key === key)?.expiresAt ?? Number.NaN;
  }

  refusalByModel(op: WriteOp): string | undefined {
    const content = this.content();
    const current = content.find(([key]) => key === op.key);
    if (op.kind !== 'delete' && (op.bytes?.length ?? 0) > SERVER_LIMITS.maxValueBytes)
      return 'NYOTA_STORE_LIMIT';
    if (op.kind === 'compare-and-set' && (current?.[2] ?? 0) !== op.expectedRevision)
      return 'NYOTA_STORE_CONFLICT';
    if (op.kind === 'delete' || op.bytes === undefined) return undefined;
    const others = content.filter(([key]) => key !== op.key);
    if (others.length + 1 > SERVER_LIMITS.maxKeys) return 'NYOTA_STORE_LIMIT';
    const bytes = recount(others) + Buffer.byteLength(op.key) + op.bytes.length;
    return bytes > SERVER_LIMITS.maxStoreBytes ? 'NYOTA_STORE_LIMIT' : undefined;
  }

  check(): void {
    this.checkServer();
    this.checkClient();
    // Every write is told its own outcome, once, in order; conflicts are the refused sets and deletes.
    const told = this.sent.filter((sent) => sent.told.length > 0);
    expect(told).toEqual(this.sent.slice(0, told.length));
    for (const sent of told) expect(sent.told).toEqual([sent.decided]);
    expect(this.client.pending).toBe(this.sent.length - told.length);
    expect(this.conflicts.map(({ key, attempted, error }) => [key, attempted, error])).toEqual(
      this.refused
        .filter((sent) => sent.told.length > 0)
        .map(({ op, told: [result] }) => [
          op.key,
          op.kind === 'delete' ? undefined : op.bytes,
          result?.accepted === false ? result.error : 'none',
        ]),
    );
  }

  checkServer(): void {
    const { server } = this;
    const content = this.content();
    expect(contentOf(server)).toEqual(content);
    expect([server.size, server.bytes, server.revision]).toEqual([
      content.length,
      recount(content),
      this.log.length,
    ]);
    expect(server.bytes).toBeGreaterThanOrEqual(0);
    expect(server.bytes).toBeLessThanOrEqual(SERVER_LIMITS.maxStoreBytes);
    const ends = content.map(([key]) => this.endOf(key));
    expect(server.nextExpiry()).toBe(Math.min(...ends, Number.POSITIVE_INFINITY));
  }

  checkClient(): void {
    const { client } = this;
    // Confirmed: the newest change of each key that arrived. It can't go back: `known` doesn't.
    for (const key of KEYS) {
      const known = this.known.get(key);
      const entry = client.confirmed(key);
      expect(entry?.bytes.toString()).toBe(known?.bytes?.toString());
      expect(client.confirmedRevision(key)).toBe(known?.bytes === undefined ? 0 : known.revision);
      expect(entry?.revision ?? 0).toBe(client.confirmedRevision(key));
    }
    // Visible: the pending sets and deletes on top of it, in order.
    const visible = new Map(
      [...this.known].flatMap(([key, { bytes }]) => (bytes ? [[key, `${bytes}`]] : [])),
    );
    for (const { op, told } of this.sent) {
      if (told.length > 0) continue;
      if (op.kind === 'set') visible.set(op.key, op.bytes.toString());
      else if (op.kind === 'delete') visible.delete(op.key);
    }
    const expected: Content = [...visible].map(([key, text]) => [key, text, client.confirmedRevision(key)]);
    expect(contentOf(client)).toEqual(sorted(expected));
    expect(client.size).toBe(visible.size);
    expect([...this.seen].sort()).toEqual([...visible].sort());
  }

  /** Nothing is in flight: both sides are one. */
  checkAtRest(): void {
    expect(this.client.pending).toBe(0);
    expect(contentOf(this.client)).toEqual(contentOf(this.server));
  }
}

function contentOf(store: Sequencer | Replica): Content {
  const keys = [...store.keys()];
  expect(new Set(keys).size).toBe(keys.length);
  return sorted(
    keys.map((key) => {
      const entry = store.get(key);
      expect(store.has(key)).toBe(true);
      return [key, entry?.bytes.toString() ?? 'nothing', entry?.revision ?? -1];
    }),
  );
}

function recount(content: Content): number {
  return content.reduce((sum, [key, text]) => sum + Buffer.byteLength(key) + Buffer.byteLength(text), 0);
}

describe.each([
  ['answers go out before any other change', false],
  ['answers may wait while changes go out', true],
])('the shared store, where %s', (_name, lazyResults) => {
  test('both sides follow the model at every step, and are one at rest', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const world = new World(lazyResults);
        for (const step of steps) {
          world.run(step);
          world.check();
        }
        let idle = 0;
        world.client.whenIdle(() => idle++);
        world.settle();
        world.check();
        world.checkAtRest();
        expect(idle).toBe(1);
      }),
      runs(150),
    );
  });

  test('a new session that takes over has the same visible content', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
        const world = new World(lazyResults);
        for (const step of steps) world.run(step);
        const visible = contentOf(world.client).map(([key, text]) => [key, text]);
        const told = world.sent.filter((sent) => sent.told.length > 0).length;

        const ops = world.client.carry();
        world.client.abandon(new NyotaError('NYOTA_SESSION_LOST', 'lost'));
        world.client.clear();
        expect(world.sent.map((sent) => sent.told.length)).toEqual(world.sent.map(() => 1));
        expect(world.sent.slice(told).every(({ told: [result] }) => result?.accepted === false)).toBe(true);

        const server = new Sequencer(() => 0, CLIENT_LIMITS);
        for (const [index, op] of ops.entries()) {
          world.client.submit(op, index + 1);
          expect(server.apply(op).accepted).toBe(true);
        }
        expect(contentOf(world.client).map(([key, text]) => [key, text])).toEqual(visible);
        if (ops.length > 0) world.client.result(ops.length, server.revision);
        expect(contentOf(world.client)).toEqual(contentOf(server));
      }),
      runs(80),
    );
  });
});
