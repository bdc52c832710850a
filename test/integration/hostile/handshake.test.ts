/**
 * Handshakes that break off, dawdle, crowd or lie: each is refused with its code and leaves nothing behind.
 */
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../src/testing/index.js';
import { encodePreamble } from '../../../src/wire/preamble.js';
import { FrameType } from '../../support/frame-type.js';
import { useStage } from '../../support/hostile-arena.js';
import { body, event, frame, LIMITS, lengthOnly, open, type RawPeer } from '../../support/raw-peer.js';

const stage = useStage();

describe('a handshake that breaks off', () => {
  const bytes = Buffer.concat([encodePreamble(), open()]);

  for (const how of ['fin', 'rst'] as const) {
    it(`leaves nothing behind, cut by a ${how.toUpperCase()} after any byte of preamble and OPEN`, async () => {
      const arena = await stage.arena();
      for (let cut = 0; cut < bytes.length; cut++) {
        const peer = await arena.peer();
        if (cut > 0)
          await new Promise<void>((done) => peer.socket.write(bytes.subarray(0, cut), () => done()));
        peer[how]();
        await arena.refusedWith('NYOTA_CONNECTION_LOST');
      }
      expect(arena.server.stats().refused).toBe(bytes.length);
      await arena.nothingCameOfIt();
    });
  }

  it('is a session of its own, waiting for its client, once OPEN was whole', async () => {
    const arena = await stage.arena({ resumeWindowMs: 60_000 });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    peer.rst();
    await arena.happenings.next(({ what }) => what === 'disconnect', 'the disconnect');
    expect(arena.session(sessionId).state).toBe('detached');
    await arena.unharmed();
    arena.nothingDone();
  });
});

describe('a handshake that dawdles', () => {
  it('is closed at handshakeTimeoutMs, however steadily a byte comes', async () => {
    const clock = createFakeClock();
    const arena = await stage.arena({ clock, handshakeTimeoutMs: 10_000 });
    const peer = await arena.peer();
    const bytes = Buffer.concat([encodePreamble(), open()]);
    for (let i = 0; i < 10; i++) {
      peer.write(bytes.subarray(i, i + 1));
      await arena.unharmed();
      expect(arena.server.stats().unauthenticated).toBe(1);
      await arena.advance(clock, 1_000);
    }
    await arena.refusedWith('NYOTA_HANDSHAKE_TIMEOUT');
    expect((await peer.lastWords()).code).toBe('NYOTA_HANDSHAKE_TIMEOUT');
    await arena.nothingCameOfIt();
  });

  it('is closed at handshakeTimeoutMs when nothing comes at all', async () => {
    const arena = await stage.arena({ handshakeTimeoutMs: 100 });
    const peer = await arena.peer();
    await arena.refusedWith('NYOTA_HANDSHAKE_TIMEOUT');
    await peer.closed();
    await arena.nothingCameOfIt();
  });

  it('is closed at handshakeTimeoutMs when authenticate hangs, and what it returns later begins nothing', async () => {
    let release = (): void => {};
    const late = new Promise<void>((resolve) => {
      release = resolve;
    });
    const authenticate = (credentials: unknown) => (credentials === 'witness' ? 'witness' : late);
    const arena = await stage.arena({ authenticate, witnessAuth: 'witness', handshakeTimeoutMs: 100 });
    const peer = await arena.peer();
    peer.preamble().write(open({ auth: 'slow' }), event(1, 'too-early'));
    await arena.refusedWith('NYOTA_HANDSHAKE_TIMEOUT');
    await peer.closed();
    release();
    await arena.nothingCameOfIt();
  });
});

