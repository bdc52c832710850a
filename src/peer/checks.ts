/** The checks of what users hand in that more than one class makes. */
import { NyotaError } from '../errors.js';
import { isLifecycleEvent } from '../lifecycle.js';
import { describeValue } from '../options.js';
import type { Listener } from './listeners.js';

/** @throws NyotaError `NYOTA_INVALID_ARGUMENT` for what is no name, `NYOTA_RESERVED_EVENT` for one of nyota's own */
export function checkEventName(event: unknown): asserts event is string {
  if (typeof event !== 'string' || event === '') {
    throw new NyotaError(
      'NYOTA_INVALID_ARGUMENT',
      `an event's name is a string that is not empty, not ${describeValue(event)}`,
    );
  }
  if (isLifecycleEvent(event)) {
    throw new NyotaError(
      'NYOTA_RESERVED_EVENT',
      `'${event}' is an event of nyota's own: give yours another name`,
    );
  }
}

/** @throws NyotaError `NYOTA_INVALID_ARGUMENT` for what is no function */
export function checkListener(event: unknown, listener: unknown): Listener {
  if (typeof event !== 'string') {
    throw new NyotaError(
      'NYOTA_INVALID_ARGUMENT',
      `an event's name is a string, not ${describeValue(event)}`,
    );
  }
  if (typeof listener === 'function') return listener as Listener;
  throw new NyotaError(
    'NYOTA_INVALID_ARGUMENT',
    `a listener of '${event}' is a function, not ${describeValue(listener)}`,
  );
}
