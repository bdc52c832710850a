/**
 * What is handed to a relay's calls: which argument is which, and what is wrong with it, in the texts that users of the old
 * packages know. Pure.
 */
import { NyotaError } from '../index.js';
import type { SendOptions } from './contract.js';
import { isName, MAX_HANDLES } from './message.js';

export type AnyReplyHandler = (payload: unknown, context: object) => unknown;

/** The arguments of `send`, and what is wrong with them. */
interface SendArguments {
  readonly payload: unknown;
  readonly options: SendOptions | undefined;
  readonly handler: AnyReplyHandler | undefined;
  readonly fault: NyotaError | undefined;
}

/** The options that each call takes. */
const OPTIONS = {
  send: ['auth', 'activityId'],
  request: ['auth', 'activityId', 'timeoutMs', 'signal'],
  stream: ['auth', 'activityId', 'timeoutMs', 'signal', 'until'],
} as const satisfies Record<string, readonly string[]>;

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

/** `send(name [, payload] [, options] [, replyHandler])`. */
export function readSendArguments(name: unknown, args: readonly unknown[]): SendArguments {
  const onlyHandler = args.length === 1 && typeof args[0] === 'function';
  const payload = onlyHandler ? undefined : args[0];
  const rest = onlyHandler ? args : args.slice(1);
  const hasOptions = typeof rest[0] === 'object' || (rest.length > 1 && rest[0] === undefined);
  const options = hasOptions ? (rest[0] ?? undefined) : undefined;
  const given = hasOptions ? rest.slice(1) : rest;
  const handler = given[0];
  const fault =
    sendFault(name, payload, 'send') ?? replyHandlerFault(handler) ?? optionsFault(options, 'send');
  return {
    payload,
    options: fault === undefined ? (options as SendOptions | undefined) : undefined,
    handler: handler as AnyReplyHandler | undefined,
    fault,
  };
}

function replyHandlerFault(handler: unknown): NyotaError | undefined {
  if (handler === undefined || typeof handler === 'function') return undefined;
  return invalid('The reply handler given to ExoRelay#send must be a function');
}

/** What is wrong with the options of a call. */
export function optionsFault(options: unknown, call: keyof typeof OPTIONS): NyotaError | undefined {
  const known: readonly string[] = OPTIONS[call];
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
