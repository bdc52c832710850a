/** A message is kept until ExoCom has accepted it: in order, within limits, and all of them again after a restart. */
import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../../src/exorelay/message.js';
import { Unaccepted } from '../../../src/exorelay/unaccepted.js';

describe('what ExoCom has not accepted', () => {
  const LIMITS = { maxOutboxMessages: 10, maxOutboxBytes: 1_000 };
  const message = (id: string, more: Partial<Envelope> = {}): Envelope => ({
    id,
    name: id,
    activityId: id,
    ...more,
  });

  it('is given out once and in order', () => {
    const unaccepted = new Unaccepted(LIMITS);
    for (const id of ['a', 'b']) unaccepted.add(message(id));
    expect([unaccepted.take(), unaccepted.take(), unaccepted.take()].map((one) => one?.envelope.id)).toEqual([
      'a',
      'b',
      undefined,
    ]);
  });

  it('after a restart gives out all again: what had been handed over is flagged and taken out of its session', () => {
    const unaccepted = new Unaccepted(LIMITS);
    for (const id of ['a', 'b', 'c']) unaccepted.add(message(id));
    const a = unaccepted.take()?.handed;
    unaccepted.take();
    unaccepted.remove('b');
    unaccepted.restart();
    expect(a?.signal.aborted).toBe(true);
    expect(
      [unaccepted.take(), unaccepted.take()].map((one) => [one?.envelope.id, one?.envelope.redelivered]),
    ).toEqual([
      ['a', true],
      ['c', undefined],
    ]);
  });

  it('what had no room comes first the next time, without the flag', () => {
    const unaccepted = new Unaccepted(LIMITS);
    for (const id of ['a', 'b']) unaccepted.add(message(id));
    const a = unaccepted.take();
    if (a !== undefined) unaccepted.putBack(a);
    expect([unaccepted.take()?.envelope, unaccepted.take()?.envelope]).toEqual([message('a'), message('b')]);
  });

  it('holds to its limits of messages and of bytes, and a refused message leaves nothing behind', () => {
    const unaccepted = new Unaccepted({ maxOutboxMessages: 2, maxOutboxBytes: 1_000 });
    const large = { payload: Buffer.alloc(479) };
    unaccepted.add(message('a', large));
    expect(() => unaccepted.add(message('b', large))).toThrow(
      expect.objectContaining({ code: 'NYOTA_OUTBOX_FULL' }),
    );
    unaccepted.add(message('b'));
    expect(() => unaccepted.add(message('c'))).toThrow(
      expect.objectContaining({ code: 'NYOTA_OUTBOX_FULL' }),
    );
    expect([unaccepted.size, unaccepted.bytes]).toEqual([2, 721]);
    unaccepted.clear();
    expect([unaccepted.size, unaccepted.bytes]).toEqual([0, 0]);
  });

  it('forgets the replies to given messages alone', () => {
    const unaccepted = new Unaccepted(LIMITS);
    unaccepted.add(message('a', { responseTo: 'm1' }));
    unaccepted.add(message('b', { responseTo: 'm2' }));
    unaccepted.add(message('c'));
    expect(unaccepted.removeRepliesTo(new Set(['m1'])).map(({ envelope }) => envelope.id)).toEqual(['a']);
    expect(unaccepted.size).toBe(2);
  });
});
