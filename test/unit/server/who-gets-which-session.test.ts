/** Who gets which session, and who none (docs/design.md, rules 4 to 6, 15, 27, 67 and 68): `Sessions` without a server. */
import { describe, expect, it } from 'vitest';
import { encodePayload } from '../../../src/codec/payload.js';
import { MemoryStore, type SessionBatch, type SessionStore } from '../../../src/index.js';
import { readLimits } from '../../../src/options.js';
import { sessionId } from '../../../src/peer/credentials.js';
import { deferred } from '../../support/deferred.js';
import { openMessage, SECRET, ServerSessions, VERIFIER } from '../../support/server-sessions.js';
import { turns } from '../../support/session-connection.js';

const ID = sessionId(SECRET);
const DAY_MS = 24 * 60 * 60 * 1000;
const NO_NUMBERS = { received: undefined, sent: undefined };

/** A store in which a process that is gone has left the session. */
function left(batch: SessionBatch = {}, { credential = VERIFIER, identity = null as unknown } = {}) {
  const store = new MemoryStore({ durable: true });
  const bytes = Buffer.from(encodePayload(identity, readLimits({}), 'identity'));
  const record = { id: ID, credential, identity: bytes, resumeWindowMs: 10_000 };
  const fence = store.create(record, 0, 5);
  store.commit(ID, fence, { detachedAt: 0, ...batch });
  return { store, fence };
}

/** The same store with one of its calls changed. */
function changed(store: MemoryStore, change: Partial<SessionStore>): SessionStore {
  return {
    durable: store.durable,
    create: (...args) => store.create(...args),
    load: (id) => store.load(id),
    attach: (...args) => store.attach(...args),
    commit: (...args) => store.commit(...args),
    end: (...args) => store.end(...args),
    tombstone: (id, now) => store.tombstone(id, now),
    sweep: (now) => store.sweep(now),
    close: () => {},
    ...change,
  };
}

describe('a client without a session', () => {
  it('begins one, whose id follows from its secret', async () => {
    const server = new ServerSessions();
    expect((await server.ask()).refused).toBeUndefined();
    expect([server.only.id, server.only.state, server.begun.map(({ resumed }) => resumed)]).toEqual([
      ID,
      'attached',
      [false],
    ]);
    expect(server.sessions.counts).toEqual({ sessionsStarted: 1, sessionsResumed: 0, sessionsExpired: 0 });
  });

  it('begins none above maxSessions, nor while the server closes', async () => {
    const server = new ServerSessions({ maxSessions: 1 });
    await server.ask();
    const other = { secret: Buffer.alloc(32, 8) };
    const full = { code: 'NYOTA_TOO_MANY_SESSIONS', ...NO_NUMBERS };
    expect((await server.ask(other)).refused).toMatchObject(full);
    server.sessions.destroy();
    expect((await server.ask(other)).refused).toMatchObject({ code: 'NYOTA_SERVER_CLOSING' });
    expect(server.begun).toHaveLength(1);
  });

  it('begins one only, however many of its connections ask at once', async () => {
    const store = new MemoryStore({ durable: true });
    const gate = deferred();
    const slow = changed(store, {
      create: async (...args) => {
        await gate.promise;
        return store.create(...args);
      },
    });
    const server = new ServerSessions({ store: slow });
    const all = [server.ask({ attempt: 1 }), server.ask({ attempt: 2 }), server.ask({ attempt: 3 })];
    await turns(2);
    gate.resolve();
    expect((await Promise.all(all)).map(({ refused }) => refused)).toEqual([undefined, undefined, undefined]);
    expect([server.begun.length, server.sessions.counts.sessionsResumed]).toEqual([1, 2]);
  });

  it('may ask again after an attempt that failed at the store', async () => {
    const store = new MemoryStore({ durable: true });
    let broken = true;
    const server = new ServerSessions({
      store: changed(store, {
        create: (...args) => {
          if (broken) throw new Error('the disk is gone');
          return store.create(...args);
        },
      }),
    });
    const { connection } = server.dial();
    await expect(server.sessions.admit(connection, openMessage(), undefined)).rejects.toThrow('the disk');
    broken = false;
    expect((await server.ask()).refused).toBeUndefined();
  });

  it('is not kept out by an attempt before it that fails while it waits', async () => {
    const store = new MemoryStore({ durable: true });
    const gate = deferred();
    let calls = 0;
    const server = new ServerSessions({
      store: changed(store, {
        create: async (...args) => {
          await gate.promise;
          if (++calls === 1) throw new Error('the disk is gone');
          return store.create(...args);
        },
      }),
    });
    const failing = server.sessions.admit(server.dial().connection, openMessage(), undefined);
    const waiting = server.ask({ attempt: 2 });
    gate.resolve();
    await expect(failing).rejects.toThrow('the disk');
    expect((await waiting).refused).toBeUndefined();
  });

  it('is refused where what authenticate returned can not be kept', async () => {
    const server = new ServerSessions({ store: new MemoryStore({ durable: true }) });
    expect((await server.ask({}, () => {})).refused).toMatchObject({ code: 'NYOTA_STORE_FAILED' });
    expect(server.sessions.held.size).toBe(0);
  });
});

