/** What a side sends: limits, high water, volatile events, requests and their replies, and what the other side can't take. */
import { describe, expect, it } from 'vitest';
import { encodePrepared } from '../../../src/codec/payload.js';
import { NyotaError } from '../../../src/errors.js';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { ack, reply, request, ScriptedPeer } from '../../support/session-frames.js';
import { SessionPair } from '../../support/session-pair.js';

const ABORTED = new NyotaError('NYOTA_ABORTED', 'aborted');
const types = (frames: ReadonlyArray<{ type: number }>): number[] =>
  frames.map(({ type }) => type).filter((type) => type !== FrameType.ACK);

describe('sending', () => {
  it('refuses what can not travel or is too large, and uses up no number', () => {
    const peer = new ScriptedPeer('client', { maxFrameBytes: 1_024, maxOutboxFrames: 1 });
    expect(thrownCode(() => peer.side.send('e', [() => {}]))).toBe('NYOTA_UNSERIALIZABLE');
    expect(thrownCode(() => peer.side.send('e', ['x'.repeat(2_000)]))).toBe('NYOTA_FRAME_TOO_LARGE');
    expect(thrownCode(() => peer.side.request('e', [Symbol('s')], () => {}))).toBe('NYOTA_UNSERIALIZABLE');
    peer.side.send('fits');
    expect(thrownCode(() => peer.side.send('one too many'))).toBe('NYOTA_OUTBOX_FULL');
    expect(peer.side.core.link.outbox.lastSeq).toBe(1);
    expect([peer.side.core.link.counters.sent, peer.side.core.requests.pending]).toEqual([1, 0]);
  });

  it('does not ask anybody to wait for room that there never is: a message larger than the whole outbox', () => {
    const peer = new ScriptedPeer('client', { maxOutboxBytes: 4_096 });
    expect(thrownCode(() => peer.side.send('e', ['x'.repeat(5_000)]))).toBe('NYOTA_FRAME_TOO_LARGE');
    peer.side.send('e', ['x'.repeat(3_000)]);
    expect(thrownCode(() => peer.side.send('e', ['x'.repeat(3_000)]))).toBe('NYOTA_OUTBOX_FULL');
    expect(peer.side.core.link.outbox.lastSeq).toBe(1);
  });

  it('takes a frame of exactly maxFrameBytes, and none of one byte more', () => {
    const peer = new ScriptedPeer('client', { maxFrameBytes: 1_024 });
    let size = 900;
    while (thrownCode(() => peer.side.send('e', ['x'.repeat(size)])) === 'nothing thrown') size++;
    peer.attach();
    const largest = peer.messages().length;
    expect(largest).toBeGreaterThan(50);
    const { outbox } = peer.side.core.link;
    let longest = 0;
    outbox.forEach((_seq, frame) => {
      longest = Math.max(longest, frame.length - 4);
    });
    expect(longest).toBe(1_024);
  });

  it('says false above highWaterBytes, and tells of the drain once, at half of it', () => {
    const peer = new ScriptedPeer('client', { highWaterBytes: 100 });
    peer.attach();
    const sent = Array.from({ length: 10 }, () => peer.side.send('twelve bytes'));
    expect(sent.indexOf(false)).toBeGreaterThan(2);
    expect(sent.slice(sent.indexOf(false))).not.toContain(true);
    peer.written();
    peer.feed(ack(5));
    expect(peer.side.drains).toBe(0);
    peer.feed(ack(9));
    peer.feed(ack(10));
    expect(peer.side.drains).toBe(1);
  });

  it('tells of the drain while four large messages are left: with the last one the connection would be idle', () => {
    const peer = new ScriptedPeer('client', { maxFrameBytes: 1e6, highWaterBytes: 400_000 });
    peer.attach();
    const large = Buffer.alloc(300_000);
    for (let i = 0; i < 6; i++) peer.side.send('large', [large]);
    peer.written();
    peer.feed(ack(1));
    expect(peer.side.drains).toBe(0);
    peer.feed(ack(2));
    expect([peer.side.drains, peer.side.core.link.outbox.frames]).toEqual([1, 4]);
    // Smaller ones count by their bytes alone, however few they are.
    for (let i = 0; i < 2; i++) peer.side.send('less', [large.subarray(0, 150_000)]);
    peer.written();
    peer.feed(ack(6));
    expect(peer.side.drains).toBe(1);
    peer.feed(ack(7));
    expect(peer.side.drains).toBe(2);
  });

  it('tells of the drain also after it threw for a full outbox', () => {
    const peer = new ScriptedPeer('client', { maxOutboxFrames: 2 });
    peer.attach();
    peer.side.send('a');
    peer.side.send('b');
    expect(thrownCode(() => peer.side.send('c'))).toBe('NYOTA_OUTBOX_FULL');
    peer.written();
    peer.feed(ack(1));
    expect(peer.side.drains).toBe(1);
    peer.side.send('c');
  });

  it('drops volatile events above the high-water mark', () => {
    const peer = new ScriptedPeer('client', { highWaterBytes: 1_000 });
    peer.attach();
    const taken = Array.from({ length: 5 }, () => peer.side.core.events.sendVolatile('v', ['x'.repeat(400)]));
    expect(taken).toEqual([true, true, true, false, false]);
    expect(peer.side.core.link.counters.volatileDropped).toBe(2);
    expect(types(peer.messages())).toEqual(Array(3).fill(FrameType.VOLATILE));
    expect(peer.side.core.events.sendVolatile('v', [])).toBe(true);
  });
});

