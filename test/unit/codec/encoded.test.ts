/** A value that was encoded once: what it keeps, what it counts as, and what happens with bytes that are none. */
import { describe, expect, it } from 'vitest';
import { isNothing } from '../../../src/codec/encoded.js';
import { decodePayload, encodePayload, encodePlain } from '../../../src/codec/payload.js';
import { Encoded, encode } from '../../../src/index.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };
const coded = (code: string, message: unknown = expect.any(String)) =>
  expect.objectContaining({ code, message });

function bytesOf(value: unknown, limits = LIMITS): Buffer {
  return Buffer.from(encodePayload(value, limits, 'args'));
}

function nested(depth: number): unknown {
  let value: unknown = 'end';
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

describe('encode', () => {
  it('gives the msgpack of the value, and the value anew each time', () => {
    const value = { name: 'Will', at: new Date(5), tags: new Set(['a']) };
    const encoded = encode(value);
    expect(Buffer.from(encoded.bytes)).toEqual(bytesOf(value));
    const [one, two] = [encoded.decode(), encoded.decode()];
    expect(one).toEqual(value);
    expect(two).toEqual(value);
    expect(one).not.toBe(two);
  });

  it('keeps what the value was, whatever is changed afterwards', () => {
    const value = { list: [1], bytes: Buffer.from('abc') };
    const encoded = encode(value);
    value.list.push(2);
    value.bytes[0] = 0;
    encoded.decode().bytes[1] = 0;
    // Others write where its bytes were made.
    for (let i = 0; i < 100; i++) encode(['something', 'else', i]);
    expect(encoded.decode()).toEqual({ list: [1], bytes: Buffer.from('abc') });
  });

  it('refuses what send refuses, and names the path', () => {
    const bad = { user: { save: () => {} } };
    expect(() => encode(bad)).toThrow(coded('NYOTA_UNSERIALIZABLE', 'value.user.save is a function'));
    expect(() => encode(bad, { name: 'payload' })).toThrow(
      coded('NYOTA_UNSERIALIZABLE', 'payload.user.save is a function'),
    );
    const cycle: unknown[] = [];
    cycle.push(cycle);
    expect(() => encode(cycle)).toThrow(coded('NYOTA_UNSERIALIZABLE', 'value[0] refers back to value'));
  });

  it('holds to 64 levels and 65 536 values, or what it is told', () => {
    const tooComplex = coded('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(encode(nested(64)).decode()).toEqual(nested(64));
    expect(() => encode(nested(65))).toThrow(tooComplex);
    expect(encode(nested(65), { maxDepth: 512 }).decode()).toEqual(nested(65));
    expect(() => encode(new Array(65_536).fill(1))).toThrow(tooComplex);
    expect(() => encode(new Array(64).fill(1), { maxValues: 64 })).toThrow(tooComplex);
  });

  it.each([
    { maxDepth: 3 },
    { maxDepth: 513 },
    { maxDepth: 4.5 },
    { maxValues: Number.NaN },
    { maxValues: '9' as unknown as number },
  ])('takes no limits such as %j', (limits) => {
    expect(() => encode(1, limits)).toThrow(coded('NYOTA_INVALID_OPTION'));
    expect(() => Encoded.from(new Uint8Array(), limits)).toThrow(coded('NYOTA_INVALID_OPTION'));
  });

  it('of what is encoded already is the same again', () => {
    const once = encode(['a']);
    expect(Buffer.from(encode(once).bytes)).toEqual(Buffer.from(once.bytes));
    expect(encode({ in: once }).decode()).toEqual({ in: ['a'] });
  });

  it('may be called by a getter of a value that is being encoded', () => {
    const value = {
      get inner(): unknown {
        return encode({ list: [1, 2] });
      },
    };
    expect(encode([value, 'behind']).decode()).toEqual([{ inner: { list: [1, 2] } }, 'behind']);
  });
});

describe('Encoded.from', () => {
  it('decodes what bytes gave elsewhere', () => {
    const bytes = encode(new Map([['a', 1n]])).bytes;
    expect(Encoded.from(bytes).decode()).toEqual(new Map([['a', 1n]]));
  });

  it('copies the bytes at once', () => {
    const bytes = Uint8Array.from(encode('abc').bytes);
    const encoded = Encoded.from(bytes);
    bytes.fill(0xc1);
    expect(encoded.decode()).toBe('abc');
  });

  const none: [what: string, bytes: number[]][] = [
    ['nothing', []],
    ['half a value', [0x92, 0x01]],
    ['more than a value', [0x01, 0x01]],
    ['a byte that msgpack never uses', [0xc1]],
    ['a key __proto__', [0x81, 0xa9, ...Buffer.from('__proto__'), 0x01]],
  ];
  it.each(none)('of %s says so when it is decoded, and when it is sent', (_, bytes) => {
    const encoded = Encoded.from(Uint8Array.from(bytes));
    expect(() => encoded.decode()).toThrow(coded('NYOTA_PAYLOAD_REFUSED'));
    for (const sent of [[encoded], ['before', { deep: [encoded] }], [new Map([['a', encoded]])]]) {
      expect(() => bytesOf(sent)).toThrow(
        coded('NYOTA_UNSERIALIZABLE', expect.stringMatching(/^args.* is an Encoded that can't be read: the/)),
      );
    }
  });

  it('holds to limits of its own, not to those of whoever made the bytes', () => {
    const { bytes } = encode(nested(65), { maxDepth: 512 });
    expect(() => Encoded.from(bytes).decode()).toThrow(coded('NYOTA_PAYLOAD_REFUSED'));
    expect(Encoded.from(bytes, { maxDepth: 65 }).decode()).toEqual(nested(65));
  });

  it('takes bytes alone', () => {
    expect(() => Encoded.from('abc' as unknown as Uint8Array)).toThrow(coded('NYOTA_INVALID_ARGUMENT'));
  });
});

describe('an Encoded inside another value', () => {
  const encoded = encode({ a: [1, 'two'] });
  const plain = { a: [1, 'two'] };

  it.each<[string, (inner: unknown) => unknown]>([
    ['alone', (inner) => inner],
    ['in an array', (inner) => [1, inner, inner]],
    ['deep in objects', (inner) => ({ x: { y: [inner] }, z: 'z' })],
    ['in a Map', (inner) => new Map([['k', inner]])],
    ['as the key of a Map', (inner) => new Map([[inner, 1]])],
    ['in a Set', (inner) => new Set([inner])],
    ['next to a Date', (inner) => [new Date(5), inner]],
    ['on an Error', (inner) => Object.assign(new Error('no'), { data: inner })],
    ['on an instance', (inner) => Object.assign(new (class Thing {})(), { inner })],
    ['returned by toJSON', (inner) => ({ toJSON: () => inner })],
    [
      'returned by toJSON of an instance',
      (inner) =>
        new (class Thing {
          toJSON = () => inner;
        })(),
    ],
    [
      'read by a getter',
      (inner) => ({
        get it() {
          return inner;
        },
      }),
    ],
  ])('%s is the same bytes as the value', (_, around) => {
    expect(bytesOf(around(encoded))).toEqual(bytesOf(around(plain)));
  });

  it('is copied as it is, and not walked', () => {
    // 5 in nine bytes, which nobody here would write.
    const odd = Encoded.from(Uint8Array.from([0xcf, 0, 0, 0, 0, 0, 0, 0, 5]));
    expect(encodePlain([odd], LIMITS)?.toString('hex')).toBe('91cf0000000000000005');
  });

  it('counts with its depth and its values against the limits of the whole', () => {
    const sent = ['x', [encode([[1, 2]])]];
    const exact = { maxDepth: 4, maxValues: 7 };
    expect(bytesOf(sent, exact)).toEqual(bytesOf(['x', [[[1, 2]]]]));
    for (const short of [
      { maxDepth: 3, maxValues: 7 },
      { maxDepth: 4, maxValues: 6 },
    ]) {
      expect(() => bytesOf(sent, short)).toThrow(coded('NYOTA_PAYLOAD_TOO_COMPLEX'));
    }
  });

  it('that is too deep for its place is told by the path inside it', () => {
    expect(() => bytesOf([encode({ list: [[1]] })], { maxDepth: 3, maxValues: 100 })).toThrow(
      coded(
        'NYOTA_PAYLOAD_TOO_COMPLEX',
        expect.stringMatching(/^args\[0\].*\.list\[0\] nests deeper than 3/),
      ),
    );
  });

  it('is nothing that only looks like one', () => {
    expect(() => bytesOf([Object.create(Encoded.prototype)])).toThrow(coded('NYOTA_UNSERIALIZABLE'));
  });

  it('decodes as often as it is sent', () => {
    const bytes = bytesOf([encoded, encoded]);
    expect(decodePayload(bytes, 0, bytes.length, LIMITS)).toEqual([plain, plain]);
  });
});

describe('isNothing', () => {
  it('is so for undefined, encoded or not, and for nothing else', () => {
    expect([undefined, encode(undefined)].map(isNothing)).toEqual([true, true]);
    expect([null, encode(null), encode(''), encode('ab'), encode([]), ''].some(isNothing)).toBe(false);
  });
});
