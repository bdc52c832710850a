/** Callbacks, times to live, deadlines and aborts of single messages. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { Outbox } from '../../../src/link/outbox.js';
import { Tracker, type TrackOptions } from '../../../src/link/tracker.js';
import { FrameType } from '../../support/frame-type.js';

const LOST = new NyotaError('NYOTA_SESSION_LOST', 'lost');

function setUp() {
  const outbox = new Outbox({ maxOutboxBytes: 1e6, maxOutboxFrames: 1e6 });
  const tracker = new Tracker(outbox);
  const told: string[] = [];
  const add = (name: string, options: TrackOptions = {}): number => {
    const seq = outbox.append(FrameType.EVENT, 0, Buffer.from(name));
    tracker.add(seq, {
      onAck: (error) => told.push(error === undefined ? name : `${name}: ${error.code}`),
      ...options,
    });
    return seq;
  };
  const sendAll = (): void => {
    while (outbox.take() !== undefined) {}
  };
  return { outbox, tracker, told, add, sendAll };
}

describe('acknowledgements', () => {
  it('are told in the order of sending, each once', () => {
    const { tracker, told, add } = setUp();
    for (const name of ['a', 'b', 'c']) add(name);
    tracker.acknowledged(2);
    tracker.acknowledged(2);
    expect(told).toEqual(['a', 'b']);
    tracker.acknowledged(9);
    expect(told).toEqual(['a', 'b', 'c']);
  });

  it('may send from within a callback', () => {
    const { tracker, told, add } = setUp();
    add('a', {
      onAck: () => {
        told.push('a');
        add('again');
      },
    });
    add('b');
    tracker.acknowledged(2);
    expect(told).toEqual(['a', 'b']);
    tracker.acknowledged(3);
    expect(told).toEqual(['a', 'b', 'again']);
  });

  it('tells each of the end of the session, once, also where a callback aborts another', () => {
    const { tracker, told, add } = setUp();
    const abort = new AbortController();
    add('a', {
      onAck: (error) => {
        told.push(`a: ${error?.code}`);
        abort.abort();
      },
    });
    add('b', { signal: abort.signal });
    add('c');
    tracker.fail(LOST);
    expect(told).toEqual(['a: NYOTA_SESSION_LOST', 'b: NYOTA_ABORTED', 'c: NYOTA_SESSION_LOST']);
  });
});

describe('a time to live', () => {
  it('drops what is still unsent, and lets be what was sent', () => {
    const { outbox, tracker, told, add, sendAll } = setUp();
    add('sent', { expiresAt: 10 });
    sendAll();
    add('unsent', { expiresAt: 10 });
    expect(tracker.nextDeadline).toBe(10);
    expect(tracker.tick(9)).toBe(0);
    expect(tracker.tick(10)).toBe(1);
    expect(told).toEqual(['unsent: NYOTA_EXPIRED']);
    expect(tracker.nextDeadline).toBe(Number.POSITIVE_INFINITY);
    tracker.acknowledged(1);
    expect(told).toEqual(['unsent: NYOTA_EXPIRED', 'sent']);
    expect(outbox.frames).toBe(2); // the number goes out as a SKIP
  });

  it('counts a message once that a callback before it took back', () => {
    const { tracker, told, add } = setUp();
    const abort = new AbortController();
    add('a', {
      expiresAt: 10,
      onAck: () => {
        told.push('a');
        abort.abort();
      },
    });
    add('b', { expiresAt: 10, signal: abort.signal });
    expect(tracker.tick(10)).toBe(1);
    expect(told).toEqual(['a', 'b: NYOTA_ABORTED']);
  });
});

describe('a deadline', () => {
  it('takes an unsent message back, and stops waiting for a sent one', () => {
    const { outbox, tracker, told, add, sendAll } = setUp();
    add('sent', { deadline: 5 });
    sendAll();
    const unsent = add('unsent', { deadline: 7 });
    tracker.tick(6);
    expect([told, tracker.nextDeadline]).toEqual([['sent: NYOTA_TIMEOUT'], 7]);
    tracker.tick(7);
    expect(told).toEqual(['sent: NYOTA_TIMEOUT', 'unsent: NYOTA_TIMEOUT']);
    const types: Array<number | undefined> = [];
    outbox.forEachUnsent((seq, frame) => types.push(seq === unsent ? frame[4] : -1));
    expect(types).toEqual([FrameType.SKIP]);
    tracker.acknowledged(2);
    expect(told.length).toBe(2);
  });
});

describe('an abort', () => {
  it('takes an unsent message back, or stops waiting; later aborts do nothing', () => {
    const { tracker, told, add, sendAll } = setUp();
    const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
    add('sent', { signal: first.signal });
    sendAll();
    add('unsent', { signal: second.signal });
    add('acked', { signal: third.signal });
    first.abort();
    second.abort();
    expect(told).toEqual(['sent: NYOTA_ABORTED', 'unsent: NYOTA_ABORTED']);
    tracker.acknowledged(3);
    third.abort();
    first.abort();
    expect(told).toEqual(['sent: NYOTA_ABORTED', 'unsent: NYOTA_ABORTED', 'acked']);
  });
});

describe('new numbers for a new session', () => {
  it('go to those that come along; the others were handled, or are lost', () => {
    const { tracker, told, add } = setUp();
    for (const name of ['handled', 'lost', 'kept', 'kept too']) add(name);
    const tell = tracker.renumber(
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
    tracker.acknowledged(2);
    expect(told.slice(2)).toEqual(['kept', 'kept too']);
  });

  it('are in place before anybody is told, so that a callback may send', () => {
    const { outbox, tracker, told, add } = setUp();
    add('lost', {
      onAck: () => {
        told.push('lost');
        add('retry');
      },
    });
    add('kept');
    outbox.clear();
    const kept = outbox.append(FrameType.EVENT, 0, Buffer.from('kept'));
    tracker.renumber(new Map([[2, kept]]), 0, LOST)();
    tracker.acknowledged(1);
    tracker.acknowledged(2);
    expect(told).toEqual(['lost', 'kept', 'retry']);
  });
});
