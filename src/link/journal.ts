/**
 * Keeps a session in step with a durable store: gathers what has changed into steps, and lets out what depends on a step
 * once it is committed: inbound state before its ack, an outbound frame before its first byte (DESIGN.md, rule 3). Pure.
 */

import type { StoreEndpoint } from '../features/store/store-endpoint.js';
import type { Dispatcher } from './dispatcher.js';
import type { CoreBatch, CoreImage } from './persisted.js';
import type { Sender } from './sender.js';

export interface JournalParts {
  readonly sender: Sender;
  readonly dispatcher: Dispatcher;
  readonly store: StoreEndpoint;
  now(): number;
}

/** One atomic step for the store. */
export interface Step {
  readonly batch: CoreBatch;
  /** It is committed: what waited for it may go out. */
  readonly done: () => void;
}

export class Journal {
  readonly #parts: JournalParts;
  #epoch = 0;

  /** Nothing is acknowledged or sent any more before the step that it depends on is done. */
  constructor(parts: JournalParts, image: CoreImage | undefined) {
    this.#parts = parts;
    const { sender, dispatcher, store } = parts;
    sender.outbox.holdBack();
    dispatcher.holdBack();
    store.keepTrack();
    if (image === undefined) return;
    const frames = image.outbound.map(({ frame }) => frame);
    sender.outbox.restore(image.trimmed, image.lastSeq, frames);
    // Each request used up a number, so no id can be higher.
    sender.requests.skipTo(image.lastSeq);
    store.restore(image);
    dispatcher.restore(image.inbound);
  }

  /** Another session has begun on this side: steps of the old one let nothing out any more. */
  restarted(): void {
    this.#epoch++;
  }

  /**
   * True where a step must not wait. What was only received waits until its ack would be due.
   *
   * @param force it must not wait either
   */
  due(force: boolean): boolean {
    const { sender, dispatcher, store, now } = this.#parts;
    store.flush();
    const { inbox } = dispatcher;
    return sender.outbox.hasUncommitted || store.dirty || (inbox.changed && (force || inbox.ackDue(now())));
  }

  /** All that has changed since the last step. */
  take(): Step {
    const { sender, dispatcher, store } = this.#parts;
    store.flush();
    const { outbox } = sender;
    const { inbox } = dispatcher;
    const outbound = outbox.takeUncommitted();
    const inbound = inbox.changed ? inbox.snapshot() : undefined;
    const { lastSeq } = outbox;
    const firstPending = store.firstPendingSeq ?? Number.POSITIVE_INFINITY;
    const batch: CoreBatch = {
      ...(store.dirty ? store.takeDirty() : {}),
      ...(inbound === undefined ? {} : { inbound }),
      outbound,
      lastSeq,
      trim: Math.min(outbox.ackedSeq, firstPending - 1),
    };
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
}
