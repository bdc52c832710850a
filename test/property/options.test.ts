/** Options hold whatever is handed in: a value is taken as it is, or refused by name; nothing is corrected silently. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as client from '../../src/client/options.js';
import { NyotaError, printable } from '../../src/errors.js';
import { OPTIONS as EXOCOM_OPTIONS, readExoComOptions } from '../../src/exocom/options.js';
import { OPTIONS as RELAY_OPTIONS, readRelayOptions } from '../../src/exorelay/options.js';
import { type Address, formatAddress, parseAddress } from '../../src/net/address.js';
import { LIMITS, type LimitOptions, readLimits, readOptions } from '../../src/options.js';
import * as server from '../../src/server/options.js';

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

const name = fc.constantFrom(...Object.keys(LIMITS));
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
        fc.pre(!Object.hasOwn(LIMITS, unknown));
        const error = refusal(() => readOptions({ [unknown]: undefined }, LIMITS));
        expect(error?.code).toBe('NYOTA_INVALID_OPTION');
        expect(error?.message.startsWith('there is no option ')).toBe(true);
      }),
    );
  });

  it.each<[string, (options: never) => unknown, string[]]>([
    [
      'a client',
      client.readClientOptions,
      Object.keys({ ...LIMITS, ...client.OWN_OPTIONS, ...client.TCP_OPTIONS }),
    ],
    [
      'a server',
      server.readServerOptions,
      Object.keys({ ...LIMITS, ...server.OWN_OPTIONS, ...server.TCP_OPTIONS }),
    ],
    ['a relay', (options) => readRelayOptions(options, {}), Object.keys(RELAY_OPTIONS)],
    ['a hub', (options) => readExoComOptions(options, {}), Object.keys(EXOCOM_OPTIONS)],
  ])(
    'of %s are taken or refused with a NyotaError, whatever they are, and left as they were',
    (_, read, names) => {
      // Text would be the path of a file with routes or tokens.
      const content = fc.anything().filter((given) => typeof given !== 'string');
      fc.assert(
        fc.property(fc.dictionary(fc.constantFrom(...names), content, { maxKeys: 4 }), (options) => {
          const copy = { ...options };
          const error = refusal(() => read(options as never));
          if (error !== undefined) expect(error.code).toBe('NYOTA_INVALID_OPTION');
          expect(options).toEqual(copy);
        }),
        { numRuns: 300 },
      );
    },
  );
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
