/**
 * One simulated process: its clock, its timers, and the ways in which it may stop. A dead one hears nothing any more, though
 * its objects are still in memory; one that stands still (SIGSTOP) hears everything later.
 */
import type { Clock, ClockTimer } from '../../src/clock.js';
import type { Entry, Owner, Schedule } from './schedule.js';

interface Timer extends ClockTimer {
  entry: Entry | undefined;
}

export class SimProcess implements Owner {
  readonly name: string;
  readonly clock: Clock;
  readonly backlog: Entry[] = [];
  readonly #schedule: Schedule;
  readonly #timers = new Set<Timer>();
  #alive = true;
  #frozen = false;

  /** @param offsetMs how far its clock is from the others': each machine has its own */
  constructor(schedule: Schedule, name: string, offsetMs: number) {
    this.name = name;
    this.#schedule = schedule;
    this.clock = {
      now: () => schedule.now + offsetMs,
      setTimeout: (fn, ms) => this.#setTimeout(fn, ms),
      clearTimeout: (timer) => this.clearTimeout(timer as Timer),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** Timers that wait. */
  get timers(): number {
    return this.#timers.size;
  }

  crash(): void {
    this.#alive = false;
    for (const timer of [...this.#timers]) this.clearTimeout(timer);
  }

  freeze(): void {
    this.#frozen = true;
  }

  /** What came meanwhile happens now, in its order. */
  thaw(): void {
    if (!this.#frozen) return;
    this.#frozen = false;
    for (const entry of this.backlog.splice(0)) {
      this.#schedule.after(this, 0, () => {
        const { fn } = entry;
        entry.fn = undefined;
        fn?.();
      });
    }
  }

  clearTimeout(timer: Timer): void {
    if (!this.#timers.delete(timer)) return;
    if (timer.entry !== undefined) this.#schedule.cancel(timer.entry);
    timer.entry = undefined;
  }

  #setTimeout(fn: () => void, ms: number): Timer {
    const timer: Timer = { entry: undefined, ref: () => timer, unref: () => timer };
    if (!this.#alive) return timer;
    this.#timers.add(timer);
    timer.entry = this.#schedule.after(this, ms, () => {
      this.#timers.delete(timer);
      fn();
    });
    return timer;
  }
}
