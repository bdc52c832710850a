/** Frames to bytes and back, in whatever pieces they arrive. */
import { describe, expect, it } from 'vitest';
import { Flag, SEQUENCED_HEADER_BYTES } from '../../../src/wire/constants.js';
import { FrameDecoder } from '../../../src/wire/frame-decoder.js';
import { encodeFrame, readSeq, writeSeq, writeSequencedHeader } from '../../../src/wire/frame-encoder.js';
import { FrameType } from '../../support/frame-type.js';

const MAX = 1024 * 1024;

/** All that the decoder has whole, bodies copied. */
function drain(decoder: FrameDecoder) {
  const frames = [];
  while (decoder.next()) {
    const { type, flags, seq, ack } = decoder;
    frames.push({ type, flags, seq, ack, body: decoder.source.toString('hex', decoder.start, decoder.end) });
  }
  return frames;
}

const body = Buffer.from('92a16190', 'hex');
const three = Buffer.concat([
  encodeFrame(FrameType.EVENT, { seq: 7, flags: Flag.ACK_NOW }, body),
  encodeFrame(FrameType.ACK, { ack: 0 }),
  encodeFrame(FrameType.REPLY, { seq: 2 ** 48 - 1, ack: 2 ** 40 }, body),
]);
const threeFrames = [
  { type: FrameType.EVENT, flags: Flag.SEQ | Flag.ACK_NOW, seq: 7, ack: -1, body: '92a16190' },
  { type: FrameType.ACK, flags: Flag.ACK, seq: 0, ack: 0, body: '' },
  { type: FrameType.REPLY, flags: Flag.SEQ | Flag.ACK, seq: 2 ** 48 - 1, ack: 2 ** 40, body: '92a16190' },
];

describe('a frame', () => {
  it('is encoded as the protocol says', () => {
    expect(encodeFrame(FrameType.PING, {}, Buffer.from([0x90])).toString('hex')).toBe('00000003060090');
    expect(encodeFrame(FrameType.ACK, { ack: 258 }).toString('hex')).toBe('000000080802000000000102');
    expect(encodeFrame(FrameType.EVENT, { seq: 1 }, Buffer.from([0xc0])).toString('hex')).toBe(
      '000000091001000000000001c0',
    );
  });

  it('has the same bytes from the hot path', () => {
    for (const seq of [0, 1, 255, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 48 - 1]) {
      const target = Buffer.alloc(3 + SEQUENCED_HEADER_BYTES + body.length);
      writeSequencedHeader(target, 3, body.length, FrameType.EVENT, Flag.ACK_NOW, seq);
      body.copy(target, 3 + SEQUENCED_HEADER_BYTES);
      const expected = encodeFrame(FrameType.EVENT, { seq, flags: Flag.ACK_NOW }, body);
      expect(target.subarray(3)).toEqual(expected);
    }
  });

  it('keeps 48 bits of a sequence number', () => {
    const target = Buffer.alloc(8);
    for (const seq of [0, 1, 2 ** 16, 2 ** 31 + 5, 2 ** 32 - 1, 2 ** 32, 2 ** 47 + 3, 2 ** 48 - 1]) {
      writeSeq(target, 1, seq);
      expect(readSeq(target, 1)).toBe(seq);
      expect(target.readUIntBE(1, 6)).toBe(seq);
    }
  });

  it('has memory of its own', () => {
    expect(encodeFrame(FrameType.EVENT, { seq: 1 }, body).buffer.byteLength).toBe(SEQUENCED_HEADER_BYTES + 4);
  });
});

