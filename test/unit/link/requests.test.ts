/** Requests that wait for a reply, and requests whose handler runs here. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { IncomingRequests, RunningRequest } from '../../../src/features/incoming-requests.js';
import { OutgoingRequests } from '../../../src/features/outgoing-requests.js';

const LOST = new NyotaError('NYOTA_SESSION_LOST', 'lost');

function outgoing() {
  const requests = new OutgoingRequests();
  const settled: unknown[] = [];
  const add = (seq: number, deadline = Number.POSITIVE_INFINITY): number => {
    const id = requests.nextId();
    requests.add({
      id,
      event: 'e',
      seq,
      deadline,
      resolve: (reply) => settled.push([id, reply]),
      reject: (error) => settled.push([id, error]),
    });
    return id;
  };
  return { requests, settled, add };
}

describe('requests that wait for their reply', () => {
  it('are taken out once', () => {
    const { requests, add } = outgoing();
    const id = add(5);
    expect([requests.size, requests.find(5)?.id, requests.find(6)]).toEqual([1, id, undefined]);
    expect([requests.take(id)?.id, requests.take(id), requests.size]).toEqual([id, undefined, 0]);
  });

  it('expire at their deadline, and the next one is known', () => {
    const { requests, add } = outgoing();
    add(1, 30);
    const soon = add(2, 10);
    add(3);
    expect(requests.nextDeadline).toBe(10);
    expect(requests.takeExpired(9)).toEqual([]);
    expect(requests.takeExpired(10).map(({ id }) => id)).toEqual([soon]);
    expect([requests.nextDeadline, requests.size]).toEqual([30, 2]);
    requests.takeExpired(30);
    expect(requests.nextDeadline).toBe(Number.POSITIVE_INFINITY);
  });

  it('all fail at the end of the session, each once', () => {
    const { requests, settled, add } = outgoing();
    add(1);
    add(2);
    requests.fail(LOST);
    requests.fail(LOST);
    expect(settled).toEqual([
      [1, LOST],
      [2, LOST],
    ]);
  });

  it('get new numbers, or fail once that is told', () => {
    const { requests, settled, add } = outgoing();
    add(7);
    add(8);
    const tell = requests.renumber(new Map([[8, 1]]), LOST);
    expect([settled, requests.find(1)?.id]).toEqual([[], 2]);
    tell();
    expect([settled, requests.size]).toEqual([[[1, LOST]], 1]);
  });
});

describe('requests whose handler runs here', () => {
  it('answer once, and not after the session has ended', () => {
    const requests = new IncomingRequests();
    const first = requests.start(1, 100, 1, false);
    const second = requests.start(2, 100, 2, false);
    expect([requests.finish(first), requests.finish(first)]).toEqual([true, false]);
    requests.abandon(LOST);
    expect([requests.finish(second), second.aborted, requests.size]).toEqual([false, true, 0]);
  });

  it('hear of a cancel by their signal, also where they ask for it later', () => {
    const requests = new IncomingRequests();
    const early = requests.start(1, 100, 1, false);
    const { signal } = early;
    const late = requests.start(2, 100, 2, false);
    expect(requests.cancel(1, LOST)).toBe(early);
    requests.cancel(2, LOST);
    expect([signal.aborted, signal.reason, late.signal.aborted, late.signal.reason]).toEqual([
      true,
      LOST,
      true,
      LOST,
    ]);
    expect(requests.cancel(3, LOST)).toBeUndefined();
  });

  it('hear when their caller stops waiting', () => {
    const requests = new IncomingRequests();
    const short = requests.start(1, 10, 1, false);
    const long = requests.start(2, 20, 2, false);
    expect(requests.nextDeadline).toBe(10);
    requests.expire(10);
    expect([short.aborted, long.aborted, requests.nextDeadline]).toEqual([true, false, 20]);
    expect((short.signal.reason as NyotaError).code).toBe('NYOTA_TIMEOUT');
    requests.finish(long);
    requests.finish(short);
    expect(requests.nextDeadline).toBe(Number.POSITIVE_INFINITY);
  });

  it('abort with the first reason only', () => {
    const request = new RunningRequest(1, 0, 1, false);
    request.abort(LOST);
    request.abort(new NyotaError('NYOTA_ABORTED', 'later'));
    expect(request.signal.reason).toBe(LOST);
  });
});