describe('a client that comes back to a session that is held here', () => {
  it('resumes it', async () => {
    const server = new ServerSessions();
    const first = await server.ask();
    first.far.destroy();
    await turns();
    expect(server.only.state).toBe('detached');
    expect((await server.ask({ resume: true, attempt: 2 })).refused).toBeUndefined();
    expect([server.only.state, server.only.resumed, server.begun.length]).toEqual(['attached', true, 1]);
    expect(server.sessions.counts.sessionsResumed).toBe(1);
  });

  it('is refused as another identity, and the session stays whose it was', async () => {
    const server = new ServerSessions();
    const { connection } = await server.ask({}, { user: 'first' });
    const { refused } = await server.ask({ resume: true, attempt: 2 }, { user: 'second' });
    expect(refused).toMatchObject({ code: 'NYOTA_UNAUTHORIZED', ...NO_NUMBERS });
    expect([connection.open, server.only.connected]).toEqual([true, true]);
    expect((await server.ask({ resume: true, attempt: 2 }, { user: 'first' })).refused).toBeUndefined();
  });

  it('is refused where a later attempt of its own is in; the same one may come again', async () => {
    const server = new ServerSessions();
    const { connection } = await server.ask({ attempt: 7 });
    const late = { code: 'NYOTA_TAKEN_OVER', retry: 'never' };
    expect((await server.ask({ resume: true, attempt: 6 })).refused).toMatchObject(late);
    expect(connection.open).toBe(true);
    expect((await server.ask({ resume: true, attempt: 7 })).refused).toBeUndefined();
    expect((await server.ask({ resume: true, attempt: 9 })).refused).toBeUndefined();
    expect((await server.ask({ resume: true, attempt: 8 })).refused).toMatchObject(late);
  });

  it('may do so while the server closes, until its session is finished', async () => {
    const server = new ServerSessions({ drainTimeoutMs: 5_000 });
    await server.ask();
    server.only.send('keeps the session from being finished');
    void server.close();
    expect((await server.ask({ resume: true, attempt: 2 })).refused).toBeUndefined();
    await server.clock.advance(6_000);
    expect((await server.ask({ resume: true, attempt: 3 })).refused).toMatchObject({
      code: 'NYOTA_SERVER_CLOSING',
      retry: 'new-session',
    });
  });

  it('whose numbers can not be true ends it, and is told what was dispatched', async () => {
    const server = new ServerSessions();
    await server.ask();
    const { refused } = await server.ask({ resume: true, received: 5, attempt: 2 });
    expect(refused).toEqual({ code: 'NYOTA_DIVERGED', retry: 'new-session', received: 0, sent: 0 });
    expect(server.sessions.held.size).toBe(0);
  });

  it('keeps the connection that it has where the new one is gone by then', async () => {
    const server = new ServerSessions();
    await server.ask();
    const { connection } = server.dial();
    connection.destroy();
    await server.askOn(connection, { resume: true, attempt: 2 });
    expect(server.only.state).toBe('attached');
  });

  it('ends the connection that it had before, and the session hears why', async () => {
    const server = new ServerSessions();
    const first = await server.ask();
    const gone: unknown[] = [];
    server.only.on('disconnect', (error) => gone.push(error?.code));
    await server.ask({ resume: true, attempt: 2 });
    expect([first.connection.open, gone, server.only.connected]).toEqual([false, ['NYOTA_TAKEN_OVER'], true]);
  });
});

