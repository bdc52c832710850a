/** The examples of the protocol, both ways, whole and byte by byte. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePayload } from '../../../src/codec/payload.js';
import { FrameDecoder } from '../../../src/wire/frame-decoder.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { encodePreamble, parsePreamble } from '../../../src/wire/preamble.js';
import { FrameType } from '../../support/frame-type.js';
import * as messages from '../../support/messages.js';
import { fromTagged, toTagged } from './tagged-values.js';

interface Named {
  description: string;
  hex: string;
}
interface Frame extends Named {
  type: keyof typeof FrameType | number;
  flags: string[];
  seq?: number;
  ack?: number;
  body?: unknown;
}
interface Vectors {
  limits: { maxFrameBytes: number; maxDepth: number; maxValues: number };
  flags: Record<string, number>;
  preambles: (Named & { lowest: number; highest: number })[];
  refusedPreambles: Named[];
  frames: Frame[];
  refusedFrames: Named[];
  payloads: (Named & { value: unknown; decodeOnly?: true })[];
  refusedPayloads: Named[];
}

const vectors = JSON.parse(
  readFileSync(new URL('../../fixtures/wire-vectors.json', import.meta.url), 'utf8'),
) as Vectors;
const { limits } = vectors;

const bytesOf = ({ hex }: Named): Buffer => {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  assert.equal(bytes.toString('hex'), hex.replaceAll(' ', ''), 'well-formed hex');
  return bytes;
};
const title = (vector: Named): [string, Named] => [vector.description, vector];

describe('the examples of preambles', () => {
  it.each(vectors.preambles.map((v) => [v.description, v] as const))('%s', (_description, vector) => {
    const bytes = bytesOf(vector);
    expect(encodePreamble(vector.lowest, vector.highest)).toEqual(bytes);
    expect(parsePreamble(bytes)).toEqual({ min: vector.lowest, max: vector.highest });
    for (let end = 0; end < bytes.length; end++)
      expect(parsePreamble(bytes.subarray(0, end))).toBeUndefined();
  });

  it.each(vectors.refusedPreambles.map(title))('refused: %s', (_description, vector) => {
    expect(() => parsePreamble(bytesOf(vector))).toThrow(
      expect.objectContaining({ code: 'NYOTA_BAD_PREAMBLE' }),
    );
  });
});

describe('the examples of frames', () => {
  const typeOf = (frame: Frame): number =>
    typeof frame.type === 'number' ? frame.type : FrameType[frame.type];
  const flagsOf = (frame: Frame): number =>
    frame.flags.reduce((all, name) => all | (vectors.flags[name] ?? Number.NaN), 0);

  /** Reads what the decoder has, in the words of the vectors. */
  function read(decoder: FrameDecoder) {
    const { source, start, end, type, flags, seq, ack } = decoder;
    const body = end > start ? toTagged(decodePayload(source, start, end, limits)) : undefined;
    return { type, flags, seq, ack, body };
  }

  function expected(frame: Frame) {
    const { seq = 0, ack = -1, body } = frame;
    return { type: typeOf(frame), flags: flagsOf(frame), seq, ack, body };
  }

  it.each(vectors.frames.map((v) => [v.description, v] as const))('%s', (_description, frame) => {
    const bytes = bytesOf(frame);

    const whole = new FrameDecoder(limits.maxFrameBytes);
    whole.push(bytes);
    expect(whole.next()).toBe(true);
    expect(read(whole)).toEqual(expected(frame));
    expect(whole.next()).toBe(false);

    const piecewise = new FrameDecoder(limits.maxFrameBytes);
    for (const [at, byte] of bytes.entries()) {
      piecewise.push(Buffer.from([byte]));
      expect(piecewise.next(), `byte ${at}`).toBe(at === bytes.length - 1);
    }
    expect(read(piecewise)).toEqual(expected(frame));

    const { seq, ack } = frame;
    const body = frame.body === undefined ? undefined : encodePayload(fromTagged(frame.body), limits, 'body');
    const fields = {
      flags: flagsOf(frame),
      ...(seq === undefined ? {} : { seq }),
      ...(ack === undefined ? {} : { ack }),
    };
    expect(encodeFrame(typeOf(frame) as FrameType, fields, body).toString('hex')).toBe(bytes.toString('hex'));
  });

  it('all in one stream, whole and byte by byte', () => {
    const stream = Buffer.concat(vectors.frames.map(bytesOf));
    for (const size of [stream.length, 1, 7]) {
      const decoder = new FrameDecoder(limits.maxFrameBytes);
      const found: unknown[] = [];
      for (let at = 0; at < stream.length; at += size) {
        decoder.push(stream.subarray(at, at + size));
        while (decoder.next()) found.push(read(decoder));
      }
      expect(found).toEqual(vectors.frames.map(expected));
    }
  });

  it('hold every type of frame', () => {
    expect(new Set(vectors.frames.map(({ type }) => type))).toEqual(
      new Set([...Object.keys(FrameType), 126]),
    );
  });

  const codecs: Partial<Record<string, [(value: unknown) => unknown, ((message: never) => Buffer)?]>> = {
    OPEN: [messages.parseOpen, messages.encodeOpen],
    WELCOME: [messages.parseWelcome, messages.encodeWelcome],
    REJECT: [messages.parseReject, messages.encodeReject],
    CLOSE: [messages.parseClose, messages.encodeClose],
    GOAWAY: [messages.parseGoaway, messages.encodeGoaway],
    PING: [messages.parsePing, messages.encodePing],
    PONG: [messages.parsePong, messages.encodePong],
    KV_OP: [messages.parseKvOp, messages.encodeKvOp],
    KV_DELTA: [messages.parseKvDelta, messages.encodeKvDelta],
    KV_RESULT: [messages.parseKvResult, messages.encodeKvResult],
    EVENT: [messages.parseEventBody],
    VOLATILE: [messages.parseEventBody],
    REQUEST: [messages.parseRequestBody],
    REPLY: [messages.parseReplyBody],
    CANCEL: [messages.parseCancelBody],
  };

  it.each(vectors.frames.filter(({ body }) => body !== undefined).map((v) => [v.description, v] as const))(
    'typed: %s',
    (_description, frame) => {
      const codec = codecs[frame.type];
      if (codec === undefined) {
        // Of a type that this version does not know: nothing reads its body.
        expect(frame.type).toBe(126);
        return;
      }
      const [parse, encode] = codec;
      const body = encodePayload(fromTagged(frame.body), limits, 'body').toString('hex');
      const message = parse(fromTagged(frame.body)) as never;
      if (encode !== undefined && !/later version/.test(frame.description)) {
        expect(encode(message).toString('hex')).toBe(body);
      }
    },
  );

  it.each(vectors.refusedFrames.map(title))('refused: %s', (_description, vector) => {
    const refuse = (chunks: readonly Buffer[]) => {
      const decoder = new FrameDecoder(limits.maxFrameBytes);
      for (const chunk of chunks) {
        decoder.push(chunk);
        while (decoder.next());
      }
    };
    const bytes = bytesOf(vector);
    const refused = expect.objectContaining({ code: 'NYOTA_PROTOCOL_ERROR' });
    expect(() => refuse([bytes])).toThrow(refused);
    expect(() => refuse([...bytes].map((byte) => Buffer.from([byte])))).toThrow(refused);
  });
});

describe('the examples of payloads', () => {
  it.each(vectors.payloads.map((v) => [v.description, v] as const))('%s', (_description, vector) => {
    const bytes = bytesOf(vector);
    const value = decodePayload(bytes, 0, bytes.length, limits);
    expect(toTagged(value)).toEqual(vector.value);
    assert.deepEqual(value, fromTagged(vector.value));
    if (vector.decodeOnly !== true) {
      expect(encodePayload(fromTagged(vector.value), limits, 'value').toString('hex')).toBe(
        bytes.toString('hex'),
      );
    }
    for (let end = 0; end < bytes.length; end++) {
      expect(() => decodePayload(bytes, 0, end, limits)).toThrow(
        expect.objectContaining({ code: 'NYOTA_PAYLOAD_REFUSED' }),
      );
    }
  });

  it.each(vectors.refusedPayloads.map(title))('refused: %s', (_description, vector) => {
    const bytes = bytesOf(vector);
    expect(() => decodePayload(bytes, 0, bytes.length, limits)).toThrow(
      expect.objectContaining({ code: 'NYOTA_PAYLOAD_REFUSED' }),
    );
  });
});
