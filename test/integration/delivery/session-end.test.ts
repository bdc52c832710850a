/** The end of a session in a durable store that takes its time: it is not lost to what happens meanwhile. */
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../src/index.js';
import type { SessionStore } from '../../../src/stores/session-store.js';
import { FAST, startClient, startServer } from '../../support/delivery-pair.js';
import { deferred, eventually, once, turns } from '../../support/delivery-wait.js';

type Step = 'attach' | 'end';

/** A store that takes its time, from `hold` on: to answer an attach, or to do an end. */
function holding(store: MemoryStore, step: Step) {
  const gate = deferred();
  let waits = false;
  let asked = 0;
  const pass = async (at: Step): Promise<void> => {
    if (at === step && waits) {
      asked++;
      await gate.promise;
    }
  };
  const held: SessionStore = {
    durable: true,
    create: (...args) => store.create(...args),
    load: (id) => store.load(id),
    attach: async (...args) => {
      const fence = store.attach(...args);
      await pass('attach');
      return fence;
    },
    commit: (...args) => store.commit(...args),
    end: async (...args) => {
      await pass('end');
      store.end(...args);
    },
    tombstone: (id, now) => store.tombstone(id, now),
    sweep: (now) => store.sweep(now),
    close: () => {},
  };
  return {
    held,
    hold: () => {
      waits = true;
    },
    release: () => gate.resolve(),
    asked: () => asked,
  };
}

describe('a session that is invalidated', () => {
  it('is over also where its client was just being let in again', async () => {
    const store = new MemoryStore({ durable: true });
    const { held, hold, release, asked } = holding(store, 'attach');
    const { sessions, port } = await startServer({ store: held });
    const client = startClient({ port, host: '127.0.0.1', reconnect: FAST });
    await once(client, 'connect');
    const { id } = client;
    hold();
    client.reconnect();
    await eventually(() => asked() > 0, 'the client is being let in');
    sessions[0]?.invalidate();
    release();
    await once(client, 'connect');
    expect(client.id).not.toBe(id);
    expect(store.load(id)).toBeUndefined();
    expect(store.tombstone(id, Date.now())).toMatchObject({ code: 'NYOTA_SESSION_INVALIDATED' });
  });

  it('is over in the store when its server has closed', async () => {
    const store = new MemoryStore({ durable: true });
    const { held, hold, release } = holding(store, 'end');
    const { server, sessions, port } = await startServer({ store: held });
    const client = startClient({ port, host: '127.0.0.1', reconnect: false });
    await once(client, 'connect');
    hold();
    sessions[0]?.invalidate();
    let closed = false;
    const closing = server.close().then(() => {
      closed = true;
    });
    await turns();
    expect([closed, store.size]).toEqual([false, 1]);
    release();
    await closing;
    expect(store.size).toBe(0);
  });
});
