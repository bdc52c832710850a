/** What is kept out before anything is decoded. */
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePayload } from '../../../src/codec/payload.js';
import { scanPayload } from '../../../src/codec/scan.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };
const refused = expect.objectContaining({ code: 'NYOTA_PAYLOAD_REFUSED' });

function scanHex(hex: string, limits = LIMITS): void {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  scanPayload(bytes, 0, bytes.length, limits);
}

const nested = (open: string, inner: string, times: number): string => open.repeat(times) + inner;

describe('the scan lets through', () => {
  it.each([
    [
      'integers of every width',
      '9c 00 7f e0 cc80 cd0100 ce00010000 d080 d18000 d280000000 cf8000000000000000 d38000000000000000 ff',
    ],
    ['floats', '92 ca3fc00000 cb3ff8000000000000'],
    ['strings of every width', '95 a161 d90161 da000161 db0000000161 a0'],
    ['bytes of every width', '93 c40100 c5000100 c60000000100'],
    ['containers of every width', '96 90 dc0000 dd00000000 80 de0000 df00000000'],
    ['undefined', 'd40000'],
    [
      'timestamps of 4, 8 and 12 bytes',
      '93 d6ff00000001 d7ff0000000000000001 c70cff00000000ffffffffffffffff',
    ],
    [
      'a Map, a Set, an Error and a typed array',
      '94 c7054e01 92a16101 d54e0290 c7054e0393a0a080 c7044e0401 0102',
    ],
  ])('%s', (_what, hex) => {
    expect(() => scanHex(hex)).not.toThrow();
  });

  it('depth and counts up to the limits, and not one more', () => {
    expect(() => scanHex(nested('91', '00', 64))).not.toThrow();
    expect(() => scanHex(nested('91', '00', 65))).toThrow(/maxDepth.*offset 64/);
    expect(() => scanHex(nested('81a161', '00', 65))).toThrow(/maxDepth/);
    expect(() => scanHex('9301 02 03', { maxDepth: 1, maxValues: 4 })).not.toThrow();
    expect(() => scanHex('9301 02 03', { maxDepth: 1, maxValues: 3 })).toThrow(/maxValues/);
    expect(() => scanHex('81a16101', { maxDepth: 1, maxValues: 2 })).toThrow(/maxValues/);
    expect(() => scanHex('c0', { maxDepth: 0, maxValues: 1 })).not.toThrow();
    expect(() => scanHex('c0', { maxDepth: 0, maxValues: 0 })).toThrow(/maxValues/);
    expect(() => scanHex('90', { maxDepth: 0, maxValues: 1 })).toThrow(/maxDepth/);
  });

  it('an extension as two levels and one value more', () => {
    const set = 'd54e0290';
    expect(() => scanHex(set, { maxDepth: 2, maxValues: 2 })).not.toThrow();
    expect(() => scanHex(set, { maxDepth: 1, maxValues: 2 })).toThrow(/maxDepth/);
    expect(() => scanHex(set, { maxDepth: 2, maxValues: 1 })).toThrow(/maxValues/);
  });
});

