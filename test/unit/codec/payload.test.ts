/** What travels, and how it arrives. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePayload, prepare } from '../../../src/codec/payload.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };
const unserializable = expect.objectContaining({ code: 'NYOTA_UNSERIALIZABLE', retry: 'never' });

function roundTrip(value: unknown): unknown {
  const bytes = Buffer.from(encodePayload(value, LIMITS, 'value'));
  return decodePayload(bytes, 0, bytes.length, LIMITS);
}

function encode(value: unknown, root = 'args'): Buffer {
  return encodePayload(value, LIMITS, root);
}

describe('a payload', () => {
  it.each<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['booleans', [true, false]],
    [
      'integers',
      [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, -1, -32, -33, -128, -129, -32_769, -(2 ** 31)],
    ],
    ['other numbers', [2 ** 32, -(2 ** 31) - 1, 2 ** 53, 1.5, 1e300, 5e-324, Infinity, -Infinity, NaN]],
    ['bigints', [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, 2n ** 64n - 1n]],
    [
      'strings',
      [
        '',
        'a',
        'x'.repeat(31),
        'x'.repeat(32),
        'x'.repeat(256),
        'x'.repeat(70_000),
        'é',
        '日本語',
        '😀'.repeat(50),
      ],
    ],
    ['a byte order mark', ['\ufeff', `\ufeff${'x'.repeat(100)}`]],
    ['buffers', [Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(300, 1), Buffer.alloc(70_000, 2)]],
    [
      'dates',
      [
        new Date(0),
        new Date(1),
        new Date(-1),
        new Date(2 ** 41 + 7),
        new Date(8.64e15),
        new Date(-8.64e15),
        new Date(1e12),
      ],
    ],
    ['arrays', [[], [[]], new Array(20).fill(1), new Array(70_0).fill('a')]],
    [
      'objects',
      [{}, { a: { b: { c: 1 } } }, { '': 1, 'a b': 2, constructor: 3, prototype: 4, toString: 5, length: 6 }],
    ],
    [
      'an object with a property named hasOwnProperty',
      { a: 1, hasOwnProperty: 2, b: { hasOwnProperty: 'x' } },
    ],
    [
      'maps',
      new Map<unknown, unknown>([
        [1, 'a'],
        ['k', new Map([[{ deep: true }, new Set([1])]])],
        [null, undefined],
      ]),
    ],
    ['sets', new Set<unknown>([1, 'a', new Set(), [1]])],
    [
      'typed arrays',
      [new Uint8Array([1, 2]), new Int8Array([-1]), new Uint8ClampedArray([255]), new Int16Array([-2, 2])],
    ],
    [
      'wide typed arrays',
      [
        new Uint16Array([1]),
        new Int32Array([-3]),
        new Uint32Array([4]),
        new Float32Array([0.5]),
        new Float64Array([0.1]),
      ],
    ],
    ['bigint arrays', [new BigInt64Array([-1n]), new BigUint64Array([2n ** 64n - 1n])]],
    ['raw memory', [new Uint8Array([1, 2, 3]).buffer, new DataView(new Uint8Array([1, 2, 3]).buffer)]],
    ['an empty typed array', new Float64Array(0)],
  ])('carries %s', (_what, value) => {
    const back = roundTrip(value);
    expect(back).toStrictEqual(value);
    if (typeof value === 'object' && value !== null) {
      expect(Object.getPrototypeOf(back)).toBe(Object.getPrototypeOf(value));
    }
  });

  it('carries every item of a mixed array as what it is', () => {
    const back = roundTrip([
      new Uint8Array(1),
      Buffer.alloc(1),
      new ArrayBuffer(1),
      new Date(5),
    ]) as unknown[];
    expect(back.map((item) => Object.prototype.toString.call(item))).toEqual([
      '[object Uint8Array]',
      '[object Uint8Array]',
      '[object ArrayBuffer]',
      '[object Date]',
    ]);
    expect(back.map((item) => Buffer.isBuffer(item))).toEqual([false, true, false, false]);
  });

  it('carries a part of a typed array without the rest of its memory', () => {
    const whole = new Uint16Array([1, 2, 3, 4]);
    const back = roundTrip([whole.subarray(1, 3), new DataView(whole.buffer, 2, 2)]) as [
      Uint16Array,
      DataView,
    ];
    expect(back[0]).toStrictEqual(new Uint16Array([2, 3]));
    expect(back[0].buffer.byteLength).toBe(4);
    expect(back[1].byteLength).toBe(2);
  });

  it('turns -0 into 0, holes into undefined, a prototype-less object into a plain one', () => {
    expect(roundTrip(-0)).toBe(0);
    const holes = new Array<number>(3);
    holes[0] = 1;
    holes[2] = 3;
    const back = roundTrip(holes) as unknown[];
    expect(back).toStrictEqual([1, undefined, 3]);
    expect(1 in back).toBe(true);
    expect(roundTrip(Object.assign(Object.create(null), { a: 1 }))).toStrictEqual({ a: 1 });
  });

  it('carries class instances as plain objects of their own properties', () => {
    class Point {
      x = 1;
      readonly #secret = 2;
      get double(): number {
        return this.x * 2 + this.#secret * 0;
      }
    }
    expect(roundTrip(new Point())).toStrictEqual({ x: 1 });
    expect(roundTrip(Object.assign(Object.create({ inherited: 1 }), { own: 2 }))).toStrictEqual({ own: 2 });
    expect(roundTrip({ [Symbol('s')]: 1, a: 2 })).toStrictEqual({ a: 2 });
    class List extends Array<number> {}
    expect(roundTrip(List.of(1, 2))).toStrictEqual([1, 2]);
  });

  it('asks toJSON, as JSON.stringify does, but not of Date, Buffer and Error', () => {
    expect(roundTrip({ toJSON: () => ({ a: 1 }) })).toStrictEqual({ a: 1 });
    expect(roundTrip(new URL('http://x/'))).toBe('http://x/');
    class Money {
      amount = 5;
      toJSON(): unknown {
        return { money: this.amount, on: new Date(7) };
      }
    }
    expect(roundTrip([new Money()])).toStrictEqual([{ money: 5, on: new Date(7) }]);
    expect(roundTrip({ toJSON: 'not a function' })).toStrictEqual({ toJSON: 'not a function' });
    expect(roundTrip(Object.assign(Object.create(null), { toJSON: 1 }))).toStrictEqual({ toJSON: 1 });
    const self = {
      a: 1,
      toJSON(): unknown {
        return this;
      },
    };
    expect(roundTrip(self)).toStrictEqual({ a: 1 });
    class Failure extends Error {
      toJSON(): string {
        return 'json';
      }
    }
    expect(roundTrip(new Failure('kept'))).toBeInstanceOf(Error);
  });

  it('unwraps boxed primitives', () => {
    expect(roundTrip([Object(1), Object('a'), Object(true), Object(1n)])).toStrictEqual([1, 'a', true, 1n]);
    expect(() => encode([Object(Symbol('s'))])).toThrow(/args\[0\] is a symbol/);
  });

  it('carries values of another realm as what they are', () => {
    const foreign: unknown = runInNewContext(
      '[new Map([[1, 2]]), new Date(3), { a: [1] }, new Uint8Array([4])]',
    );
    expect(roundTrip(foreign)).toStrictEqual([
      new Map([[1, 2]]),
      new Date(3),
      { a: [1] },
      new Uint8Array([4]),
    ]);
  });

  it('shares no memory with the bytes that it came from', () => {
    const bytes = Buffer.from(encode([Buffer.from('abc'), new Uint8Array([1, 2]), 'text']));
    const back = decodePayload(bytes, 0, bytes.length, LIMITS) as [Buffer, Uint8Array, string];
    bytes.fill(0);
    expect(back).toStrictEqual([Buffer.from('abc'), new Uint8Array([1, 2]), 'text']);
    expect(back[0].buffer.byteLength).toBe(3);
  });

  it('is read from the middle of a chunk', () => {
    const bytes = encode(['a', new Map([['k', 1]])]);
    const chunk = Buffer.concat([Buffer.alloc(7, 0xc1), bytes, Buffer.alloc(7, 0xc1)]);
    expect(decodePayload(chunk, 7, 7 + bytes.length, LIMITS)).toStrictEqual(['a', new Map([['k', 1]])]);
  });

  it('does not change what was handed in', () => {
    const value = Object.freeze([Object.freeze({ m: new Map([[1, new Date(0)]]), e: new Error('x') }), 1]);
    const before = { ...(value[0] as object) };
    encode(value);
    expect(value[0]).toStrictEqual(before);
  });

  it('is not copied before encoding where it is plain data', () => {
    const value = [{ a: [1, NaN, { b: null }], s: 'x', d: new Date(0), buffer: Buffer.alloc(1) }];
    expect(prepare(value, LIMITS, 'args')).toBe(value);
  });
});

describe('a Buffer that arrives', () => {
  const sent = ['data', Buffer.alloc(5000, 3)];

  it('is a copy where the memory that it came in is used by others', () => {
    const bytes = Buffer.from(encode(sent));
    const [, received] = decodePayload(bytes, 0, bytes.length, LIMITS) as [string, Buffer];
    expect(received.buffer).not.toBe(bytes.buffer);
  });

  it('is a view of memory of its own only where it fills most of it', () => {
    const bytes = Buffer.alloc(encode(sent).length);
    encode(sent).copy(bytes);
    const [, large] = decodePayload(bytes, 0, bytes.length, LIMITS, true) as [string, Buffer];
    expect([large.buffer === bytes.buffer, large.equals(Buffer.alloc(5000, 3))]).toEqual([true, true]);
    const two = Buffer.from(encode([Buffer.alloc(3000, 1), Buffer.alloc(3000, 2)]));
    for (const half of decodePayload(two, 0, two.length, LIMITS, true) as Buffer[]) {
      expect([half.buffer === two.buffer, half.length]).toEqual([false, 3000]);
    }
  });
});

describe('the encode buffer', () => {
  it('may be used again after a copy, and a huge one is not kept', () => {
    const small = Buffer.from(encode(['small']));
    const huge = encode([Buffer.alloc(3 * 1024 * 1024, 1)]);
    expect(huge.length).toBeGreaterThan(3 * 1024 * 1024);
    const after = encode(['small']);
    expect(after).toStrictEqual(small);
    expect(after.buffer.byteLength).toBeLessThanOrEqual(64 * 1024);
  });

  it('does not move on from payload to payload', () => {
    const first = encode(['x']);
    const { buffer, byteOffset } = first;
    for (let i = 0; i < 10_000; i++) encode(['x', i]);
    const last = encode(['x']);
    expect(last.buffer).toBe(buffer);
    expect(last.byteOffset).toBe(byteOffset);
  });

  it('is not disturbed by a getter that encodes in the middle', () => {
    const bytesOf = (value: unknown): string => encode(value).toString('hex');
    const inner = { big: 'x'.repeat(2_000_000) };
    const tricky = {
      a: 1,
      get b(): number {
        expect(roundTrip(inner)).toStrictEqual(inner);
        expect(() => encode([() => 1])).toThrow(unserializable);
        return 2;
      },
      c: [3],
    };
    expect(bytesOf([tricky, 'end'])).toBe(bytesOf([{ a: 1, b: 2, c: [3] }, 'end']));
  });

  it('of plain data is not disturbed by a failure either', () => {
    const failing = {
      a: 1,
      get b(): number {
        throw new Error('no');
      },
    };
    expect(() => encode([failing])).toThrow(unserializable);
    expect(roundTrip([{ a: 1 }])).toStrictEqual([{ a: 1 }]);
  });

  it('is not disturbed by a failure', () => {
    let reads = 0;
    const flaky = {
      get x(): number {
        reads++;
        if (reads === 3) throw new Error('third read');
        return 1;
      },
    };
    // Plain data is read once. The Map makes it read again: to be checked, and to be packed.
    expect(() => encode([flaky, new Map()])).toThrow(unserializable);
    expect(reads).toBe(3);
    expect(roundTrip([{ a: 1 }])).toStrictEqual([{ a: 1 }]);
  });
});

describe('decoding', () => {
  it('refuses what the scan refuses', () => {
    const bytes = Buffer.from('d4724091a16101', 'hex');
    expect(() => decodePayload(bytes, 0, bytes.length, LIMITS)).toThrow(
      expect.objectContaining({ code: 'NYOTA_PAYLOAD_REFUSED' }),
    );
  });

  it('of deep nesting under absurd limits is refused, not a crash', () => {
    const bytes = Buffer.alloc(3_000_000, 0x91);
    bytes[bytes.length - 1] = 0;
    const limits = { maxDepth: 4_000_000, maxValues: 4_000_000 };
    expect(() => decodePayload(bytes, 0, bytes.length, limits)).toThrow(
      expect.objectContaining({ code: 'NYOTA_PAYLOAD_REFUSED' }),
    );
    expect(roundTrip([1])).toStrictEqual([1]);
  });

  it('of a payload full of Maps is linear', () => {
    const maps = Array.from({ length: 16_000 }, () => new Map([[1, 2]]));
    const limits = { maxDepth: 64, maxValues: 1_000_000 };
    const bytes = Buffer.from(encodePayload([maps, 'x'.repeat(1_000_000)], limits, 'value'));
    const started = process.hrtime.bigint();
    decodePayload(bytes, 0, bytes.length, limits);
    expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(1000);
  });

  it('never gives an object another prototype', () => {
    // As a key it is refused; as a Map's key and a Set's value it is a string like any other.
    const back = roundTrip(new Map<unknown, unknown>([['__proto__', { polluted: true }]])) as Map<
      string,
      unknown
    >;
    expect(back.get('__proto__')).toStrictEqual({ polluted: true });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});
