/** The `clock` option of both sides. */
import { type Clock, systemClock } from '../clock.js';
import { invalidOption } from '../options.js';

/** @throws NyotaError `NYOTA_INVALID_OPTION` */
export function readClock(clock: unknown): Clock {
  if (clock === undefined) return systemClock;
  const { now, setTimeout, clearTimeout } = (clock ?? {}) as Partial<Clock>;
  const whole = [now, setTimeout, clearTimeout].every((member) => typeof member === 'function');
  if (!whole) throw invalidOption('clock', 'an object with now, setTimeout and clearTimeout', clock);
  return clock as Clock;
}
