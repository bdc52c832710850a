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
