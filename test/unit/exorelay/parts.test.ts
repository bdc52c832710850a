/** The pure parts of a relay: what waits, what is remembered. */
import { describe, expect, it } from 'vitest';
import { Deliveries, REMEMBERED_MESSAGES, REMEMBERED_MS } from '../../../src/exorelay/deliveries.js';
import type { Envelope } from '../../../src/exorelay/message.js';
import { Outbox } from '../../../src/exorelay/outbox.js';
import { PendingReplies, type PendingReply } from '../../../src/exorelay/pending-replies.js';
import { ReplyChannel } from '../../../src/exorelay/reply-channel.js';
import { NyotaError } from '../../../src/index.js';

describe('the outbox', () => {
  const LIMITS = { maxOutboxMessages: 10, maxOutboxBytes: 1_000 };
  const message = (id: string, more: Partial<Envelope> = {}): Envelope => ({
    id,
    name: id,
    activityId: id,
    ...more,
  });

  it('gives out what waits, once and in order', () => {
    const outbox = new Outbox(LIMITS);
    for (const id of ['a', 'b']) outbox.add(message(id));
    expect([outbox.take(), outbox.take(), outbox.take()].map((one) => one?.envelope.id)).toEqual([
      'a',
      'b',
      undefined,
    ]);
  });

  it('after a restart gives out all again: what had been handed over is flagged and taken out of its session', () => {
    const outbox = new Outbox(LIMITS);
    for (const id of ['a', 'b', 'c']) outbox.add(message(id));
    const a = outbox.take()?.handed;
    outbox.take();
    outbox.remove('b');
    outbox.restart();
    expect(a?.signal.aborted).toBe(true);
    expect(
      [outbox.take(), outbox.take()].map((one) => [one?.envelope.id, one?.envelope.redelivered]),
    ).toEqual([
      ['a', true],
      ['c', undefined],
    ]);
  });

  it('what had no room comes first the next time, without the flag', () => {
    const outbox = new Outbox(LIMITS);
    for (const id of ['a', 'b']) outbox.add(message(id));
    const a = outbox.take();
    if (a !== undefined) outbox.putBack(a);
    expect([outbox.take()?.envelope, outbox.take()?.envelope]).toEqual([message('a'), message('b')]);
  });

  it('holds to its limits of messages and of bytes, and a refused message leaves nothing behind', () => {
    const outbox = new Outbox({ maxOutboxMessages: 2, maxOutboxBytes: 1_000 });
    const large = { payload: Buffer.alloc(479) };
    outbox.add(message('a', large));
    expect(() => outbox.add(message('b', large))).toThrow(
      expect.objectContaining({ code: 'NYOTA_OUTBOX_FULL' }),
    );
    outbox.add(message('b'));
    expect(() => outbox.add(message('c'))).toThrow(expect.objectContaining({ code: 'NYOTA_OUTBOX_FULL' }));
    expect([outbox.size, outbox.bytes]).toEqual([2, 721]);
    outbox.clear();
    expect([outbox.size, outbox.bytes]).toEqual([0, 0]);
  });

  it('forgets the replies to given messages alone', () => {
    const outbox = new Outbox(LIMITS);
    outbox.add(message('a', { responseTo: 'm1' }));
    outbox.add(message('b', { responseTo: 'm2' }));
    outbox.add(message('c'));
    expect(outbox.removeRepliesTo(new Set(['m1'])).map(({ envelope }) => envelope.id)).toEqual(['a']);
    expect(outbox.size).toBe(2);
  });
});

