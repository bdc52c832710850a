/** A server's options: defaults, and every bad value by name. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.js';
import { readServerOptions, type ServerOptions } from '../../../src/server/options.js';
import { MemoryStore } from '../../../src/stores/memory.js';
import { thrown } from '../../support/session-codes.js';

const read = (options: unknown) => readServerOptions(options as ServerOptions);

describe('a server’s options', () => {
  it('have defaults', () => {
    const options = read({});
    expect(options).toMatchObject({
      serverOptions: {},
      tls: undefined,
      createServer: undefined,
      authenticate: undefined,
      resumeWindowMs: 120_000,
      maxSessions: 10_000,
      maxUnauthenticated: 256,
      limits: { maxFrameBytes: 1024 * 1024, handshakeTimeoutMs: 10_000 },
    });
    expect(options.store).toBeInstanceOf(MemoryStore);
    expect([options.clock, Object.isFrozen(options)]).toEqual([systemClock, true]);
    expect(read({}).store).not.toBe(options.store);
  });

  it('take what is given, and hand to net.createServer what is its', () => {
    const store = new MemoryStore();
    const authenticate = (): string => 'somebody';
    const tls = { key: 'k', cert: 'c' };
    const given = { store, authenticate, tls, resumeWindowMs: 0, maxSessions: 1, noDelay: true, maxDepth: 5 };
    const options = read(given);
    expect(options).toMatchObject({ store, authenticate, tls, resumeWindowMs: 0, maxSessions: 1 });
    expect([options.serverOptions, options.limits.maxDepth]).toEqual([{ noDelay: true }, 5]);
  });

  it('may be anything beside with a createServer, whose own options they are', () => {
    const createServer = (): void => {};
    expect(read({ createServer, certificateFolder: '/x' }).serverOptions).toMatchObject({
      certificateFolder: '/x',
    });
    expect(thrown(() => read({ certificateFolder: '/x' })).code).toBe('NYOTA_INVALID_OPTION');
  });

  it.each([
    [{ maxSession: 5 }, /no option 'maxSession'; did you mean 'maxSessions'/],
    [{ port: 5 }, /no option 'port'/],
    [{ tls: true }, /'tls' takes options of tls\.createServer, not true/],
    [{ tls: null }, /'tls'/],
    [{ createServer: {} }, /'createServer' takes a function/],
    [{ authenticate: 'x' }, /'authenticate' takes a function, not 'x'/],
    [{ store: {} }, /'store' takes a SessionStore/],
    [{ store: null }, /'store'/],
    [{ resumeWindowMs: -1 }, /'resumeWindowMs' takes a whole number from 0 to 2147483647 \(milliseconds\)/],
    [{ maxSessions: 0 }, /'maxSessions' takes a whole number from 1/],
    [{ maxUnauthenticated: 1.5 }, /'maxUnauthenticated'/],
    [{ clock: {} }, /'clock'/],
    [{ maxFrameBytes: 5 }, /'maxFrameBytes'/],
    [null, /'options' takes an object, not null/],
  ] as Array<[unknown, RegExp]>)('refuse %o', (options, text) => {
    const error = thrown(() => read(options));
    expect(error.code).toBe('NYOTA_INVALID_OPTION');
    expect(error.message).toMatch(text);
  });
});