describe('a client whose session is in the store', () => {
  it('resumes it as the process before left it', async () => {
    const { store } = left({ inbound: { settled: 4, beyond: [] } });
    const server = new ServerSessions({ store });
    await server.clock.advance(9_999);
    expect((await server.ask({ resume: true, attempt: 6, sent: 4 })).refused).toBeUndefined();
    expect([server.begun.map(({ resumed }) => resumed), server.only.id]).toEqual([[true], ID]);
    expect(store.load(ID)).toMatchObject({ attempt: 6, detachedAt: null });
  });

  it('has it as it was when nobody could change it any more, not as it was when it asked', async () => {
    const { store, fence } = left();
    const server = new ServerSessions({
      store: changed(store, {
        attach: (id, held, now, attempt) => {
          // The last step of the process before, right before it loses the session.
          if (held === fence) store.commit(ID, fence, { inbound: { settled: 9, beyond: [] } });
          return store.attach(id, held, now, attempt);
        },
      }),
    });
    await server.ask({ resume: true, attempt: 6, sent: 9 });
    const { refused } = await server.ask({ resume: true, attempt: 7, received: 1 });
    expect(refused).toMatchObject({ code: 'NYOTA_DIVERGED', received: 9 });
  });

  it('is asked to come again where another process takes it at the same time', async () => {
    const { store } = left();
    for (const attach of [
      () => undefined,
      (id: string, held: number, now: number) => {
        const raised = store.attach(id, held, now);
        if (raised !== undefined) store.attach(id, raised, now);
        return raised;
      },
    ]) {
      const server = new ServerSessions({ store: changed(store, { attach }) });
      const { refused } = await server.ask({ resume: true, attempt: 6 });
      expect(refused).toMatchObject({ code: 'NYOTA_SERVER_BUSY', retry: 'backoff' });
      expect(server.sessions.held.size).toBe(0);
    }
  });

  it('is refused with another secret, as another identity, or with an attempt from before', async () => {
    const secret = left({}, { credential: Buffer.alloc(32) });
    const identity = left({}, { identity: { user: 'first' } });
    const attempt = left();
    const ask = async (store: MemoryStore, number: number): Promise<string | undefined> =>
      (await new ServerSessions({ store }).ask({ resume: true, attempt: number })).refused?.code;
    expect(await ask(secret.store, 6)).toBe('NYOTA_UNAUTHORIZED');
    expect(await ask(identity.store, 6)).toBe('NYOTA_UNAUTHORIZED');
    expect(await ask(attempt.store, 4)).toBe('NYOTA_TAKEN_OVER');
    for (const { store, fence } of [secret, identity, attempt]) expect(store.load(ID)?.fence).toBe(fence);
    expect(await ask(attempt.store, 5)).toBeUndefined();
  });

  it('does not get it from a server that closes: the next process goes on with it', async () => {
    const { store, fence } = left();
    const server = new ServerSessions({ store });
    server.sessions.destroy();
    const { refused } = await server.ask({ resume: true, attempt: 6 });
    expect([refused?.code, store.load(ID)?.fence]).toEqual(['NYOTA_SERVER_CLOSING', fence]);
  });

  it('is told that it is over once its window has passed, and no more of it than is known', async () => {
    const { store } = left({ inbound: { settled: 4, beyond: [[6, 7]] }, lastSeq: 3 });
    const server = new ServerSessions({ store });
    await server.clock.advance(10_000);
    const { refused } = await server.ask({ resume: true, attempt: 6 });
    // What lay beyond the settled may have been dispatched by the process that is gone.
    expect(refused).toEqual({
      code: 'NYOTA_SESSION_EXPIRED',
      retry: 'new-session',
      received: undefined,
      sent: 3,
    });
    expect([store.load(ID), server.sessions.counts.sessionsExpired]).toEqual([undefined, 1]);
    expect(store.tombstone(ID, 10_000)).toMatchObject({
      code: 'NYOTA_SESSION_EXPIRED',
      received: 4,
      sent: 3,
    });
  });
});

