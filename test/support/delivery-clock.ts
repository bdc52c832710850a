/** The real clock, counting the timers that are set and have neither fired nor been stopped: none may be left at the end. */
import { type Clock, type ClockTimer, systemClock } from '../../src/index.js';

export interface CountingClock extends Clock {
  readonly pending: number;
}

export function createCountingClock(): CountingClock {
  const timers = new Set<ClockTimer>();
  return {
    get pending() {
      return timers.size;
    },
    now: () => systemClock.now(),
    setTimeout(fn, ms) {
      const timer = systemClock.setTimeout(() => {
        timers.delete(timer);
        fn();
      }, ms);
      timers.add(timer);
      return timer;
    },
    clearTimeout(timer) {
      timers.delete(timer);
      systemClock.clearTimeout(timer);
    },
  };
}
