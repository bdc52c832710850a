/** How long a session waits for its client, to the millisecond (docs/design.md, rule 6), and what it tells its store of that. */
import { describe, expect, it } from 'vitest';
import { MemoryStore, type Session } from '../../../src/index.js';
import { ServerSessions } from '../../support/server-sessions.js';
import { turns } from '../../support/session-connection.js';

const WINDOW_MS = 5_000;

/** A session whose client went away at 1 s, `awayMs` ago. */
async function away(awayMs: number, durable = false) {
  const store = new MemoryStore({ durable });
  const server = new ServerSessions({ store, resumeWindowMs: WINDOW_MS });
  const { far } = await server.ask();
  const session = server.only;
  const told: string[] = [];
  session.on('disconnect', () => told.push('disconnect'));
  session.on('expired', () => told.push('expired'));
  session.on('close', () => told.push('close'));
  await server.clock.advance(1_000);
  far.destroy();
  await turns();
  await server.clock.advance(awayMs);
  return { server, session, store, told };
}

describe('a session whose client is away', () => {
  it('expires at the end of its window, and not before', async () => {
    const { server, session, store, told } = await away(WINDOW_MS - 1);
    expect([session.state, told]).toEqual(['detached', ['disconnect']]);
    await server.clock.advance(1);
    expect([session.state, told]).toEqual(['dead', ['disconnect', 'expired', 'close']]);
    expect([server.sessions.held.size, server.sessions.counts.sessionsExpired]).toEqual([0, 1]);
    expect(store.tombstone(session.id, server.clock.now())).toMatchObject({
      code: 'NYOTA_SESSION_EXPIRED',
      exact: true,
    });
    expect(server.clock.pendingTimers).toBe(0);
  });

  it('lives on where its client comes back, and waits for the whole window again', async () => {
    const { server, session, told } = await away(WINDOW_MS - 1);
    const { far, refused } = await server.ask({ resume: true, attempt: 2 });
    await server.clock.advance(2 * WINDOW_MS);
    expect([refused, session.state]).toEqual([undefined, 'attached']);
    far.destroy();
    await turns();
    await server.clock.advance(WINDOW_MS - 1);
    expect(session.state).toBe('detached');
    await server.clock.advance(1);
    expect(told).toEqual(['disconnect', 'disconnect', 'expired', 'close']);
  });

  it('does not wait any more once it is over', async () => {
    const { server, session, told } = await away(1_000);
    session.destroy();
    await server.clock.advance(2 * WINDOW_MS);
    expect([told, server.sessions.counts.sessionsExpired]).toEqual([['disconnect', 'close'], 0]);
  });

  it('waits for nobody where another connection has taken the place of the one that ends', async () => {
    const server = new ServerSessions({ resumeWindowMs: WINDOW_MS });
    const { far } = await server.ask();
    await server.ask({ resume: true, attempt: 2 });
    far.destroy();
    await server.clock.advance(2 * WINDOW_MS);
    expect(server.only.state).toBe('attached');
  });

  it('waits as long for a client that was gone before its session began', async () => {
    const server = new ServerSessions({ resumeWindowMs: WINDOW_MS });
    const { connection } = server.dial();
    connection.destroy();
    expect(await server.askOn(connection)).toBeUndefined();
    expect(server.only.state).toBe('detached');
    await server.clock.advance(WINDOW_MS - 1);
    expect(server.sessions.held.size).toBe(1);
    await server.clock.advance(1);
    expect([server.sessions.held.size, server.sessions.counts.sessionsExpired]).toEqual([0, 1]);
  });
});

describe('a durable store', () => {
  it('knows since when the client is away, and that it is back', async () => {
    const { server, session, store } = await away(2_000, true);
    expect(store.load(session.id)?.detachedAt).toBe(1_000);
    await server.ask({ resume: true, attempt: 2 });
    expect(store.load(session.id)?.detachedAt).toBeNull();
  });

  it('knows of a client that was gone before its session began', async () => {
    const store = new MemoryStore({ durable: true });
    const server = new ServerSessions({ store, resumeWindowMs: WINDOW_MS });
    await server.clock.advance(700);
    const { connection } = server.dial();
    connection.destroy();
    await server.askOn(connection);
    await turns();
    expect([server.only.state, store.load(server.only.id)?.detachedAt]).toEqual(['detached', 700]);
  });

  it('keeps the session when its server closes or is destroyed', async () => {
    for (const end of ['close', 'destroy'] as const) {
      const store = new MemoryStore({ durable: true });
      const server = new ServerSessions({ store, resumeWindowMs: WINDOW_MS });
      await server.ask();
      const session = server.only;
      await server.clock.advance(300);
      if (end === 'destroy') server.sessions.destroy();
      else {
        const closed = server.close();
        await server.clock.advance(2_000);
        await closed;
      }
      expect([session.state, server.sessions.held.size]).toEqual(['dead', 0]);
      // Only a graceful end tells since when the client has been away; after an abrupt one the store finds it out.
      expect(store.load(session.id)?.detachedAt).toBe(end === 'close' ? 300 : null);
    }
  });

  it('forgets what its user ends, and remembers why', async () => {
    for (const [end, code] of [
      [(session: Session) => session.destroy(), 'NYOTA_SESSION_CLOSED'],
      [(session: Session) => session.invalidate(), 'NYOTA_SESSION_INVALIDATED'],
    ] as const) {
      const store = new MemoryStore({ durable: true });
      const server = new ServerSessions({ store });
      await server.ask();
      const session = server.only;
      end(session);
      await turns();
      expect([store.load(session.id), store.tombstone(session.id, 0)]).toMatchObject([undefined, { code }]);
    }
  });
});
