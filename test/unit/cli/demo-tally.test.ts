/** The demo's checker finds what it is there to find: its "nothing lost" means something. */
import { describe, expect, it } from 'vitest';
import type { Delivered, EndReport } from '../../../src/cli/demo-messages.js';
import { judge } from '../../../src/cli/demo-result.js';
import { flaws, percentile, tally } from '../../../src/cli/demo-tally.js';

const none = { lost: 0, duplicates: 0, redelivered: 0, outOfOrder: 0, unknown: 0 };
const fresh = (numbers: readonly number[]): Delivered[] => numbers.map((n) => ({ n, redelivered: false }));
const flagged = (numbers: readonly number[]): Delivered[] => numbers.map((n) => ({ n, redelivered: true }));

describe('the tally', () => {
  it.each([
    ['nothing of nothing', 0, [], none],
    ['all once and in order', 4, [1, 2, 3, 4], none],
    ['nothing of what was sent', 3, [], { ...none, lost: 3 }],
    ['one missing in the middle', 4, [1, 2, 4], { ...none, lost: 1 }],
    ['the first missing', 3, [2, 3], { ...none, lost: 1 }],
    ['the last missing', 3, [1, 2], { ...none, lost: 1 }],
    ['one repeated at once', 3, [1, 2, 2, 3], { ...none, duplicates: 1 }],
    ['one repeated late, and again', 3, [1, 2, 3, 1, 1], { ...none, duplicates: 2 }],
    ['two swapped', 4, [1, 3, 2, 4], { ...none, outOfOrder: 1 }],
    ['the first one last', 4, [2, 3, 4, 1], { ...none, outOfOrder: 1 }],
    [
      'one missing and another twice: as many as were sent',
      3,
      [1, 1, 3],
      { ...none, lost: 1, duplicates: 1 },
    ],
    ['a number that was never sent', 2, [1, 2, 3], { ...none, unknown: 1 }],
    ['what is no number of an event', 1, [1, 0, -1, 1.5, Number.NaN], { ...none, unknown: 4 }],
  ])('%s', (_what, sent, handled, expected) => {
    const result = tally(sent, [fresh(handled)]);
    expect(result).toEqual({ sent, handled: handled.length, ...expected });
    expect(flaws(result).length === 0).toBe(Object.values(expected).every((count) => count === 0));
  });

  it('says in words what is wrong', () => {
    const text = flaws(tally(4, [fresh([1, 1, 4, 3, 9])]));
    expect(text).toEqual(['1 lost', '1 handled again', '1 out of order', '1 handled but never sent']);
  });
});

describe('the tally of a process that was killed and those after it', () => {
  it.each([
    ['goes on behind it', [fresh([1, 2]), fresh([3, 4])], none],
    ['goes on, flagged without need', [fresh([1, 2]), flagged([3, 4])], none],
    [
      'handles some again, flagged',
      [fresh([1, 2]), [...flagged([1, 2]), ...fresh([3, 4])]],
      { ...none, redelivered: 2 },
    ],
    ['handles one again, not flagged', [fresh([1, 2]), fresh([2, 3, 4])], { ...none, duplicates: 1 }],
    ['handles one twice itself, flagged', [fresh([1]), flagged([2, 2, 3, 4])], { ...none, duplicates: 1 }],
    [
      'handles one again twice, flagged',
      [fresh([1, 2]), flagged([2, 2, 3, 4])],
      { ...none, redelivered: 1, duplicates: 1 },
    ],
    [
      'handles two again in the wrong order',
      [fresh([1, 2]), flagged([2, 1, 3, 4])],
      { ...none, redelivered: 1, outOfOrder: 1 },
    ],
    ['leaves one out', [fresh([1, 2]), fresh([4])], { ...none, lost: 1 }],
    ['handles an early one late', [fresh([1, 3]), flagged([2, 4])], { ...none, outOfOrder: 1 }],
    ['is killed too', [fresh([1, 2]), flagged([2, 3]), flagged([2, 3, 4])], { ...none, redelivered: 3 }],
  ])('%s', (_what, runs, expected) => {
    const result = tally(4, runs);
    expect(result).toEqual({ sent: 4, handled: runs.flat().length, ...expected });
    const { lost, duplicates, outOfOrder } = expected;
    expect(flaws(result).length === 0).toBe(lost + duplicates + outOfOrder === 0);
  });
});

