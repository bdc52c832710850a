/**
 * All writes to a folder's databases go through this queue. Steps wait here while a transaction is being written to the disk;
 * the next transaction takes all of them, so that many sessions share one fsync. A step is answered when it is on disk.
 *
 *   run --> waiting --> [ one transaction: step, step, step ] --> on disk --> answered
 *
 * Knows transactions, but not what lies in the databases.
 */
import { openSync, readSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { NyotaError } from '../../errors.js';
import { FailedOwners } from '../record.js';
import { causeOf, type Room, storeFailed } from './disk.js';

/** Where the lock file has the number: behind a magic number and the file's format, of 32 bits each. */
const LAST_OFFSET = 8;
const LAST_BYTES = 8;
/** Tries before it gives up: other processes may keep opening the folder. */
const MAX_TRIES = 100;

/** Thrown out of a transaction that is to be begun again. */
const BEGIN_AGAIN: unique symbol = Symbol('begin again');

/** What the types of `lmdb` lack. */
interface Numbers {
  /** Of the transaction that is being written. */
  getWriteTxnId(): number;
}

interface EnvironmentStats {
  /** Of the last transaction that is in the data file. */
  lastTxnId: number;
}

/** Never closed: closing one descriptor of a file drops all locks of the process on it, LMDB's among them. */
const lockFiles = new Map<string, number>();

/**
 * Write transactions. Each first repairs what another process may have broken by opening the folder
 * (docs/design.md, rule 32).
 *
 * All processes share the number of the last transaction, which lies in the lock file. A process that opens the folder writes
 * there what the data file said when it began to open (LMDB 3.5.6 of the package, `mdb_env_open2`). If another process has
 * committed in between, the number goes back. The next transaction then gets the number of one that is on disk already: it
 * silently takes its place, or fails on pages that are newer than itself. So each transaction checks its number before it
 * writes. If that is not new, it corrects the shared number, which is safe while it holds the lock of all writers, and is
 * begun again.
 */
export class Transactions {
  readonly #folder: string;
  readonly #env: RootDatabase & Numbers;

  constructor(folder: string, env: RootDatabase) {
    this.#folder = folder;
    this.#env = env as RootDatabase & Numbers;
  }

  /** On disk when it returns; undone as a whole where `run` throws. */
  sync<T>(run: () => T): T {
    for (let tries = 1; ; tries++) {
      try {
        return this.#env.transactionSync(() => {
          this.#look();
          return run();
        });
      } catch (error) {
        if (error !== BEGIN_AGAIN || tries === MAX_TRIES) throw this.#told(error);
      }
    }
  }

  /** The same, but the event loop does not wait for the disk; `run` may be called again. Resolves once it is on disk. */
  async run(run: () => void): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        // A child transaction is undone as a whole where something throws.
        await this.#env.childTransaction(() => {
          this.#look();
          run();
        });
        return;
      } catch (error) {
        if (error !== BEGIN_AGAIN || tries === MAX_TRIES) throw this.#told(error);
      }
    }
  }

  /** Checks the transaction's number: within a transaction, before anything is written. */
  #look(): void {
    const last = (this.#env.getStats() as EnvironmentStats).lastTxnId;
    const own = this.#env.getWriteTxnId();
    if (own > last) return;
    this.#setLast(own - 1, last);
    throw BEGIN_AGAIN;
  }

  #setLast(from: number, to: number): void {
    let file = lockFiles.get(this.#folder);
    if (file === undefined) {
      file = openSync(join(this.#folder, 'lock.mdb'), 'r+');
      lockFiles.set(this.#folder, file);
    }
    const bytes = Buffer.alloc(LAST_BYTES);
    const little = endianness() === 'LE';
    readSync(file, bytes, 0, LAST_BYTES, LAST_OFFSET);
    const found = little ? bytes.readBigUInt64LE() : bytes.readBigUInt64BE();
    if (found !== BigInt(from)) {
      const text = `has a lock file of another make: transaction ${to} is on disk, and it counts from ${found}`;
      throw storeFailed(this.#folder, text);
    }
    if (little) bytes.writeBigUInt64LE(BigInt(to));
    else bytes.writeBigUInt64BE(BigInt(to));
    writeSync(file, bytes, 0, LAST_BYTES, LAST_OFFSET);
  }

  #told(error: unknown): unknown {
    if (error !== BEGIN_AGAIN) return error;
    return storeFailed(this.#folder, 'could not be written: others open it all the time');
  }
}

/** One transaction takes at most so many steps, and about so many bytes. */
const MAX_STEPS = 2_000;
const MAX_BYTES = 16 * 2 ** 20;
/** Once so many steps in a row have failed on their own, the rest of the group is failed without a try. */
const MAX_FAILURES = 3;

export interface Step<T> {
  /**
   * The session and the fence of the step: if it fails, later steps with that fence fail too (docs/design.md, rule 21).
   * Undefined for work that belongs to no owner, such as a sweep.
   */
  readonly of?: { readonly id: string; readonly fence: number };
  /** About how many bytes it adds to the file; 0 if it frees more than it adds. */
  readonly bytes: number;
  /** Says whether there is room for them. */
  readonly room: Room;
  /**
   * Runs in a transaction, and may be run again. Returning an error refuses the step: nothing may have been written by then.
   * A throw undoes the transaction.
   */
  run(): T | NyotaError;
}

interface Waiting {
  readonly step: Step<unknown>;
  resolve(value: unknown): void;
  reject(error: NyotaError): void;
  /** What `run` returned. It is the answer once the transaction is on disk. */
  result: unknown;
  /** It was refused without a try; `result` says why. */
  refused: boolean;
}

/**
 * Steps take effect in the order of the calls. If one throws, the whole transaction is undone, and its steps are tried one by
 * one, so that the others don't fail with it (docs/design.md, rule 30).
 */
export class CommitQueue {
  readonly #path: string;
  readonly #transactions: Transactions;
  readonly #usedBytes: () => number;
  readonly #failed = new FailedOwners();
  /** About how many bytes the steps of this process have added to the file. */
  #takenBytes = 0;
  #waiting: Waiting[] = [];
  #working: Promise<void> | undefined;

  /** @param usedBytes how much of the file is in use */
  constructor(path: string, transactions: Transactions, usedBytes: () => number) {
    this.#path = path;
    this.#transactions = transactions;
    this.#usedBytes = usedBytes;
  }

  run<T>(step: Step<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const answer = resolve as (value: unknown) => void;
      this.#waiting.push({ step, resolve: answer, reject, result: undefined, refused: false });
      this.#working ??= this.#work();
    });
  }

  /** Resolves once nothing waits. */
  async whenIdle(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  /** Forgets the failures of owners who have lost their sessions. */
  forgetFailed(fenceOf: (id: string) => number | undefined): void {
    this.#failed.forgetOld(fenceOf);
  }

  async #work(): Promise<void> {
    // Steps that are queued in this turn of the event loop go into the same group.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      const error = await this.#transact(group);
      if (error === undefined) this.#answer(group);
      else await this.#oneByOne(group, error);
    }
    this.#working = undefined;
  }

  #takeGroup(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { step } of this.#waiting) {
      if (count === MAX_STEPS || bytes > MAX_BYTES) break;
      bytes += step.bytes;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #oneByOne(group: readonly Waiting[], together: NyotaError): Promise<void> {
    let failures = group.length === 1 ? MAX_FAILURES : 0;
    let error: NyotaError | undefined = together;
    for (const waiting of group) {
      if (failures < MAX_FAILURES) {
        error = await this.#transact([waiting]);
        failures = error === undefined ? 0 : failures + 1;
      }
      if (error === undefined) this.#answer([waiting]);
      else this.#fail(waiting, error);
    }
  }

  /** Returns undefined if all of the group is on disk, else the error that kept all of it from the disk. */
  async #transact(group: readonly Waiting[]): Promise<NyotaError | undefined> {
    try {
      const accepted = group.filter((waiting) => this.#accepts(waiting));
      if (accepted.length === 0) return undefined;
      await this.#transactions.run(() => {
        for (const waiting of accepted) waiting.result = waiting.step.run();
      });
      return undefined;
    } catch (error) {
      return storeFailed(
        this.#path,
        'could not be written, and nothing of the step is',
        await causeOf(error),
      );
    }
  }

  #accepts(waiting: Waiting): boolean {
    const { of, bytes, room } = waiting.step;
    if (waiting.refused) return false;
    let refusal: NyotaError | undefined;
    if (of !== undefined && this.#failed.has(of.id, of.fence)) {
      const text = `did not take an earlier step of the session ${of.id}, so it takes none of this owner now`;
      refusal = storeFailed(this.#path, text);
    } else {
      refusal = room.refusal(bytes, this.#takenBytes, this.#usedBytes);
    }
    if (refusal === undefined) {
      this.#takenBytes += bytes;
      return true;
    }
    waiting.refused = true;
    waiting.result = refusal;
    // Now, so that the session's next step in this group is refused too.
    if (of !== undefined) this.#failed.add(of.id, of.fence);
    return false;
  }

  #fail({ step: { of }, reject }: Waiting, error: NyotaError): void {
    if (of !== undefined) this.#failed.add(of.id, of.fence);
    reject(error);
  }

  #answer(group: readonly Waiting[]): void {
    for (const { result, resolve, reject } of group) {
      if (result instanceof NyotaError) reject(result);
      else resolve(result);
    }
  }
}
