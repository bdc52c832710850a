/**
 * A server that refuses, lies or is silent: the client tells the code, does what the code asks for, and loses nothing.
 */
import { describe, expect, it } from 'vitest';
import type { NyotaError } from '../../../src/index.js';
import { createFakeClock } from '../../../src/testing/index.js';
import { FrameType } from '../../support/frame-type.js';
import { useStage } from '../../support/hostile-arena.js';
import { ack, body, event, frame, LIMITS, lengthOnly, reject } from '../../support/raw-peer.js';

const stage = useStage();

describe('a REJECT', () => {
  it("with 'never' stops the client, loudly; connect() tries anew, with what was queued", async () => {
    const { raw, patient, client } = await stage.patient();
    client.send('queued');
    const request = client.request('never-answered');
    const failed = expect(request).rejects.toMatchObject({
      code: 'NYOTA_CLOSED',
      cause: { code: 'NYOTA_UNAUTHORIZED' },
    });
    const { peer } = await raw.opened();
    peer.write(reject({ code: 'NYOTA_UNAUTHORIZED', retry: 'never' }));
    await patient.hears('error', 'NYOTA_UNAUTHORIZED');
    await failed;
    expect(client.state).toBe('idle');
    expect(raw.dialled).toBe(1);
    client.connect();
    const { peer: second } = await raw.welcomed();
    expect(await second.next(FrameType.EVENT)).toMatchObject({ seq: 1, body: ['queued', []] });
  });

  it("with 'backoff' is tried again, later", async () => {
    const { raw, patient, client } = await stage.patient();
    client.send('queued');
    for (let i = 0; i < 3; i++) {
      const { peer } = await raw.opened();
      peer.write(reject({ code: 'NYOTA_SERVER_BUSY', retry: 'backoff' }));
      const { info } = await patient.hears('reconnecting', 'NYOTA_SERVER_BUSY');
      expect(info).toMatchObject({ attempt: i + 1, delayMs: 2 ** i });
    }
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    await peer.next(FrameType.EVENT, ({ body: said }) => (said as unknown[])[0] === 'queued');
  });

  it("with 'elsewhere' is tried at the next server", async () => {
    const [raw, other] = [await stage.rawServer(), await stage.rawServer()];
    const servers = [raw.port, other.port].map((port) => ({ host: '127.0.0.1', port }));
    const { patient } = await stage.patient({ servers, reconnect: { minDelayMs: 1, maxDelayMs: 5 } });
    const { peer, open: first } = await raw.opened();
    peer.write(reject({ code: 'NYOTA_TOO_MANY_SESSIONS', retry: 'elsewhere' }));
    await patient.hears('reconnecting', 'NYOTA_TOO_MANY_SESSIONS');
    const { open: second } = await other.welcomed();
    expect(second.secret).toEqual(first.secret);
    await patient.hears('connect');
    expect(raw.dialled).toBe(1);
  });

  it("with 'new-session' is followed by a new one at once, with what was not handled, and by a gap for the rest", async () => {
    const { raw, patient, client } = await stage.patient();
    const { peer, open: first } = await raw.welcomed();
    await patient.hears('connect');
    client.send('handled');
    client.send('not-handled');
    await peer.next(FrameType.EVENT, ({ seq }) => seq === 2);
    peer.write(event(1, 'heard'));
    await peer.next(FrameType.ACK, ({ ack: upTo }) => upTo === 1);
    peer.rst();
    const { peer: second } = await raw.opened();
    client.send('queued');
    second.write(reject({ code: 'NYOTA_SESSION_EXPIRED', retry: 'new-session', received: 1, sent: 3 }));
    const { peer: third, open } = await raw.welcomed();
    expect(open.resume).toBe(false);
    expect(open.received).toBe(0);
    expect(open.secret).not.toEqual(first.secret);
    expect(await third.next(FrameType.EVENT)).toMatchObject({ seq: 1, body: ['not-handled', []] });
    expect(await third.next(FrameType.EVENT)).toMatchObject({ seq: 2, body: ['queued', []] });
    expect((await patient.hears('gap')).info).toMatchObject({ uncertain: 0, lost: 2 });
    await patient.hears('session', 'NYOTA_SESSION_EXPIRED');
  });

  it("with 'new-session' for ever does not make the client dial without pause", async () => {
    const { raw, patient } = await stage.patient();
    for (let i = 0; i < 2; i++) {
      for (let j = 0; j < 2; j++) {
        const { peer } = await raw.opened();
        peer.write(reject({ code: 'NYOTA_SESSION_UNKNOWN', retry: 'new-session' }));
      }
      const { info } = await patient.hears('reconnecting', 'NYOTA_SESSION_UNKNOWN');
      expect(info).toMatchObject({ attempt: i + 1 });
    }
    await raw.welcomed();
    await patient.hears('connect');
  });

  it('that claims to have received what was never sent does not make the client drop what it queued', async () => {
    const { raw, client } = await stage.patient();
    const acked = client.sendWithAck('queued');
    const { peer } = await raw.opened();
    peer.write(reject({ code: 'NYOTA_SESSION_EXPIRED', retry: 'new-session', received: 1_000, sent: 0 }));
    const { peer: second } = await raw.welcomed();
    expect(await second.next(FrameType.EVENT)).toMatchObject({ seq: 1, body: ['queued', []] });
    second.write(ack(1));
    await acked;
  });

  it('with retryAfterMs is obeyed', async () => {
    const clock = createFakeClock();
    const { raw, patient } = await stage.patient({ clock });
    const { peer } = await raw.opened();
    peer.write(reject({ code: 'NYOTA_SERVER_BUSY', retry: 'backoff', retryAfterMs: 60_000 }));
    const { info } = await patient.hears('reconnecting', 'NYOTA_SERVER_BUSY');
    expect(info).toMatchObject({ delayMs: 60_000 });
    await clock.advance(59_999);
    expect(raw.dialled).toBe(1);
    await clock.advance(1);
    await raw.welcomed();
  });

  it('with a code and a retry of a later version is tried again, and its text is escaped', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.opened();
    const words = ['NYOTA_OF_TOMORROW', 'line\n\u001b[31mred', 'perhaps', null, null, null, 'later'];
    peer.write(frame(FrameType.REJECT, {}, body(...words)));
    const { info } = await patient.hears('reconnecting', 'NYOTA_CONNECTION_LOST');
    const { error } = info as { error: NyotaError };
    expect(error.message).toBe('line\\n\\u001b[31mred');
    await raw.welcomed();
    await patient.hears('connect');
  });
});