describe('a crowd', () => {
  it('of more than maxUnauthenticated connections: the surplus is refused, and there is room again afterwards', async () => {
    const arena = await stage.arena({ maxUnauthenticated: 3 });
    const peers: RawPeer[] = [];
    for (let i = 0; i < 3; i++) peers.push((await arena.peer()).preamble());
    const surplus = await arena.peer();
    expect(await surplus.lastWords()).toMatchObject({ code: 'NYOTA_SERVER_BUSY', retry: 'backoff' });
    await arena.refusedWith('NYOTA_SERVER_BUSY');
    await arena.unharmed();
    for (const peer of peers) {
      peer.fin();
      await arena.refusedWith('NYOTA_CONNECTION_LOST');
    }
    await arena.nothingCameOfIt();
    await (await arena.peer()).open();
  });

  it('that has sent more than 4 MiB together without a finished handshake: refused, and the others stay', async () => {
    const arena = await stage.arena();
    // Each claims a frame of 64 KiB less a bit, and never finishes it: the 65th byte of KiB is one too many.
    const part = Buffer.concat([encodePreamble(), lengthOnly(64 * 1024), Buffer.alloc(63 * 1024)]);
    const peers: RawPeer[] = [];
    for (let i = 0; i < 70; i++) peers.push((await arena.peer()).write(part));
    await arena.refusedWith('NYOTA_SERVER_BUSY');
    await arena.unharmed();
    for (const peer of peers) peer.destroy();
    for (let i = 0; i < 69; i++) await arena.refusals.next();
    await arena.nothingCameOfIt();
    await (await arena.peer()).open();
  });

  it('of more than maxSessions sessions: the next is sent elsewhere, and those that are there come back', async () => {
    const arena = await stage.arena({ maxSessions: 2 });
    const secret = Buffer.alloc(32, 7);
    const first = await arena.peer();
    const { sessionId } = await first.open({ secret });
    const surplus = await arena.peer();
    surplus.preamble().write(open(), event(1, 'too-many'));
    expect(await surplus.lastWords()).toMatchObject({ code: 'NYOTA_TOO_MANY_SESSIONS', retry: 'elsewhere' });
    await arena.refusedWith('NYOTA_TOO_MANY_SESSIONS');
    first.rst();
    await arena.happenings.next(({ what }) => what === 'disconnect', 'the disconnect');
    expect(await (await arena.peer()).open({ secret, resume: true })).toMatchObject({
      sessionId,
      resumed: true,
    });
    await arena.unharmed();
    arena.nothingDone();
  });
});

describe('an OPEN that makes no sense', () => {
  const limits = [LIMITS.maxFrameBytes, LIMITS.maxDepth, LIMITS.maxValues, LIMITS.pingIntervalMs];
  const secret = Buffer.alloc(32, 1);
  const BAD: Array<readonly [name: string, bytes: Buffer, code: string]> = [
    ['is no array', frame(FrameType.OPEN, {}, Buffer.from([0xc0])), 'NYOTA_PROTOCOL_ERROR'],
    ['is empty', frame(FrameType.OPEN), 'NYOTA_PAYLOAD_REFUSED'],
    [
      'has an element too few',
      frame(FrameType.OPEN, {}, body(0, secret, false, 0, limits, null)),
      'NYOTA_PROTOCOL_ERROR',
    ],
    ['has a secret of 31 bytes', badOpen(secret.subarray(1)), 'NYOTA_PROTOCOL_ERROR'],
    ['has a secret that is text', badOpen('x'.repeat(32)), 'NYOTA_PROTOCOL_ERROR'],
    ['has received -1', badOpen(secret, -1), 'NYOTA_PROTOCOL_ERROR'],
    ['has received 1.5', badOpen(secret, 1.5), 'NYOTA_PROTOCOL_ERROR'],
    ['has received 2^60', badOpen(secret, 2n ** 60n), 'NYOTA_PROTOCOL_ERROR'],
    ['has sent -1', badOpen(secret, 0, limits, -1), 'NYOTA_PROTOCOL_ERROR'],
    ['has limits of 0', badOpen(secret, 0, [0, 0, 0, 0]), 'NYOTA_PROTOCOL_ERROR'],
    ['has limits that are text', badOpen(secret, 0, ['', '', '', '']), 'NYOTA_PROTOCOL_ERROR'],
    ['is above 64 KiB', open({ auth: 'x'.repeat(70_000) }), 'NYOTA_PROTOCOL_ERROR'],
    ['is a depth bomb', openWith(Buffer.alloc(5_000, 0x91)), 'NYOTA_PAYLOAD_REFUSED'],
    ['is a count bomb', openWith(Buffer.from('ddffffffff', 'hex')), 'NYOTA_PAYLOAD_REFUSED'],
    ['is an EVENT', event(1, 'before-open'), 'NYOTA_PROTOCOL_ERROR'],
    [
      'is a REQUEST',
      frame(FrameType.REQUEST, { seq: 1 }, body(1, 'echo', [1], null)),
      'NYOTA_PROTOCOL_ERROR',
    ],
    ['is a VOLATILE', frame(FrameType.VOLATILE, { flags: 0x40 }, body('x', [])), 'NYOTA_PROTOCOL_ERROR'],
    ['is a PING', frame(FrameType.PING, {}, body(1, false)), 'NYOTA_PROTOCOL_ERROR'],
    [
      'is a CLOSE',
      frame(FrameType.CLOSE, {}, body('NYOTA_INTERNAL', '', 'never', null)),
      'NYOTA_PROTOCOL_ERROR',
    ],
    [
      'is a KV_OP',
      frame(FrameType.KV_OP, { seq: 1 }, body(0, 'k', Buffer.from([1]), null, null)),
      'NYOTA_PROTOCOL_ERROR',
    ],
    ['is a WELCOME', frame(FrameType.WELCOME, {}, body(0, 'id', false, 0, limits)), 'NYOTA_PROTOCOL_ERROR'],
    ['is an unknown frame', frame(0x7d), 'NYOTA_PROTOCOL_ERROR'],
  ];

  function badOpen(
    theSecret: unknown,
    received: unknown = 0,
    theLimits: unknown = limits,
    sent: unknown = 0,
  ): Buffer {
    return frame(FrameType.OPEN, {}, body(0, theSecret, false, received, theLimits, null, sent));
  }

  /** A good OPEN, but for its credentials. */
  function openWith(auth: Buffer): Buffer {
    const head = body(0, secret, false, 0, limits);
    head.writeUInt8(0x97, 0);
    return frame(FrameType.OPEN, {}, Buffer.concat([head, auth, Buffer.from([0])]));
  }

  for (const [name, bytes, code] of BAD) {
    it(`is refused where it ${name}, and what follows it is not looked at`, async () => {
      const arena = await stage.arena();
      const peer = await arena.peer();
      peer.preamble().write(bytes, open(), event(1, 'behind'));
      await arena.refusedWith(code);
      expect((await peer.lastWords()).code).toBe(code);
      await peer.closed();
      await arena.nothingCameOfIt();
    });
  }
});

