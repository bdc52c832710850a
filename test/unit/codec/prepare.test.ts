/** What is refused at send, and how the refusal names it. */
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePayload, prepare } from '../../../src/codec/payload.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };
const unserializable = expect.objectContaining({ code: 'NYOTA_UNSERIALIZABLE', retry: 'never' });
const tooComplex = expect.objectContaining({ code: 'NYOTA_PAYLOAD_TOO_COMPLEX', retry: 'never' });

function encode(value: unknown): Buffer {
  return encodePayload(value, LIMITS, 'args');
}

function roundTrip(value: unknown): unknown {
  const bytes = Buffer.from(encode(value));
  return decodePayload(bytes, 0, bytes.length, LIMITS);
}

describe('what can not travel is refused by its path', () => {
  it.each<[string, unknown, RegExp]>([
    ['a function', [{ user: { callback: () => 1 } }], /^args\[0\]\.user\.callback is a function/],
    ['a symbol', [{ 'a key': [Symbol('s')] }], /^args\[0\]\["a key"\]\[0\] is a symbol/],
    ['a function in a Map', [0, new Map([['k', () => 1]])], /^args\[1\]\.get\("k"\) is a function/],
    ['a function as a Map key', [new Map([[() => 1, 1]])], /^args\[0\]\.keys\(\)\[0\] is a function/],
    ['a function in a Set', [new Set([1, () => 1])], /^args\[0\]\.values\(\)\[1\] is a function/],
    [
      'a function on an Error',
      [Object.assign(new Error('x'), { retry: () => 1 })],
      /^args\[0\]\.retry is a function/,
    ],
    [
      'a function in a class instance',
      [
        new (class Foo {
          run = () => 1;
        })(),
      ],
      /^args\[0\]\.run is a function/,
    ],
    [
      'a function in what toJSON returns',
      [{ toJSON: () => ({ f: () => 1 }) }],
      /^args\[0\]\.f is a function/,
    ],
    ['a bigint above 64 bits', [2n ** 64n], /^args\[0\] is a bigint of more than 64 bits/],
    ['a bigint below 64 bits', [-(2n ** 63n) - 1n], /^args\[0\] is a bigint/],
    [
      'an own __proto__',
      [JSON.parse('{"a":{"__proto__":{"x":1}}}')],
      /^args\[0\]\.a\.__proto__ is a key that can not travel/,
    ],
    ['a RegExp', [/x/], /^args\[0\] is a RegExp/],
    ['a Promise', [Promise.resolve()], /^args\[0\] is a Promise/],
    ['a WeakMap', [new WeakMap()], /^args\[0\] is a WeakMap/],
    ['a WeakSet', [new WeakSet()], /^args\[0\] is a WeakSet/],
    ['a WeakRef', [new WeakRef({})], /^args\[0\] is a WeakRef/],
    ['an iterator', [new Map().keys()], /^args\[0\] is a Map Iterator/],
    ['an invalid Date', [new Date(Number.NaN)], /^args\[0\] is an invalid Date/],
  ])('%s', (_what, value, text) => {
    expect(() => encode(value)).toThrow(unserializable);
    expect(() => encode(value)).toThrow(text);
  });

  it('cycles, naming both ends, through every kind of container', () => {
    const object: Record<string, unknown> = { a: {} };
    (object.a as Record<string, unknown>).back = object;
    expect(() => encode([object])).toThrow(/^args\[0\]\.a\.back refers back to args\[0\]$/);

    const array: unknown[] = [];
    array.push(array);
    expect(() => encode(array)).toThrow(/^args\[0\] refers back to args$/);

    const map = new Map<string, unknown>();
    map.set('self', [map]);
    expect(() => encode([map])).toThrow(/^args\[0\]\.get\("self"\)\[0\] refers back to args\[0\]$/);

    const set = new Set<unknown>();
    set.add(set);
    expect(() => encode([set])).toThrow(/^args\[0\]\.values\(\)\[0\] refers back to args\[0\]$/);

    const error = new Error('x');
    error.cause = error;
    expect(() => encode([error])).toThrow(/^args\[0\]\.cause refers back to args\[0\]$/);

    class Tree {
      children: Tree[] = [];
      parent: Tree | undefined;
    }
    const root = new Tree();
    const child = new Tree();
    child.parent = root;
    root.children.push(child);
    expect(() => encode([root])).toThrow(/^args\[0\]\.children\[0\]\.parent refers back to args\[0\]$/);
  });

  it('but the same object twice is no cycle', () => {
    const shared = { x: 1 };
    expect(roundTrip([shared, shared, { again: shared }])).toStrictEqual([
      { x: 1 },
      { x: 1 },
      { again: { x: 1 } },
    ]);
  });

  it('what a getter or toJSON throws is the cause', () => {
    const boom = new Error('boom');
    const thrower = {
      get x(): number {
        throw boom;
      },
    };
    expect(() => encode([thrower])).toThrow(
      expect.objectContaining({ code: 'NYOTA_UNSERIALIZABLE', cause: boom }),
    );
    const json = {
      toJSON() {
        throw boom;
      },
    };
    expect(() => encode([json])).toThrow(
      expect.objectContaining({ code: 'NYOTA_UNSERIALIZABLE', cause: boom }),
    );
    expect(roundTrip([1])).toStrictEqual([1]);
  });

  it('escapes and cuts the path', () => {
    expect(() => encode([{ '\u001b[31m': () => 1 }])).toThrow('args[0]["\\u001b[31m"]');
    let deep: unknown = () => 1;
    for (let i = 0; i < 40; i++) deep = { ['k'.repeat(100)]: deep };
    try {
      encode([deep]);
      expect.unreachable();
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(250);
    }
  });
});

describe('the limits of a payload', () => {
  const nest = (levels: number): unknown => {
    let value: unknown = 1;
    for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
    return value;
  };

  it('hold for depth, naming the option', () => {
    expect(() => encode(nest(64))).not.toThrow();
    expect(() => encode(nest(65))).toThrow(tooComplex);
    expect(() => encode(nest(65))).toThrow(/nests deeper than 64 \(maxDepth\)/);
  });

  it('hold for the count, naming the option, without walking a huge array', () => {
    expect(() => encode(new Array(65_535).fill(0))).not.toThrow();
    expect(() => encode(new Array(65_536).fill(0))).toThrow(/65536 values \(maxValues\)/);
    expect(() => encode([[new Array(4_000_000_000)]])).toThrow(tooComplex);
    expect(() => encode(new Set(Array.from({ length: 70_000 }, (_, i) => i)))).toThrow(tooComplex);
    const shared = { a: 1, b: 2 };
    let bomb: unknown = shared;
    for (let i = 0; i < 40; i++) bomb = [bomb, bomb];
    expect(() => encode(bomb)).toThrow(tooComplex);
  });

  it('count what the caller will put around the value', () => {
    const limits = { maxDepth: 3, maxValues: 6 };
    expect(() => prepare([[1]], limits, 'args', 1, 2)).not.toThrow();
    expect(() => prepare([[1]], limits, 'args', 2, 2)).toThrow(tooComplex);
    expect(() => prepare([[1]], limits, 'args', 1, 4)).toThrow(tooComplex);
  });
});
