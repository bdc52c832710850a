/**
 * A session that expired before its client came back. The server still knows what it handled, so nothing is uncertain:
 * what was handled is not sent again, what was not goes along into the new session, and `gap` counts what was lost.
 */
import { describe, expect, it } from 'vitest';
import type { NyotaError, Session } from '../../../src/index.js';
import { at, collect, type FakePair, fakePair, watchSessions } from '../../support/delivery-pair.js';
import { codeOf, deferred } from '../../support/delivery-wait.js';

const WINDOW_MS = 60_000;

/** Cuts the link and keeps the client away until the session has expired. What `meanwhile` sends is never sent to it. */
async function expire({ client, session, clock, network }: FakePair, meanwhile: () => void = () => {}) {
  client.disconnect();
  await clock.advance(2_000);
  network.cut();
  await clock.advance(1);
  expect(session.state).toBe('detached');
  meanwhile();
  await clock.advance(WINDOW_MS);
  expect(session.state).toBe('dead');
}

/** What each session heard, from its first event on. */
function hearing() {
  const heard: number[][] = [];
  return { heard, onSession: (session: Session) => void heard.push(collect(session, 'event')) };
}

/** Sends over a link that loses everything from now on. */
async function sendIntoTheVoid({ network, clock }: FakePair, send: () => void) {
  network.dropLink();
  send();
  await clock.advance(10);
}

