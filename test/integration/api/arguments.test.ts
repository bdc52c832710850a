/** docs/api.md, "Values that travel": what travels, what can't, and that nothing changes after `send`. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/index.js';
import { type AnyPeer, DIRECTIONS, nyotaErrorOf, once, rejectionOf, useKit } from '../../support/api-kit.js';

const kit = useKit();

const nested = {
  list: [1, 'two', null, undefined, [3n, new Map([['deep', new Set([new Date(5)])]])]],
  map: new Map<unknown, unknown>([
    [1, 'one'],
    ['two', { three: Buffer.from('four') }],
    [{ a: 'key' }, [new Error('in a map')]],
  ]),
  'a key with blanks': { '': 'an empty key', constructor: 1, prototype: 2, toString: 3 },
};

const VALUES: ReadonlyArray<[string, unknown]> = [
  ['null', null],
  ['undefined', undefined],
  ['true', true],
  ['false', false],
  ['0', 0],
  ['-1', -1],
  ['2 ** 31', 2 ** 31],
  ['2 ** 53 - 1', Number.MAX_SAFE_INTEGER],
  ['-(2 ** 53 - 1)', Number.MIN_SAFE_INTEGER],
  ['2 ** 64', 2 ** 64],
  ['0.1', 0.1],
  ['5e-324', 5e-324],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['0n', 0n],
  ['1n', 1n],
  ['-1n', -1n],
  ['the largest signed bigint', 2n ** 63n - 1n],
  ['the smallest bigint', -(2n ** 63n)],
  ['the largest unsigned bigint', 2n ** 64n - 1n],
  ["''", ''],
  ['a text in several scripts', 'nyota ñ Ω 星 🖖🏽 \u0000 \n'],
  ['a long text', 'x'.repeat(70_000)],
  ['a Buffer', Buffer.from([0, 1, 255])],
  ['an empty Buffer', Buffer.alloc(0)],
  ['a Uint8Array', Uint8Array.of(1, 2, 3)],
  ['an Int8Array', Int8Array.of(-1, 2)],
  ['a Uint8ClampedArray', Uint8ClampedArray.of(1, 255)],
  ['an Int16Array', Int16Array.of(-300, 300)],
  ['a Uint16Array', Uint16Array.of(0, 65_535)],
  ['an Int32Array', Int32Array.of(-70_000, 70_000)],
  ['a Uint32Array', Uint32Array.of(0, 4_000_000_000)],
  ['a Float32Array', Float32Array.of(0.5, Number.NaN)],
  ['a Float64Array', Float64Array.of(0.1, -0.1)],
  ['a BigInt64Array', BigInt64Array.of(-5n, 5n)],
  ['a BigUint64Array', BigUint64Array.of(2n ** 63n)],
  ['an ArrayBuffer', Uint8Array.of(9, 8).buffer],
  ['a DataView', new DataView(Uint8Array.of(7, 6).buffer)],
  ['a view into a larger buffer', new Uint16Array(Uint16Array.of(1, 2, 3, 4).buffer, 2, 2)],
  ['a Date', new Date('2026-03-29T01:59:59.999Z')],
  ['a Date before 1970', new Date(-1)],
  ['a Date far away', new Date(8.64e15)],
  [
    'a Map',
    new Map<unknown, unknown>([
      ['a', 1],
      [2, 'b'],
      [null, new Map()],
    ]),
  ],
  ['an empty Map', new Map()],
  ['a Set', new Set(['a', 1, null])],
  ['an empty Set', new Set()],
  ['an object', { a: 1, b: { c: [] } }],
  ['an empty object', {}],
  ['an array', [1, [2, [3]]]],
  ['an array with undefined in it', [undefined, null]],
  ['an object with undefined in it', { a: undefined }],
  ['all of it, nested', nested],
];

describe.each(DIRECTIONS)('from the %s to the %s', (sender, receiver) => {
  it.each(VALUES)('%s arrives as it was', async (_, value) => {
    const pair = await kit.pair();
    const from: AnyPeer = pair[sender];
    const to: AnyPeer = pair[receiver];
    const heard = once(to, 'value');
    from.send('value', value, 'after it');
    const [arrived, after] = await heard;
    expect(arrived).toStrictEqual(value);
    expect(after).toBe('after it');
    if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) !== null) {
      expect(Object.getPrototypeOf(arrived)).toBe(Object.getPrototypeOf(value));
    }
  });

  it('an Error arrives as one, with name, message, code and own properties, and without a stack', async () => {
    const pair = await kit.pair();
    const from: AnyPeer = pair[sender];
    const to: AnyPeer = pair[receiver];
    const sent = Object.assign(new TypeError('wrong kind', { cause: new Error('why') }), {
      code: 'E_KIND',
      details: { expected: 'text' },
    });
    const heard = once<[TypeError & { code: string; details: object }, NyotaError]>(to, 'failed');
    from.send('failed', sent, new NyotaError('NYOTA_TIMEOUT', 'too late'));
    const [arrived, own] = await heard;
    expect(arrived).toBeInstanceOf(TypeError);
    expect(arrived).toMatchObject({ name: 'TypeError', message: 'wrong kind', code: 'E_KIND' });
    expect(arrived.details).toEqual({ expected: 'text' });
    expect((arrived.cause as Error).message).toBe('why');
    expect(arrived.stack).not.toContain('arguments.test');
    expect(own).toBeInstanceOf(Error);
    expect(own).toMatchObject({ name: 'NyotaError', code: 'NYOTA_TIMEOUT', message: 'too late' });
  });

  it('the same goes for a request and its reply', async () => {
    const pair = await kit.pair();
    const from: AnyPeer = pair[sender];
    const to: AnyPeer = pair[receiver];
    to.handle('echo', (...args: unknown[]) => args.slice(0, -1));
    expect(await from.request('echo', nested, undefined, 1n)).toStrictEqual([nested, undefined, 1n]);
  });

  it('what is changed after send does not change what arrives', async () => {
    const pair = await kit.pair();
    const from: AnyPeer = pair[sender];
    const to: AnyPeer = pair[receiver];
    const order = { items: ['a'], bytes: Buffer.from('abc'), when: new Date(1), tags: new Set(['x']) };
    const heard = once(to, 'order');
    to.handle('echo', (value: unknown) => value);
    from.send('order', order);
    const reply = from.request('echo', order);
    order.items.push('b');
    order.bytes.fill(0);
    order.when.setTime(99);
    order.tags.clear();
    const expected = { items: ['a'], bytes: Buffer.from('abc'), when: new Date(1), tags: new Set(['x']) };
    expect(await heard).toEqual([expected]);
    expect(await reply).toEqual(expected);
  });

  it('two listeners can keep what they got: bytes are not shared with later messages', async () => {
    const pair = await kit.pair();
    const from: AnyPeer = pair[sender];
    const to: AnyPeer = pair[receiver];
    const kept: Buffer[] = [];
    to.on('bytes', (bytes: Buffer) => kept.push(bytes));
    for (let i = 0; i < 50; i++) from.send('bytes', Buffer.alloc(1000, i));
    await from.sendWithAck('bytes', Buffer.alloc(1));
    for (let i = 0; i < 50; i++) expect(kept[i]).toEqual(Buffer.alloc(1000, i));
  });
});

class Box {
  readonly value = 1;
}
const cycle: { self?: unknown; list: unknown[] } = { list: [] };
cycle.self = cycle;
const ring: unknown[] = [];
ring.push({ back: [ring] });

describe('what can not travel throws NYOTA_UNSERIALIZABLE at send, naming the path', () => {
  const BAD: ReadonlyArray<[string, unknown, string]> = [
    ['a symbol', Symbol('s'), 'args[1]'],
    ['a function in an object', { a: { onDone: () => {} } }, 'args[1].a.onDone'],
    ['a symbol in an array', [[1, [Symbol('s')]]], 'args[1][0][1][0]'],
    ['a function in a Map', new Map([['key', () => {}]]), 'args[1].get("key")'],
    ['a class in a Set', new Set([Box]), 'args[1]'],
    ['a key that is no identifier', { 'a b': Symbol('s') }, 'args[1]["a b"]'],
    ['an object that holds itself', cycle, 'args[1]'],
    ['an array that holds itself', ring, 'args[1]'],
    ['a bigint of more than 64 bits', { n: 2n ** 64n }, 'args[1].n'],
    ['a promise', { later: Promise.resolve() }, 'args[1].later'],
    ['a WeakMap', new WeakMap(), 'args[1]'],
    ['a regular expression', { pattern: /x/ }, 'args[1].pattern'],
    ['an invalid Date', { at: new Date(Number.NaN) }, 'args[1].at'],
    ['an object with a key that no codec carries', JSON.parse('{"__proto__": 1}'), 'args[1]'],
  ];

  it.each(BAD)('%s', async (_, value, path) => {
    const { client, session, server } = await kit.pair();
    const heard: unknown[] = [];
    session.onAny((event) => heard.push(event));
    client.onAny((event) => heard.push(event));
    for (const peer of [client, session] as AnyPeer[]) {
      const before = peer.stats().sent;
      const error = nyotaErrorOf(() => peer.send('bad', 'fine', value));
      expect(error.code).toBe('NYOTA_UNSERIALIZABLE');
      expect(error.message).toContain(path);
      expect((await rejectionOf(peer.sendWithAck('bad', 'fine', value))).code).toBe('NYOTA_UNSERIALIZABLE');
      expect((await rejectionOf(peer.request('bad', 'fine', value))).code).toBe('NYOTA_UNSERIALIZABLE');
      expect(peer.stats().sent).toBe(before);
      expect(peer.bufferedBytes).toBe(0);
    }
    expect(nyotaErrorOf(() => server.send('bad', 'fine', value)).code).toBe('NYOTA_UNSERIALIZABLE');
    // Nothing was half sent: what follows arrives, and only that.
    await client.sendWithAck('good');
    await session.sendWithAck('good');
    expect(heard).toEqual(['good', 'good']);
  });

  it('what is nested too deep or has too many values throws NYOTA_PAYLOAD_TOO_COMPLEX', async () => {
    const { client } = await kit.pair({ client: { maxDepth: 8, maxValues: 100 } });
    let deep: unknown = 1;
    for (let i = 0; i < 10; i++) deep = [deep];
    const tooDeep = nyotaErrorOf(() => client.send('deep', deep));
    expect(tooDeep.code).toBe('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(tooDeep.message).toContain('maxDepth');
    const tooMany = nyotaErrorOf(() => client.send('many', Array(101).fill(0)));
    expect(tooMany.code).toBe('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(tooMany.message).toContain('maxValues');
    await client.sendWithAck('fine', Array(50).fill(0));
  });

  it('a getter that throws is reported as the cause', async () => {
    const { client } = await kit.pair();
    const error = nyotaErrorOf(() =>
      client.send('bad', {
        get value() {
          throw new Error('not now');
        },
      }),
    );
    expect(error.code).toBe('NYOTA_UNSERIALIZABLE');
    expect((error.cause as Error).message).toBe('not now');
  });

  it('an object without a prototype arrives as a plain one', async () => {
    const { client, session } = await kit.pair();
    const heard = once(session, 'bare');
    client.send('bare', Object.assign(Object.create(null), { a: 1 }));
    expect(await heard).toStrictEqual([{ a: 1 }]);
  });

  it('an instance of a class arrives as a plain object of its own properties', async () => {
    const { client, session } = await kit.pair();
    const heard = once(session, 'box');
    client.send('box', new Box());
    const [box] = await heard;
    expect(box).toEqual({ value: 1 });
    expect(Object.getPrototypeOf(box)).toBe(Object.prototype);
  });
});
