/**
 * Checks of the fields of bodies from the wire: each returns the typed value or throws naming message and
 * field. Pure. Texts hold no bytes of the wire, except through `printable`.
 */

import { encodePrepared } from '../codec/packer.js';
import { encodePlain } from '../codec/plain-encoder.js';
import { type ErrorCode, isErrorCode, NyotaError, printable } from '../errors.js';
import { MAX_U32, MAX_U48, MIN_DEPTH, MIN_FRAME_BYTES, MIN_VALUES } from './constants.js';

/** What one side announces in the handshake, and holds the other to. */
export interface WireLimits {
  /** Largest `length` of a frame, in bytes. */
  maxFrameBytes: number;
  /** Deepest nesting of a body. */
  maxDepth: number;
  /** Most values in a body. */
  maxValues: number;
  /** How often the side sends a PING at least, in milliseconds; 0 for never. */
  pingIntervalMs: number;
}

/** Bodies of nyota's own making: no limit of a peer's is near. */
const NO_LIMITS = { maxDepth: Number.POSITIVE_INFINITY, maxValues: Number.POSITIVE_INFINITY };

/** A body of these prepared fields: a view, valid until the next encode. */
export function viewOfFields(fields: readonly unknown[]): Buffer {
  return encodePlain(fields, NO_LIMITS) ?? encodePrepared(fields);
}

/** A body of these prepared fields, in memory of its own. */
export function encodeFields(fields: readonly unknown[]): Buffer {
  const view = viewOfFields(fields);
  const body = Buffer.allocUnsafeSlow(view.length);
  view.copy(body);
  return body;
}

export function wrongField(message: string, field: string, expected: string): never {
  throw new NyotaError('NYOTA_PROTOCOL_ERROR', `${message}: ${field} is not ${expected}`);
}

/** The body as an array with at least so many elements; those beyond are of a later version, and ignored. */
export function bodyOf(value: unknown, message: string, least: number): unknown[] {
  if (!Array.isArray(value) || value.length < least) {
    wrongField(message, 'the body', `an array of at least ${least} elements`);
  }
  return value;
}

function integer(value: unknown, max: number, message: string, field: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
    wrongField(message, field, `an integer from 0 to ${max}`);
  }
  return value;
}

export function u32(value: unknown, message: string, field: string): number {
  return integer(value, MAX_U32, message, field);
}

export function u48(value: unknown, message: string, field: string): number {
  return integer(value, MAX_U48, message, field);
}

export function optionalU32(value: unknown, message: string, field: string): number | undefined {
  return value === null ? undefined : u32(value, message, field);
}

export function optionalU48(value: unknown, message: string, field: string): number | undefined {
  return value === null ? undefined : u48(value, message, field);
}

export function bool(value: unknown, message: string, field: string): boolean {
  if (typeof value !== 'boolean') wrongField(message, field, 'a boolean');
  return value;
}

/** A string of `least` to `most` UTF-16 units. */
export function text(value: unknown, least: number, most: number, message: string, field: string): string {
  if (typeof value !== 'string' || value.length < least || value.length > most) {
    wrongField(message, field, `a string of ${least} to ${most} characters`);
  }
  return value;
}

/** A text for people: escaped and cut, so that it may be logged and shown. */
export function printableText(value: unknown, message: string, field: string): string {
  if (typeof value !== 'string') wrongField(message, field, 'a string');
  return printable(value);
}

export function bin(value: unknown, message: string, field: string): Buffer {
  if (!Buffer.isBuffer(value)) wrongField(message, field, 'a bin');
  return value;
}

export function optionalBin(value: unknown, message: string, field: string): Buffer | undefined {
  return value === null ? undefined : bin(value, message, field);
}

/** A code of ours; `unknown` for one of a later version, or of nobody's. */
export function codeOr(value: unknown, unknown: ErrorCode, message: string, field: string): ErrorCode {
  if (typeof value !== 'string') wrongField(message, field, 'a string');
  return isErrorCode(value) ? value : unknown;
}

const LIMITS_ELEMENTS = 4;

export function limitsOf(value: unknown, message: string): WireLimits {
  if (!Array.isArray(value) || value.length < LIMITS_ELEMENTS) {
    wrongField(message, 'limits', `an array of at least ${LIMITS_ELEMENTS} elements`);
  }
  const limits: WireLimits = {
    maxFrameBytes: u32(value[0], message, 'maxFrameBytes'),
    maxDepth: u32(value[1], message, 'maxDepth'),
    maxValues: u32(value[2], message, 'maxValues'),
    pingIntervalMs: u32(value[3], message, 'pingIntervalMs'),
  };
  if (limits.maxFrameBytes < MIN_FRAME_BYTES)
    wrongField(message, 'maxFrameBytes', `at least ${MIN_FRAME_BYTES}`);
  if (limits.maxDepth < MIN_DEPTH) wrongField(message, 'maxDepth', `at least ${MIN_DEPTH}`);
  if (limits.maxValues < MIN_VALUES) wrongField(message, 'maxValues', `at least ${MIN_VALUES}`);
  return limits;
}

export function limitsFields(limits: WireLimits): number[] {
  return [limits.maxFrameBytes, limits.maxDepth, limits.maxValues, limits.pingIntervalMs];
}