describe('a session that was not resumed within resumeWindowMs', () => {
  it('lives until then, to the millisecond, and expires with an event at the server', async () => {
    const { client, session, server, clock, network } = await fakePair({
      server: { resumeWindowMs: WINDOW_MS },
      client: { reconnect: false },
    });
    const told: string[] = [];
    session.on('expired', () => told.push('expired'));
    session.on('close', () => told.push('close'));
    network.cut();
    await clock.advance(WINDOW_MS - 1);
    expect([told, server.sessions.size]).toEqual([[], 1]);
    await clock.advance(1);
    expect([told, server.sessions.size]).toEqual([['expired', 'close'], 0]);
    expect(client.connected).toBe(false);
  });

  it('is resumed as if nothing had been by a client that comes back a moment before', async () => {
    const pair = await fakePair({ server: { resumeWindowMs: WINDOW_MS }, client: { reconnect: false } });
    const { client, session, clock, network } = pair;
    const seen = watchSessions(client);
    const heard = collect(session, 'event');
    network.cut();
    client.send('event', 1);
    await clock.advance(WINDOW_MS - 10);
    client.connect();
    await clock.advance(100);
    expect([heard, client.resumed, seen.gaps, seen.begun]).toEqual([[1], true, [], []]);
  });

  it('gives way to a new one: queued messages and the store go along, once, and there is no gap', async () => {
    const { heard, onSession } = hearing();
    const pair = await fakePair({ server: { resumeWindowMs: WINDOW_MS }, onSession });
    const { client, session, sessions, clock, errors } = pair;
    const seen = watchSessions(client);
    const oldId = client.id;
    client.set({ kept: 1, gone: 1 });
    session.set('from server', 2);
    client.send('event', 1);
    await clock.advance(100);
    const acks: unknown[] = [];
    await expire(pair, () => {
      client.send('event', 2, (error?: NyotaError) => acks.push(error?.code));
      client.delete('gone');
      client.set('later', 3);
      client.send('event', 3);
    });
    client.connect();
    await clock.advance(500);
    const second = at(sessions, 1);
    expect(heard).toEqual([[1], [2, 3]]);
    expect(seen.gaps).toEqual([]);
    expect(seen.begun).toEqual([{ id: client.id, reason: 'NYOTA_SESSION_EXPIRED' }]);
    expect(client.id).not.toBe(oldId);
    expect([client.resumed, second.id]).toEqual([false, client.id]);
    expect({ ...second.get() }).toEqual({ kept: 1, 'from server': 2, later: 3 });
    expect({ ...client.get() }).toEqual({ ...second.get() });
    expect([acks, errors]).toEqual([[undefined], []]);
    expect(client.get('sessionID')).toBe(client.id);
  });

  it('tells what was handled: that is not sent again, and what never arrived is', async () => {
    const { heard, onSession } = hearing();
    const options = { server: { resumeWindowMs: WINDOW_MS }, client: { reconnect: false } };
    const pair = await fakePair({ ...options, onSession });
    const { client, session, clock } = pair;
    const seen = watchSessions(client);
    const acks: unknown[] = [];
    // Handled, and the acknowledgement is lost on its way.
    client.send('event', 1, (error?: NyotaError) => acks.push([1, error?.code]));
    await clock.advance(1);
    pair.network.stall('down');
    client.send('event', 2, (error?: NyotaError) => acks.push([2, error?.code]));
    await clock.advance(100);
    expect(heard).toEqual([[1, 2]]);
    // Sent, and lost on its way.
    await sendIntoTheVoid(pair, () =>
      client.send('event', 3, (error?: NyotaError) => acks.push([3, error?.code])),
    );
    pair.network.cut();
    pair.network.heal();
    await clock.advance(1);
    client.send('event', 4, (error?: NyotaError) => acks.push([4, error?.code]));
    await clock.advance(WINDOW_MS);
    expect(session.state).toBe('dead');
    client.connect();
    await clock.advance(500);
    expect(heard).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(acks).toEqual([1, 2, 3, 4].map((number) => [number, undefined]));
    expect(seen.gaps).toEqual([]);
  });

  it('sends again what was held back by a paused session and never dispatched', async () => {
    const { heard, onSession } = hearing();
    const options = { server: { resumeWindowMs: WINDOW_MS }, client: { reconnect: false } };
    const { client, session, clock, network } = await fakePair({ ...options, onSession });
    client.send('event', 1);
    await clock.advance(100);
    session.pause();
    for (const number of [2, 3]) client.send('event', number);
    await clock.advance(100);
    network.cut();
    await clock.advance(WINDOW_MS + 1);
    client.connect();
    await clock.advance(500);
    session.resume();
    await clock.advance(500);
    expect(heard).toEqual([[1], [2, 3]]);
  });

  it("counts the server's messages that never came as lost", async () => {
    const pair = await fakePair({ server: { resumeWindowMs: WINDOW_MS }, client: { reconnect: false } });
    const { client, session, clock, network } = pair;
    const seen = watchSessions(client);
    const heard = collect(client, 'event');
    session.send('event', 1);
    await clock.advance(100);
    network.cut();
    await clock.advance(1);
    const acks: unknown[] = [];
    for (const number of [2, 3, 4])
      session.send('event', number, (error?: NyotaError) => acks.push(error?.code));
    await clock.advance(WINDOW_MS);
    expect(acks).toHaveLength(3);
    expect(acks).not.toContain(undefined);
    client.connect();
    await clock.advance(500);
    expect(heard).toEqual([1]);
    expect(seen.gaps).toEqual([{ uncertain: 0, lost: 3, reason: expect.anything() }]);
    expect(at(seen.gaps, 0).reason.code).toBe('NYOTA_SESSION_EXPIRED');
  });

  it('fails the request whose handler had it, and repeats the one that it never got', async () => {
    const work = deferred();
    const asked: number[] = [];
    const pair = await fakePair({
      server: { resumeWindowMs: WINDOW_MS, settleTimeoutMs: 10 * WINDOW_MS },
      client: { reconnect: false, requestTimeoutMs: 10 * WINDOW_MS },
      onSession: (session) => {
        session.handle('ask', async (number: number) => {
          asked.push(number);
          if (number === 1) await work.promise;
          return number;
        });
      },
    });
    const { client, clock, network } = pair;
    const codes = [codeOf(client.request('ask', 1))];
    await clock.advance(100);
    expect(asked).toEqual([1]);
    network.cut();
    await clock.advance(1);
    codes.push(codeOf(client.request('ask', 2)));
    await clock.advance(WINDOW_MS);
    client.connect();
    await clock.advance(500);
    expect(await Promise.all(codes)).toEqual(['NYOTA_SESSION_LOST', 'resolved']);
    expect(asked).toEqual([1, 2]);
    work.resolve();
    await clock.advance(500);
    expect(asked).toEqual([1, 2]);
  });

  it("aborts the signal of the handler that still runs, at the server's side", async () => {
    let signal: AbortSignal | undefined;
    const pair = await fakePair({
      server: { resumeWindowMs: WINDOW_MS },
      client: { reconnect: false, requestTimeoutMs: 10 * WINDOW_MS },
      onSession: (session) => {
        session.handle('ask', (context: { signal: AbortSignal }) => {
          signal = context.signal;
          return new Promise(() => {});
        });
      },
    });
    void codeOf(pair.client.request('ask'));
    await pair.clock.advance(100);
    pair.network.cut();
    await pair.clock.advance(100);
    expect(signal?.aborted).toBe(false);
    await pair.clock.advance(WINDOW_MS);
    expect(signal?.aborted).toBe(true);
  });
});
