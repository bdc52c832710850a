/**
 * One direction of a connection in memory: bytes on their way to a reader, and the reader's decoder. Bytes are not
 * copied before they are read, as a socket does not copy them: who writes over them is found out.
 */
import { FrameDecoder } from '../../src/wire/frame-decoder.js';

export class SessionLane {
  readonly decoder: FrameDecoder;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(maxFrameBytes: number) {
    this.decoder = new FrameDecoder(maxFrameBytes);
  }

  /** On their way. */
  get bytes(): number {
    return this.#bytes;
  }

  write(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  /** Takes up to so many bytes off, as one chunk. */
  read(maxBytes: number): Buffer {
    const taken: Buffer[] = [];
    let left = Math.min(maxBytes, this.#bytes);
    this.#bytes -= left;
    while (left > 0) {
      const piece = this.#pieces.shift() as Buffer;
      if (piece.length <= left) {
        taken.push(piece);
        left -= piece.length;
      } else {
        taken.push(piece.subarray(0, left));
        this.#pieces.unshift(piece.subarray(left));
        left = 0;
      }
    }
    return Buffer.concat(taken);
  }
}
