/** docs/api.md, "Peer": the graceful ways to end a peer. */
import { describe, expect, it } from 'vitest';
import type { NyotaError } from '../../../src/index.js';
import { once, useKit, within } from '../../support/api-kit.js';

const kit = useKit();

describe('close() and Symbol.asyncDispose', () => {
  it('close lets everything sent be handled, and replies arrive, then is closed for good', async () => {
    const { client, session } = await kit.pair();
    const heard: unknown[] = [];
    session.on('tick', async (n) => {
      await new Promise((resolve) => setImmediate(resolve));
      heard.push(n);
    });
    session.handle('ask', () => 'answer');
    for (let n = 0; n < 20; n++) client.send('tick', n);
    const reply = client.request('ask');
    await within(client.close(), 'close');
    expect(heard).toHaveLength(20);
    expect(await reply).toBe('answer');
    expect(() => client.connect()).toThrow(expect.objectContaining({ code: 'NYOTA_CLOSED' }));
    expect(() => client.reconnect()).toThrow(expect.objectContaining({ code: 'NYOTA_CLOSED' }));
  });

  it('close of a session tells the client, who does not come back to it', async () => {
    const { client, session } = await kit.pair();
    const gone = once<[NyotaError]>(client, 'disconnect');
    await within(session.close(), 'close');
    expect((await gone)[0].code).toBe('NYOTA_SESSION_CLOSED');
    expect(client.connected).toBe(false);
  });

  it('close without a connection resolves too', async () => {
    const client = kit.client({
      port: 1,
      createConnection: () => Promise.reject(new Error('nobody')),
      drainTimeoutMs: 20,
    });
    client.send('never');
    await within(client.close(), 'close', 2_000);
    expect(client.state).toBe('closed');
  });

  it('await using closes client, session and server at the end of the block', async () => {
    const { client, session, server } = await kit.pair();
    {
      await using usedServer = server;
      await using usedSession = session;
      await using usedClient = client;
      await usedClient.sendWithAck('tick');
      expect([usedServer.listening, usedSession.connected]).toEqual([true, true]);
    }
    expect([client.state, session.state, server.listening]).toEqual(['closed', 'dead', false]);
  });
});
