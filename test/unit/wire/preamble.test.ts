/** What a connection says first, and how everything else is recognised. */
import { describe, expect, it } from 'vitest';
import {
  describeForeign,
  encodePreamble,
  negotiateVersion,
  parsePreamble,
} from '../../../src/wire/preamble.js';

const OURS = Buffer.from('d54e594f0d0a0101', 'hex');

describe('the preamble', () => {
  it('is the eight bytes of the protocol', () => {
    expect(encodePreamble()).toEqual(OURS);
    expect(encodePreamble(2, 7).toString('hex')).toBe('d54e594f0d0a0207');
  });

  it('is read once it is whole, whatever follows it', () => {
    for (let bytes = 0; bytes < OURS.length; bytes++)
      expect(parsePreamble(OURS.subarray(0, bytes))).toBeUndefined();
    expect(parsePreamble(OURS)).toEqual({ min: 1, max: 1 });
    expect(parsePreamble(Buffer.concat([OURS, Buffer.from('more')]))).toEqual({ min: 1, max: 1 });
  });

  it('is refused at the first wrong byte, without waiting for the rest', () => {
    for (let at = 0; at < 6; at++) {
      const wrong = Buffer.from(OURS.subarray(0, at + 1));
      wrong[at] = 0x58;
      expect(() => parsePreamble(wrong)).toThrow(expect.objectContaining({ code: 'NYOTA_BAD_PREAMBLE' }));
    }
  });

  it('is refused with versions that are none', () => {
    for (const versions of ['0001', '0302', '0000']) {
      const bytes = Buffer.from(`d54e594f0d0a${versions}`, 'hex');
      expect(() => parsePreamble(bytes)).toThrow(expect.objectContaining({ code: 'NYOTA_BAD_PREAMBLE' }));
    }
  });

  it('that is none says what it looked like', () => {
    expect(() => parsePreamble(Buffer.from('GET / HTTP/1.1\r\nhost: x'))).toThrow(
      /HTTP \("GET \/ HTTP\/1\.1"\)/,
    );
    expect(describeForeign(Buffer.from('POS'))).toMatch(/HTTP/);
    expect(describeForeign(Buffer.from('160301020001', 'hex'))).toMatch(/TLS/);
    expect(describeForeign(Buffer.from([0x16]))).toMatch(/TLS/);
    expect(describeForeign(Buffer.from('[["ping"]]'))).toMatch(/original Uhura client/);
    expect(describeForeign(Buffer.from('SSH-2.0-x\r\n'))).toMatch(/53 53 48 2d/);
    expect(describeForeign(Buffer.alloc(0))).toMatch(/nothing/);
  });

  it('is described without a control character', () => {
    for (const first of [
      'GET \u0007\u001b[31m/ x',
      '[\u0000\u001b',
      '\u001b]0;title\u0007',
      '\u009b31m\u007f',
    ]) {
      const control = new RegExp(
        `[${String.fromCharCode(0)}-${String.fromCharCode(31)}${String.fromCharCode(127)}-${String.fromCharCode(159)}]`,
      );
      expect(describeForeign(Buffer.from(first, 'latin1'))).not.toMatch(control);
    }
  });
});

describe('the version', () => {
  it('is the highest that both sides speak', () => {
    expect(negotiateVersion({ min: 1, max: 1 })).toBe(1);
    expect(negotiateVersion({ min: 1, max: 5 }, { min: 2, max: 3 })).toBe(3);
    expect(negotiateVersion({ min: 3, max: 3 }, { min: 1, max: 9 })).toBe(3);
  });

  it('names both ranges where there is no common one', () => {
    for (const [theirs, ours] of [
      [
        { min: 4, max: 6 },
        { min: 1, max: 2 },
      ],
      [
        { min: 1, max: 2 },
        { min: 4, max: 6 },
      ],
    ] as const) {
      expect(() => negotiateVersion(theirs, ours)).toThrow(
        expect.objectContaining({ code: 'NYOTA_VERSION_MISMATCH', retry: 'never' }),
      );
      expect(() => negotiateVersion(theirs, ours)).toThrow(/1 to 2.*4 to 6|4 to 6.*1 to 2/);
    }
  });
});
