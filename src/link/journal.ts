/**
 * Keeps a session in step with a durable store. All that decides what is durable and when is here: what a step holds, when one
 * must not wait, that one follows the other, and what a committed step lets out: inbound state before its ack, an outbound
 * frame before its first byte (docs/design.md, rule 3).
 *
 *   changes -> due -> take -> commit … -> done: the outbox releases, the inbox acknowledges -> the next step
 *
 * Touches the outbox, the inbox and the features' durable parts. Pure: the store is behind `Keeper`, time is handed in.
 */
import { isThenable } from '../async.js';
import { NyotaError } from '../errors.js';
import type { Feature } from './feature.js';
import type { Inbox } from './inbox.js';
import type { Outbox } from './outbox.js';
import type { Awaitable, CoreImage, SessionBatch } from './persisted.js';

/** Who keeps the session in a durable store. */
export interface Keeper {
  commit(batch: SessionBatch): Awaitable<void>;
  /** A step could not be stored: memory is ahead of the store, so this process must let go of the session. */
  failed(error: NyotaError): void;
}

export interface JournalParts {
  readonly outbox: Outbox;
  readonly inbox: Inbox;
  readonly features: readonly Feature[];
  now(): number;
  /** A step is through: there may be something to write, or another step to make. */
  wake(): void;
}

export class Journal {
  readonly #parts: JournalParts;
  readonly #keeper: Keeper;
  /** Counts the sessions of this side: a step of an older one lets nothing out. */
  #epoch = 0;
  #ended = false;
  /** The step that is being committed; the next one begins when it is done, with all that came meanwhile. */
  #stepping: Promise<void> | undefined;
  /** While it is pending no step begins. */
  #suspended: Promise<void> | undefined;

  /**
   * Nothing is acknowledged or sent any more before the step that it depends on is done.
   *
   * @param image what a process before this one has kept: the session goes on from there
   */
  constructor(parts: JournalParts, keeper: Keeper, image: CoreImage | undefined) {
    this.#parts = parts;
    this.#keeper = keeper;
    const { outbox, inbox, features } = parts;
    outbox.holdBack();
    inbox.holdBack();
    for (const feature of features) feature.keepChanges?.();
    if (image === undefined) return;
    outbox.restore(
      image.trimmed,
      image.lastSeq,
      image.outbound.map(({ frame }) => frame),
    );
    inbox.restore(image.inbound.settled, image.inbound.beyond);
    for (const feature of features) feature.restore?.(image);
  }

  /** Another session has begun on this side: steps of the old one let nothing out any more. */
  restarted(): void {
    this.#epoch++;
  }

  /** The session is over: nothing of it is due any more. */
  end(): void {
    this.#ended = true;
  }

  /** Makes a step if something has changed that must not wait. */
  flush(): void {
    this.#step('due');
  }

  /** Commits a step of the owner's own. The store takes it behind the steps that are under way. */
  async commit(batch: SessionBatch): Promise<void> {
    // No wait without need: a tick later a client's session may be another one.
    if (this.#suspended !== undefined) await this.#suspended;
    // In an async function, so that a store that throws is reported only after this call has returned.
    const committing = (async () => this.#keeper.commit(batch))();
    try {
      await committing;
    } catch (error) {
      this.#keeper.failed(storeFailed(error));
    }
  }

  /** One step with all that has changed, due or not. Resolves once it is in the store. */
  async stepNow(): Promise<void> {
    while (this.#busy) {
      await this.#suspended;
      await this.#stepping;
    }
    this.#step('now');
    await this.#stepping;
  }

  /**
   * Calls `letGo` as soon as everything that has changed is in the store. A promise would tell its caller later, when more
   * may have changed (docs/design.md, rule 23).
   */
  async whenSettled(letGo: () => void): Promise<void> {
    while (this.unsettled) await this.#stepOn();
    letGo();
  }

  /** Something has changed that is not in the store, or may not be. */
  get unsettled(): boolean {
    return this.#busy || this.#due(true);
  }

  /**
   * Runs `work`, which changes the fence by which this process owns the session, between two steps: waits for those that are
   * under way, and begins none before it is done (docs/design.md, rule 23).
   */
  async betweenSteps<T>(work: () => PromiseLike<T>): Promise<T> {
    while (this.unsettled) await this.#stepOn();
    const running = Promise.resolve(work());
    const suspended = running.then(
      () => {},
      () => {},
    );
    this.#suspended = suspended;
    try {
      return await running;
    } finally {
      if (this.#suspended === suspended) this.#suspended = undefined;
      this.#parts.wake();
    }
  }

  /** Pending while no step may begin. */
  get suspended(): Promise<void> | undefined {
    return this.#suspended;
  }

  async #stepOn(): Promise<void> {
    await this.#suspended;
    await this.#stepping;
    this.#step('changed');
  }

  /** A step is under way, or none may begin. */
  get #busy(): boolean {
    return this.#suspended !== undefined || this.#stepping !== undefined;
  }

  /** True if a step must not wait. What was only received waits until its ack is due; with `force` it does not wait either. */
  #due(force: boolean): boolean {
    if (this.#ended) return false;
    const { outbox, inbox, features, now } = this.#parts;
    for (const feature of features) feature.chunkEnd?.();
    if (outbox.hasUncommitted || (inbox.changed && (force || inbox.ackDue(now())))) return true;
    return features.some((feature) => feature.hasChanges === true);
  }

  /** All that has changed since the last step, as one. */
  #take(): { batch: SessionBatch; done: () => void } {
    const { outbox, inbox, features } = this.#parts;
    for (const feature of features) feature.chunkEnd?.();
    const outbound = outbox.takeUncommitted();
    const inbound = inbox.changed ? inbox.snapshot() : undefined;
    const { lastSeq } = outbox;
    let trim = outbox.ackedSeq;
    const batch: SessionBatch = { outbound, lastSeq };
    for (const feature of features) {
      if (feature.firstKeptSeq !== undefined) trim = Math.min(trim, feature.firstKeptSeq - 1);
      if (feature.hasChanges === true) Object.assign(batch, feature.takeChanges?.());
    }
    Object.assign(batch, inbound && { inbound }, { trim });
    const epoch = this.#epoch;
    return {
      batch,
      done: () => {
        if (epoch !== this.#epoch) return;
        outbox.release(lastSeq);
        if (inbound !== undefined) inbox.commit(inbound.settled);
      },
    };
  }

  /** @param when due: what must not wait; changed: whatever has changed; now: also where nothing has */
  #step(when: 'due' | 'changed' | 'now'): void {
    if (this.#busy || (when !== 'now' && !this.#due(when === 'changed'))) return;
    const step = this.#take();
    const done = (): void => {
      step.done();
      this.#parts.wake();
    };
    const failed = (error: unknown): void => {
      this.#stepping = undefined;
      this.#keeper.failed(storeFailed(error));
    };
    try {
      const committing = this.#keeper.commit(step.batch);
      if (!isThenable(committing)) {
        done();
        return;
      }
      this.#stepping = Promise.resolve(committing).then(() => {
        this.#stepping = undefined;
        done();
      }, failed) as Promise<void>;
    } catch (error) {
      failed(error);
    }
  }
}

/** What a store has thrown or rejected with, as an error of ours. */
export function storeFailed(error: unknown): NyotaError {
  if (error instanceof NyotaError) return error;
  return new NyotaError('NYOTA_STORE_FAILED', 'a step of the session could not be stored', { cause: error });
}
