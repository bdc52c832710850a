/**
 * What stands on a link: events, requests, the shared store. A feature owns frame types, and does all that they mean, at both
 * ends; the link keeps its frames in order, acknowledged and replayed, and never looks at what they say.
 *
 * A new feature is a folder or a file with a class that implements this interface, its types in the table and a line in
 * features/session-core.ts. What is optional here is for features that need it: the echo counter in
 * test/unit/link/feature.test.ts has none of it. Pure: types, and the table of who owns which frame type.
 */
import type { PayloadLimits } from '../codec/scan.js';
import type { NyotaError } from '../errors.js';
import type { CoreBatch, CoreImage } from './persisted.js';

/** A frame as the decoder shows it; valid during the call only. */
export interface FrameView {
  readonly type: number;
  readonly flags: number;
  /** 0 where there is none. */
  readonly seq: number;
  /** -1 where there is none. */
  readonly ack: number;
  readonly source: Buffer;
  readonly start: number;
  readonly end: number;
  /** The source holds nothing but this frame, and nobody writes to it any more. */
  readonly own?: boolean;
}

/** The session is over at the other side, and a new one begins here with what was never handled. */
export interface Carry {
  /** The error for those who wait for an answer of the old session. */
  readonly error: NyotaError;
  /** False: the other side has invalidated the session, so what both sides shared is forgotten with it. */
  readonly keepShared: boolean;
  /** The old numbers of frames that go along, mapped to their new ones. Empty until they have new ones. */
  readonly numbers: ReadonlyMap<number, number>;
  /** Called in this order once all is in place: users' callbacks may send. */
  readonly later: Array<() => void>;
}

/** The frame types of a feature. */
export interface FeatureTypes {
  /** Numbered, kept until acknowledged, replayed. */
  readonly sequenced: readonly number[];
  /** At most once: neither numbered nor kept. */
  readonly unsequenced?: readonly number[];
}

export interface Feature {
  /**
   * Reads the body of a sequenced frame, whole, before the link accepts it.
   * @throws NyotaError what must end the connection; for a frame of our own, why the other side could not take it
   */
  decode(frame: FrameView, limits: PayloadLimits): unknown;
  /**
   * Does what an accepted frame asks for, in order. True if it is done. Otherwise the feature has called `link.begin(seq)`
   * and calls `link.settled` once it is: until then no acknowledgement claims the frame.
   *
   * @param seq 0: held back from a session that is over; nothing is acknowledged
   * @param now when its bytes arrived; for a frame that was held back, when it was let go
   */
  receive(type: number, body: unknown, seq: number, now: number): boolean;
  /** The session is over for good: whoever waits hears the error. */
  end(error: NyotaError): void;

  /**
   * True: its frames are checked against its own state, so it receives them before the link accepts them (docs/design.md,
   * rule 44).
   */
  readonly mayRefuse?: boolean;
  /** True for a frame that need not wait behind those that are held back. */
  overtakes?(type: number): boolean;
  /** A frame of a type that is not sequenced. `blocked`: nothing may be dispatched at the moment. */
  receiveUnsequenced?(frame: FrameView, blocked: boolean): void;
  /** All frames of one chunk have been received. */
  chunkEnd?(): void;
  /** The other side has handled all up to this number. */
  acknowledged?(seq: number): void;
  /** A frame of this feature was taken back unsent, because the other side could not take it. */
  withdrawn?(type: number, seq: number, error: NyotaError): void;
  readonly nextDeadline?: number;
  tick?(now: number): void;

  /** Called when a session is lost. The function that it returns says of each frame of ours whether anybody still wants it. */
  wanted?(): (type: number, seq: number) => boolean;
  /**
   * A frame of the old session that is held back: true if it stays held in the new one. The feature may let it take effect
   * here instead.
   */
  keepsHeld?(type: number, body: unknown, seq: number): boolean;
  /** Appends what must come before everything that goes along. */
  carry?(carry: Carry): void;
  /** What goes along has its new numbers. */
  carried?(carry: Carry): void;
  /** Nobody waits any more for what the other side has asked for in the old session. */
  abandon?(reason: NyotaError): void;

  /** With a durable store: from here on, what changes is remembered until `takeChanges`. */
  keepChanges?(): void;
  readonly hasChanges?: boolean;
  takeChanges?(): Partial<CoreBatch>;
  /** The oldest frame of ours that the store must keep though it is acknowledged. */
  readonly firstKeptSeq?: number | undefined;
  restore?(image: CoreImage): void;
}

const NOBODY = 0xff;

/** Says which feature of a list owns a frame type. One table serves all links with that list. */
export class FeatureTable {
  readonly #sequenced = new Uint8Array(256).fill(NOBODY);
  readonly #unsequenced = new Uint8Array(256).fill(NOBODY);

  constructor(list: readonly FeatureTypes[]) {
    for (const [place, { sequenced, unsequenced = [] }] of list.entries()) {
      for (const type of sequenced) claim(this.#sequenced, type, place);
      for (const type of unsequenced) claim(this.#unsequenced, type, place);
    }
  }

  /** The owner's place in the list; for a type that nobody owns, a place that no list has. */
  sequenced(type: number): number {
    return this.#sequenced[type] as number;
  }

  unsequenced(type: number): number {
    return this.#unsequenced[type] as number;
  }
}

function claim(owners: Uint8Array, type: number, place: number): void {
  if (owners[type] !== NOBODY) throw new RangeError(`two features own frame type 0x${type.toString(16)}`);
  owners[type] = place;
}