describe('a session that another process has taken meanwhile', () => {
  it('is let go of here, and taken over again from the store', async () => {
    const store = new MemoryStore({ durable: true });
    const server = new ServerSessions({ store });
    const first = await server.ask();
    const before = server.only;
    await turns();
    store.attach(ID, store.load(ID)?.fence ?? 0, 0);
    expect((await server.ask({ resume: true, attempt: 2 })).refused).toBeUndefined();
    expect([before.state, first.connection.open, server.begun.length]).toEqual(['dead', false, 2]);
    expect([server.only === before, server.only.state]).toEqual([false, 'attached']);
  });
});

describe('a client whose session is over', () => {
  it('is told what was dispatched of it, for a day, and that nobody knows it after that', async () => {
    const server = new ServerSessions();
    await server.ask();
    server.only.send('one');
    server.only.destroy();
    await turns();
    const over = { code: 'NYOTA_SESSION_CLOSED', retry: 'new-session', received: 0, sent: 1 };
    expect((await server.ask({ resume: true })).refused).toEqual(over);
    await server.clock.advance(DAY_MS - 1);
    expect((await server.ask({ resume: true })).refused).toEqual(over);
    await server.clock.advance(1);
    expect((await server.ask({ resume: true })).refused).toEqual({
      code: 'NYOTA_SESSION_UNKNOWN',
      retry: 'new-session',
      ...NO_NUMBERS,
    });
  });

  it('may begin it anew with the same secret', async () => {
    const server = new ServerSessions();
    await server.ask();
    server.only.destroy();
    await turns();
    expect((await server.ask()).refused).toBeUndefined();
    expect(server.only.state).toBe('attached');
  });

  it('hears nothing where it is gone by the time that the store has answered', async () => {
    const server = new ServerSessions();
    const { connection } = server.dial();
    const asked = server.askOn(connection, { resume: true });
    connection.destroy();
    expect(await asked).toBeUndefined();
  });
});

describe('onSession', () => {
  it('that throws or rejects is told at the server, and the session goes on', async () => {
    const bug = new Error('a bug');
    for (const fails of [
      () => {
        throw bug;
      },
      () => Promise.reject(bug),
    ]) {
      const server = new ServerSessions({}, fails as () => void);
      expect((await server.ask()).refused).toBeUndefined();
      await turns();
      expect(server.errors.map(({ code, cause }) => [code, cause])).toEqual([['NYOTA_LISTENER_FAILED', bug]]);
      expect(server.only.connected).toBe(true);
    }
  });

  it('may end the session at once: its client is told to begin another', async () => {
    const server = new ServerSessions({}, (session) => session.destroy());
    const { refused } = await server.ask();
    expect(refused).toMatchObject({ code: 'NYOTA_SESSION_CLOSED', retry: 'new-session' });
    expect(server.sessions.held.size).toBe(0);
  });
});
