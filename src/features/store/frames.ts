/**
 * The shared store's frames: their bodies, written and read. What is read is checked as a whole before it is accepted, the
 * values inside too. Pure; knows the codec, and nothing of sessions.
 *
 *   KV_OP      client to server, a write                        [kind, key, value, ttlMs, expectedRevision]
 *   KV_DELTA   server to client, an entry changed               [key, revision, value]
 *   KV_RESULT  server to client, what became of its writes      [upToSeq, revision, refusedCode, currentRevision, currentValue]
 *
 * The most common frames, a KV_OP and a KV_DELTA with a value, are read straight from the wire, with the same result as the
 * payload reader and the parsers would give. Whatever is not as a peer of this version writes it goes the general way
 * (docs/design.md, rule 51).
 */

import { isText, textOf } from '../../codec/decode.js';
import { decodePayload, type PayloadLimits } from '../../codec/payload.js';
import { scanPayload } from '../../codec/scan.js';
import { keepPart } from '../../codec/value-pool.js';
import type { ErrorCode } from '../../errors.js';
import type { FrameView } from '../../link/feature.js';
import {
  bodyOf,
  codeOr,
  optionalBin,
  optionalU48,
  u48,
  viewOfFields,
  wrongField,
} from '../../wire/messages.js';

export const StoreFrameType = {
  KV_OP: 0x20,
  KV_DELTA: 0x21,
  KV_RESULT: 0x22,
} as const;

export type StoreFrame =
  | { readonly type: typeof StoreFrameType.KV_OP; readonly message: KvOpMessage }
  | { readonly type: typeof StoreFrameType.KV_DELTA; readonly message: KvDeltaMessage }
  | { readonly type: typeof StoreFrameType.KV_RESULT; readonly message: KvResultMessage };

/** A key of the shared store has 1 to 256 bytes of UTF-8. */
const MAX_KEY_BYTES = 256;
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
  /** The value's payload, not scanned yet; undefined if the entry was deleted. */
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
  /** Why the write of `upToSeq` was refused; undefined if it was not. One that we don't know: `NYOTA_INTERNAL`. */
  refusedCode: ErrorCode | undefined;
  /** The entry as it is, after a refusal; undefined if there is none. */
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

/** A key of the shared store: 1 to 256 bytes. */
function storeKey(value: unknown, message: string): string {
  const fits =
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= MAX_KEY_BYTES &&
    Buffer.byteLength(value) <= MAX_KEY_BYTES;
  if (!fits) wrongField(message, 'key', `a string of 1 to ${MAX_KEY_BYTES} bytes`);
  return value;
}

/**
 * A frame from the wire. The bytes in it are the reader's own.
 * @throws NyotaError `NYOTA_PROTOCOL_ERROR` or `NYOTA_PAYLOAD_REFUSED`
 */
export function readStoreFrame(frame: FrameView, limits: PayloadLimits): StoreFrame {
  const { type, source, start, end } = frame;
  if (type === StoreFrameType.KV_OP) {
    const message = readPlainOp(source, start, end, limits);
    if (message !== undefined) return { type, message };
  } else if (type === StoreFrameType.KV_DELTA) {
    const message = readPlainDelta(source, start, end, limits);
    if (message !== undefined) return { type, message };
  }
  return parseStoreFrame(type, decodePayload(source, start, end, limits, frame.own), limits);
}

/** @throws NyotaError `NYOTA_PROTOCOL_ERROR` or `NYOTA_PAYLOAD_REFUSED` */
export function parseStoreFrame(type: number, body: unknown, limits: PayloadLimits): StoreFrame {
  if (type === StoreFrameType.KV_OP) {
    const message = parseKvOp(body);
    scanValue(message.bytes, limits);
    return { type, message };
  }
  if (type === StoreFrameType.KV_DELTA) {
    const message = parseKvDelta(body);
    scanValue(message.bytes, limits);
    return { type, message };
  }
  const message = parseKvResult(body);
  scanValue(message.currentBytes, limits);
  return { type: StoreFrameType.KV_RESULT, message };
}

function scanValue(bytes: Buffer | undefined, limits: PayloadLimits): void {
  if (bytes !== undefined) scanPayload(bytes, 0, bytes.length, limits);
}

/** Where it reads. Module state is safe: nothing here runs foreign code. */
let at = 0;
let valueAt = 0;
let valueEnd = 0;