describe('credentials', () => {
  const TEXT = 'authentication failed';

  it('that authenticate throws on are refused with one text, whatever it threw', async () => {
    const authenticate = (credentials: unknown) => {
      if (credentials === 'witness') return 'witness';
      throw credentials === 'a' ? new Error('no such user') : 'wrong password';
    };
    const arena = await stage.arena({ authenticate, witnessAuth: 'witness' });
    for (const auth of ['a', 'b']) {
      const peer = await arena.peer();
      peer.preamble().write(open({ auth }), event(1, 'unauthorized'));
      expect(await peer.lastWords()).toMatchObject({
        code: 'NYOTA_UNAUTHORIZED',
        message: TEXT,
        retry: 'never',
      });
      await arena.refusedWith('NYOTA_UNAUTHORIZED');
    }
    await arena.nothingCameOfIt();
  });

  it('of somebody else do not resume a session by a stolen secret: the same text as any failed authentication', async () => {
    const arena = await stage.arena({
      authenticate: (credentials) => ({ name: credentials }),
      witnessAuth: 'witness',
    });
    const secret = Buffer.alloc(32, 9);
    const owner = await arena.peer();
    const { sessionId } = await owner.open({ secret, auth: 'owner' });
    for (const resume of [true, false]) {
      const thief = await arena.peer();
      thief.preamble().write(open({ secret, auth: 'thief', resume }), event(1, 'stolen'));
      expect(await thief.lastWords()).toMatchObject({
        code: 'NYOTA_UNAUTHORIZED',
        message: TEXT,
        retry: 'never',
      });
      await arena.refusedWith('NYOTA_UNAUTHORIZED');
    }
    arena.nothingDone();
    // The owner has noticed nothing.
    expect(arena.session(sessionId).connected).toBe(true);
    owner.write(event(1, 'still-here'));
    expect(await arena.dispatched.next()).toEqual(['still-here']);
    await arena.unharmed();
  });

  it('that are good do not bring back a session whose secret the server does not know', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    peer.preamble().write(open({ resume: true, received: 12 }), event(13, 'unknown'));
    expect(await peer.lastWords()).toMatchObject({ code: 'NYOTA_SESSION_UNKNOWN', retry: 'new-session' });
    await arena.refusedWith('NYOTA_SESSION_UNKNOWN');
    await arena.nothingCameOfIt();
  });
});
