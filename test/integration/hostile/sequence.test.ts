/**
 * Numbers that lie: acks of what was never sent, replays, gaps, and two connections for one session.
 */
import { describe, expect, it } from 'vitest';
import { FrameType } from '../../support/frame-type.js';
import { useStage } from '../../support/hostile-arena.js';
import { ack, event, frame, open, type RawPeer, request } from '../../support/raw-peer.js';

const SECRET = Buffer.alloc(32, 11);

const stage = useStage();

describe('a server', () => {
  for (const [name, bytes] of [
    ['an empty ack', ack(1)],
    ['an ack of 2^48 - 1', ack(2 ** 48 - 1)],
    ['an ack beside a ping', frame(FrameType.PING, { ack: 1 }, Buffer.from('9201c2', 'hex'))],
    [
      'an ack beside an event',
      frame(FrameType.EVENT, { seq: 1, ack: 1 }, Buffer.from('92a46576696c90', 'hex')),
    ],
  ] as const) {
    it(`ends a session whose client acknowledges what was never sent, by ${name}`, async () => {
      const arena = await stage.arena();
      const peer = await arena.peer();
      const { sessionId } = await peer.open();
      peer.write(bytes, event(2, 'behind'));
      await arena.disconnectedWith(sessionId, 'NYOTA_DIVERGED');
      expect(await peer.lastWords()).toMatchObject({ code: 'NYOTA_DIVERGED', retry: 'new-session' });
      await arena.nothingCameOfIt();
    });
  }

  it('begins one session for two connections that open it at the same moment', async () => {
    const waiting: Array<(identity: string) => void> = [];
    let opened = 0;
    const arena = await stage.arena({
      authenticate: (credentials) =>
        credentials === 'twice' ? new Promise<string>((resolve) => waiting.push(resolve)) : 'witness',
    });
    arena.server.on('session', () => opened++);
    const before = arena.server.sessions.size;
    const peers = [await arena.peer(), await arena.peer()];
    for (const peer of peers) peer.preamble().write(open({ secret: SECRET, auth: 'twice' }));
    while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
    for (const answer of waiting) answer('client');
    const newest = await (peers[1] as RawPeer).next(FrameType.WELCOME);
    expect(newest.type).toBe(FrameType.WELCOME);
    expect(await (peers[0] as RawPeer).lastWords()).toMatchObject({ code: 'NYOTA_TAKEN_OVER' });
    expect(arena.server.sessions.size).toBe(before + 1);
    expect(opened).toBe(1);
    await arena.unharmed();
  });

  it('ends a session whose client claims to have received more than was sent, or less than it acknowledged', async () => {
    for (const received of [5, 0]) {
      const arena = await stage.arena();
      const peer = await arena.peer();
      const { sessionId } = await peer.open({ secret: SECRET });
      arena.session(sessionId).send('one');
      await peer.next(FrameType.EVENT);
      peer.write(ack(1), event(1, 'acked'));
      await arena.dispatched.next();
      const back = await arena.peer();
      back.preamble().write(open({ secret: SECRET, resume: true, received }), event(2, 'diverged'));
      const words = await back.lastWords();
      expect(words).toMatchObject({ code: 'NYOTA_DIVERGED', retry: 'new-session' });
      await arena.refusedWith('NYOTA_DIVERGED');
      expect(arena.server.sessions.has(sessionId)).toBe(false);
      expect(arena.dispatched.all).toEqual([['acked']]);
      await arena.unharmed();
    }
  });

  it('drops a frame that comes again, and acknowledges it again', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    peer.write(event(1, 'once'), event(2, 'twice'));
    await peer.next(FrameType.ACK, ({ ack: upTo }) => upTo === 2);
    for (const seq of [1, 2, 0]) {
      peer.write(event(seq, 'replayed'));
      await peer.next(FrameType.ACK, ({ ack: upTo }) => upTo === 2);
    }
    peer.write(event(3, 'new'));
    await peer.next(FrameType.ACK, ({ ack: upTo }) => upTo === 3);
    expect(arena.dispatched.all).toEqual([['once'], ['twice'], ['new']]);
    expect(arena.session(sessionId).stats().duplicatesDropped).toBe(3);
    await arena.unharmed();
  });

  it('does not run a request again that comes again', async () => {
    let runs = 0;
    const arena = await stage.arena({ onSession: (session) => session.handle('count', () => ++runs) });
    const peer = await arena.peer();
    await peer.open();
    peer.write(
      request(1, 1, 'count'),
      request(1, 1, 'count'),
      request(1, 2, 'count'),
      request(2, 3, 'count'),
    );
    expect((await peer.next(FrameType.REPLY)).body).toEqual([1, true, 1]);
    expect((await peer.next(FrameType.REPLY)).body).toEqual([3, true, 2]);
    expect(runs).toBe(2);
    await arena.unharmed();
  });

  it('closes on a gap, and takes up where it was when the client comes back', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    const { sessionId } = await peer.open({ secret: SECRET });
    peer.write(event(1, 'one'), event(3, 'three'), event(2, 'two'));
    await arena.disconnectedWith(sessionId, 'NYOTA_SEQUENCE_GAP');
    expect(await peer.lastWords()).toMatchObject({ code: 'NYOTA_SEQUENCE_GAP', retry: 'backoff' });
    const again = await arena.peer();
    expect(await again.open({ secret: SECRET, resume: true })).toMatchObject({ received: 1, resumed: true });
    again.write(event(2, 'two'), event(3, 'three'));
    await again.next(FrameType.ACK, ({ ack: upTo }) => upTo === 3);
    expect(arena.dispatched.all).toEqual([['one'], ['two'], ['three']]);
    await arena.unharmed();
  });
});

