/** Callbacks, times to live, deadlines and aborts of single messages. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { Outbox } from '../../../src/link/outbox.js';
import { Tracker, type TrackOptions } from '../../../src/link/tracker.js';
import { FrameType } from '../../support/frame-type.js';

const LOST = new NyotaError('NYOTA_SESSION_LOST', 'lost');

function setUp() {
  const outbox = new Outbox({ maxOutboxBytes: 1e6, maxOutboxFrames: 1e6 });
  const deliveries = new Tracker(outbox);
  const told: string[] = [];
  const add = (name: string, options: TrackOptions = {}): number => {
    const seq = outbox.append(FrameType.EVENT, 0, Buffer.from(name));
    deliveries.add(seq, {
      onAck: (error) => told.push(error === undefined ? name : `${name}: ${error.code}`),
      ...options,
    });
    return seq;
  };
  const sendAll = (): void => {
    while (outbox.take() !== undefined) {}
  };
  return { outbox, deliveries, told, add, sendAll };
}

describe('acknowledgements', () => {
  it('are told in the order of sending, each once', () => {
    const { deliveries, told, add } = setUp();
    for (const name of ['a', 'b', 'c']) add(name);
    deliveries.acknowledged(2);
    deliveries.acknowledged(2);
    expect(told).toEqual(['a', 'b']);
    deliveries.acknowledged(9);
    expect(told).toEqual(['a', 'b', 'c']);
  });

  it('may send from within a callback', () => {
    const { deliveries, told, add } = setUp();
    add('a', {
      onAck: () => {
        told.push('a');
        add('again');
      },
    });
    add('b');
    deliveries.acknowledged(2);
    expect(told).toEqual(['a', 'b']);
    deliveries.acknowledged(3);
    expect(told).toEqual(['a', 'b', 'again']);
  });

  it('tells each of the end of the session, once, also where a callback aborts another', () => {
    const { deliveries, told, add } = setUp();
    const abort = new AbortController();
    add('a', {
      onAck: (error) => {
        told.push(`a: ${error?.code}`);
        abort.abort();
      },
    });
    add('b', { signal: abort.signal });
    add('c');
    deliveries.fail(LOST);
    expect(told).toEqual(['a: NYOTA_SESSION_LOST', 'b: NYOTA_ABORTED', 'c: NYOTA_SESSION_LOST']);
  });
});

describe('a time to live', () => {
  it('drops what is still unsent, and lets be what was sent', () => {
    const { outbox, deliveries, told, add, sendAll } = setUp();
    add('sent', { expiresAt: 10 });
    sendAll();
    add('unsent', { expiresAt: 10 });
    expect(deliveries.nextDeadline).toBe(10);
    expect(deliveries.tick(9)).toBe(0);
    expect(deliveries.tick(10)).toBe(1);
    expect(told).toEqual(['unsent: NYOTA_EXPIRED']);
    expect(deliveries.nextDeadline).toBe(Number.POSITIVE_INFINITY);
    deliveries.acknowledged(1);
    expect(told).toEqual(['unsent: NYOTA_EXPIRED', 'sent']);
    expect(outbox.frames).toBe(2); // the number goes out as a SKIP
  });

  it('counts a message once that a callback before it took back', () => {
    const { deliveries, told, add } = setUp();
    const abort = new AbortController();
    add('a', {
      expiresAt: 10,
      onAck: () => {
        told.push('a');
        abort.abort();
      },
    });
    add('b', { expiresAt: 10, signal: abort.signal });
    expect(deliveries.tick(10)).toBe(1);
    expect(told).toEqual(['a', 'b: NYOTA_ABORTED']);
  });
});

describe('a deadline', () => {
  it('takes an unsent message back, and stops waiting for a sent one', () => {
    const { outbox, deliveries, told, add, sendAll } = setUp();
    add('sent', { deadline: 5 });
    sendAll();
    const unsent = add('unsent', { deadline: 7 });
    deliveries.tick(6);
    expect([told, deliveries.nextDeadline]).toEqual([['sent: NYOTA_TIMEOUT'], 7]);
    deliveries.tick(7);
    expect(told).toEqual(['sent: NYOTA_TIMEOUT', 'unsent: NYOTA_TIMEOUT']);
    const types: Array<number | undefined> = [];
    outbox.forEachUnsent((seq, frame) => types.push(seq === unsent ? frame[4] : -1));
    expect(types).toEqual([FrameType.SKIP]);
    deliveries.acknowledged(2);
    expect(told.length).toBe(2);
  });
});

describe('an abort', () => {
  it('takes an unsent message back, or stops waiting; later aborts do nothing', () => {
    const { deliveries, told, add, sendAll } = setUp();
    const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
    add('sent', { signal: first.signal });
    sendAll();
    add('unsent', { signal: second.signal });
    add('acked', { signal: third.signal });
    first.abort();
    second.abort();
    expect(told).toEqual(['sent: NYOTA_ABORTED', 'unsent: NYOTA_ABORTED']);
    deliveries.acknowledged(3);
    third.abort();
    first.abort();
    expect(told).toEqual(['sent: NYOTA_ABORTED', 'unsent: NYOTA_ABORTED', 'acked']);
  });
});

describe('new numbers for a new session', () => {
  it('go to those that come along; the others were handled, or are lost', () => {
    const { deliveries, told, add } = setUp();
    for (const name of ['handled', 'lost', 'kept', 'kept too']) add(name);
    const tell = deliveries.renumber(
      new Map([
        [3, 1],
        [4, 2],
      ]),
      1,
      LOST,
    );
    expect(told).toEqual([]);
    tell();
    expect(told).toEqual(['handled', 'lost: NYOTA_SESSION_LOST']);
    deliveries.acknowledged(2);
    expect(told.slice(2)).toEqual(['kept', 'kept too']);
  });

  it('are in place before anybody is told, so that a callback may send', () => {
    const { outbox, deliveries, told, add } = setUp();
    add('lost', {
      onAck: () => {
        told.push('lost');
        add('retry');
      },
    });
    add('kept');
    outbox.clear();
    const kept = outbox.append(FrameType.EVENT, 0, Buffer.from('kept'));
    deliveries.renumber(new Map([[2, kept]]), 0, LOST)();
    deliveries.acknowledged(1);
    deliveries.acknowledged(2);
    expect(told).toEqual(['lost', 'kept', 'retry']);
  });
});