describe('a request', () => {
  it('is settled by its reply, once; a late or unknown reply is nobody’s', () => {
    const peer = new ScriptedPeer('client');
    peer.attach();
    const outcomes: unknown[] = [];
    const id = peer.side.request('r', [], (outcome) => outcomes.push(outcome));
    peer.feed(reply(1, id, 'first'), reply(2, id, 'again'), reply(3, 999, 'unknown'));
    expect(outcomes).toEqual([{ reply: 'first' }]);
  });

  it('that times out is taken back while unsent, and cancelled after', () => {
    const peer = new ScriptedPeer('client');
    peer.attach();
    const codes: unknown[] = [];
    const note = ({ error }: { error?: unknown }): unknown => codes.push((error as NyotaError).code);
    peer.side.request('sent', [], note, 100.5);
    peer.written();
    peer.side.request('unsent', [], note, 50);
    peer.now += 50;
    peer.side.fireTimer();
    peer.now += 50.5;
    peer.side.fireTimer();
    expect(codes).toEqual(['NYOTA_TIMEOUT', 'NYOTA_TIMEOUT']);
    expect(types(peer.messages())).toEqual([FrameType.SKIP, FrameType.CANCEL]);
    expect(peer.side.core.requests.nextDeadline).toBe(Number.POSITIVE_INFINITY);
  });

  it('that is cancelled tells the handler, or was never there', () => {
    const peer = new ScriptedPeer('client');
    peer.attach();
    const outcomes: unknown[] = [];
    const sent = peer.side.request('sent', [], ({ error }) => outcomes.push(error));
    peer.written();
    const unsent = peer.side.request('unsent', [], ({ error }) => outcomes.push(error));
    for (const id of [sent, unsent, unsent]) peer.side.core.requests.cancel(id, ABORTED);
    expect(outcomes).toEqual([ABORTED, ABORTED]);
    expect(peer.messages()).toMatchObject([
      { type: FrameType.SKIP },
      { type: FrameType.CANCEL, body: [sent, 'NYOTA_ABORTED'] },
    ]);
  });

  it('with a time to live fails with it where it was not sent in time', () => {
    const peer = new ScriptedPeer('client');
    const errors: unknown[] = [];
    const options = { timeoutMs: 1_000, expiresAt: peer.now + 10 };
    const failed = (error: unknown) => errors.push((error as NyotaError).code);
    peer.side.core.requests.request('r', [], options, () => errors.push('a reply'), failed);
    peer.now += 10;
    peer.side.fireTimer();
    expect([errors, peer.side.core.link.counters.expired, peer.side.core.requests.pending]).toEqual([
      ['NYOTA_EXPIRED'],
      1,
      0,
    ]);
  });

  it('may wait with a fraction of a millisecond', async () => {
    const pair = new SessionPair();
    const outcomes: unknown[] = [];
    pair.server.handlers.set('r', (_args, { deadline }, done) => done(true, deadline - pair.now()));
    pair.connect();
    pair.client.request('r', [], (outcome) => outcomes.push(outcome), 300.25);
    await pair.settle();
    expect([outcomes, pair.failures]).toEqual([[{ reply: 301 }], []]);
  });
});

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

describe('limits that the other side announces', () => {
  const SMALL = { maxFrameBytes: 500, maxDepth: 6, maxValues: 100 };
  const deep = [[[[[[1]]]]]];
  const wide = Array.from({ length: 200 }, (_, i) => i);

  it('hold for what is sent from then on', () => {
    const peer = new ScriptedPeer('client');
    peer.attach(0, SMALL);
    expect(thrownCode(() => peer.side.send('e', ['x'.repeat(600)]))).toBe('NYOTA_FRAME_TOO_LARGE');
    expect(thrownCode(() => peer.side.send('e', [deep]))).toBe('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(thrownCode(() => peer.side.send('e', [wide]))).toBe('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(thrownCode(() => peer.side.core.events.sendVolatile('e', ['x'.repeat(600)]))).toBe(
      'NYOTA_FRAME_TOO_LARGE',
    );
    const { events } = peer.side.core;
    const body = Buffer.from(encodePrepared(['e', [deep]]));
    expect(thrownCode(() => events.sendEncoded(body))).not.toBe('nothing thrown');
  });

  it('take back what was queued before, tell its sender, and let the rest through', () => {
    const peer = new ScriptedPeer('client');
    const told: unknown[] = [];
    peer.side.send('large', ['x'.repeat(600)], (error) => told.push(['large', error?.code]));
    peer.side.send('deep', [deep]);
    peer.side.request('wide', [wide], ({ error }) => told.push(['wide', (error as NyotaError).code]));
    peer.side.send('fits', [], (error) => told.push(['fits', error]));
    peer.attach(0, SMALL);
    expect(peer.messages().filter(({ seq }) => seq > 0)).toMatchObject([
      { type: FrameType.SKIP, seq: 1 },
      { type: FrameType.SKIP, seq: 2 },
      { type: FrameType.SKIP, seq: 3 },
      { type: FrameType.EVENT, seq: 4 },
    ]);
    peer.feed(ack(4));
    expect(told).toEqual([
      ['large', 'NYOTA_FRAME_TOO_LARGE'],
      ['wide', 'NYOTA_PAYLOAD_TOO_COMPLEX'],
      ['fits', undefined],
    ]);
    expect(peer.side.reports.map(({ code }) => code)).toContain('NYOTA_PAYLOAD_TOO_COMPLEX');
    expect(peer.side.core.requests.pending).toBe(0);
  });
});