describe('the scan refuses', () => {
  it.each([
    ['nothing at all', '', /cut short/],
    ['bytes after the payload', 'c0c0', /1 bytes after the payload, at offset 1/],
    ['the byte 0xc1', '91c1', /0xc1.*offset 1/],
    ['a key that is a number', '810101', /key that is no string/],
    ['a key that is nil', '81c001', /key that is no string/],
    ['a key that is an array', '819001', /key that is no string/],
    ['a key that is bytes', '81c4016101', /key that is no string/],
    ['the key __proto__', '81a95f5f70726f746f5f5f80', /__proto__/],
    ['the key __proto__ as str 8', '81d9095f5f70726f746f5f5f80', /__proto__/],
    ['the key __proto__ as str 16', '81da00095f5f70726f746f5f5f80', /__proto__/],
    ['the key __proto__ as str 32', '81db000000095f5f70726f746f5f5f80', /__proto__/],
    ['the key __proto__ after others', '82a16101a95f5f70726f746f5f5f80', /__proto__/],
    ['a record definition', 'd4724091a16101', /unknown type 114/],
    ['a record definition of two bytes', 'd572400091a16101', /unknown type 114/],
    ['a reference', 'd6690000000190', /unknown type 105/],
    ['a pointer', 'd67000000001', /unknown type 112/],
    ['bundled strings', 'd66200000001', /unknown type 98/],
    ["msgpackr's Error", 'd4650093a0a0c0', /unknown type 101/],
    ["msgpackr's RegExp", 'd4780092a161a0', /unknown type 120/],
    ["msgpackr's Set", 'd4730090', /unknown type 115/],
    ["msgpackr's typed array", 'c702740100', /unknown type 116/],
    ["msgpackr's big integer", 'c70942010000000000000000', /unknown type 66/],
    ['a negative type', 'd4fe00', /unknown type -2/],
    ['type 0 with other data', 'd40001', /not undefined/],
    ['type 0 in another length', 'd5000000', /not undefined/],
    ['type 0 in another form', 'c7010000', /not undefined/],
    ['a timestamp of another length', 'd4ffff', /timestamp of 1 bytes/],
    ['a timestamp of too many nanoseconds', 'd7ffee6b280100000000', /nanoseconds/],
    ['a timestamp of too many nanoseconds in 12 bytes', 'c70cff3b9aca000000000000000000', /nanoseconds/],
    ['a timestamp after the last Date', 'c70cff00000000000007dba8218001', /no Date can hold/],
    ['a timestamp before the first Date', 'c70cff00000000fffff82457de7fff', /no Date can hold/],
    ['a timestamp that overflows', 'c70cff000000007fffffffffffffff', /no Date can hold/],
    ['an own extension without content', 'd44e01', /cut short/],
    ['an own extension of an unknown kind', 'd54e0990', /unknown kind 9/],
    ['a Map without its array', 'd54e01c0', /without an array/],
    ['a Map with a key and no value', 'c7034e019100', /a key and no value/],
    ['a Set with bytes left', 'c7034e029000', /not as long as it says/],
    ['a Set that runs over its end', '92d54e029100', /not as long as it says|container of/],
    ['an Error without properties', 'c7044e0392a0a0', /without name, message/],
    ['an Error whose name is a number', 'c7054e0393 01a080', /no string/],
    ['an Error whose message is nil', 'c7054e0393 a0c080', /no string/],
    ['an Error whose properties are an array', 'c7054e0393 a0a090', /no map/],
    ['a typed array of an unknown type', 'd54e0463', /unknown element type 99/],
    ['a typed array with half an element', 'c7034e040401', /half an element/],
  ])('%s', (_what, hex, text) => {
    expect(() => scanHex(hex)).toThrow(refused);
    expect(() => scanHex(hex)).toThrow(text);
  });

  it('a count bomb at its header, however much it claims', () => {
    for (const header of [
      'dc ffff',
      'dd ffffffff',
      'de ffff',
      'df ffffffff',
      '9f',
      '8f',
      'c9000000054e01ddffffffff',
    ]) {
      expect(() => scanHex(header)).toThrow(refused);
    }
    expect(() => scanHex('ddffffffff')).toThrow(/container of 4294967295 items in 0 bytes/);
  });

  it('16 MiB of empty maps at once', () => {
    const bytes = Buffer.alloc(16 * 1024 * 1024, 0x80);
    bytes[0] = 0xdd;
    bytes.writeUInt32BE(bytes.length - 5, 1);
    const started = process.hrtime.bigint();
    expect(() => scanPayload(bytes, 0, bytes.length, LIMITS)).toThrow(/maxValues.*offset 0/);
    expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(1000);
  });

  it('a million levels without overflowing the stack', () => {
    for (const limits of [LIMITS, { maxDepth: 2_000_000, maxValues: 10_000_000 }]) {
      const bytes = Buffer.alloc(1_000_000, 0x91);
      expect(() => scanPayload(bytes, 0, bytes.length, limits)).toThrow(refused);
    }
  });

  it('a payload that is cut anywhere', () => {
    const value = [
      'order.created',
      {
        id: 1,
        list: ['x'.repeat(40), 'y'.repeat(300), Buffer.alloc(300), 1.5, -70_000, 2n ** 63n, undefined],
      },
      new Map<unknown, unknown>([['k', new Set([new Date(1), new Date(-1), new Date(2 ** 41)])]]),
      new RangeError('late'),
      new Float64Array(5),
      Array.from({ length: 20 }, (_, i) => i * 1000),
    ];
    const bytes = Buffer.from(encodePayload(value, LIMITS, 'value'));
    scanPayload(bytes, 0, bytes.length, LIMITS);
    for (let end = 0; end < bytes.length; end++) {
      expect(() => scanPayload(bytes, 0, end, LIMITS), `cut at ${end}`).toThrow(refused);
      // Cut off for real, too: no read may depend on what lies behind.
      const cut = Buffer.from(bytes.subarray(0, end));
      expect(() => decodePayload(cut, 0, end, LIMITS)).toThrow(refused);
    }
  });

  it('and names the offset within the payload, not within the chunk', () => {
    const chunk = Buffer.from('0000000092c0c1', 'hex');
    expect(() => scanPayload(chunk, 4, 7, LIMITS)).toThrow(/offset 2/);
  });
});
