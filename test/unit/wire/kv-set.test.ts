/** The body of a set, written in one pass: the same bytes as when its value is encoded first. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodePayload, encodePlain } from '../../../src/codec/payload.js';
import { claimMemory, encodePlainInto, encodePlainKvSet } from '../../../src/codec/plain-encoder.js';
import { encodeKvOp } from '../../support/messages.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };

function inTwoSteps(key: string, value: unknown, ttlMs: number | undefined) {
  const own = Buffer.from(encodePayload(value, LIMITS, 'value'));
  const body = Buffer.from(encodeKvOp({ kind: 'set', key, bytes: own, ttlMs, expectedRevision: undefined }));
  return { body, value: own };
}

function inOnePass(key: string, value: unknown, ttlMs: number | undefined) {
  const plain = encodePlainKvSet(key, value, ttlMs, LIMITS);
  return plain && { body: Buffer.from(plain.body), value: plain.value };
}

describe('encodePlainKvSet', () => {
  test('writes what the two steps write, for any plain value', () => {
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.string({ unit: 'binary' }),
        fc.integer(),
        fc.double({ noNaN: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
        fc.boolean(),
        fc.constantFrom(null, undefined),
        fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
        fc.array(tie('tree')),
        fc.dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          tie('tree'),
        ),
      ),
    }));
    const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 });
    const ttlMs = fc.option(fc.integer({ min: 1, max: 2 ** 48 - 1 }), { nil: undefined });
    fc.assert(
      fc.property(key, tree, ttlMs, (key, value, ttlMs) => {
        expect(inOnePass(key, value, ttlMs)).toEqual(inTwoSteps(key, value, ttlMs));
      }),
      { numRuns: 500 },
    );
  });

  test.each([0, 1, 252, 253, 254, 255, 256, 257, 300, 8_000, 65_528, 65_535, 65_536, 65_540, 200_000])(
    'a value of about %i bytes has a header of the right length',
    (size) => {
      for (const value of ['x'.repeat(size), Buffer.alloc(size, 1), Array(Math.min(size, 60_000)).fill(7)]) {
        const [one, two] = [inOnePass('key', value, 5), inTwoSteps('key', value, 5)];
        expect(one?.body.equals(two.body)).toBe(true);
        expect(one?.value.equals(two.value)).toBe(true);
      }
    },
  );

  test('is the same whatever was encoded before it: in place elsewhere, a set, or what its memory was claimed for', () => {
    const memory = Buffer.alloc(20_000);
    const size = fc.constantFrom(1, 300, 8_000, 9_000, 70_000, 300_000, 1_500_000);
    const what = fc.record({ do: fc.constantFrom('set', 'in place', 'plain'), size, from: fc.nat(19_000) });
    fc.assert(
      fc.property(fc.array(what, { minLength: 2, maxLength: 6 }), (encodes) => {
        // Each is worked out before: that is an encode too, and none may come between.
        const values = encodes.map(({ size }, i) => Buffer.alloc(size, i + 1));
        const expected = values.map((value) => inTwoSteps('key', [{ value }], 5));
        const held: Array<{ memory: Buffer; was: Buffer }> = [];
        for (const [i, { do: kind, from }] of encodes.entries()) {
          const value = [{ value: values[i] }];
          const two = expected[i] as { body: Buffer; value: Buffer };
          if (kind === 'set') {
            const one = encodePlainKvSet('key', value, 5, LIMITS);
            expect(one?.body.equals(two.body)).toBe(true);
            expect(one?.value.equals(two.value)).toBe(true);
            const claimed = one && claimMemory(one.body);
            if (claimed !== undefined) held.push({ memory: claimed, was: Buffer.from(claimed) });
          } else if (kind === 'in place') {
            const into = encodePlainInto(value, LIMITS, memory, from);
            const there = typeof into === 'number' ? memory.subarray(from, from + into) : into;
            expect(there?.equals(two.value)).toBe(true);
          } else {
            expect(encodePlain(value, LIMITS)?.equals(two.value)).toBe(true);
          }
        }
        for (const { memory, was } of held) expect(memory.equals(was)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('hands the value over as a copy: the next encode writes over the body alone', () => {
    const plain = encodePlainKvSet('key', 'mine', undefined, LIMITS);
    encodePlain(['something', 'else', 'that', 'is', 'longer'], LIMITS);
    expect(plain?.value).toEqual(Buffer.from(encodePayload('mine', LIMITS, 'value')));
  });

  test.each<[string, unknown]>([
    ['a Map', new Map()],
    ['a function', () => {}],
    ['what is too deep', [[[]]]],
    ['what has too many values', [1, 2, 3, 4, 5, 6, 7, 8]],
    ['a getter that throws', Object.defineProperty({}, 'x', { enumerable: true, get: () => expect.fail() })],
    [
      'what is encoded within an encode',
      Object.defineProperty({}, 'x', {
        enumerable: true,
        get: () => encodePlainKvSet('inner', 1, undefined, LIMITS) ?? new Map(),
      }),
    ],
  ])('gives up on %s', (_name, value) => {
    expect(encodePlainKvSet('key', value, undefined, { maxDepth: 2, maxValues: 8 })).toBe(undefined);
    expect(encodePlainKvSet('key', [[1]], undefined, { maxDepth: 2, maxValues: 8 })).not.toBe(undefined);
  });
});