describe('a CLOSE', () => {
  const close = (code: string, retry: string, afterMs: number | null = null, ...more: unknown[]): Buffer =>
    frame(FrameType.CLOSE, {}, body(code, 'said by a test', retry, afterMs, ...more));

  it("with 'never' stops the client, loudly", async () => {
    const { raw, patient, client } = await stage.patient();
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    peer.write(close('NYOTA_TAKEN_OVER', 'never'));
    await patient.hears('disconnect', 'NYOTA_TAKEN_OVER');
    await patient.hears('error', 'NYOTA_TAKEN_OVER');
    expect(client.state).toBe('idle');
    expect(raw.dialled).toBe(1);
  });

  it("with 'new-session' begins a new one, and the old secret is not said again", async () => {
    const { raw, patient } = await stage.patient();
    const { peer, open: first } = await raw.welcomed();
    await patient.hears('connect');
    peer.write(close('NYOTA_SESSION_INVALIDATED', 'new-session'));
    await patient.hears('disconnect', 'NYOTA_SESSION_INVALIDATED');
    const { open: second } = await raw.welcomed();
    expect(second.resume).toBe(false);
    expect(second.secret).not.toEqual(first.secret);
  });

  it('with retryAfterMs is obeyed, and what a later version adds is ignored', async () => {
    const clock = createFakeClock();
    const { raw, patient } = await stage.patient({ clock });
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    peer.write(close('NYOTA_SERVER_CLOSING', 'elsewhere', 30_000, 'later'));
    const { info } = await patient.hears('reconnecting', 'NYOTA_SERVER_CLOSING');
    expect(info).toMatchObject({ delayMs: 30_000 });
    await clock.advance(29_999);
    expect(raw.dialled).toBe(1);
    await clock.advance(1);
    expect((await raw.opened()).open.resume).toBe(true);
  });

  it('instead of a WELCOME is heard, whatever a later version adds to it', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.opened();
    peer.write(close('NYOTA_SERVER_CLOSING', 'elsewhere', null, 'later', 'and later'));
    await patient.hears('reconnecting', 'NYOTA_SERVER_CLOSING');
  });

  for (const [name, payload] of [
    ['nil', 'c0'],
    ['a number', '01'],
    ['a text', 'a3616263'],
    ['an empty array', '90'],
  ] as const) {
    it(`that is ${name} instead of a WELCOME is a protocol error`, async () => {
      const { raw, patient } = await stage.patient();
      const { peer } = await raw.opened();
      peer.write(frame(FrameType.CLOSE, {}, Buffer.from(payload, 'hex')));
      await patient.hears('reconnecting', 'NYOTA_PROTOCOL_ERROR');
    });
  }
});

