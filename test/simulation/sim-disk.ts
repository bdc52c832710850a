/**
 * A simulated disk with sessions on it: a durable MemoryStore that outlives processes, and each process's view of it, whose
 * operations take time, happen in order, and never answer a process that has died. What was asked and not done when the
 * process died is not done.
 */
import { MemoryStore } from '../../src/stores/memory.js';
import type {
  Awaitable,
  InboundState,
  SessionBatch,
  SessionRecord,
  SessionStore,
  StoredSession,
  Tombstone,
} from '../../src/stores/session-store.js';
import type { Random } from './random.js';
import type { Schedule } from './schedule.js';
import type { SimProcess } from './sim-process.js';

/** What the books keep of a session on the disk, without a copy of all of it. */
export interface DiskSession {
  readonly record: SessionRecord;
  owner: SimProcess;
  inbound: InboundState;
  lastSeq: number;
  revision: number;
}

export class SimDisk {
  readonly store = new MemoryStore({ durable: true });
  readonly sessions = new Map<string, DiskSession>();
  /** What the disk itself found wrong. */
  readonly wrong: string[] = [];
  readonly #endings = new Map<string, () => void>();
  /** Operations that are under way. */
  waiting = 0;

  create(process: SimProcess, record: SessionRecord, now: number, attempt?: number): number {
    const fence = this.store.create(record, now, attempt);
    this.#begun(process, record);
    return fence;
  }

  attach(process: SimProcess, id: string, fence: number, now: number, attempt?: number): number | undefined {
    const raised = this.store.attach(id, fence, now, attempt);
    const session = this.sessions.get(id);
    if (raised !== undefined && session !== undefined) session.owner = process;
    return raised;
  }

  commit(process: SimProcess, id: string, fence: number, batch: SessionBatch): void {
    const { credential } = batch;
    if (credential !== undefined) this.#endings.get(id)?.();
    this.store.commit(id, fence, batch);
    const before = this.sessions.get(id);
    if (before !== undefined && credential !== undefined)
      this.#begun(before.owner, { ...before.record, credential });
    const session = this.sessions.get(id);
    if (session === undefined) return;
    if (session.owner !== process)
      this.wrong.push(`${process.name} wrote to a session of ${session.owner.name}`);
    if (batch.inbound !== undefined) {
      if (batch.inbound.settled < session.inbound.settled)
        this.wrong.push(
          `the inbound number went back from ${session.inbound.settled} to ${batch.inbound.settled}`,
        );
      session.inbound = batch.inbound;
    }
    if (batch.lastSeq !== undefined) {
      if (batch.lastSeq < session.lastSeq) this.wrong.push('the outbound number went back');
      session.lastSeq = batch.lastSeq;
    }
    if (batch.revision !== undefined) {
      if (batch.revision < session.revision) this.wrong.push('a revision went back on the disk');
      session.revision = batch.revision;
    }
  }

  /** Calls `ending` whenever the session of that id is about to be forgotten. */
  watchEnd(id: string, ending: () => void): void {
    this.#endings.set(id, ending);
  }

  end(id: string, fence: number, tombstone: Tombstone, now: number): void {
    this.#endings.get(id)?.();
    this.store.end(id, fence, tombstone, now);
    this.#forgetEnded();
  }

  /** As a store must: sessions whose owner lives are its business. */
  sweep(now: number): number {
    let ended = 0;
    for (const [id, { owner }] of [...this.sessions]) {
      const stored = owner.alive ? undefined : this.store.load(id);
      if (stored === undefined || stored.detachedAt === null) continue;
      const { detachedAt, record, fence, inbound, lastSeq } = stored;
      if (detachedAt + record.resumeWindowMs > now) continue;
      const numbers = { received: inbound.settled, sent: lastSeq };
      this.end(id, fence, { code: 'NYOTA_SESSION_EXPIRED', ...numbers }, now);
      ended++;
    }
    return ended;
  }

  /** Whether the message of that number is handled as far as the disk knows. */
  covers(id: string, seq: number): boolean {
    const session = this.sessions.get(id);
    if (session === undefined) return false;
    const { settled, beyond } = session.inbound;
    return seq <= settled || beyond.some(([from, to]) => seq >= from && seq <= to);
  }

