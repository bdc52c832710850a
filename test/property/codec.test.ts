/** What holds for every value, every slicing and every garbage: the codec's promises, by property. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Unpackr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import {
  decodePayload,
  encodePayload,
  encodePlain,
  encodePrepared,
  prepare,
} from '../../src/codec/payload.js';
import { encodePlainInto } from '../../src/codec/plain-encoder.js';
import { scanPayload } from '../../src/codec/scan.js';
import { NyotaError } from '../../src/errors.js';
import { parsePreamble } from '../../src/wire/preamble.js';
import { runs } from '../support/length.js';
import * as messages from '../support/messages.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };

/** Any text without half surrogate pairs, sometimes long, sometimes with a byte order mark. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ unit: 'binary-ascii', maxLength: 80 }),
  fc.string({ unit: 'grapheme', minLength: 20, maxLength: 90 }),
  fc.constantFrom('\ufeff', `\ufeff${'b'.repeat(80)}`, 'é'.repeat(40), 'x'.repeat(256)),
);
const key = fc
  .oneof(
    text,
    fc.constantFrom('constructor', 'prototype', 'toString', 'hasOwnProperty', 'length', '0', '-1', ''),
  )
  .filter((k) => k !== '__proto__');
const bytes = fc.uint8Array({ maxLength: 300 });
const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.constantFrom(
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    -32,
    -33,
    -128,
    -129,
    -32_769,
  ),
);
const withoutMinusZero = number.map((n) => (Object.is(n, -0) ? 0 : n));
const plainLeaf = fc.oneof(
  fc.constantFrom(null, undefined, true, false),
  withoutMinusZero,
  text,
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.date({ noInvalidDate: true }),
  bytes.map((b) => Buffer.from(b)),
);
const binaryLeaf = fc.oneof(
  bytes,
  fc.int8Array(),
  fc.uint8ClampedArray(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array(),
  fc.uint32Array(),
  fc.float32Array(),
  fc.float64Array(),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
  bytes.map((b) => Uint8Array.from(b).buffer),
  bytes.map((b) => new DataView(Uint8Array.from(b).buffer)),
);

const { plain } = fc.letrec<{ plain: unknown }>((tie) => ({
  plain: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    plainLeaf,
    fc.array(tie('plain'), { maxLength: 20 }),
    fc.dictionary(key, tie('plain'), { maxKeys: 20, noNullPrototype: true }),
  ),
}));
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    plainLeaf,
    binaryLeaf,
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(key, tie('value'), { maxKeys: 20, noNullPrototype: true }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 5 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 5 }).map((items) => new Set(items)),
    fc
      .tuple(fc.constantFrom(Error, TypeError, RangeError), text, tie('value'))
      .map(([Class, message, data]) => {
        const error = Object.assign(new Class(message), { data });
        // Stacks do not travel: what arrives has this one.
        Object.defineProperty(error, 'stack', { value: `${error.name}: ${message}`, enumerable: false });
        return error;
      }),
  ),
}));

function encode(of: unknown, limits = LIMITS): Buffer {
  return Buffer.from(encodePayload(of, limits, 'value'));
}

/** Not expect's toStrictEqual, which takes a property named `constructor` for the class. */
const same: (one: unknown, other: unknown) => void = assert.deepEqual;

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

/** Depth and number of the values of a decoded payload, as the wire counts them. */
function measure(of: unknown, depth = 0): { depth: number; values: number } {
  const inside = (items: Iterable<unknown>, levels: number, extra: number) => {
    let deepest = depth + levels;
    let values = 1 + extra;
    for (const item of items) {
      const inner = measure(item, depth + levels);
      deepest = Math.max(deepest, inner.depth);
      values += inner.values;
    }
    return { depth: deepest, values };
  };
  if (typeof of !== 'object' || of === null) return { depth, values: 1 };
  if (Array.isArray(of)) return inside(of, 1, 0);
  if (of instanceof Map) return inside([...of].flat(), 2, 1);
  if (of instanceof Set) return inside(of, 2, 1);
  if (of instanceof Error) return inside(['name', 'message', { ...of }], 2, 1);
  if (of instanceof Date || of instanceof ArrayBuffer || ArrayBuffer.isView(of)) return { depth, values: 1 };
  return inside(Object.values(of), 1, Object.keys(of).length);
}

