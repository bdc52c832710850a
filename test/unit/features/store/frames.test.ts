/** The short way through the store's hot frames: where it says anything, it says what the long way says. */

import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePayload, encodePayload } from '../../../../src/codec/payload.js';
import {
  parseStoreFrame,
  readPlainDelta as readKvDelta,
  readPlainOp as readKvOp,
  readStoreFrame,
} from '../../../../src/features/store/frames.js';
import { FrameType } from '../../../support/frame-type.js';
import { encodeKvDelta, encodeKvOp } from '../../../support/messages.js';

const LIMITS = { maxDepth: 8, maxValues: 64 };
const u48 = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  fc.constantFrom(0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32),
);
const optionalU48 = fc.option(u48, { nil: undefined });
const key = fc.oneof(
  fc.string({ minLength: 1, maxLength: 12 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 90 }).filter((k) => Buffer.byteLength(k) <= 256),
  fc.constantFrom('x'.repeat(31), 'x'.repeat(32), 'x'.repeat(85), 'x'.repeat(86), 'x'.repeat(256)),
);
const value = fc
  .oneof(
    fc.string({ maxLength: 20 }),
    fc.double(),
    fc.array(fc.dictionary(fc.string({ maxLength: 3 }), fc.integer(), { maxKeys: 3 }), { maxLength: 3 }),
    fc.constantFrom(undefined, new Map([[1, new Error('e')]]), new Date(5), new Uint16Array(3)),
    fc.constantFrom(...[0, 250, 253, 254, 400].map((size) => 'x'.repeat(size))),
  )
  .filter((v) => !JSON.stringify(v ?? 0).includes('__proto__'))
  .map((v) => Buffer.from(encodePayload(v, LIMITS, 'value')));
const kvOp = fc
  .record({ key, bytes: value, ttlMs: optionalU48, expectedRevision: optionalU48 })
  .map((op) =>
    Buffer.from(encodeKvOp({ kind: op.expectedRevision === undefined ? 'set' : 'compare-and-set', ...op })),
  );
const kvDelta = fc
  .record({ key, revision: u48, bytes: fc.option(value, { nil: undefined }) })
  .map((delta) => Buffer.from(encodeKvDelta(delta)));

type Type = typeof FrameType.KV_OP | typeof FrameType.KV_DELTA;

/** What becomes of a body, with other bytes before and behind it: the frame, or the error's text. */
function outcome(read: (source: Buffer, start: number, end: number) => unknown, body: Buffer): string {
  const chunk = Buffer.concat([Buffer.alloc(3, 0x01), body, Buffer.alloc(9, 0x01)]);
  try {
    return inspect(read(chunk, 3, 3 + body.length), { depth: 9, maxArrayLength: 1000 });
  } catch (error) {
    return `${error}`;
  }
}

const short = (type: Type) => (source: Buffer, start: number, end: number) =>
  readStoreFrame({ type, flags: 0, seq: 1, ack: -1, source, start, end }, LIMITS);
const long = (type: Type) => (source: Buffer, start: number, end: number) =>
  parseStoreFrame(type, decodePayload(source, start, end, LIMITS), LIMITS);

describe.each<[string, Type, fc.Arbitrary<Buffer>]>([
  ['KV_OP', FrameType.KV_OP, kvOp],
  ['KV_DELTA', FrameType.KV_DELTA, kvDelta],
])('%s', (_name, type, bodies) => {
  test('reads what the long way reads', () => {
    fc.assert(
      fc.property(bodies, (body) => {
        expect(outcome(short(type), body)).toBe(outcome(long(type), body));
      }),
      { numRuns: 500 },
    );
  });

  test('refuses what the long way refuses, with the same words', () => {
    const change = fc.record({ at: fc.nat(400), to: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(bodies, fc.array(change, { maxLength: 3 }), fc.nat(12), (body, changes, cut) => {
        const mutant = Buffer.from(body.subarray(0, Math.max(1, body.length - (cut > 6 ? 0 : cut))));
        for (const { at, to } of changes) mutant[at % mutant.length] = to;
        expect(outcome(short(type), mutant)).toBe(outcome(long(type), mutant));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('the short way', () => {
  const bytes = Buffer.from(encodePayload({ a: 1 }, LIMITS, 'value'));

  test('takes what is common', () => {
    for (const ttlMs of [undefined, 1, 1000, 100_000]) {
      const op = { kind: 'set', key: 'key', bytes, ttlMs, expectedRevision: undefined } as const;
      const body = encodeKvOp(op);
      expect(readKvOp(body, 0, body.length, LIMITS)).toEqual(op);
    }
    const cas = {
      kind: 'compare-and-set',
      key: 'key',
      bytes,
      ttlMs: undefined,
      expectedRevision: 70_000,
    } as const;
    const body = encodeKvOp(cas);
    expect(readKvOp(body, 0, body.length, LIMITS)).toEqual(cas);
    const delta = { key: 'key', revision: 1, bytes };
    const other = encodeKvDelta(delta);
    expect(readKvDelta(other, 0, other.length, LIMITS)).toEqual(delta);
  });

  test('leaves a delete to the long way, and a key that grows by being read', () => {
    const gone = encodeKvDelta({ key: 'key', revision: 1, bytes: undefined });
    expect(readKvDelta(gone, 0, gone.length, LIMITS)).toBe(undefined);
    const broken = Buffer.from(encodeKvDelta({ key: 'x'.repeat(200), revision: 1, bytes }));
    broken.fill(0xff, 3, 203);
    expect(readKvDelta(broken, 0, broken.length, LIMITS)).toBe(undefined);
    expect(outcome(short(FrameType.KV_DELTA), broken)).toMatch(/key is not a string of 1 to 256 bytes/);
  });

  test('leaves the longest values to the long way', () => {
    for (const size of [65_532, 65_533, 70_000]) {
      const long = Buffer.from(encodePayload('x'.repeat(size), LIMITS, 'value'));
      const body = encodeKvDelta({ key: 'key', revision: 1, bytes: long });
      expect(readKvDelta(body, 0, body.length, LIMITS)?.bytes?.equals(long)).toBe(
        long.length < 65_536 ? true : undefined,
      );
    }
  });

  test('hands the value over in memory of its own', () => {
    const body = Buffer.from(encodeKvDelta({ key: 'key', revision: 1, bytes }));
    const message = readKvDelta(body, 0, body.length, LIMITS);
    body.fill(0);
    expect(message?.bytes).toEqual(bytes);
  });
});
