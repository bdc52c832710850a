/**
 * The one way into a folder's databases for what writes: steps wait here while a transaction is on its way to the disk, and the
 * next one takes all of them, so that many sessions share an fsync. A step is answered when it is on disk.
 *
 *   run --> waiting --> [ one transaction: step, step, step ] --> on disk --> answered
 *
 * Steps take effect in the order of the calls. Where one throws, the whole transaction is undone and its steps are tried one by
 * one, so that the others do not fail with it. A session whose step failed gets no further one in: it was made on top of it.
 */
import { NyotaError } from '../../errors.js';
import type { Databases } from './databases.js';
import { causeOf, storeFailed } from './errors.js';
import type { LmdbSpace } from './space.js';

/** So many steps, or about so many bytes, go into one transaction at most. */
const MAX_STEPS = 2_000;
const MAX_BYTES = 16 * 2 ** 20;
/** After so many in a row that failed alone nothing more of a transaction is tried. */
const MAX_FAILURES = 3;

export interface Step<T> {
  /** Whose step it is, and by which fence: where it fails, later ones with this fence do too. Not for what is no step of a session. */
  readonly of?: { readonly id: string; readonly fence: number };
  /** What it adds to the file, about; 0 where it frees more than it takes. */
  readonly bytes: number;
  readonly space: LmdbSpace;
  /** Runs in a transaction, perhaps again. A returned error refuses it, before anything is written; a throw undoes it. */
  run(db: Databases): T | NyotaError;
}

interface Waiting {
  readonly step: Step<unknown>;
  resolve(value: unknown): void;
  reject(error: NyotaError): void;
  /** Counts once it is on disk. */
  result: unknown;
  /** Its result is why it was not even tried. */
  refused: boolean;
}

export class CommitQueue {
  readonly #path: string;
  readonly #db: () => Databases;
  readonly #failed = new Map<string, number>();
  /** What the steps of this process have added to the file so far, about. */
  takenBytes = 0;
  #waiting: Waiting[] = [];
  #working: Promise<void> | undefined;

  /** @param db asked for at the first step */
  constructor(path: string, db: () => Databases) {
    this.#path = path;
    this.#db = db;
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

  /** A failure is forgotten with the fence that it happened under. */
  forgive(isOver: (id: string, fence: number) => boolean): void {
    for (const [id, fence] of this.#failed) if (isOver(id, fence)) this.#failed.delete(id);
  }

  async #work(): Promise<void> {
    // Whoever calls in this turn goes along.
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

  /** Undefined where all of it is on disk; else why nothing of it is. */
  async #transact(group: readonly Waiting[]): Promise<NyotaError | undefined> {
    try {
      const db = this.#db();
      const accepted = group.filter((waiting) => this.#accepts(db, waiting));
      if (accepted.length === 0) return undefined;
      await db.transactions.run(() => {
        for (const waiting of accepted) waiting.result = waiting.step.run(db);
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

  #accepts(db: Databases, waiting: Waiting): boolean {
    const { of, bytes, space } = waiting.step;
    if (waiting.refused) return false;
    let refusal: NyotaError | undefined;
    if (of !== undefined && this.#failed.get(of.id) === of.fence) {
      const text = `did not take an earlier step of the session ${of.id}, so it takes none of this owner now`;
      refusal = storeFailed(this.#path, text);
    } else {
      refusal = space.refusal(db, bytes);
    }
    if (refusal === undefined) {
      this.takenBytes += bytes;
      return true;
    }
    waiting.refused = true;
    waiting.result = refusal;
    // Before the next one of this session is asked about.
    this.#remember(waiting.step);
    return false;
  }

  #remember({ of }: Step<unknown>): void {
    if (of === undefined || (this.#failed.get(of.id) ?? -1) >= of.fence) return;
    this.#failed.set(of.id, of.fence);
  }

  #fail({ step, reject }: Waiting, error: NyotaError): void {
    this.#remember(step);
    reject(error);
  }

  #answer(group: readonly Waiting[]): void {
    for (const { result, resolve, reject } of group) {
      if (result instanceof NyotaError) reject(result);
      else resolve(result);
    }
  }
}
