/**
 * What may be handed to a relay's calls, with the texts that users of the old packages know. Pure.
 */
import { NyotaError } from '../index.js';
import { isName, MAX_HANDLES } from './message.js';

/** What is wrong with a message handler; undefined: nothing. */
export function handlerFault(
  name: unknown,
  handler: unknown,
  handlers: { has(name: string): boolean; readonly size: number },
): NyotaError | undefined {
  if (name === undefined || name === null || name === '') return invalid('No message id provided');
  if (typeof name !== 'string') return invalid('Message ids must be strings');
  if (!isName(name))
    return invalid('Message ids must be at most 256 characters long, without control characters');
  if (handler === undefined || handler === null) return invalid('No message handler provided');
  if (typeof handler !== 'function') return invalid('Message handler must be a function');
  if (handlers.has(name)) {
    return new NyotaError('NYOTA_HANDLER_EXISTS', `There is already a handler for message '${name}'`);
  }
  if (handlers.size >= MAX_HANDLES) return invalid(`A relay takes at most ${MAX_HANDLES} message handlers`);
  return undefined;
}

/** What is wrong with a message to be sent; undefined: nothing. `call` is its name in the text. */
export function sendFault(name: unknown, payload: unknown, call: string): NyotaError | undefined {
  if (name === undefined || name === null || name === '')
    return invalid(`ExoRelay#${call} cannot send empty messages`);
  if (typeof name !== 'string') return invalid(`ExoRelay#${call} can only send string messages`);
  if (!isName(name)) {
    return invalid(
      `ExoRelay#${call} can only send messages of at most 256 characters, without control characters`,
    );
  }
  if (typeof payload === 'function') return invalid(`ExoRelay#${call} cannot send functions as payload`);
  return undefined;
}

/** What is wrong with a reply handler that was given. */
export function replyHandlerFault(handler: unknown): NyotaError | undefined {
  if (typeof handler === 'function') return undefined;
  return invalid('The reply handler given to ExoRelay#send must be a function');
}

/** What is wrong with the options of a call. */
export function optionsFault(
  options: unknown,
  known: readonly string[],
  call: string,
): NyotaError | undefined {
  if (options === undefined || options === null) return undefined;
  if (typeof options !== 'object' || Array.isArray(options)) {
    return invalid(`The options given to ExoRelay#${call} must be an object`);
  }
  const { activityId, timeoutMs, signal } = options as Record<string, unknown>;
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    return invalid(`ExoRelay#${call} has no option '${unknown}'; it takes ${known.join(', ')}`);
  }
  if (activityId !== undefined && !isName(activityId)) {
    return invalid(`The activityId given to ExoRelay#${call} must be a string of 1 to 256 characters`);
  }
  if (timeoutMs !== undefined && !isTimeout(timeoutMs)) {
    return invalid(`The timeoutMs given to ExoRelay#${call} must be milliseconds, at least 0`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    return invalid(`The signal given to ExoRelay#${call} must be an AbortSignal`);
  }
  return undefined;
}

function isTimeout(value: unknown): boolean {
  return typeof value === 'number' && value >= 0;
}

function invalid(text: string): NyotaError {
  return new NyotaError('NYOTA_INVALID_ARGUMENT', text);
}
