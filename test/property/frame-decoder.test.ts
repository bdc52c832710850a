/** What holds for every slicing of a stream of frames, and for every garbage in its place. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../src/errors.js';
import { FrameDecoder } from '../../src/wire/frame-decoder.js';
import { encodeFrame } from '../../src/wire/frame-encoder.js';

const bytes = fc.uint8Array({ maxLength: 300 });

/** Calls, and fails the property on anything but a NyotaError. True where nothing was thrown. */
function passes(fn: () => void): boolean {
  try {
    fn();
    return true;
  } catch (error) {
    if (!(error instanceof NyotaError)) throw error;
    return false;
  }
}

describe('the frame decoder', () => {
  const u48 = fc.oneof(
    fc.nat(1000),
    fc.maxSafeInteger().map((n) => Math.abs(n) % 2 ** 48),
  );
  const frame = fc.record(
    {
      type: fc.integer({ min: 0, max: 255 }),
      flags: fc.constantFrom(0, 4, 0x40),
      seq: u48,
      ack: u48,
      body: bytes,
    },
    { requiredKeys: ['type', 'flags', 'body'] },
  );
  type Frame = { type: number; flags: number; body: Uint8Array; seq?: number; ack?: number };

  const read = (decoder: FrameDecoder) => ({
    type: decoder.type,
    flags: decoder.flags & ~3,
    seq: decoder.seq,
    ack: decoder.ack,
    body: Buffer.from(decoder.source.subarray(decoder.start, decoder.end)),
  });
  const encodeAll = (frames: readonly Frame[]): Buffer =>
    Buffer.concat(frames.map(({ type, body, ...fields }) => encodeFrame(type as 1, fields, body)));
  /** Cuts of a stream: sizes used in turn, over and over. */
  const cuts = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 });

  it('yields the same frames however the bytes are cut, and whenever it is asked', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 20 }),
        cuts,
        fc.array(fc.boolean(), { minLength: 1 }),
        (frames, sizes, asks) => {
          const stream = encodeAll(frames);
          const decoder = new FrameDecoder(1024);
          const found: unknown[] = [];
          for (let at = 0, i = 0; at < stream.length; i++) {
            const size = sizes[i % sizes.length] as number;
            decoder.push(stream.subarray(at, at + size));
            at += size;
            if (asks[i % asks.length]) while (decoder.next()) found.push(read(decoder));
          }
          while (decoder.next()) found.push(read(decoder));
          const sent = frames.map(({ type, flags, seq = 0, ack = -1, body }) => ({
            type,
            flags,
            seq,
            ack,
            body: Buffer.from(body),
          }));
          expect(found).toStrictEqual(sent);
          expect(decoder.partialBytes).toBe(0);
        },
      ),
    );
  });

  it('never crashes on random bytes, holds no more than a frame, and fails for good', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (chunks) => {
        const decoder = new FrameDecoder(64);
        let failed = false;
        for (const chunk of chunks) {
          // Small lengths, so that some frames are whole.
          decoder.push(Buffer.from(chunk.map((byte, i) => (i % 9 < 3 ? 0 : byte))));
          const alive = passes(() => {
            while (decoder.next()) expect(decoder.end - decoder.start).toBeLessThanOrEqual(62);
          });
          if (failed) expect(alive).toBe(false);
          failed ||= !alive;
          expect(decoder.partialBytes).toBeLessThanOrEqual(68);
        }
      }),
    );
  });
});
