/** How Errors travel: what of them arrives, and what can't be smuggled in with them. */
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePayload, encodePrepared } from '../../../src/codec/payload.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };

function encode(value: unknown): Buffer {
  return encodePayload(value, LIMITS, 'args');
}

function roundTrip(value: unknown): unknown {
  const bytes = Buffer.from(encode(value));
  return decodePayload(bytes, 0, bytes.length, LIMITS);
}

describe('an Error', () => {
  it('arrives as an Error of its class, with message, code, data and cause', () => {
    const cause = new TypeError('inner');
    const sent = Object.assign(new RangeError('outer', { cause }), {
      code: 'E_X',
      data: { at: new Date(1) },
    });
    const back = roundTrip(sent) as RangeError & { code: string; data: unknown };
    expect(back).toBeInstanceOf(RangeError);
    expect(back.name).toBe('RangeError');
    expect(back.message).toBe('outer');
    expect(back.code).toBe('E_X');
    expect(back.data).toStrictEqual({ at: new Date(1) });
    expect(back.cause).toBeInstanceOf(TypeError);
    expect(Object.keys(back)).toEqual(['code', 'data']);
  });

  it('of a class of the user keeps its name', () => {
    class OrderError extends Error {
      override name = 'OrderError';
      orderId = 7;
    }
    const back = roundTrip(new OrderError('no')) as OrderError;
    expect(back).toBeInstanceOf(Error);
    expect([back.name, back.message, back.orderId, String(back)]).toEqual([
      'OrderError',
      'no',
      7,
      'OrderError: no',
    ]);
    expect(Object.keys(back)).toEqual(['orderId']);
  });

  it('carries a code that is not its own property', () => {
    const error = roundTrip(new DOMException('gone', 'AbortError')) as Error & { code: number };
    expect([error.name, error.message, error.code]).toEqual(['AbortError', 'gone', 20]);
  });

  it('never carries a stack', () => {
    const bytes = encode(new Error('x')).toString('latin1');
    expect(bytes).not.toMatch(/payload\.test/);
    expect((roundTrip(new Error('x')) as Error).stack).toBe('Error: x');
  });

  it('from the wire can change neither a prototype nor its own name, message and stack', () => {
    const props = {
      constructor: 1,
      prototype: 2,
      name: 'spoofed',
      message: 'spoofed',
      stack: 'spoofed',
      toString: 3,
    };
    const content = Buffer.from(encodePrepared(['TypeError', 'real', props]));
    const ext = Buffer.concat([Buffer.from([0xc7, 1 + content.length, 0x4e, 3]), content]);
    const error = decodePayload(ext, 0, ext.length, LIMITS) as TypeError;
    expect(error).toBeInstanceOf(TypeError);
    expect([error.name, error.message]).toEqual(['TypeError', 'real']);
    expect(error.stack).toBe('TypeError: real');
    expect(Object.getPrototypeOf(error)).toBe(TypeError.prototype);
    expect(TypeError.prototype.constructor).toBe(TypeError);
    expect(Object.hasOwn(error, 'constructor')).toBe(true);
  });
});
