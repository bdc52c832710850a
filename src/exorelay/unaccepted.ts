/**
 * The messages of this relay that ExoCom has not accepted, in the order sent. Each is kept, encoded, until ExoCom says that it
 * has delivered or refused it. Pure: knows no session.
 *
 *   add --> waiting --take--> handed --accepted--> forgotten
 *              ^                |
 *              `--- restart ----´   (a new session, or another hub process: all again, flagged `redelivered`)
 */
import { NyotaError } from '../index.js';
import { type Envelope, sizeOf } from './message.js';

interface Outgoing {
  envelope: Envelope;
  readonly bytes: number;
  /** Takes it back out of the nyota session while it is unsent there. Undefined while it waits here. */
  handed: AbortController | undefined;
}

interface UnacceptedLimits {
  readonly maxOutboxMessages: number;
  readonly maxOutboxBytes: number;
}

/** Messages that ExoCom is handed before it has accepted them: fewer than the 10 000 of one sender that it decides over by default. */
const MAX_HANDED = 8_192;
/** Above these, `drained` waits. */
const HIGH_WATER_MESSAGES = 1_024;
const HIGH_WATER_BYTES = 1024 * 1024;

export class Unaccepted {
  readonly #limits: UnacceptedLimits;
  /** Oldest first, by a Map's order of insertion. */
  readonly #all = new Map<string, Outgoing>();
  #waiting = new Map<string, Outgoing>();
  #bytes = 0;
  #drained: (() => void)[] = [];

  constructor(limits: UnacceptedLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#all.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get above(): boolean {
    return this.#all.size > HIGH_WATER_MESSAGES || this.#bytes > HIGH_WATER_BYTES;
  }

  get(id: string): Outgoing | undefined {
    return this.#all.get(id);
  }

  /** @throws NyotaError `NYOTA_OUTBOX_FULL`; nothing is kept then */
  add(envelope: Envelope): void {
    const bytes = sizeOf(envelope);
    const { maxOutboxMessages, maxOutboxBytes } = this.#limits;
    if (this.#all.size >= maxOutboxMessages || this.#bytes + bytes > maxOutboxBytes) {
      throw new NyotaError(
        'NYOTA_OUTBOX_FULL',
        `ExoCom has not accepted ${this.#all.size} messages of about ${this.#bytes} bytes ` +
          `(limits: ${maxOutboxMessages} and ${maxOutboxBytes}); wait for drained()`,
      );
    }
    const outgoing: Outgoing = { envelope, bytes, handed: undefined };
    this.#all.set(envelope.id, outgoing);
    this.#waiting.set(envelope.id, outgoing);
    this.#bytes += bytes;
  }

  /**
   * The next message that waits; it counts as handed to the session from now on. Undefined where there is none, or where
   * ExoCom has as many as it takes of one relay.
   */
  take(): Outgoing | undefined {
    if (this.#all.size - this.#waiting.size >= MAX_HANDED) return undefined;
    for (const [id, outgoing] of this.#waiting) {
      this.#waiting.delete(id);
      outgoing.handed = new AbortController();
      return outgoing;
    }
    return undefined;
  }

  /** A message that the session had no room for waits again, before all others. */
  putBack(outgoing: Outgoing): void {
    outgoing.handed = undefined;
    this.#waiting = new Map([[outgoing.envelope.id, outgoing], ...this.#waiting]);
  }

  /** ExoCom has it, or nobody wants it any more. */
  remove(id: string): Outgoing | undefined {
    const outgoing = this.#all.get(id);
    if (outgoing === undefined) return undefined;
    this.#all.delete(id);
    this.#waiting.delete(id);
    this.#bytes -= outgoing.bytes;
    if (!this.above) for (const resolve of this.#drained.splice(0)) resolve();
    return outgoing;
  }

  /** Removes the replies to a message. */
  removeRepliesTo(ids: ReadonlySet<string>): Outgoing[] {
    const replies = [...this.#all.values()].filter(
      ({ envelope }) => envelope.responseTo !== undefined && ids.has(envelope.responseTo),
    );
    for (const { envelope } of replies) this.remove(envelope.id);
    return replies;
  }

  /** The session that messages were handed to is over: all of them wait again. */
  restart(): void {
    for (const outgoing of this.#all.values()) {
      if (outgoing.handed === undefined) continue;
      outgoing.handed.abort();
      outgoing.handed = undefined;
      outgoing.envelope = { ...outgoing.envelope, redelivered: true };
    }
    this.#waiting = new Map(this.#all);
  }

  /** Resolves once there is room for more. */
  drained(): Promise<void> {
    if (!this.above) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  clear(): void {
    for (const id of [...this.#all.keys()]) this.remove(id);
  }
}
