/**
 * What of one side of a session is kept in a durable store: the state it is rebuilt from, and the steps that change it.
 * Types only. A step holds all that has changed since the one before, so every committed step is a state that was
 * whole in memory; nothing that depends on it leaves the process before it is committed (docs/design.md, rule 3).
 */

export type Awaitable<T> = T | PromiseLike<T>;

/** An inclusive range of numbers. */
export type Range = readonly [from: number, to: number];

/** What of the other side's messages has been handled. */
export interface InboundState {
  /** All up to this number are settled. */
  readonly settled: number;
  /** Those beyond it that are settled too, in rising order. */
  readonly beyond: readonly Range[];
}

/** An entry of the shared store. */
export interface StoredEntry {
  readonly key: string;
  /** undefined: the key is deleted. */
  readonly bytes: Buffer | undefined;
  readonly revision: number;
  /** When it expires, in ms since the epoch; undefined: never, or only the server knows. */
  readonly expiresAt: number | undefined;
}

/** A whole frame of the outbox, as it goes on the wire. */
export interface StoredFrame {
  readonly seq: number;
  readonly frame: Buffer;
}

/** What one step changes. What is not there stays as it is. */
export interface CoreBatch {
  readonly inbound?: InboundState;
  /** New or changed entries, each key once. */
  readonly entries?: readonly StoredEntry[];
  /** The shared store's last revision. */
  readonly revision?: number;
  /** New frames, or the same numbers with another content. */
  readonly outbound?: readonly StoredFrame[];
  /** Frames up to this number may be let go. */
  readonly trim?: number;
  /** The highest number given out. */
  readonly lastSeq?: number;
  /** Of a client: its store writes up to this frame are decided. */
  readonly resolvedSeq?: number;
}

/** One atomic step of a session, with what its owner changes of it. What is not there stays as it is. */
export interface SessionBatch extends CoreBatch {
  /** Since when the client has been away; null: it is connected. */
  readonly detachedAt?: number | null;
  /** Of a client: whether the server has welcomed the session. */
  readonly established?: boolean;
  /**
   * Of a client: its session is over, and another begins under this credential. Everything that was kept of the old one is
   * forgotten, except the fence and the attempt, before the rest of this step takes effect.
   */
  readonly credential?: Buffer;
}

/** What a side is rebuilt from. */
export interface CoreImage {
  readonly inbound: InboundState;
  readonly entries: readonly StoredEntry[];
  readonly revision: number;
  /** Rising, without a hole, from `trimmed` + 1 to `lastSeq`. */
  readonly outbound: readonly StoredFrame[];
  readonly trimmed: number;
  readonly lastSeq: number;
  readonly resolvedSeq: number;
}
