/**
 * The bodies within an open connection: PING, PONG, the shared store's, and the cheap checks of the hot ones
 * (EVENT, VOLATILE, REQUEST, REPLY, CANCEL), which return the decoded array itself. Pure.
 *
 * `encode…` returns a body in memory of its own, `encodeKv…` a view that is valid until the next encode. `parse…` takes a decoded body, ignores elements of later
 * versions at the end, and throws `NYOTA_PROTOCOL_ERROR` naming the message and the field.
 */
import { type ErrorCode, isErrorCode } from '../errors.js';
import { MAX_U32, MAX_U48 } from './constants.js';
import {
  bodyOf,
  bool,
  codeOr,
  encodeFields,
  optionalBin,
  optionalU48,
  storeKey,
  u32,
  u48,
  viewOfFields,
  wrongField,
} from './message-fields.js';

/** `[id, paused]` */
export interface PingMessage {
  id: number;
  /** The sender has stopped dispatching for now: it is alive, and acks nothing new. */
  paused: boolean;
}

export function encodePing(message: PingMessage): Buffer {
  return encodeFields([message.id, message.paused]);
}

export function parsePing(value: unknown): PingMessage {
  const body = bodyOf(value, 'PING', 2);
  return { id: u32(body[0], 'PING', 'id'), paused: bool(body[1], 'PING', 'paused') };
}

/** `[id]` of the PING that it answers. */
export interface PongMessage {
  id: number;
}

export function encodePong(message: PongMessage): Buffer {
  return encodeFields([message.id]);
}

export function parsePong(value: unknown): PongMessage {
  return { id: u32(bodyOf(value, 'PONG', 1)[0], 'PONG', 'id') };
}

const KV_KINDS = ['set', 'delete', 'compare-and-set'] as const;

/** Client to server, a write: `[kind, key, value, ttlMs, expectedRevision]`. */
export interface KvOpMessage {
  kind: 'set' | 'delete' | 'compare-and-set';
  key: string;
  /** The value's payload, not scanned yet; undefined deletes (never with `set`, always with `delete`). */
  bytes: Buffer | undefined;
  ttlMs: number | undefined;
  /** What the entry's revision must be, 0 for none there: always with `compare-and-set`, else undefined. */
  expectedRevision: number | undefined;
}

export function encodeKvOp(message: KvOpMessage): Buffer {
  return viewOfFields([
    KV_KINDS.indexOf(message.kind),
    message.key,
    message.bytes ?? null,
    message.ttlMs ?? null,
    message.expectedRevision ?? null,
  ]);
}

export function parseKvOp(value: unknown): KvOpMessage {
  const body = bodyOf(value, 'KV_OP', 5);
  const kind = typeof body[0] === 'number' ? KV_KINDS[body[0]] : undefined;
  if (kind === undefined) wrongField('KV_OP', 'kind', '0, 1 or 2');
  const message: KvOpMessage = {
    kind,
    key: storeKey(body[1], 'KV_OP'),
    bytes: optionalBin(body[2], 'KV_OP', 'value'),
    ttlMs: optionalU48(body[3], 'KV_OP', 'ttlMs'),
    expectedRevision: optionalU48(body[4], 'KV_OP', 'expectedRevision'),
  };
  if (kind === 'set' && message.bytes === undefined) wrongField('KV_OP', 'value', 'a bin, which a set needs');
  if (kind === 'delete' && message.bytes !== undefined) wrongField('KV_OP', 'value', 'nil, as in a delete');
  const compares = kind === 'compare-and-set';
  if (compares !== (message.expectedRevision !== undefined)) {
    wrongField('KV_OP', 'expectedRevision', compares ? 'a revision' : 'nil, as in a set or delete');
  }
  return message;
}

/** Server to client, an entry changed: `[key, revision, value]`. */
export interface KvDeltaMessage {
  key: string;
  revision: number;
  /** The value's payload, not scanned yet; undefined where the entry was deleted. */
  bytes: Buffer | undefined;
}

export function encodeKvDelta(message: Readonly<KvDeltaMessage>): Buffer {
  return viewOfFields([message.key, message.revision, message.bytes ?? null]);
}