describe('the decoder', () => {
  it('finds every frame of a chunk, in order, without copying', () => {
    const decoder = new FrameDecoder(MAX);
    decoder.push(three);
    expect(decoder.next()).toBe(true);
    expect(decoder.source).toBe(three);
    expect([...threeFrames.slice(0, 1), ...drain(decoder)]).toEqual(threeFrames);
    expect(decoder.partialBytes).toBe(0);
    expect(decoder.next()).toBe(false);
  });

  it('finds the same frames wherever the bytes are cut', () => {
    for (let at = 0; at <= three.length; at++) {
      const decoder = new FrameDecoder(MAX);
      decoder.push(three.subarray(0, at));
      const first = drain(decoder);
      decoder.push(three.subarray(at));
      expect([...first, ...drain(decoder)]).toEqual(threeFrames);
    }
  });

  it('finds the same frames byte by byte, asked after each or only at the end', () => {
    const asked = new FrameDecoder(MAX);
    const found = [];
    for (const byte of three) {
      asked.push(Buffer.from([byte]));
      found.push(...drain(asked));
    }
    expect(found).toEqual(threeFrames);

    const unasked = new FrameDecoder(MAX);
    for (const byte of three) unasked.push(Buffer.from([byte]));
    expect(drain(unasked)).toEqual(threeFrames);
  });

  it('takes a chunk before the last one was used up', () => {
    const decoder = new FrameDecoder(MAX);
    decoder.push(three);
    expect(decoder.next()).toBe(true);
    decoder.push(three);
    decoder.push(three.subarray(0, 5));
    const rest = drain(decoder);
    decoder.push(three.subarray(5));
    expect([...rest, ...drain(decoder)]).toEqual([...threeFrames.slice(1), ...threeFrames, ...threeFrames]);
  });

  it('tells how many bytes of a partial frame it keeps', () => {
    const decoder = new FrameDecoder(MAX);
    const claim = Buffer.alloc(4);
    claim.writeUInt32BE(MAX);
    decoder.push(claim);
    expect(decoder.next()).toBe(false);
    expect(decoder.partialBytes).toBe(4);
    decoder.push(Buffer.alloc(1000));
    expect(decoder.next()).toBe(false);
    expect(decoder.partialBytes).toBe(1004);
  });

  it('holds on to nothing of a stream that is read to its end', () => {
    const decoder = new FrameDecoder(MAX);
    decoder.push(encodeFrame(FrameType.EVENT, { seq: 1 }, Buffer.alloc(1_000, 7)));
    expect([decoder.next(), decoder.source.length > 1_000]).toEqual([true, true]);
    expect([decoder.next(), decoder.source.length]).toEqual([false, 0]);
  });

  it('puts a frame together from chunks of all sizes, in memory that nothing else is in', () => {
    const large = encodeFrame(FrameType.EVENT, { seq: 1 }, Buffer.alloc(MAX - 8, 7));
    for (let i = 12; i < large.length; i++) large[i] = i % 253;
    for (const sizes of [
      [20_000, 5, 40_000],
      [1, 20_000],
      [3, 30_000, 2, 2, 70_000],
      [70_000, 600, 600],
    ]) {
      const decoder = new FrameDecoder(MAX);
      const stream = Buffer.concat([large, three, large]);
      const owned: boolean[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = sizes[turn % sizes.length] as number;
        decoder.push(Buffer.from(stream.subarray(at, at + size)));
        at += size;
        while (decoder.next()) {
          owned.push(decoder.own);
          if (decoder.end - decoder.start < 1000) continue;
          expect(decoder.source.subarray(decoder.start, decoder.end).equals(large.subarray(12))).toBe(true);
          expect([decoder.own, decoder.source.buffer.byteLength]).toEqual([true, large.length]);
        }
        expect(decoder.partialBytes).toBeLessThan(large.length);
      }
      expect(owned.length).toBe(5);
    }
    const decoder = new FrameDecoder(MAX);
    decoder.push(three);
    expect([decoder.next(), decoder.own]).toEqual([true, false]);
  });

  it('puts a large frame together in linear time, in large chunks and in single bytes', () => {
    const large = encodeFrame(FrameType.EVENT, { seq: 1 }, Buffer.alloc(MAX - 8, 7));
    for (const size of [65_536, 1_000, 1]) {
      const decoder = new FrameDecoder(MAX);
      const started = process.hrtime.bigint();
      const same: boolean[] = [];
      for (let at = 0; at < large.length; at += size) {
        decoder.push(large.subarray(at, at + size));
        while (decoder.next()) {
          const { source, start, end } = decoder;
          same.push(source.compare(large, large.length - (MAX - 8), large.length, start, end) === 0);
        }
      }
      expect(same).toEqual([true]);
      // Quadratic would be 2^39 bytes moved: minutes. This is a second at the very most.
      expect(Number(process.hrtime.bigint() - started) / 1e9).toBeLessThan(10);
    }
  });

  it('holds a new limit from the next frame on', () => {
    const decoder = new FrameDecoder(64);
    const small = encodeFrame(FrameType.PING, {}, Buffer.alloc(10));
    const large = encodeFrame(FrameType.EVENT, { seq: 1 }, Buffer.alloc(100));
    decoder.push(Buffer.concat([small, large]));
    expect(decoder.next()).toBe(true);
    decoder.maxFrameBytes = 200;
    expect(decoder.next()).toBe(true);
    expect(decoder.end - decoder.start).toBe(100);
  });

  it('refuses a length above the limit, naming both, before it keeps a byte of the body', () => {
    const decoder = new FrameDecoder(64);
    decoder.push(Buffer.from('00000041', 'hex'));
    expect(() => decoder.next()).toThrow(/65 bytes.*64/);
    expect(decoder.partialBytes).toBe(0);
    for (const size of [1, 2, 3]) {
      const piecewise = new FrameDecoder(64);
      const bytes = Buffer.from('ffffffff1001', 'hex');
      expect(() => {
        for (let at = 0; at < bytes.length; at += size) {
          piecewise.push(bytes.subarray(at, at + size));
          piecewise.next();
        }
      }).toThrow(expect.objectContaining({ code: 'NYOTA_PROTOCOL_ERROR' }));
    }
    const exact = new FrameDecoder(64);
    exact.push(encodeFrame(FrameType.PING, {}, Buffer.alloc(62)));
    expect(exact.next()).toBe(true);
  });

  it('refuses a length too small for type, flags and the numbers that the flags announce', () => {
    for (const hex of ['00000000', '0000000106', '000000071001000000000001', '00000008080300000000000100']) {
      const decoder = new FrameDecoder(64);
      decoder.push(Buffer.from(`${hex}00000000000000000000`, 'hex'));
      expect(() => decoder.next()).toThrow(expect.objectContaining({ code: 'NYOTA_PROTOCOL_ERROR' }));
    }
  });

  it('is finished after an error: the same one every time, whatever comes', () => {
    const decoder = new FrameDecoder(64);
    decoder.push(Buffer.from('ffffffff', 'hex'));
    let first: unknown;
    try {
      decoder.next();
    } catch (error) {
      first = error;
    }
    decoder.push(three);
    expect(() => decoder.next()).toThrow(first as Error);
    expect(decoder.partialBytes).toBe(0);
  });
});
