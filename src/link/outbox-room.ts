/**
 * How much an outbox may hold: what is refused to a user, and when the other side takes so little that its connection is
 * given up. Pure: it is told what is there, and keeps four numbers of what was there before.
 */
import { NyotaError } from '../errors.js';

export interface OutboxLimits {
  readonly maxOutboxBytes: number;
  readonly maxOutboxFrames: number;
}

export class OutboxRoom {
  readonly #limits: OutboxLimits;
  /** What of a new session's first content may still be here. */
  #startFrames = 0;
  #startBytes = 0;
  /** What was in it when the current connection began: its acks may be on their way. */
  #attachFrames = 0;
  #attachBytes = 0;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  /**
   * @param size of the frame that would come to the `frames` and `bytes` that are there
   * @throws NyotaError `NYOTA_OUTBOX_FULL`
   */
  assert(frames: number, bytes: number, size: number): void {
    const { maxOutboxFrames, maxOutboxBytes } = this.#limits;
    if (frames < maxOutboxFrames && bytes + size <= maxOutboxBytes) return;
    throw new NyotaError(
      'NYOTA_OUTBOX_FULL',
      `the outbox holds ${frames} messages and ${bytes} bytes that the other side has not acknowledged ` +
        `(limits: ${maxOutboxFrames} and ${maxOutboxBytes}); wait for 'drain' when send returns false`,
    );
  }

  isOver(frames: number, bytes: number): boolean {
    const { maxOutboxFrames, maxOutboxBytes } = this.#limits;
    return (
      frames > bound(Math.max(maxOutboxFrames, this.#startFrames), this.#attachFrames) ||
      bytes > bound(Math.max(maxOutboxBytes, this.#startBytes), this.#attachBytes)
    );
  }

  /** What is there now came along from a session before. */
  started(frames: number, bytes: number): void {
    this.#startFrames = frames;
    this.#startBytes = bytes;
  }

  /** A connection has begun. */
  attached(frames: number, bytes: number): void {
    this.#attachFrames = frames;
    this.#attachBytes = bytes;
  }

  /** So many frames have gone. */
  acknowledged(frames: number): void {
    this.#startFrames = Math.max(0, this.#startFrames - frames);
    if (this.#startFrames === 0) this.#startBytes = 0;
  }
}

/**
 * How much may be held before a connection on which nothing is acknowledged is given up: half above the limit, or a quarter
 * of the limit above what was there when it began; never four times the limit, however often the other side comes back.
 */
function bound(limit: number, atAttach: number): number {
  return Math.min(4 * limit, Math.max(1.5 * limit, atAttach + limit / 4));
}

/** From here on a message is large: so few of them are enough to keep both sides busy, and fill the default high-water mark. */
const LARGE_MESSAGE_BYTES = 256 * 1024;
const FEW_MESSAGES = 4;

/**
 * Whether one who waits for room may go on: half of the high-water mark is free, or all but a few large messages are gone. Where
 * they are larger than the mark, waiting for the last of them would leave the connection idle until the next ones come.
 */
export function hasDrained(frames: number, bytes: number, highWaterBytes: number): boolean {
  return bytes <= highWaterBytes / 2 || (frames <= FEW_MESSAGES && bytes >= frames * LARGE_MESSAGE_BYTES);
}

/** For a message that would wait for a 'drain' that may never come. */
export function largerThanOutbox(bytes: number, limit: number): NyotaError {
  const text = `the message takes ${bytes} bytes, and the outbox holds ${limit} at most (maxOutboxBytes)`;
  return new NyotaError('NYOTA_FRAME_TOO_LARGE', text);
}