describe('a WELCOME', () => {
  for (const [name, message] of [
    ['to another session', { sessionId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    ['that claims to have received what was never sent', { received: 3 }],
  ] as const) {
    it(`${name} is not taken`, async () => {
      const { raw, patient, client } = await stage.patient();
      client.send('queued');
      const { peer } = await raw.welcomed(message);
      peer.write(event(1, 'behind'));
      const code = 'received' in message ? 'NYOTA_DIVERGED' : 'NYOTA_PROTOCOL_ERROR';
      await patient.hears('reconnecting', code);
      expect((await peer.lastWords()).code).toBe(code);
      const { peer: second } = await raw.welcomed();
      await patient.hears('connect');
      expect(await second.next(FrameType.EVENT)).toMatchObject({ seq: 1, body: ['queued', []] });
      expect(patient.dispatched).toEqual([]);
    });
  }

  it('that says that it is not the session the client came back to is never a silent resume', async () => {
    const { raw, patient, client } = await stage.patient();
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    peer.write(event(1, 'one'));
    await peer.next(FrameType.ACK, ({ ack: upTo }) => upTo === 1);
    peer.rst();
    await patient.hears('disconnect');
    await patient.hears('reconnecting');
    // A server that begins anew under the same id would count from 1 again: its first event would pass for a duplicate.
    await raw.welcomed({ resumed: false });
    const { what, info } = await patient.told.next(
      ({ what: heard }) => heard === 'connect' || heard === 'reconnecting',
    );
    expect({ what, info }).not.toMatchObject({ what: 'connect', info: { resumed: true } });
    expect(client.state).not.toBe('closed');
  });

  for (const [name, fields] of [
    ['without limits', [0, 'id', false, 0]],
    ['with a session id that is a number', [0, 7, false, 0, [1, 1, 1, 1]]],
    ['with limits of 0', [0, 'id', false, 0, [0, 0, 0, 0]]],
  ] as const) {
    it(`${name} is a protocol error`, async () => {
      const { raw, patient } = await stage.patient();
      const { peer } = await raw.opened();
      peer.write(frame(FrameType.WELCOME, {}, body(...fields)));
      await patient.hears('reconnecting', 'NYOTA_PROTOCOL_ERROR');
      await raw.welcomed();
      await patient.hears('connect');
    });
  }

  it('with the smallest limits there are harms nobody: it is refused, or what does not fit is', async () => {
    const { raw, patient, client } = await stage.patient();
    client.handle('ask', async () => ({ deep: { deeper: 'reply' } }));
    const { peer } = await raw.welcomed({
      limits: { ...LIMITS, maxFrameBytes: 1, maxDepth: 1, maxValues: 1 },
    });
    const { what, code } = await patient.told.next(
      ({ what: heard }) => heard === 'connect' || heard === 'reconnecting',
    );
    if (what === 'reconnecting') {
      expect(code).toBe('NYOTA_PROTOCOL_ERROR');
    } else {
      expect(() => client.send('too-large')).toThrow(expect.objectContaining({ name: 'NyotaError' }));
      peer.write(frame(FrameType.REQUEST, { seq: 1 }, body(1, 'ask', [], null)));
      await Promise.race([peer.next(FrameType.REPLY), peer.closed()]);
    }
  });

  it('that never comes whole is waited for until handshakeTimeoutMs', async () => {
    const clock = createFakeClock();
    const { raw, patient } = await stage.patient({ clock, handshakeTimeoutMs: 5_000 });
    const { peer } = await raw.opened();
    peer.write(lengthOnly(1_000), Buffer.alloc(500));
    await clock.advance(5_000);
    await patient.hears('reconnecting', 'NYOTA_HANDSHAKE_TIMEOUT');
  });
});

describe('a GOAWAY', () => {
  it('that is none is a protocol error, and the client comes back', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    peer.write(frame(FrameType.GOAWAY, {}, body('soon', [])));
    await patient.hears('disconnect', 'NYOTA_PROTOCOL_ERROR');
    await raw.welcomed();
    await patient.hears('connect');
  });
});