/** A KV_OP with a value. Undefined if it is for the general way. @throws NyotaError `NYOTA_PAYLOAD_REFUSED` for a value that is none */
export function readPlainOp(
  source: Buffer,
  start: number,
  end: number,
  limits: PayloadLimits,
): KvOpMessage | undefined {
  const token = source[start + 1] as number;
  const compares = token === 2;
  if (source[start] !== 0x95 || (token !== 0 && !compares)) return undefined;
  at = start + 2;
  const key = readKey(source, end);
  if (key === undefined || !findValue(source, end)) return undefined;
  const ttlMs = source[at] === 0xc0 ? nil() : readUint(source);
  const expectedRevision = source[at] === 0xc0 ? nil() : readUint(source);
  if (at !== end || compares !== (expectedRevision !== undefined)) return undefined;
  if (ttlMs === OTHER || expectedRevision === OTHER) return undefined;
  const bytes = ownValue(source, limits);
  return { kind: compares ? 'compare-and-set' : 'set', key, bytes, ttlMs, expectedRevision };
}

/** The same for a KV_DELTA. */
export function readPlainDelta(
  source: Buffer,
  start: number,
  end: number,
  limits: PayloadLimits,
): KvDeltaMessage | undefined {
  if (source[start] !== 0x93) return undefined;
  at = start + 1;
  const key = readKey(source, end);
  if (key === undefined) return undefined;
  const revision = readUint(source);
  if (revision === OTHER || !findValue(source, end) || at !== end) return undefined;
  return { key, revision, bytes: ownValue(source, limits) };
}

/** A byte that is not UTF-8 becomes a character of 3 bytes. In a key of up to this size that makes none too long. */
const SAFE_KEY_BYTES = Math.floor(MAX_KEY_BYTES / 3);

function readKey(source: Buffer, end: number): string | undefined {
  const token = source[at++] as number;
  let length = token - 0xa0;
  if (token === 0xd9) length = source[at++] as number;
  else if (token < 0xa0 || token >= 0xc0) return undefined;
  const from = at;
  at += length;
  return length > 0 && length <= SAFE_KEY_BYTES && at <= end ? keyText(source, from, length) : undefined;
}

const CACHED_BYTES = 32;
const CACHE_SLOTS = 4096;
/** Keys come again and again, often alike but for a number in them: one that was read before is found by all of its bytes. */
let keyCache: string[] | undefined;

function keyText(source: Buffer, from: number, length: number): string {
  if (length > CACHED_BYTES) return textOf(source, from, length);
  let hash = length;
  for (let i = 0; i < length; i++) hash = (hash * 31 + (source[from + i] as number)) | 0;
  keyCache ??= new Array<string>(CACHE_SLOTS).fill('');
  const slot = (hash ^ (hash >>> 12)) & (CACHE_SLOTS - 1);
  const cached = keyCache[slot] as string;
  if (isText(cached, source, from, length)) return cached;
  const text = source.toString('utf8', from, from + length);
  // Longer in bytes than in letters is not ASCII.
  if (text.length === length) keyCache[slot] = text;
  return text;
}

/** Finds a value of at most 65,535 bytes, as all but the very largest are. False if there is none. */
function findValue(source: Buffer, end: number): boolean {
  const token = source[at++] as number;
  let length = source[at++] as number;
  if (token === 0xc5) length = (length << 8) | (source[at++] as number);
  else if (token !== 0xc4) return false;
  valueAt = at;
  at += length;
  valueEnd = at;
  return at <= end;
}

/** The value, checked and copied out of the chunk. */
function ownValue(source: Buffer, limits: PayloadLimits): Buffer {
  const end = valueEnd;
  scanPayload(source, valueAt, end, limits);
  return keepPart(source.subarray(valueAt, end), 0, end - valueAt);
}

/** Says that there is no unsigned integer of up to 32 bits. */
const OTHER = -1;

function readUint(source: Buffer): number {
  const token = source[at++] as number;
  if (token < 0x80) return token;
  if (token < 0xcc || token > 0xce) return OTHER;
  const bytes = 1 << (token - 0xcc);
  let value = 0;
  for (let i = 0; i < bytes; i++) value = value * 256 + (source[at++] as number);
  return value;
}

function nil(): undefined {
  at++;
}
