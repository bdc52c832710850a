/** What a command throws, and how it is told to the person who called it: one line, no stack. */
import { NyotaError } from '../index.js';
import { escapeText } from './text.js';

/** The call was wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** It was tried, and failed with a message of its own: exit code 1. */
export class Failure extends Error {
  override readonly name = 'Failure';
}

/** All was said already: only the exit code is left. */
export class Exit extends Error {
  override readonly name = 'Exit';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** Codes that mean that the caller's arguments were wrong. */
const CALLERS_FAULT: ReadonlySet<string> = new Set([
  'NYOTA_INVALID_OPTION',
  'NYOTA_INVALID_ARGUMENT',
  'NYOTA_RESERVED_EVENT',
  'NYOTA_UNSERIALIZABLE',
  'NYOTA_PAYLOAD_TOO_COMPLEX',
  'NYOTA_READ_ONLY_KEY',
]);

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return 2;
  return error instanceof NyotaError && CALLERS_FAULT.has(error.code) ? 2 : 1;
}

/** `CODE: message`, on one line. The text may come from the wire. */
export function describeError(error: unknown): string {
  if (error instanceof UsageError || error instanceof Failure) return escapeText(error.message);
  if (!(error instanceof Error)) return escapeText(String(error));
  const { code } = error as { code?: unknown };
  const label = typeof code === 'string' && code !== '' ? code : error.name;
  const message = error.message === '' ? '' : `: ${error.message}`;
  return escapeText(`${label}${message}${causeCode(error)}`);
}

/** The system's own code, where the message does not name it: that is what people search for. */
function causeCode(error: Error): string {
  const { cause } = error;
  const code = cause instanceof Error ? (cause as { code?: unknown }).code : undefined;
  return typeof code === 'string' && !error.message.includes(code) ? ` (${code})` : '';
}
