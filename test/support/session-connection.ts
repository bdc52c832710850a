/** A Connection over an in-memory link, with a reader that notes everything and the other end's raw bytes. */
import type { Duplex } from 'node:stream';
import type { NyotaError } from '../../src/errors.js';
import { Connection, type ConnectionReader } from '../../src/net/connection.js';
import { createFakeClock, createLink, type FakeClock, type MemorySocket } from '../../src/testing/index.js';
import type { FrameDecoder } from '../../src/wire/frame-decoder.js';
import { encodePreamble } from '../../src/wire/preamble.js';

export interface Recorder extends ConnectionReader {
  /** Type and body length of each frame. */
  readonly frames: Array<[type: number, bytes: number]>;
  readonly chunks: number[];
  /** What `closed` was called with, each time. */
  readonly closings: Array<NyotaError | undefined>;
  writables: number;
  chunkEnds: number;
  onFrame: (frame: FrameDecoder) => void;
}

export function recorder(): Recorder {
  const seen: Recorder = {
    frames: [],
    chunks: [],
    closings: [],
    writables: 0,
    chunkEnds: 0,
    onFrame: () => {},
    chunkStart: (bytes) => {
      seen.chunks.push(bytes);
      return true;
    },
    frame: (frame) => {
      seen.frames.push([frame.type, frame.end - frame.start]);
      seen.onFrame(frame);
    },
    chunkEnd: () => {
      seen.chunkEnds++;
    },
    writable: () => {
      seen.writables++;
    },
    lastWords: (error) => Buffer.from(`last words: ${error.code}`),
    closed: (error) => {
      seen.closings.push(error);
    },
  };
  return seen;
}

export interface Wire {
  readonly clock: FakeClock;
  readonly connection: Connection;
  readonly seen: Recorder;
  /** The connection's own socket. */
  readonly near: MemorySocket;
  /** The other side's. */
  readonly far: MemorySocket;
  /** All that the other side has read. */
  readonly received: () => Buffer;
}

export interface WireOptions {
  readonly highWaterMark?: number;
  readonly stallTimeoutMs?: number;
  readonly maxFrameBytes?: number;
  /** False: the other side sends no preamble by itself. */
  readonly preamble?: boolean;
  /** False: the other side does not read. */
  readonly farReads?: boolean;
}

export function wire(options: WireOptions = {}): Wire {
  const clock = createFakeClock();
  const [near, far] = createLink(
    options.highWaterMark === undefined ? {} : { highWaterMark: options.highWaterMark },
  );
  const seen = recorder();
  const connection = new Connection(near, seen, {
    clock,
    maxFrameBytes: options.maxFrameBytes ?? 1_000,
    stallTimeoutMs: options.stallTimeoutMs ?? 1_000,
  });
  const pieces: Buffer[] = [];
  far.on('error', () => {});
  if (options.farReads !== false) collect(far, pieces);
  if (options.preamble !== false) far.write(encodePreamble());
  return { clock, connection, seen, near, far, received: () => Buffer.concat(pieces) };
}

export function collect(socket: Duplex, pieces: Buffer[]): void {
  socket.on('data', (piece: Buffer) => pieces.push(piece));
}

/** Some turns of the event loop: everything in memory arrives. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
