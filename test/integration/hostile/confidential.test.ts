/**
 * What a log may hold: no payload, no credentials, no secret, in no text that nyota makes of somebody's misdeeds; and
 * nothing from the wire that could forge a line of it.
 */
import { describe, expect, it } from 'vitest';
import { FrameType } from '../../support/frame-type.js';
import { useStage } from '../../support/hostile-arena.js';
import { body, event, frame, open, request } from '../../support/raw-peer.js';

const MARK = 'hunter2-TOP-SECRET';
const SECRET = Buffer.from('0badc0ffee0ddf00d5ec1e7a5ec1e7a50badc0ffee0ddf00d5ec1e7a5ec1e7a5', 'hex');
/** More than any text of nyota's has, names and numbers included. */
const LONGEST_TEXT = 1_000;

const stage = useStage();

/** What would begin a line, or colour it. */
function isControl(character: string): boolean {
  const code = character.charCodeAt(0);
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029;
}

function clean(texts: readonly string[]): void {
  for (const text of texts) {
    expect(text).not.toContain(MARK);
    for (const encoding of ['hex', 'base64', 'base64url', 'latin1', 'utf8'] as const) {
      expect(text).not.toContain(SECRET.toString(encoding));
    }
    expect([...text].filter(isControl)).toEqual([]);
    expect(text.length).toBeLessThan(LONGEST_TEXT);
  }
}

describe('texts of errors and warnings', () => {
  it('hold no credentials and no secret of a handshake that fails', async () => {
    const authenticate = (credentials: unknown) => {
      if (credentials === 'witness') return 'witness';
      throw new Error(`no ${JSON.stringify(credentials)}`);
    };
    const arena = await stage.arena({ authenticate, witnessAuth: 'witness' });
    const attempts = [
      open({ secret: SECRET, auth: { password: MARK } }),
      open({ secret: SECRET, auth: MARK, resume: true }),
      open({ secret: SECRET, auth: MARK.repeat(5_000) }),
      frame(FrameType.OPEN, {}, body(MARK, SECRET, MARK, MARK, MARK, MARK, MARK)),
      frame(FrameType.OPEN, {}, body(0, Buffer.concat([SECRET, SECRET]), false, 0, [1, 1, 1, 1], MARK, 0)),
      frame(
        FrameType.OPEN,
        {},
        Buffer.concat([body(0, SECRET, false, 0, [1, 1, 1, 1], MARK, 0), Buffer.from(MARK)]),
      ),
      frame(FrameType.EVENT, { seq: 1 }, body('early', [MARK])),
    ];
    for (const attempt of attempts) {
      const peer = await arena.peer();
      peer.preamble().write(attempt);
      await arena.refusals.next();
      clean([(await peer.lastWords()).message]);
    }
    expect(arena.texts).toHaveLength(attempts.length);
    clean(arena.texts);
    await arena.nothingCameOfIt();
  });

  it('hold nothing of a payload that is refused', async () => {
    const arena = await stage.arena({ maxValues: 1_000 });
    const value = Buffer.concat([Buffer.from([0xa0 + MARK.length]), Buffer.from(MARK)]);
    const many = Array.from({ length: 500 }, () => MARK);
    const bad = [
      event(2, 'gap', MARK),
      event(1, MARK.length, MARK),
      frame(FrameType.EVENT, { seq: 1 }, body('args', MARK)),
      frame(FrameType.EVENT, { seq: 1 }, Buffer.concat([body('x', [MARK]), value])),
      frame(FrameType.EVENT, { seq: 1 }, body('x', [many, many, many])),
      frame(FrameType.EVENT, { seq: 1 }, body('x', [MARK]).subarray(0, -3)),
      frame(FrameType.REQUEST, { seq: 1 }, body(MARK, 'echo', [MARK], MARK)),
      frame(FrameType.REPLY, { seq: 1 }, body(1, false, MARK)),
      frame(FrameType.KV_OP, { seq: 1 }, body(0, 'key', MARK, null, null)),
      frame(FrameType.KV_OP, { seq: 1 }, body(0, 'key', Buffer.concat([value, value]), null, null)),
      frame(FrameType.KV_OP, { seq: 1 }, body(0, `${MARK}\n`.repeat(20), value, null, null)),
      frame(0x7d, {}, body(MARK)),
    ];
    for (const bytes of bad) {
      const peer = await arena.peer();
      const { sessionId } = await peer.open({ secret: SECRET });
      peer.write(bytes);
      const { message } = await peer.lastWords();
      clean([message]);
      await arena.happenings.next(
        ({ what, id }) => what === 'disconnect' && id === sessionId,
        'the disconnect',
      );
      arena.session(sessionId).invalidate();
    }
    expect(arena.texts.length).toBeGreaterThanOrEqual(bad.length);
    clean(arena.texts);
    await arena.unharmed();
    arena.nothingDone();
  });

  it('hold names from the wire escaped and cut only, where a listener fails on them', async () => {
    const arena = await stage.arena({
      onSession: (session) => {
        session.onAny(() => {
          throw new Error('a listener of everything');
        });
      },
    });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    const forged = `\n2026-01-01 ERROR all is lost\u001b[31m\u2028${'y'.repeat(10_000)}`;
    peer.write(event(1, forged, MARK), request(2, 1, forged, MARK));
    const { body: reply } = await peer.next(FrameType.REPLY);
    const [, , error] = reply as [number, boolean, Error];
    await arena.happenings.next(({ what }) => what === 'error', 'the error');
    clean(arena.texts);
    clean([error.message]);
    expect(arena.session(sessionId).connected).toBe(true);
    await arena.unharmed();
  });

  it('hold the same care in process warnings, where nobody listens to errors', async () => {
    const arena = await stage.arena({
      settleTimeoutMs: 20,
      onSession: (session) => {
        session.off('error');
        session.onAny(() => new Promise(() => {}));
        session.onAny(() => {
          throw new Error('a listener of everything');
        });
      },
    });
    const peer = await arena.peer();
    await peer.open();
    const warned = new Promise<void>((resolve) => {
      let left = 2;
      const count = (): void => {
        if (--left > 0) return;
        process.off('warning', count);
        resolve();
      };
      process.on('warning', count);
    });
    peer.write(event(1, `forged\r\n${'z'.repeat(10_000)}`, MARK));
    await warned;
    expect(arena.texts.length).toBeGreaterThanOrEqual(2);
    clean(arena.texts);
    await arena.unharmed();
  });

  it('say what foreign bytes looked like, escaped and cut', async () => {
    const arena = await stage.arena();
    for (const bytes of [
      `GET /${'\u001b'.repeat(300)} HTTP/1.1\r\n`,
      `["${'\n'.repeat(300)}`,
      '\u0007\u0000\u001b[2J'.repeat(100),
    ]) {
      const peer = await arena.peer();
      peer.write(Buffer.from(bytes, 'latin1'));
      await arena.refusedWith('NYOTA_BAD_PREAMBLE');
    }
    clean(arena.texts);
    await arena.nothingCameOfIt();
  });
});
