/** What `with(...)` takes, and what it says of what it does not take. */
import { describe, expect, it } from 'vitest';
import { abortedError, type CallOptions, readCallOptions } from '../../../src/peer/call-options.js';
import { thrown } from '../../support/session-codes.js';

describe('call options', () => {
  it('are taken as they are, frozen', () => {
    const { signal } = new AbortController();
    const options = { timeoutMs: 5, signal, ttlMs: 10, volatile: true };
    const read = readCallOptions(options);
    expect(read).toEqual(options);
    expect([Object.isFrozen(read), read === options]).toEqual([true, false]);
    expect(readCallOptions({})).toEqual({});
  });

  it('may wait for ever, for a fraction, or not at all', () => {
    for (const timeoutMs of [0, Number.POSITIVE_INFINITY, 0.5, 2 ** 31 - 1]) {
      expect(readCallOptions({ timeoutMs }).timeoutMs).toBe(timeoutMs);
    }
  });

  it.each([
    [{ timeoutMs: -1 }, /'timeoutMs' takes milliseconds from 0 to 2147483647, not -1/],
    [{ timeoutMs: Number.NaN }, /'timeoutMs'.*not NaN/],
    [{ timeoutMs: 2 ** 31 }, /'timeoutMs'/],
    [{ timeoutMs: '5' }, /'timeoutMs'.*not '5'/],
    [{ ttlMs: 0 }, /'ttlMs' takes milliseconds from 1/],
    [{ ttlMs: Number.POSITIVE_INFINITY }, /'ttlMs'/],
    [{ signal: {} }, /'signal' takes an AbortSignal, not an object/],
    [{ volatile: 1 }, /'volatile' takes true or false, not 1/],
    [{ timeout: 5 }, /no option 'timeout'; did you mean 'timeoutMs'/],
    [{ tll: 5 }, /no option 'tll'/],
    [null, /'with' takes an object, not null/],
    ['5', /'with' takes an object, not '5'/],
  ] as Array<[unknown, RegExp]>)('refuse %j', (options, text) => {
    const error = thrown(() => readCallOptions(options as CallOptions));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(text);
  });

  it('make an error of an abort that keeps its reason', () => {
    const reason = new Error('changed my mind');
    expect(abortedError(AbortSignal.abort(reason))).toMatchObject({ code: 'NYOTA_ABORTED', cause: reason });
  });
});
