/**
 * All writing of a process to a folder's databases begins here, and mends what a process that opens the folder may have broken.
 *
 * The number of the last transaction lies in the lock file, for all processes. LMDB (3.5.6 of its package, `mdb_env_open2`) lets
 * whoever opens the folder set it to what the data file said when the opening began. Where another process has committed
 * meanwhile, the number goes back: the next transaction would be given the number of one that is on disk, and take its place
 * without a word, or stumble over pages that are newer than itself. So each transaction looks before it writes, and where its
 * number is not new sets the shared one right, which is safe while it holds the lock of all writers; then it is begun again.
 */
import { openSync, readSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { storeFailed } from './errors.js';

/** Where the lock file has the number: behind a magic number and the file's format, of 32 bits each. */
const LAST_OFFSET = 8;
const LAST_BYTES = 8;
/** Other processes may open the folder again and again. */
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

/** Never closed: that would take the locks that LMDB has on the file from the whole process. */
const lockFiles = new Map<string, number>();

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

  /** The same beside the event loop; `run` may be called again. Resolves once it is on disk. */
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

  /** Within a transaction, before anything is written. */
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