describe('what was delivered', () => {
  const ref = (id: string) => ({ sender: 'web', id });

  it('is new, running, then finished', () => {
    const deliveries = new Deliveries();
    expect(deliveries.stateOf(ref('a'))).toBe('new');
    const delivery = deliveries.begin(ref('a'));
    expect(deliveries.stateOf(ref('a'))).toBe('running');
    expect(deliveries.finish(delivery, 0)).toBe(true);
    expect(deliveries.stateOf(ref('a'))).toBe('finished');
    expect(deliveries.known([ref('a'), ref('b')])).toEqual([ref('a')]);
  });

  it('is remembered for ten minutes', () => {
    const deliveries = new Deliveries();
    deliveries.finish(deliveries.begin(ref('a')), 0);
    deliveries.finish(deliveries.begin(ref('b')), REMEMBERED_MS - 1);
    expect(deliveries.stateOf(ref('a'))).toBe('finished');
    deliveries.finish(deliveries.begin(ref('c')), REMEMBERED_MS);
    expect([deliveries.stateOf(ref('a')), deliveries.stateOf(ref('b'))]).toEqual(['new', 'finished']);
  });

  it('is remembered up to a number', () => {
    const deliveries = new Deliveries();
    for (let i = 0; i <= REMEMBERED_MESSAGES; i++) deliveries.finish(deliveries.begin(ref(`m${i}`)), 0);
    expect([deliveries.stateOf(ref('m0')), deliveries.stateOf(ref('m1'))]).toEqual(['new', 'finished']);
  });

  it('when it is revoked, what was not confirmed as finished is forgotten, and may run again', () => {
    const deliveries = new Deliveries();
    const running = deliveries.begin(ref('running'));
    const told = deliveries.begin(ref('told'));
    const confirmed = deliveries.begin(ref('confirmed'));
    deliveries.finish(told, 0);
    deliveries.finish(confirmed, 0);
    deliveries.confirmed(confirmed);
    expect(deliveries.revoke()).toEqual([running, told]);
    expect([running.dead, told.dead, confirmed.dead]).toEqual([true, true, false]);
    expect(['running', 'told', 'confirmed'].map((id) => deliveries.stateOf(ref(id)))).toEqual([
      'new',
      'new',
      'finished',
    ]);
    expect(deliveries.finish(running, 0)).toBe(false);
  });

  it('a handler that goes on after it has returned is found until its last reply, and not for ever', () => {
    const deliveries = new Deliveries();
    const delivery = deliveries.begin(ref('a'));
    deliveries.finish(delivery, 0);
    deliveries.linger(delivery);
    expect(deliveries.find(ref('a'))).toBe(delivery);
    deliveries.finish(deliveries.begin(ref('b')), REMEMBERED_MS);
    expect(deliveries.find(ref('a'))).toBeUndefined();
  });
});

describe('who waits for replies', () => {
  const pending = (id: string, idleMs: number, holdsClose = false): PendingReply => ({
    id,
    name: id,
    activityId: id,
    idleMs,
    holdsClose,
    replied: () => {},
    ended: () => {},
  });

  it('waits for so long after what it heard last', () => {
    const replies = new PendingReplies(10);
    replies.add(pending('a', 100), 0);
    replies.add(pending('b', 100), 0);
    expect(replies.touch('a', 50)?.id).toBe('a');
    expect(replies.takeExpired(99)).toEqual([]);
    expect(replies.takeExpired(100).map(({ id }) => id)).toEqual(['b']);
    expect(replies.nextDeadline).toBe(150);
    expect(replies.takeExpired(150).map(({ id }) => id)).toEqual(['a']);
    expect(replies.size).toBe(0);
  });

  it('waits for ever where it says so', () => {
    const replies = new PendingReplies(10);
    replies.add(pending('a', Number.POSITIVE_INFINITY), 0);
    expect(replies.takeExpired(Number.MAX_SAFE_INTEGER)).toEqual([]);
  });

  it('is counted where it holds up a close, whichever way it goes', () => {
    const replies = new PendingReplies(10);
    for (const id of ['a', 'b', 'c']) replies.add(pending(id, 100, true), 0);
    replies.add(pending('d', 1, false), 0);
    expect(replies.holding).toBe(3);
    replies.take('a');
    replies.takeExpired(50);
    expect(replies.holding).toBe(2);
    replies.takeAll();
    expect(replies.holding).toBe(0);
  });
});

describe('the channel of a stream', () => {
  it('gives what came, in order, then ends', async () => {
    const channel = new ReplyChannel<number>();
    channel.push(1);
    channel.push(2);
    channel.end();
    channel.push(3);
    expect([await channel.next(), await channel.next(), await channel.next()]).toEqual([1, 2, undefined]);
  });

  it('wakes a reader that waits', async () => {
    const channel = new ReplyChannel<number>();
    const read = channel.next();
    channel.push(1);
    expect(await read).toBe(1);
    const end = channel.next();
    channel.end(new NyotaError('NYOTA_TIMEOUT', 'late'));
    await expect(end).rejects.toThrow('late');
  });

  it('counts what is far ahead of the reader as handled only once it is read, or the reader has left', async () => {
    const channel = new ReplyChannel<number>();
    for (let i = 0; i < 256; i++) expect(channel.push(i)).toBeUndefined();
    const handled: string[] = [];
    const first = channel.push(256)?.then(() => handled.push('first'));
    const second = channel.push(257)?.then(() => handled.push('second'));
    for (let i = 0; i < 257; i++) await channel.next();
    await first;
    expect(handled).toEqual(['first']);
    channel.discard();
    await second;
    expect(await channel.next()).toBeUndefined();
  });
});
