/**
 * What a reply carries: the value, or an error that says what the handler threw, or why its answer can't be sent
 * (docs/design.md, rule 47).
 */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { FrameType } from '../../support/frame-type.js';
import { request, ScriptedPeer } from '../../support/session-frames.js';
import { SessionPair } from '../../support/session-pair.js';

const ABORTED = new NyotaError('NYOTA_ABORTED', 'aborted');

describe('a reply', () => {
  async function answer(
    value: unknown,
    ok: boolean,
    limits = {},
  ): Promise<{ reply?: unknown; error?: unknown }> {
    const pair = new SessionPair({ server: limits });
    const outcomes: Array<{ reply?: unknown; error?: unknown }> = [];
    pair.server.handlers.set('r', (_args, _request, done) => done(ok, value));
    pair.connect();
    pair.client.request('r', [], (outcome) => outcomes.push(outcome));
    await pair.settle();
    expect([outcomes.length, pair.failures]).toEqual([1, []]);
    return outcomes[0] ?? {};
  }

  it('carries an error with its name, message, code and data', async () => {
    const thrown = Object.assign(new RangeError('too far'), { code: 'E_FAR', data: { by: 3 } });
    const { error } = await answer(thrown, false);
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ message: 'too far', code: 'E_FAR', data: { by: 3 } });
    expect((await answer(ABORTED, false)).error).toBeInstanceOf(NyotaError);
  });

  it('carries what was thrown that is no error', async () => {
    for (const value of ['text', 5, null, undefined, Symbol('s'), Object.create(null), () => {}, { a: 1 }]) {
      const { error } = await answer(value, false);
      expect(error).toBeInstanceOf(Error);
      if (value === 'text') expect(error).toMatchObject({ message: 'text' });
    }
  });

  it('that can not be sent is replaced by the error that says why', async () => {
    expect((await answer(() => {}, true)).error).toMatchObject({ code: 'NYOTA_UNSERIALIZABLE' });
    expect((await answer('x'.repeat(5_000), true, { maxFrameBytes: 2_000 })).error).toMatchObject({
      code: 'NYOTA_FRAME_TOO_LARGE',
    });
    const large = Object.assign(new Error('large'), { code: 'E_LARGE', data: 'x'.repeat(5_000) });
    expect((await answer(large, false, { maxFrameBytes: 2_000 })).error).toMatchObject({
      message: 'large',
      code: 'E_LARGE',
    });
  });

  it('never throws, whatever the error is made of', async () => {
    const throwing = new Error('x');
    Object.defineProperty(throwing, 'message', {
      get: () => {
        throw new Error('no message');
      },
    });
    const odd = Object.assign(new Error('x'), { fn: () => {} });
    Object.defineProperty(odd, 'message', { value: undefined });
    Object.defineProperty(odd, 'name', { value: 7 });
    for (const value of [throwing, odd]) expect((await answer(value, false)).error).toBeInstanceOf(Error);
  });

  it('goes out also where the outbox is full of other messages', () => {
    const peer = new ScriptedPeer('server', { maxOutboxFrames: 2 });
    peer.attach();
    peer.side.handlers.set('r', (_args, _request, done) => done(true, 'answer'));
    peer.side.send('a');
    peer.side.send('b');
    peer.feed(request(1, 1, 'r'));
    const replies = peer.messages().filter(({ type }) => type === FrameType.REPLY);
    expect(replies).toMatchObject([{ body: [1, false, { code: 'NYOTA_OUTBOX_FULL' }] }]);
  });
});
