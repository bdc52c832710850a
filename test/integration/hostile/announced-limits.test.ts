/**
 * What a peer announces of itself in the handshake is its own business: no number in it may harm this side.
 */
import { describe, expect, it } from 'vitest';
import type { Session } from '../../../src/index.js';
import { createFakeClock } from '../../../src/testing/index.js';
import { FrameType } from '../../support/frame-type.js';
import { useStage } from '../../support/hostile-arena.js';
import { ack, body, event, frame, LIMITS, open, request } from '../../support/raw-peer.js';

const stage = useStage();

const deep = { a: { b: { c: { d: 'e' } } } };

function handlers(session: Session): void {
  session.handle('later', async () => deep);
  session.handle('at-once', () => deep);
  session.handle('fails', async () => {
    const huge = 'x'.repeat(5_000);
    throw Object.assign(new Error(huge), { deep, name: huge, code: huge });
  });
}

describe('limits that are announced', () => {
  const TINY = { maxFrameBytes: 1, maxDepth: 1, maxValues: 1, pingIntervalMs: 15_000 };

  for (const name of ['later', 'at-once', 'fails', 'nobody-handles']) {
    it(`as small as they can be do not let a reply ('${name}') harm the process`, async () => {
      const arena = await stage.arena({ onSession: handlers });
      const peer = await arena.peer();
      peer.preamble().write(open({ limits: TINY }), request(1, 1, name));
      // Refused for them, or served with a reply that says what does not fit, or closed: but alive.
      await Promise.race([
        peer.lastWords(),
        peer.next(FrameType.REPLY, ({ body: reply }) => (reply as unknown[])[1] === false),
      ]);
      await arena.unharmed();
      expect(arena.server.send('to-all', deep)).toBeTypeOf('boolean');
      await arena.unharmed();
    });
  }

  it('as small as our own options may be are served: what does not fit becomes an error that says so', async () => {
    const arena = await stage.arena({ onSession: handlers });
    const peer = await arena.peer();
    const limits = { maxFrameBytes: 1_024, maxDepth: 4, maxValues: 64, pingIntervalMs: 15_000 };
    const { sessionId } = await peer.open({ limits });
    peer.write(
      request(1, 1, 'later'),
      request(2, 2, 'at-once'),
      request(3, 3, 'fails'),
      request(4, 4, 'nobody'),
    );
    for (let i = 0; i < 4; i++) {
      const { body: reply } = await peer.next(FrameType.REPLY);
      const [id, ok, error] = reply as [number, boolean, Error & { code?: string }];
      expect(ok).toBe(false);
      const { name, message, code } = error;
      expect(Buffer.byteLength(`${name}${message}${code}`)).toBeLessThan(limits.maxFrameBytes);
      if (id < 3) expect(error).toMatchObject({ code: 'NYOTA_PAYLOAD_TOO_COMPLEX' });
    }
    expect(() => arena.session(sessionId).send('deep', deep)).toThrow(
      expect.objectContaining({ code: 'NYOTA_PAYLOAD_TOO_COMPLEX' }),
    );
    expect(() => arena.session(sessionId).send('large', 'x'.repeat(2_000))).toThrow(
      expect.objectContaining({ code: 'NYOTA_FRAME_TOO_LARGE' }),
    );
    arena.session(sessionId).send('fits');
    expect((await peer.next(FrameType.EVENT)).body).toEqual(['fits', []]);
    await arena.unharmed();
  });

  it('as large as they can be do not raise what this side takes or sends', async () => {
    const arena = await stage.arena({ maxFrameBytes: 2_048 });
    const peer = await arena.peer();
    const most = 0xffff_ffff;
    const { sessionId } = await peer.open({
      limits: { maxFrameBytes: most, maxDepth: most, maxValues: most, pingIntervalMs: most },
    });
    expect(() => arena.session(sessionId).send('large', 'x'.repeat(4_000))).toThrow(
      expect.objectContaining({ code: 'NYOTA_FRAME_TOO_LARGE' }),
    );
    peer.write(event(1, 'large', 'x'.repeat(4_000)));
    await arena.disconnectedWith(sessionId, 'NYOTA_PROTOCOL_ERROR');
    await arena.unharmed();
    arena.nothingDone();
  });

  for (const pingIntervalMs of [0, 1]) {
    it(`of a ping every ${pingIntervalMs} ms do not lift the limit on control frames`, async () => {
      const arena = await stage.arena();
      const peer = await arena.peer();
      const { sessionId } = await peer.open({ limits: { ...LIMITS, pingIntervalMs } });
      const pings = Array.from({ length: 5_000 }, (_, id) => frame(FrameType.PING, {}, body(id, false)));
      peer.write(...pings);
      await arena.disconnectedWith(sessionId, 'NYOTA_CONTROL_FLOOD');
      await arena.unharmed();
    });

    it(`of a ping every ${pingIntervalMs} ms do not make this side ping without end while it does not read`, async () => {
      const clock = createFakeClock();
      const arena = await stage.arena({ clock });
      const peer = await arena.peer();
      const { sessionId } = await peer.open({ limits: { ...LIMITS, pingIntervalMs } });
      arena.session(sessionId).pause();
      await arena.advance(clock, 1_000, 100);
      const pings = peer.frames.all.filter(({ type }) => type === FrameType.PING).length;
      // Not more often than the limit that holds for everybody.
      expect(pings).toBeLessThanOrEqual(100);
      await arena.unharmed();
    });
  }

  it('an id, a revision or a time to live of 48 bits is a number like any other', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    const most = 2 ** 48 - 1;
    peer.write(
      request(1, most, 'echo', 'highest'),
      frame(FrameType.KV_OP, { seq: 2 }, body(0, 'key', Buffer.from([7]), most, null)),
      frame(FrameType.REQUEST, { seq: 3 }, body(2, 'echo', ['soon'], 0)),
      frame(FrameType.REQUEST, { seq: 4 }, body(3, 'echo', ['late'], 2 ** 32 - 1)),
      ack(0),
    );
    expect((await peer.next(FrameType.REPLY)).body).toEqual([most, true, 'highest']);
    await peer.next(FrameType.REPLY, ({ body: reply }) => (reply as unknown[])[0] === 3);
    expect(arena.session(sessionId).get('key')).toBe(7);
    await arena.unharmed();
  });
});
