/**
 * Which frames of an outbox a durable store has not been handed: all from one place on, and those before it that were withdrawn
 * since. Pure.
 */
import { FrameType } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import type { StoredFrame } from './persisted.js';
import { frameSize, type Segment } from './segments.js';

export class Uncommitted {
  /** Where the frame `#seq` begins, or will. */
  #segment: Segment | undefined;
  #offset = 0;
  #seq = 1;
  /** Frames before that place that were withdrawn since. */
  #rewritten: number[] = [];

  /** True where `take` has something of the frames up to `lastSeq`. */
  has(lastSeq: number): boolean {
    return this.#seq <= lastSeq || this.#rewritten.length > 0;
  }

  /** Copies of the frames, of which those up to `ackedSeq` are gone. */
  take(segments: readonly Segment[], ackedSeq: number): StoredFrame[] {
    const frames: StoredFrame[] = [];
    for (const seq of this.#rewritten) {
      if (seq > ackedSeq) frames.push({ seq, frame: encodeFrame(FrameType.SKIP, { seq }) });
    }
    this.#rewritten = [];
    let index = this.#segment === undefined ? 0 : segments.indexOf(this.#segment);
    let offset = this.#offset;
    if (index < 0 || this.#segment === undefined) {
      index = Math.max(index, 0);
      offset = segments[index]?.start ?? 0;
    }
    for (; index < segments.length; index++) {
      const segment = segments[index] as Segment;
      for (; offset < segment.end; this.#seq++) {
        const size = frameSize(segment.buffer, offset);
        frames.push({ seq: this.#seq, frame: Buffer.from(segment.buffer.subarray(offset, offset + size)) });
        offset += size;
      }
      this.#segment = segment;
      this.#offset = offset;
      offset = segments[index + 1]?.start ?? 0;
    }
    return frames;
  }

  /** A frame was withdrawn, and what is behind it in its segment has moved up by `freed` bytes. */
  withdrawn(seq: number, segment: Segment, freed: number): void {
    if (seq >= this.#seq) return;
    this.#rewritten.push(seq);
    if (segment === this.#segment) this.#offset -= freed;
  }

  /** All before `seq` are in the store, or of a session that is over. */
  startAt(seq: number, segment: Segment | undefined, offset: number): void {
    this.#seq = seq;
    this.#segment = segment;
    this.#offset = offset;
    this.#rewritten = [];
  }

  /** The outbox is empty. What is gone was committed: the next frame is the first that is not. */
  emptied(segment: Segment | undefined): void {
    this.#segment = segment;
    this.#offset = 0;
  }
}
