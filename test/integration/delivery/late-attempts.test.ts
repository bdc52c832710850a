/**
 * An OPEN that is read after its client has gone on to a later connection must not take the session from that one: not in
 * one server, and not in another on the same store. The client would stop for ever, told that it was taken over.
 */
import { randomBytes } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MemoryStore } from '../../../src/index.js';
import { startClient, startServer } from '../../support/delivery-pair.js';
import { once } from '../../support/delivery-wait.js';
import { FrameType } from '../../support/frame-type.js';
import { open, RawPeer, RawServer } from '../../support/raw-peer.js';

async function dial(port: number): Promise<RawPeer> {
  const peer = await RawPeer.connect(port);
  onTestFinished(() => peer.destroy());
  return peer;
}

describe('an OPEN that comes too late', () => {
  const secret = randomBytes(32);

  it('is refused, and the later connection keeps the session', async () => {
    const { server, port } = await startServer({});
    const later = await dial(port);
    const { sessionId } = await later.open({ secret, attempt: 7 });
    const late = await dial(port);
    late.preamble().write(open({ secret, attempt: 6 }));
    expect(await late.lastWords()).toMatchObject({ code: 'NYOTA_TAKEN_OVER', retry: 'never' });
    expect(server.sessions.get(sessionId)?.connected).toBe(true);
    server.send('still', 'here');
    expect((await later.next(FrameType.EVENT)).body).toEqual(['still', ['here']]);
  });

  it('is refused by another server on the same store too', async () => {
    const store = new MemoryStore({ durable: true });
    const one = await startServer({ store });
    const two = await startServer({ store });
    const later = await dial(one.port);
    const { sessionId } = await later.open({ secret, attempt: 7 });
    const late = await dial(two.port);
    late.preamble().write(open({ secret, attempt: 6 }));
    expect(await late.lastWords()).toMatchObject({ code: 'NYOTA_TAKEN_OVER' });
    expect(two.server.sessions.size).toBe(0);
    expect(one.server.sessions.get(sessionId)?.connected).toBe(true);
  });

  it('does not keep out the attempt that comes after it', async () => {
    const { port } = await startServer({});
    await (await dial(port)).open({ secret, attempt: 7 });
    expect(await (await dial(port)).open({ secret, attempt: 8 })).toMatchObject({ resumed: true });
  });
});

describe("a client's attempts", () => {
  it('are numbered upwards, over its sockets and over the processes that share its store', async () => {
    const raw = await RawServer.listen();
    onTestFinished(() => raw.close());
    const store = new MemoryStore({ durable: true });
    const attempts: number[] = [];
    for (let process = 0; process < 2; process++) {
      const client = startClient({ port: raw.port, host: '127.0.0.1', store });
      const connected = once(client, 'connect');
      attempts.push((await raw.welcomed({ resumed: process > 0 })).open.attempt);
      await connected;
      client.reconnect();
      attempts.push((await raw.opened()).open.attempt);
      client.destroy();
    }
    expect(attempts).toEqual([...new Set(attempts)].sort((a, b) => a - b));
    expect(attempts[0]).toBeGreaterThan(0);
  });
});
