/** Values that hold encoded ones anywhere are what they would be without: bytes, counts, and what arrives. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodePayload,
  encodePayload,
  encodePlain,
  encodePrepared,
  prepare,
} from '../../src/codec/payload.js';
import { measurePayload } from '../../src/codec/scan.js';
import { encode } from '../../src/index.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };

/** A value, and the same with some of what is in it encoded. */
interface Both {
  readonly plain: unknown;
  readonly mixed: unknown;
}

const leaf = fc
  .oneof(
    fc.constantFrom<unknown>(null, undefined, true, ''),
    fc.string({ maxLength: 60 }),
    fc.integer(),
    fc.double(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.int16Array({ maxLength: 5 }),
  )
  // -0 arrives as 0.
  .map((value) => (value === 0 ? 0 : value));
const key = fc.string({ maxLength: 8 }).filter((name) => name !== '__proto__' && name !== 'toJSON');

const { both } = fc.letrec<{ both: Both }>((tie) => ({
  both: fc
    .tuple(
      fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        leaf.map((value): Both => ({ plain: value, mixed: value })),
        fc.array(tie('both'), { maxLength: 6 }).map(
          (items): Both => ({
            plain: items.map(({ plain }) => plain),
            mixed: items.map(({ mixed }) => mixed),
          }),
        ),
        fc.dictionary(key, tie('both'), { maxKeys: 6, noNullPrototype: true }).map(
          (of): Both => ({
            plain: Object.fromEntries(Object.entries(of).map(([name, { plain }]) => [name, plain])),
            mixed: Object.fromEntries(Object.entries(of).map(([name, { mixed }]) => [name, mixed])),
          }),
        ),
        fc.array(fc.tuple(key, tie('both')), { maxLength: 3 }).map(
          (entries): Both => ({
            plain: new Map(entries.map(([name, { plain }]) => [name, plain])),
            mixed: new Map(entries.map(([name, { mixed }]) => [name, mixed])),
          }),
        ),
      ),
      fc.boolean(),
    )
    .map(([{ plain, mixed }, encoded]): Both => ({ plain, mixed: encoded ? encode(mixed) : mixed })),
}));

function bytesOf(value: unknown, limits = LIMITS): Buffer {
  return Buffer.from(encodePayload(value, limits, 'args'));
}

describe('a value with encoded ones in it', () => {
  it('is the same bytes as without, and arrives the same', () => {
    fc.assert(
      fc.property(both, ({ plain, mixed }) => {
        const bytes = bytesOf(mixed);
        assert.deepEqual(bytes, bytesOf(plain));
        assert.deepEqual(decodePayload(bytes, 0, bytes.length, LIMITS), plain);
      }),
      { numRuns: 500 },
    );
  });

  it('is the same whether its bytes are copied or it is decoded and packed', () => {
    fc.assert(
      fc.property(both, ({ mixed }) => {
        const copied = encodePlain(mixed, LIMITS);
        if (copied === undefined) return;
        const bytes = Buffer.from(copied);
        assert.deepEqual(Buffer.from(encodePrepared(prepare(mixed, LIMITS, 'args'))), bytes);
      }),
      { numRuns: 500 },
    );
  });

  it('counts the same against the limits', () => {
    fc.assert(
      fc.property(both, ({ plain, mixed }) => {
        const expected = bytesOf(plain);
        const { depth, values } = measurePayload(expected, 0, expected.length, LIMITS);
        assert.deepEqual(bytesOf(mixed, { maxDepth: depth, maxValues: values }), expected);
        const short = [{ maxDepth: depth, maxValues: values - 1 }];
        if (depth > 0) short.push({ maxDepth: depth - 1, maxValues: values });
        for (const limits of short) {
          expect(() => bytesOf(mixed, limits)).toThrow(
            expect.objectContaining({ code: 'NYOTA_PAYLOAD_TOO_COMPLEX' }),
          );
        }
      }),
      { numRuns: 500 },
    );
  });
});
