/**
 * The names of the events that nyota itself emits. Reserved: a remote peer can neither cause nor fake one by
 * its name, so no message may bear one. A leaf: imports nothing.
 */
export const LIFECYCLE_EVENTS = [
  'connect',
  'disconnect',
  'reconnecting',
  'session',
  'sessionInvalidated',
  'gap',
  'error',
  'drain',
  'change',
  'conflict',
  'unhandled',
  'close',
  'expired',
  'listening',
  'clientError',
] as const;

export type LifecycleEvent = (typeof LIFECYCLE_EVENTS)[number];

const NAMES: ReadonlySet<string> = new Set(LIFECYCLE_EVENTS);

export function isLifecycleEvent(name: string): name is LifecycleEvent {
  return NAMES.has(name);
}
