/** A session that another process takes while this one is reading it from the store they share. */
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../src/index.js';
import type { SessionStore } from '../../../src/stores/session-store.js';
import { startClient, startServer } from '../../support/delivery-pair.js';
import { eventually, once } from '../../support/delivery-wait.js';

describe('a session that is taken by another process between its attach and its load', () => {
  it('is not begun here: the client is told to come again', async () => {
    const store = new MemoryStore({ durable: true });
    const first = await startServer({ store });
    const client = startClient({
      port: first.port,
      host: '127.0.0.1',
      reconnect: { minDelayMs: 1, maxDelayMs: 5 },
    });
    await once(client, 'connect');
    const { id } = client;
    first.server.destroy();
    await once(client, 'disconnect');

    let taken = 0;
    const raced: SessionStore = {
      durable: true,
      create: (...args) => store.create(...args),
      load: (key) => store.load(key),
      attach: (key, fence, now, attempt) => {
        const raised = store.attach(key, fence, now, attempt);
        // The other process is as quick as can be.
        if (raised !== undefined && taken++ === 0) store.attach(key, raised, now, attempt);
        return raised;
      },
      commit: (...args) => store.commit(...args),
      end: (...args) => store.end(...args),
      tombstone: (key, now) => store.tombstone(key, now),
      sweep: (now) => store.sweep(now),
      close: () => {},
    };
    const refused: string[] = [];
    const second = await startServer({ store: raced }, undefined, [], first.port);
    second.server.on('clientError', (error) => refused.push(error.code));
    await eventually(() => client.connected, 'the client comes back');
    expect(refused).toEqual(['NYOTA_SERVER_BUSY']);
    expect(second.sessions).toHaveLength(1);
    expect(client.id).toBe(id);
  });
});