describe('round-trip times', () => {
  it('are values that were measured', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(hundred, 0.5)).toBe(50);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile([7], 0.99)).toBe(7);
    expect(percentile([], 0.5)).toBeUndefined();
  });
});

describe('the verdict', () => {
  const stats = {
    sent: 3,
    received: 3,
    acked: 3,
    replayed: 0,
    duplicatesDropped: 0,
    reconnects: 0,
    bytesSent: 0,
    bytesReceived: 0,
    volatileDropped: 0,
    expired: 0,
    outboxFrames: 0,
    outboxBytes: 0,
    pendingRequests: 0,
    roundTripMs: undefined,
  };
  const good: EndReport = {
    link: 'A',
    sent: 3,
    handled: [fresh([1, 2, 3])],
    handledMs: 10,
    requests: { sent: 1, answered: 1, failed: 0, interrupted: 0, roundTripsMs: [2] },
    requestsHandled: [fresh([1])],
    writes: 2,
    steps: 2,
    store: { counter: { total: 4 }, key: { n: 1 } },
    stats,
  };
  const judged = (client: Partial<EndReport>, server: Partial<EndReport> = {}, made = 2, killed = 1) =>
    judge(
      {
        seed: 1,
        durationMs: 1,
        events: 3,
        cuts: { planned: 2, made },
        kills: { planned: 1, made: killed },
        sessionStore: 'lmdb',
        problems: [],
      },
      [{ link: 'A', client: { ...good, ...client }, server: { ...good, ...server } }],
      'counter',
    );

  it('is good where both ends agree', () => {
    expect(judged({})).toMatchObject({ ok: true, problems: [] });
  });

  it('is good where an event or a request was redelivered, or its asker was killed', () => {
    const requests = { ...good.requests, answered: 0, interrupted: 1, roundTripsMs: [] };
    const requestsHandled = [fresh([1]), flagged([1])];
    const handled = [fresh([1, 2]), flagged([2, 3])];
    const result = judged({}, { requests, requestsHandled, handled });
    expect(result).toMatchObject({ ok: true, problems: [] });
    expect(result.directions[0]).toMatchObject({ redelivered: 1, requests: { redelivered: 1 } });
    expect(result.directions[1]).toMatchObject({ redelivered: 0, requests: { interrupted: 1 } });
  });

  const request = good.requests;
  it.each([
    [
      'an event lost on its way to the server',
      judged({}, { handled: [fresh([1, 3])] }),
      'client A to server: 1 lost',
    ],
    ['an event lost on its way back', judged({ handled: [fresh([1, 3])] }), 'server to client A: 1 lost'],
    [
      'an event that was never sent',
      judged({ sent: 2 }, { handled: [fresh([1, 2])] }),
      '2 sent instead of 3',
    ],
    [
      'a request that failed',
      judged({ requests: { ...request, answered: 0, failed: 1 } }),
      '1 requests failed',
    ],
    ['a request without an end', judged({ requests: { ...request, answered: 0 } }), 'never settled'],
    [
      'a request handled twice',
      judged({}, { requestsHandled: [fresh([1, 1])] }),
      '1 requests handled 2 times',
    ],
    [
      'stores that differ',
      judged({ store: { counter: { total: 4 }, key: { n: 2 } } }),
      'store A: its two sides differ',
    ],
    ['a counter that missed a step', judged({ steps: 3 }), 'the counter is 4 after 5 steps'],
    ['cuts that were not made', judged({}, {}, 1), 'only 1 of 2 cuts made'],
    ['kills that were not made', judged({}, {}, 2, 0), 'only 0 of 1 kills made'],
    [
      'an event handled again by the next process and not flagged',
      judged({}, { handled: [fresh([1, 2]), fresh([2, 3])] }),
      'client A to server: 1 handled again',
    ],
  ])('is bad for %s', (_what, result, problem) => {
    expect(result.ok).toBe(false);
    expect(result.problems.join('; ')).toContain(problem);
  });
});