  #begun(owner: SimProcess, record: SessionRecord): void {
    const inbound = { settled: 0, beyond: [] };
    this.sessions.set(record.id, { record, owner, inbound, lastSeq: 0, revision: 0 });
  }

  #forgetEnded(): void {
    if (this.store.size === this.sessions.size) return;
    for (const id of [...this.sessions.keys()]) {
      if (this.store.load(id) === undefined) this.sessions.delete(id);
    }
  }
}

export interface DiskTimes {
  /** 0 and 0: at once, without a promise. */
  readonly minMs: number;
  readonly maxMs: number;
}

/** A process's view of a disk. */
export class DiskView implements SessionStore {
  readonly durable = true;
  readonly #disk: SimDisk;
  readonly #process: SimProcess;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #times: DiskTimes;
  /** When the operation before is done. */
  #busyUntil = 0;
  /** So many of the next commits fail, with nothing changed. */
  failures = 0;
  /** Sessions of which a commit failed for want of room. */
  readonly failed = new Set<string>();

  constructor(disk: SimDisk, process: SimProcess, schedule: Schedule, random: Random, times: DiskTimes) {
    this.#disk = disk;
    this.#process = process;
    this.#schedule = schedule;
    this.#random = random;
    this.#times = times;
  }

  create(record: SessionRecord, now: number, attempt?: number): Awaitable<number> {
    return this.#do(() => this.#disk.create(this.#process, record, now, attempt));
  }

  load(id: string): Awaitable<StoredSession | undefined> {
    return this.#do(() => this.#disk.store.load(id));
  }

  attach(id: string, fence: number, now: number, attempt?: number): Awaitable<number | undefined> {
    return this.#do(() => this.#disk.attach(this.#process, id, fence, now, attempt));
  }

  commit(id: string, fence: number, batch: SessionBatch): Awaitable<void> {
    const fails = this.failures > 0;
    if (fails) this.failures--;
    return this.#do(() => {
      if (fails) {
        this.failed.add(id);
        throw new Error('no space left on the simulated disk');
      }
      this.#disk.commit(this.#process, id, fence, batch);
    });
  }

  end(id: string, fence: number, tombstone: Tombstone, now: number): Awaitable<void> {
    return this.#do(() => this.#disk.end(id, fence, tombstone, now));
  }

  tombstone(id: string, now: number): Awaitable<Tombstone | undefined> {
    return this.#do(() => this.#disk.store.tombstone(id, now));
  }

  sweep(now: number): Awaitable<number> {
    return this.#do(() => this.#disk.sweep(now));
  }

  close(): void {}

  #do<T>(act: () => T): Awaitable<T> {
    if (!this.#process.alive) return new Promise<T>(() => {});
    if (this.#times.maxMs === 0) return act();
    return new Promise<T>((resolve, reject) => {
      const takes = this.#random.between(this.#times.minMs, this.#times.maxMs);
      this.#busyUntil = Math.max(this.#busyUntil, this.#schedule.now) + takes;
      this.#disk.waiting++;
      // The disk does it; the process hears of it later, or never.
      const owner = { alive: true, frozen: false, backlog: [] };
      const asker = this.#process;
      this.#schedule.after(owner, this.#busyUntil - this.#schedule.now, () => {
        this.#disk.waiting--;
        if (!asker.alive) return;
        let answer: () => void;
        try {
          const result = act();
          answer = () => resolve(result);
        } catch (error) {
          answer = () => reject(error);
        }
        this.#schedule.after(asker, this.#random.int(2), answer);
      });
    });
  }
}

/** The view of a client: it takes its session over at once, whatever the rest takes. */
export class ClientDiskView extends DiskView {
  readonly #sync: SimDisk;
  readonly #taker: SimProcess;

  constructor(disk: SimDisk, process: SimProcess, schedule: Schedule, random: Random, times: DiskTimes) {
    super(disk, process, schedule, random, times);
    this.#sync = disk;
    this.#taker = process;
  }

  takeOver(id: string, now: number): StoredSession | undefined {
    const stored = this.#sync.store.load(id);
    if (stored !== undefined) this.#sync.attach(this.#taker, id, stored.fence, now);
    return this.#sync.store.load(id);
  }
}
