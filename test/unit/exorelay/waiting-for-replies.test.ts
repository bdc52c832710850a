/** Who waits for replies waits as long as it said, and a stream takes them in no faster than they are read. */
import { describe, expect, it } from 'vitest';
import { PendingReplies, type PendingReply, ReplyChannel } from '../../../src/exorelay/messenger.js';
import { NyotaError } from '../../../src/index.js';

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
