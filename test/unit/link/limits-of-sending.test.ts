/** What is refused leaves nothing behind, and a full outbox says so (docs/design.md, rules 7 and 11). */
import { describe, expect, it } from 'vitest';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { ack, attached, request, ScriptedPeer } from '../../support/session-frames.js';

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

describe('answers, which are never refused', () => {
  it('end the connection of a side that keeps asking and acknowledges nothing', () => {
    const peer = attached('server', { maxOutboxFrames: 100 });
    peer.side.handlers.set('ask', (_args, _request, done) => done(true, null));
    const codes = (): string[] => peer.failures.map(({ code }) => code);
    for (let id = 1; id <= 150; id++) {
      peer.feed(request(id, id, 'ask'));
      peer.written();
    }
    expect([codes(), peer.side.core.link.outbox.frames]).toEqual([[], 150]);
    peer.feed(request(151, 151, 'ask'));
    expect(codes()).toEqual(['NYOTA_STALLED']);
  });

  it('may be more than the limit while they are acknowledged, also by a side that comes back', () => {
    const peer = attached('server', { maxOutboxFrames: 100 });
    peer.side.handlers.set('ask', (_args, _request, done) => done(true, null));
    for (let id = 1; id <= 150; id++) peer.feed(request(id, id, 'ask'));
    peer.written();
    peer.attach(0);
    peer.written();
    for (let id = 151; id <= 175; id++) peer.feed(request(id, id, 'ask'));
    peer.written();
    peer.feed(ack(175));
    expect([peer.failures, peer.side.core.link.outbox.frames]).toEqual([[], 0]);
  });
});
