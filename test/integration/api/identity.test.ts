/** docs/api.md, `auth` and `authenticate`: who a client is, and whose a session is. */
import { describe, expect, it } from 'vitest';
import type { NyotaError } from '../../../src/index.js';
import { cut, once, useKit } from '../../support/api-kit.js';

const kit = useKit();

describe('identity and auth', () => {
  it('identity is what authenticate returned for these credentials', async () => {
    const seen: unknown[] = [];
    const { session } = await kit.pair({
      server: {
        authenticate: async (credentials, info) => {
          seen.push(credentials, info.remoteAddress, info.tls);
          return { user: 'nyota' };
        },
      },
      client: { auth: { token: 'secret' } },
    });
    expect(session.identity).toEqual({ user: 'nyota' });
    expect(seen).toEqual([{ token: 'secret' }, '127.0.0.1', undefined]);
  });

  it('identity is undefined without authenticate', async () => {
    expect((await kit.pair()).session.identity).toBeUndefined();
  });

  it('auth may be a function, or an async one: it is called anew at every attempt', async () => {
    for (const wrap of [(n: number) => n, (n: number) => Promise.resolve(n)]) {
      const seen: unknown[] = [];
      let calls = 0;
      const { client, session } = await kit.pair({
        server: {
          authenticate: (credentials) => {
            seen.push(credentials);
            return 'the same';
          },
        },
        client: { auth: () => wrap(++calls) },
      });
      await cut(session, client);
      expect(seen).toEqual([1, 2]);
    }
  });

  it('a session is resumed only by the identity that began it', async () => {
    const users = ['first', 'second'];
    const { client, session } = await kit.pair({
      server: { authenticate: (user) => ({ user }) },
      client: { auth: () => users.shift() },
    });
    expect(session.identity).toEqual({ user: 'first' });
    const refused = once<[NyotaError]>(client, 'error');
    client.reconnect();
    expect((await refused)[0].code).toBe('NYOTA_UNAUTHORIZED');
    expect(session.connected).toBe(false);
  });
});
