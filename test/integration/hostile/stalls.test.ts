/**
 * Peers that stop in the middle: of a frame, of reading, of living. Found by a deadline, told by a code.
 */
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../src/testing/index.js';
import { FrameType } from '../../support/frame-type.js';
import { useStage } from '../../support/hostile-arena.js';
import { ack, body, event, frame } from '../../support/raw-peer.js';

const MIB = 1024 * 1024;

const stage = useStage();

describe('a frame that stays partial', () => {
  const partial = event(1, 'partial', 'x'.repeat(200));

  for (const cut of [1, 4, 6, 50]) {
    it(`after ${cut} bytes is closed at stallTimeoutMs by a server`, async () => {
      const clock = createFakeClock();
      // Pings are far away: it is not silence that ends it.
      const arena = await stage.arena({ clock, stallTimeoutMs: 5_000, pingIntervalMs: 100_000 });
      const peer = await arena.peer();
      const { sessionId } = await peer.open();
      const session = arena.session(sessionId);
      const before = session.stats().bytesReceived;
      peer.write(partial.subarray(0, cut));
      while (session.stats().bytesReceived === before) await arena.unharmed();
      await arena.advance(clock, 4_900, 700);
      expect(session.connected).toBe(true);
      await arena.advance(clock, 200);
      await arena.disconnectedWith(sessionId, 'NYOTA_STALLED');
      await peer.closed();
      await arena.unharmed();
      arena.nothingDone();
    });
  }

  it('is closed at stallTimeoutMs however steadily a byte of it comes', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock, stallTimeoutMs: 5_000, pingIntervalMs: 100_000 });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    const session = arena.session(sessionId);
    for (let i = 0; i < 60 && session.connected; i++) {
      const before = session.stats().bytesReceived;
      peer.write(partial.subarray(i, i + 1));
      while (session.connected && session.stats().bytesReceived === before) await arena.unharmed();
      await arena.advance(clock, 100);
    }
    await arena.disconnectedWith(sessionId, 'NYOTA_STALLED');
    await arena.unharmed();
    arena.nothingDone();
  });

  it('is no stall of the peer while this side itself does not read', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock, stallTimeoutMs: 5_000, pingIntervalMs: 100_000 });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    const session = arena.session(sessionId);
    const before = session.stats().bytesReceived;
    peer.write(partial.subarray(0, 50));
    while (session.stats().bytesReceived === before) await arena.unharmed();
    session.pause();
    await arena.advance(clock, 20_000);
    expect(session.connected).toBe(true);
    session.resume();
    peer.write(partial.subarray(50));
    expect((await arena.dispatched.next())[0]).toBe('partial');
  });

  it('is closed at stallTimeoutMs by a client, which comes back', async () => {
    const clock = createFakeClock();
    const { raw, patient } = await stage.patient({ clock, stallTimeoutMs: 5_000, pingIntervalMs: 100_000 });
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    const before = patient.client.stats().bytesReceived;
    peer.write(partial.subarray(0, 50));
    while (patient.client.stats().bytesReceived === before) await clock.advance(0);
    await clock.advance(5_100);
    await patient.hears('disconnect', 'NYOTA_STALLED');
    expect(patient.dispatched).toEqual([]);
  });
});

describe('a peer that never reads', () => {
  it('is closed at stallTimeoutMs, holds bounded memory until then, and others are served meanwhile', async () => {
    const arena = await stage.arena({ stallTimeoutMs: 400, maxOutboxBytes: 12 * MIB });
    const { server, witness } = arena;
    let heard = 0;
    witness.on('news', () => heard++);
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    const session = arena.session(sessionId);
    peer.socket.pause();
    const news = 'x'.repeat(64 * 1024);
    let sent = 0;
    while (session.connected) {
      for (let i = 0; i < 8; i++, sent++) server.send('news', news);
      await arena.unharmed();
      expect(session.bufferedBytes).toBeLessThanOrEqual(12 * MIB);
      expect(session.socket?.writableLength ?? 0).toBeLessThan(MIB);
    }
    await arena.disconnectedWith(sessionId, 'NYOTA_STALLED');
    await arena.unharmed();
    expect(heard).toBe(sent);
    // Its session is bounded too, and says so where it had no room.
    const codes = arena.happenings.all.filter(({ what }) => what === 'error').map(({ code }) => code);
    expect(new Set(codes).size).toBeLessThanOrEqual(1);
    for (const code of codes) expect(code).toBe('NYOTA_OUTBOX_FULL');
    arena.nothingDone();
  });

  it('and says that it has paused is not taken for dead, and holds bounded memory', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({
      clock,
      stallTimeoutMs: 5_000,
      pingIntervalMs: 100_000,
      maxOutboxBytes: 12 * MIB,
    });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    const session = arena.session(sessionId);
    peer.write(frame(FrameType.PING, {}, body(77, true)));
    await peer.next(FrameType.PONG);
    peer.socket.pause();
    const fill = (): void => {
      for (;;) session.send('news', 'x'.repeat(64 * 1024));
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'NYOTA_OUTBOX_FULL' }));
    await arena.advance(clock, 20_000);
    expect(session.connected).toBe(true);
    expect(session.bufferedBytes).toBeLessThanOrEqual(12 * MIB);
    peer.socket.resume();
    const { seq } = await peer.next(FrameType.EVENT, ({ seq: arrived }) => arrived >= 100);
    peer.write(ack(seq));
    await arena.unharmed();
  });

  it('as a server: the client keeps a bounded outbox, says STALLED, and dials again', async () => {
    const { raw, patient, client } = await stage.patient({ stallTimeoutMs: 300, maxOutboxBytes: 12 * MIB });
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    peer.socket.pause();
    const fill = (): void => {
      for (;;) client.send('news', 'x'.repeat(64 * 1024));
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'NYOTA_OUTBOX_FULL' }));
    await patient.hears('disconnect', 'NYOTA_STALLED');
    const { peer: second, open } = await raw.welcomed();
    expect(open.resume).toBe(true);
    expect(await second.next(FrameType.EVENT)).toMatchObject({ seq: 1 });
  });
});

describe('a peer that says nothing any more', () => {
  it('is closed by a server after pingIntervalMs and pingTimeoutMs', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock, pingIntervalMs: 5_000, pingTimeoutMs: 3_000 });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    await arena.advance(clock, 7_900, 1_000);
    expect(arena.session(sessionId).connected).toBe(true);
    await arena.advance(clock, 200);
    await arena.disconnectedWith(sessionId, 'NYOTA_PING_TIMEOUT');
    expect((await peer.lastWords()).code).toBe('NYOTA_PING_TIMEOUT');
    await arena.unharmed();
  });

  it('is kept while any byte comes', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock, pingIntervalMs: 5_000, pingTimeoutMs: 3_000 });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    for (let seq = 1; seq <= 6; seq++) {
      await arena.advance(clock, 4_000, 1_000);
      peer.write(event(seq, 'alive', seq));
      await arena.dispatched.next();
    }
    expect(arena.session(sessionId).connected).toBe(true);
  });

  it('is left by a client after pingIntervalMs and pingTimeoutMs', async () => {
    const clock = createFakeClock();
    const { raw, patient } = await stage.patient({ clock, pingIntervalMs: 5_000, pingTimeoutMs: 3_000 });
    await raw.welcomed();
    await patient.hears('connect');
    await clock.advance(8_100);
    await patient.hears('disconnect', 'NYOTA_PING_TIMEOUT');
    await clock.advance(100);
    expect((await raw.opened()).open.resume).toBe(true);
  });
});
