/** What every Node user has in the fingers: `once` of `node:events`, on a server, a client and a session. */
import { type EventEmitter, once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Session } from '../../../src/index.js';
import { createServer } from '../../../src/index.js';
import { portOf, useKit } from '../../support/api-kit.js';

const kit = useKit();
/** Enough of one for `once`: `on`, `once` and `removeListener`. */
const emitter = (of: unknown): EventEmitter => of as EventEmitter;

describe('once of node:events', () => {
  it('resolves for a server, a session and a client', async () => {
    const server = createServer();
    const listening = once(emitter(server), 'listening');
    server.listen(0, '127.0.0.1');
    await listening;
    const begun = once(emitter(server), 'session') as Promise<[Session, boolean]>;
    const client = kit.client({ port: portOf(server) });
    await once(emitter(client), 'connect');
    const [session] = await begun;
    const asked = once(emitter(session), 'ping') as Promise<unknown[]>;
    client.send('ping', 1);
    expect(await asked).toEqual([1]);
    await client.close();
    await server.close();
  });

  it('rejects with an error that comes first, and leaves no listener behind', async () => {
    const blocked = await kit.listening();
    const server = createServer();
    const listening = once(emitter(server), 'listening');
    server.listen(portOf(blocked), '127.0.0.1');
    await expect(listening).rejects.toMatchObject({ code: 'EADDRINUSE' });
    server.destroy();
  });
});