export function parseKvDelta(value: unknown): KvDeltaMessage {
  const body = bodyOf(value, 'KV_DELTA', 3);
  return {
    key: storeKey(body[0], 'KV_DELTA'),
    revision: u48(body[1], 'KV_DELTA', 'revision'),
    bytes: optionalBin(body[2], 'KV_DELTA', 'value'),
  };
}

/** Server to client, what became of writes: `[upToSeq, revision, refusedCode, currentRevision, currentValue]`. */
export interface KvResultMessage {
  upToSeq: number;
  revision: number;
  /** Why the write of `upToSeq` was refused; undefined where it was not. One that we don't know: `NYOTA_INTERNAL`. */
  refusedCode: ErrorCode | undefined;
  /** The entry as it is, after a refusal; undefined where there is none. */
  currentRevision: number | undefined;
  currentBytes: Buffer | undefined;
}

export function encodeKvResult(message: KvResultMessage): Buffer {
  return viewOfFields([
    message.upToSeq,
    message.revision,
    message.refusedCode ?? null,
    message.currentRevision ?? null,
    message.currentBytes ?? null,
  ]);
}

export function parseKvResult(value: unknown): KvResultMessage {
  const body = bodyOf(value, 'KV_RESULT', 5);
  return {
    upToSeq: u48(body[0], 'KV_RESULT', 'upToSeq'),
    revision: u48(body[1], 'KV_RESULT', 'revision'),
    refusedCode: body[2] === null ? undefined : codeOr(body[2], 'NYOTA_INTERNAL', 'KV_RESULT', 'refusedCode'),
    currentRevision: optionalU48(body[3], 'KV_RESULT', 'currentRevision'),
    currentBytes: optionalBin(body[4], 'KV_RESULT', 'currentValue'),
  };
}

export type EventBody = readonly [event: string, args: unknown[]];
export type RequestBody = readonly [id: number, event: string, args: unknown[], timeoutMs: number | null];
export type ReplyBody = readonly [id: number, ok: boolean, value: unknown];
export type CancelBody = readonly [id: number, code: ErrorCode];

/** EVENT and VOLATILE: `[event, args]`. */
export function parseEventBody(value: unknown): EventBody {
  const body = bodyOf(value, 'EVENT', 2);
  if (typeof body[0] !== 'string') wrongField('EVENT', 'event', 'a string');
  if (!Array.isArray(body[1])) wrongField('EVENT', 'args', 'an array');
  return body as unknown as EventBody;
}

/** `[id, event, args, timeoutMs]`; `timeoutMs` is null for none. */
export function parseRequestBody(value: unknown): RequestBody {
  const body = bodyOf(value, 'REQUEST', 4);
  if (!isId(body[0])) wrongField('REQUEST', 'id', `an integer from 0 to ${MAX_U48}`);
  if (typeof body[1] !== 'string') wrongField('REQUEST', 'event', 'a string');
  if (!Array.isArray(body[2])) wrongField('REQUEST', 'args', 'an array');
  const timeoutMs = body[3];
  if (timeoutMs !== null && !(isId(timeoutMs) && timeoutMs <= MAX_U32)) {
    wrongField('REQUEST', 'timeoutMs', `nil or an integer from 0 to ${MAX_U32}`);
  }
  return body as unknown as RequestBody;
}

/** `[id, ok, value]`; without `ok` the value is an Error. */
export function parseReplyBody(value: unknown): ReplyBody {
  const body = bodyOf(value, 'REPLY', 3);
  if (!isId(body[0])) wrongField('REPLY', 'id', `an integer from 0 to ${MAX_U48}`);
  if (typeof body[1] !== 'boolean') wrongField('REPLY', 'ok', 'a boolean');
  if (!body[1] && !(body[2] instanceof Error)) wrongField('REPLY', 'value', 'an Error');
  return body as unknown as ReplyBody;
}

/** `[id, code]`; a code that we don't know reads `NYOTA_CONNECTION_LOST`. */
export function parseCancelBody(value: unknown): CancelBody {
  const body = bodyOf(value, 'CANCEL', 2);
  if (!isId(body[0])) wrongField('CANCEL', 'id', `an integer from 0 to ${MAX_U48}`);
  if (typeof body[1] !== 'string') wrongField('CANCEL', 'code', 'a string');
  if (!isErrorCode(body[1])) body[1] = 'NYOTA_CONNECTION_LOST';
  return body as unknown as CancelBody;
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_U48;
}
