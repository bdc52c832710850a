/** Options hold whatever is handed in: a value is taken as it is, or refused by name; nothing is corrected silently. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ClientOptions, readClientOptions } from '../../src/client/options.js';
import { NyotaError, printable } from '../../src/errors.js';
import { type Address, formatAddress, parseAddress } from '../../src/net/address.js';
import { LIMIT_NAMES, type LimitOptions, readLimits, refuseUnknown } from '../../src/options.js';
import { readServerOptions, type ServerOptions } from '../../src/server/options.js';

/** The error that `fn` throws, which must be a NyotaError; undefined where it throws none. */
function refusal(fn: () => unknown): NyotaError | undefined {
  try {
    fn();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(NyotaError);
    return error as NyotaError;
  }
}

const name = fc.constantFrom(...LIMIT_NAMES);
const value = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(0, 1, 2 ** 31, 2 ** 53), fc.anything());

describe('options', () => {
  it('take a limit as it is, or refuse it by its name', () => {
    fc.assert(
      fc.property(name, value, (limit, given) => {
        const options = { [limit]: given } as LimitOptions;
        const error = refusal(() => readLimits(options));
        if (error !== undefined) {
          expect([error.code, error.message.startsWith(`option '${limit}' takes `)]).toEqual([
            'NYOTA_INVALID_OPTION',
            true,
          ]);
          return;
        }
        const read: unknown = readLimits(options)[limit as keyof LimitOptions];
        if (given === undefined) expect(read).toBeGreaterThanOrEqual(0);
        else expect(read).toBe(given);
      }),
      { numRuns: 500 },
    );
  });

  it('refuse every name that no option has', () => {
    fc.assert(
      fc.property(fc.string(), (unknown) => {
        const known = new Set(LIMIT_NAMES);
        const error = refusal(() => refuseUnknown({ [unknown]: 1 }, known));
        expect(error?.code).toBe(known.has(unknown) ? undefined : 'NYOTA_INVALID_OPTION');
      }),
    );
  });

  it('never break off with anything but a NyotaError, for objects of any content', () => {
    const keys = fc.constantFrom(
      'port',
      'host',
      'path',
      'servers',
      'tls',
      'socket',
      'auth',
      'reconnect',
      'clock',
    );
    fc.assert(
      fc.property(fc.dictionary(fc.oneof(keys, name), fc.anything(), { maxKeys: 4 }), (options) => {
        const copy = { ...options };
        for (const read of [
          () => readClientOptions(options as ClientOptions),
          () => readServerOptions(options as ServerOptions),
        ]) {
          const error = refusal(read);
          if (error !== undefined) expect(error.code).toBe('NYOTA_INVALID_OPTION');
        }
        expect(Object.keys(options)).toEqual(Object.keys(copy));
      }),
      { numRuns: 500 },
    );
  });
});

describe('addresses', () => {
  const port = fc.integer({ min: 0, max: 65_535 });
  const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());

  it('that are shown can be read again', () => {
    fc.assert(
      fc.property(host, port, (name, number) => {
        const address: Address = { host: name, port: number };
        expect(parseAddress(formatAddress(address))).toEqual(address);
        expect(parseAddress(`tls://${formatAddress(address)}`)).toEqual({ ...address, tls: true });
      }),
    );
  });

  it('are refused with a text that is fit for a log line, whatever they are', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.anything()), (given) => {
        const error = refusal(() => parseAddress(given));
        if (error === undefined) return;
        expect(error.code).toBe('NYOTA_INVALID_OPTION');
        expect(printable(error.message.slice(0, 100)).includes('\\u00')).toBe(false);
        expect(error.message.length).toBeLessThan(1_200);
      }),
    );
  });
});