describe('every value that can travel', () => {
  it('arrives as it was, types included', () => {
    fc.assert(
      fc.property(value, (sent) => {
        const body = encode(sent);
        same(decodePayload(body, 0, body.length, LIMITS), sent);
      }),
    );
  });

  it('arrives as it was from the middle of a chunk', () => {
    fc.assert(
      fc.property(value, fc.nat(40), fc.nat(40), (sent, before, after) => {
        const body = encode(sent);
        const chunk = Buffer.concat([Buffer.alloc(before, 0xa9), body, Buffer.alloc(after, 0xa9)]);
        same(decodePayload(chunk, before, before + body.length, LIMITS), sent);
      }),
    );
  });

  it('is prepared without a copy where it is plain', () => {
    fc.assert(fc.property(plain, (sent) => Object.is(prepare(sent, LIMITS, 'value'), sent)));
  });

  it('reads the same with msgpackr where it is plain', () => {
    const unpackr = new Unpackr({
      useRecords: false,
      structuredClone: false,
      mapsAsObjects: true,
      copyBuffers: true,
    });
    // Not byte order marks: msgpackr drops one where its native part is missing.
    const comparable = plain.filter(
      (v) => !JSON.stringify(v, (_k, x) => (typeof x === 'bigint' ? '' : x))?.includes('\ufeff'),
    );
    fc.assert(
      fc.property(comparable, (sent) => {
        const body = encode(sent);
        same(decodePayload(body, 0, body.length, LIMITS), unpackr.unpack(body));
      }),
    );
  });

  it('is the same bytes whether it is written in one pass or prepared and packed', () => {
    const numbers = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.maxSafeInteger(),
      fc.integer({ min: -300, max: 300 }),
    );
    const wide = fc.dictionary(text, numbers, { minKeys: 14, maxKeys: 40 });
    const memory = Buffer.alloc(300);
    fc.assert(
      fc.property(
        fc.oneof(value, numbers, wide, fc.array(numbers, { maxLength: 40 })),
        fc.nat(8),
        fc.nat(60),
        fc.nat(250),
        (sent, maxDepth, maxValues, from) => {
          for (const limits of [LIMITS, { maxDepth, maxValues }]) {
            const plain = encodePlain(sent, limits);
            if (plain === undefined) continue;
            const bytes = Buffer.from(plain);
            expect(encodePrepared(prepare(sent, limits, 'value'))).toStrictEqual(bytes);
            const into = encodePlainInto(sent, limits, memory.fill(0xc1), from);
            const there = typeof into === 'number' ? memory.subarray(from, from + into) : into;
            expect(Buffer.from(there as Buffer)).toStrictEqual(bytes);
            expect(memory.subarray(0, from).every((byte) => byte === 0xc1)).toBe(true);
          }
        },
      ),
      runs(1000),
    );
  });

  it('is counted by the sender exactly as by the receiver', () => {
    fc.assert(
      fc.property(value, (sent) => {
        const body = encode(sent);
        const { depth, values } = measure(sent);
        const exact = { maxDepth: depth, maxValues: values };
        expect(encode(sent, exact)).toStrictEqual(body);
        scanPayload(body, 0, body.length, exact);
        const short = [{ maxDepth: depth, maxValues: values - 1 }];
        if (depth > 0) short.push({ maxDepth: depth - 1, maxValues: values });
        for (const limits of short) {
          expect(() => encode(sent, limits)).toThrow(
            expect.objectContaining({ code: 'NYOTA_PAYLOAD_TOO_COMPLEX' }),
          );
          expect(() => scanPayload(body, 0, body.length, limits)).toThrow(
            expect.objectContaining({ code: 'NYOTA_PAYLOAD_REFUSED' }),
          );
        }
      }),
    );
  });
});

