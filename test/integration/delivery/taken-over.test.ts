/**
 * A server whose session another process has taken finds out at its next write. What it had taken in by then and could not
 * store is lost with it, and is never lost silently.
 */
import { describe, expect, it } from 'vitest';
import { MemoryStore, type NyotaError } from '../../../src/index.js';
import { startClient, startServer } from '../../support/delivery-pair.js';
import { once } from '../../support/delivery-wait.js';

async function taken() {
  const store = new MemoryStore({ durable: true });
  const { port, sessions } = await startServer({ store });
  const client = startClient({ port, host: '127.0.0.1' });
  await once(client, 'connect');
  const [session] = sessions;
  if (session === undefined) throw new Error('no session');
  const errors: NyotaError[] = [];
  session.on('error', (error) => errors.push(error));
  await session.store.synced();
  const { fence = 0 } = store.load(session.id) ?? {};
  store.attach(session.id, fence, Date.now());
  return { session, client, errors };
}

describe('a session that another process has taken', () => {
  it('reports what it had taken in and could not store, and closes', async () => {
    const { session, client, errors } = await taken();
    const closed = once(session, 'close');
    const ended = once<[NyotaError]>(client, 'disconnect');
    session.send('never', 'stored');
    await closed;
    expect(errors).toMatchObject([{ code: 'NYOTA_TAKEN_OVER' }]);
    expect(errors[0]?.message).toContain('were not stored');
    expect((await ended)[0]).toMatchObject({ code: 'NYOTA_TAKEN_OVER' });
    expect(() => session.send('more')).toThrow(expect.objectContaining({ code: 'NYOTA_CLOSED' }));
  });

  it('closes without an error where nothing is lost with it', async () => {
    const { session, client, errors } = await taken();
    const closed = once(session, 'close');
    client.send('handled twice, then, and flagged');
    await closed;
    expect(errors).toEqual([]);
  });
});