describe('a second connection for the same session', () => {
  it('wins: the old one is told so and nothing is lost or doubled in either direction', async () => {
    const arena = await stage.arena();
    const old = await arena.peer();
    const { sessionId } = await old.open({ secret: SECRET });
    const session = arena.session(sessionId);
    session.send('to-client', 1);
    await old.next(FrameType.EVENT);
    session.send('to-client', 2);
    old.write(event(1, 'to-server', 1));
    await arena.dispatched.next();
    const young = await arena.peer();
    const back = await young.open({ secret: SECRET, resume: true, received: 1 });
    expect(back).toMatchObject({ sessionId, resumed: true, received: 1 });
    expect(await old.lastWords()).toMatchObject({ code: 'NYOTA_TAKEN_OVER', retry: 'never' });
    await arena.disconnectedWith(sessionId, 'NYOTA_TAKEN_OVER');
    // What the loser still says counts for nothing.
    old.write(event(2, 'to-server', 'stale'), ack(2));
    young.write(event(1, 'to-server', 1), event(2, 'to-server', 2));
    expect(await young.next(FrameType.EVENT)).toMatchObject({ seq: 2, body: ['to-client', [2]] });
    await young.next(FrameType.ACK, ({ ack: upTo }) => upTo === 2);
    await old.closed();
    expect(arena.dispatched.all).toEqual([
      ['to-server', 1],
      ['to-server', 2],
    ]);
    expect(session.connected).toBe(true);
    expect(session.bufferedBytes).toBeGreaterThan(0);
    young.write(ack(2), event(3, 'to-server', 3));
    await arena.dispatched.next(([, n]) => n === 3);
    expect(session.bufferedBytes).toBe(0);
    await arena.unharmed();
  });

  it('without the mark that it resumes (its WELCOME was lost) finds the same session', async () => {
    const arena = await stage.arena();
    const old = await arena.peer();
    const { sessionId } = await old.open({ secret: SECRET });
    const young = await arena.peer();
    expect(await young.open({ secret: SECRET })).toMatchObject({ sessionId, resumed: true, received: 0 });
    expect((await old.lastWords()).code).toBe('NYOTA_TAKEN_OVER');
    expect(arena.server.sessions.size).toBe(2);
    await arena.unharmed();
  });

  it('leaves the losing client stopped: it says so, and does not come back by itself', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    const code = 'NYOTA_TAKEN_OVER';
    peer.write(
      frame(
        FrameType.CLOSE,
        {},
        Buffer.concat([
          Buffer.from([0x94, 0xa0 + code.length]),
          Buffer.from(code),
          Buffer.from('a0a56e65766572c0', 'hex'),
        ]),
      ),
    );
    await patient.hears('disconnect', code);
    await patient.hears('error', code);
    expect(patient.client.state).toBe('idle');
    expect(raw.dialled).toBe(1);
  });
});

describe('a client', () => {
  it('takes a server that acknowledges what was never sent for another: a new session, and a gap', async () => {
    const { raw, patient } = await stage.patient();
    const { peer, open: first } = await raw.welcomed();
    await patient.hears('connect');
    patient.client.send('sent');
    await peer.next(FrameType.EVENT);
    peer.write(ack(2));
    expect((await peer.lastWords()).code).toBe('NYOTA_DIVERGED');
    expect(await patient.hears('gap', 'NYOTA_DIVERGED')).toMatchObject({ info: { uncertain: 1 } });
    const { open: second } = await raw.welcomed();
    expect(second.resume).toBe(false);
    expect(second.secret).not.toEqual(first.secret);
    await patient.hears('session', 'NYOTA_DIVERGED');
  });

  it('drops a frame that comes again, and acknowledges it again', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.welcomed();
    peer.write(event(1, 'once'));
    await peer.next(FrameType.ACK, ({ ack: upTo }) => upTo === 1);
    peer.write(event(1, 'again'));
    await peer.next(FrameType.ACK, ({ ack: upTo }) => upTo === 1);
    expect(patient.dispatched).toEqual([['once']]);
    expect(patient.client.stats().duplicatesDropped).toBe(1);
  });

  it('closes on a gap, and asks for what it missed', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.welcomed();
    peer.write(event(1, 'one'), event(3, 'three'));
    await patient.hears('disconnect', 'NYOTA_SEQUENCE_GAP');
    const { peer: again, open: opened } = await raw.welcomed();
    expect(opened).toMatchObject({ resume: true, received: 1 });
    again.write(event(2, 'two'), event(3, 'three'));
    await again.next(FrameType.ACK, ({ ack: upTo }) => upTo === 3);
    expect(patient.dispatched).toEqual([['one'], ['two'], ['three']]);
  });
});
