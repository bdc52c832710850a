/**
 * Peers that send too much of something: each flood has a bound, and either backpressure or a code at its end.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../src/testing/index.js';
import { FrameType } from '../../support/frame-type.js';
import { useStage } from '../../support/hostile-arena.js';
import { ack, body, event, frame, request } from '../../support/raw-peer.js';

const OPTIONAL = 0x40;
const FLOOD = 'NYOTA_CONTROL_FLOOD';

const stage = useStage();

function times(count: number, make: (i: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
}

const FLOODS: ReadonlyArray<readonly [name: string, make: (i: number) => Buffer, codes: readonly string[]]> =
  [
    ['pings', (i) => frame(FrameType.PING, {}, body(i, false)), [FLOOD]],
    ['pongs that nobody asked for', (i) => frame(FrameType.PONG, {}, body(i)), [FLOOD]],
    ['empty acks that tell nothing', () => ack(0), [FLOOD]],
    ['acks without a number', () => frame(FrameType.ACK), [FLOOD, 'NYOTA_PROTOCOL_ERROR']],
    ['unknown optional frames', () => frame(0x7e, { flags: OPTIONAL }), [FLOOD]],
  ];

describe('a flood of control frames', () => {
  for (const [name, make, codes] of FLOODS) {
    it(`(${name}) closes the connection at a server, and nothing else`, async () => {
      const arena = await stage.arena();
      const peer = await arena.peer();
      const { sessionId } = await peer.open();
      peer.write(times(2_000, make));
      const seen = await arena.happenings.next(({ what }) => what === 'disconnect', 'the disconnect');
      expect(codes).toContain(seen.code);
      expect(seen.id).toBe(sessionId);
      expect((await peer.lastWords()).code).toBe(seen.code);
      // What was answered before the end is no more than was allowed.
      expect(peer.frames.all.length).toBeLessThan(200);
      await arena.unharmed();
      arena.nothingDone();
    });

    it(`(${name}) closes the connection at a client, which comes back`, async () => {
      const { raw, patient } = await stage.patient();
      const { peer } = await raw.welcomed();
      await patient.hears('connect');
      peer.write(times(2_000, make));
      const { code } = await patient.hears('disconnect');
      expect(codes).toContain(code);
      await raw.welcomed();
      await patient.hears('connect');
    });
  }

  it('(GOAWAYs) closes the connection at a client', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    peer.write(times(2_000, () => frame(FrameType.GOAWAY, {}, body(1_000, []))));
    await patient.hears('disconnect', FLOOD);
  });

  it('is told from a brisk pace: a hundred a second are fine, second after second', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    for (let second = 0; second < 5; second++) {
      peer.write(times(99, (i) => frame(FrameType.PING, {}, body(second * 100 + i, false))));
      await peer.next(FrameType.PONG, ({ body: pong }) => (pong as number[])[0] === second * 100 + 98);
      await arena.advance(clock, 1_000, 1_000);
    }
    expect(arena.session(sessionId).connected).toBe(true);
  });
});

describe('a flood of requests', () => {
  it('above maxRunningHandlers is held back: never more run at once, and all are answered in the end', async () => {
    let running = 0;
    let most = 0;
    const arena = await stage.arena({
      maxRunningHandlers: 8,
      onSession: (session) =>
        session.handle('work', async (...args: unknown[]) => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setImmediate(resolve));
          running--;
          return args[0];
        }),
    });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    peer.write(times(3_000, (i) => request(i + 1, i, 'work', i)));
    for (let i = 0; i < 3_000; i++) {
      expect((await peer.next(FrameType.REPLY)).body).toEqual([i, true, i]);
      if (i % 100 === 99) peer.write(ack(i + 1));
    }
    expect(most).toBe(8);
    expect(arena.session(sessionId).connected).toBe(true);
    await arena.unharmed();
  });

  for (const kind of ['at-once', 'later'] as const) {
    it(`whose sender never acknowledges the replies is closed, and holds a bounded outbox (answered ${kind})`, async () => {
      const arena = await stage.arena({
        maxOutboxFrames: 200,
        maxRunningHandlers: 16,
        onSession: (session) => {
          session.handle('at-once', () => 'reply');
          session.handle('later', () => new Promise((resolve) => setImmediate(resolve, 'reply')));
        },
      });
      const peer = await arena.peer();
      const { sessionId } = await peer.open();
      const session = arena.session(sessionId);
      let most = 0;
      for (let chunk = 0; chunk < 40 && session.connected; chunk++) {
        peer.write(times(50, (i) => request(chunk * 50 + i + 1, chunk * 50 + i, kind)));
        await arena.unharmed();
        most = Math.max(most, session.stats().outboxFrames);
      }
      await arena.disconnectedWith(sessionId, 'NYOTA_STALLED');
      expect((await peer.lastWords()).code).toBe('NYOTA_STALLED');
      // Half over the limit, and the replies to what had been read by then.
      expect(most).toBeLessThanOrEqual(300 + 50);
      await arena.unharmed();
    });
  }

  it('that are cancelled at once leave nothing running', async () => {
    const aborted: unknown[] = [];
    const arena = await stage.arena({
      onSession: (session) =>
        session.handle('long', (...args: unknown[]) => {
          const { signal } = args[args.length - 1] as { signal: AbortSignal };
          return new Promise((resolve) =>
            signal.addEventListener('abort', () => {
              aborted.push(signal.reason);
              resolve(undefined);
            }),
          );
        }),
    });
    const peer = await arena.peer();
    await peer.open();
    peer.write(
      times(500, (i) =>
        Buffer.concat([
          request(2 * i + 1, i, 'long'),
          frame(FrameType.CANCEL, { seq: 2 * i + 2 }, body(i, 'NYOTA_ABORTED')),
        ]),
      ),
    );
    await peer.next(FrameType.ACK, ({ ack: upTo }) => upTo === 1_000);
    expect(aborted).toHaveLength(500);
    expect(peer.frames.all.filter(({ type }) => type === FrameType.REPLY)).toEqual([]);
    await arena.unharmed();
  });
});

describe('a flood while this side is busy', () => {
  it('of events is not read any more above highWaterBytes, and nothing of it is lost', async () => {
    const arena = await stage.arena({ highWaterBytes: 16 * 1024 });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    const session = arena.session(sessionId);
    session.pause();
    const count = 8_000;
    peer.write(times(count, (i) => event(i + 1, 'numbered', i, 'x'.repeat(1_000))));
    await peer.next(FrameType.PING, ({ body: ping }) => (ping as unknown[])[1] === true);
    for (let i = 0; i < 20; i++) await arena.unharmed();
    expect(session.stats().bytesReceived).toBeLessThan(1024 * 1024);
    arena.nothingDone();
    session.resume();
    for (let i = 0; i < count; i++) expect((await arena.dispatched.next())[1]).toBe(i);
    await arena.unharmed();
  });

  const gc = (): void => {
    setFlagsFromString('--expose-gc');
    runInNewContext('gc')();
  };

  for (const [name, make] of [
    ['skips', (seq: number) => frame(FrameType.SKIP, { seq })],
    ['unknown optional frames', (seq: number) => frame(0x7e, { seq, flags: OPTIONAL })],
    ['events as small as they can be', (seq: number) => event(seq, '')],
  ] as const) {
    it(`of ${name} is held in bounded memory`, async () => {
      const arena = await stage.arena({
        maxRunningHandlers: 1,
        highWaterBytes: 64 * 1024,
        onSession: (session) => session.handle('for-ever', () => new Promise(() => {})),
      });
      const peer = await arena.peer();
      const { sessionId } = await peer.open();
      peer.write(request(1, 1, 'for-ever'));
      const flood = times(200_000, (i) => make(i + 2));
      await arena.unharmed();
      gc();
      const before = process.memoryUsage().heapUsed;
      peer.write(flood);
      const session = arena.session(sessionId);
      // Until it has read all of it, or reads no more.
      for (let read = -1; read < session.stats().bytesReceived; ) {
        read = session.stats().bytesReceived;
        for (let i = 0; i < 10; i++) await arena.unharmed();
      }
      gc();
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(16 * 1024 * 1024);
      await arena.unharmed();
    });
  }
});
