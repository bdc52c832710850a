/**
 * A clock that moves only when a test says so. May import clock, errors, check and real-timers.
 *
 * Fired timers are real calls, and what they start (promises, streams, memory networks) gets its turn before
 * the next one fires: so `await clock.advance(60_000)` shows the same order as a minute of waiting does.
 */

import type { Clock, ClockTimer } from '../clock.js';
import { NyotaError } from '../errors.js';
import { checkNumber } from './check.js';
import { setImmediate } from './real-timers.js';

export interface FakeClockOptions {
  /** What `now()` says at first, in milliseconds. Default 0. */
  startMs?: number;
}

export interface FakeClock extends Clock {
  /** How many timers are waiting. */
  readonly pendingTimers: number;
  /**
   * Moves the time on by `ms`, and fires what falls due on the way, in order of due time; timers set by timers too.
   * Between two timers, promises and I/O callbacks run. Calls that overlap are done one after the other.
   * Rejects with what a timer's function throws: the time then stands at that timer, and the rest still waits.
   */
  advance(ms: number): Promise<void>;
  /** The same to a point in time. Rejects with `NYOTA_INVALID_ARGUMENT` for one that is past. */
  advanceTo(timeMs: number): Promise<void>;
  /** Moves the time to the next timer and fires it alone. False: there is none. */
  runNext(): Promise<boolean>;
}

interface FakeTimer extends ClockTimer {
  readonly dueMs: number;
  readonly fn: () => void;
}

/** Timers fired with the time standing still: more are taken for a loop that would hang the test. */
const MAX_AT_ONE_TIME = 10_000;

/** Two turns of the event loop, since the first may come before its I/O phase. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Makes a clock at `startMs` (default 0) with no timers. Throws `NYOTA_INVALID_ARGUMENT`. */
export function createFakeClock(options: FakeClockOptions = {}): FakeClock {
  let nowMs = checkNumber('startMs', options.startMs ?? 0, 0, Number.MAX_SAFE_INTEGER);
  /** Sorted by due time; of the same due time, the one set first is first. */
  const timers: FakeTimer[] = [];
  let lastJob: Promise<unknown> = Promise.resolve();
  let firedNow = 0;

  const enqueue = <T>(job: () => Promise<T>): Promise<T> => {
    const done = lastJob.then(job);
    lastJob = done.catch(() => undefined);
    return done;
  };

  const moveTo = (timeMs: number): void => {
    if (timeMs > nowMs) firedNow = 0;
    nowMs = Math.max(nowMs, timeMs);
  };

  const fireFirst = async (timer: FakeTimer): Promise<void> => {
    timers.shift();
    moveTo(timer.dueMs);
    firedNow += 1;
    if (firedNow > MAX_AT_ONE_TIME) {
      firedNow = 0;
      throw new NyotaError(
        'NYOTA_INVALID_ARGUMENT',
        `${MAX_AT_ONE_TIME} timers fired at ${nowMs} ms: one sets itself again with no delay`,
      );
    }
    timer.fn();
    await settle();
  };

  const run = async (targetMs: number): Promise<void> => {
    firedNow = 0;
    await settle();
    for (let next = timers[0]; next !== undefined && next.dueMs <= targetMs; next = timers[0]) {
      await fireFirst(next);
    }
    moveTo(targetMs);
  };

  return {
    now: () => nowMs,
    get pendingTimers() {
      return timers.length;
    },
    setTimeout(fn, ms) {
      const delayMs = ms > 0 ? ms : 0; // NaN too, as the real one has it
      const timer: FakeTimer = { dueMs: nowMs + delayMs, fn, ref: () => timer, unref: () => timer };
      const later = timers.findIndex((other) => other.dueMs > timer.dueMs);
      timers.splice(later === -1 ? timers.length : later, 0, timer);
      return timer;
    },
    clearTimeout(timer) {
      const index = timers.indexOf(timer as FakeTimer);
      if (index !== -1) timers.splice(index, 1);
    },
    async advance(ms) {
      checkNumber('advance', ms, 0, Number.MAX_SAFE_INTEGER);
      await enqueue(() => run(nowMs + ms));
    },
    async advanceTo(timeMs) {
      await enqueue(async () => run(checkNumber('advanceTo', timeMs, nowMs, Number.MAX_SAFE_INTEGER)));
    },
    runNext: () =>
      enqueue(async () => {
        firedNow = 0;
        await settle();
        const next = timers[0];
        if (next === undefined) return false;
        await fireFirst(next);
        return true;
      }),
  };
}