describe('whatever comes over the wire', () => {
  /** Random bytes rarely get far: these are true payloads with a few bytes changed, cut out or put in. */
  const mangled = fc
    .tuple(
      value,
      fc.array(
        fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom('set', 'insert', 'remove')),
        {
          maxLength: 4,
        },
      ),
    )
    .map(([sent, edits]) => {
      const body = [...encode(sent)];
      for (const [at, byte, how] of edits) {
        const index = at % (body.length + 1);
        if (how === 'set') body[Math.min(index, body.length - 1)] = byte;
        else if (how === 'insert') body.splice(index, 0, byte);
        else body.splice(index, 1);
      }
      return Buffer.from(body);
    });
  const garbage = fc.oneof(
    mangled,
    fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b)),
    fc
      .array(fc.constantFrom(0x91, 0x81, 0xa1, 0x61, 0xd4, 0xd5, 0xc7, 0x4e, 1, 2, 3, 4, 0xff, 0x90, 0xc0), {
        maxLength: 30,
      })
      .map((b) => Buffer.from(b)),
  );

  it('is refused with a NyotaError or decodes within the limits', () => {
    const limits = { maxDepth: 6, maxValues: 60 };
    fc.assert(
      fc.property(garbage, fc.constantFrom(LIMITS, limits), (body, within) => {
        if (!passes(() => scanPayload(body, 0, body.length, within))) return;
        // Whatever the scan lets through decodes: no error of any kind here.
        const decoded = decodePayload(body, 0, body.length, within);
        const { depth, values } = measure(decoded);
        // Equal keys in a map or Map, and equal values in a Set, collapse: never more than was counted.
        expect(depth).toBeLessThanOrEqual(within.maxDepth);
        expect(values).toBeLessThanOrEqual(within.maxValues);
        expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      }),
      runs(1000),
    );
  });

  it('is decoded where the scan lets it through, and nowhere else', () => {
    fc.assert(
      fc.property(
        garbage,
        fc.constantFrom(LIMITS, { maxDepth: 6, maxValues: 60 }, { maxDepth: 2, maxValues: 8 }),
        (body, within) => {
          const passed = passes(() => scanPayload(body, 0, body.length, within));
          expect(passes(() => decodePayload(body, 0, body.length, within))).toBe(passed);
        },
      ),
      runs(2000),
    );
  });

  it('can be sent on, once it has been decoded', () => {
    fc.assert(
      fc.property(garbage, (body) => {
        if (!passes(() => scanPayload(body, 0, body.length, LIMITS))) return;
        const decoded = decodePayload(body, 0, body.length, LIMITS);
        const again = encode(decoded);
        const back = decodePayload(again, 0, again.length, LIMITS);
        // A second time, because a -0 from the wire goes on as 0.
        assert.deepEqual(encode(back), again);
      }),
      runs(500),
    );
  });

  it('reads the same whatever lies behind it in the chunk', () => {
    fc.assert(
      fc.property(garbage, fc.uint8Array({ maxLength: 20 }), (body, behind) => {
        const chunk = Buffer.concat([body, behind]);
        const alone = passes(() => scanPayload(body, 0, body.length, LIMITS));
        expect(passes(() => scanPayload(chunk, 0, body.length, LIMITS))).toBe(alone);
        if (alone) {
          same(decodePayload(chunk, 0, body.length, LIMITS), decodePayload(body, 0, body.length, LIMITS));
        }
      }),
      runs(500),
    );
  });

  it('as a message body is parsed or refused with a NyotaError', () => {
    const parsers: ((value: unknown) => unknown)[] = [];
    for (const [name, fn] of Object.entries(messages)) {
      if (name.startsWith('parse')) parsers.push(fn as (value: unknown) => unknown);
    }
    expect(parsers).toHaveLength(14);
    const body = fc.oneof(value, fc.array(value, { minLength: 1, maxLength: 7 }));
    fc.assert(
      fc.property(body, (of) => {
        for (const parse of parsers) passes(() => parse(of));
      }),
    );
  });

  it('as a preamble is read, waited for, or refused with a NyotaError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (b) => void passes(() => parsePreamble(Buffer.from(b)))),
    );
  });
});
