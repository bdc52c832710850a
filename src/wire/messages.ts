/**
 * The bodies of the link's own frames: the handshake's, PING and PONG, CLOSE and GOAWAY; and the checks of fields that every body is
 * read with, the features' too. Pure.
 *
 * `encode…` returns a body in memory of its own. `parse…` takes a decoded body, ignores elements of later versions at the end, and
 * throws `NYOTA_PROTOCOL_ERROR` naming the message and the field. Texts hold no bytes of the wire, except through `printable`.
 */
import { encodePrepared } from '../codec/packer.js';
import { encodePlain } from '../codec/plain-encoder.js';
import { prepare } from '../codec/prepare.js';
import {
  ERROR_CODES,
  type ErrorCode,
  isErrorCode,
  isRetry,
  NyotaError,
  printable,
  type Retry,
} from '../errors.js';
import { MAX_U32, MAX_U48, MIN_DEPTH, MIN_FRAME_BYTES, MIN_VALUES, SECRET_BYTES } from './constants.js';

// The handshake, and the end.

const MAX_SESSION_ID_LENGTH = 128;
const MAX_ADDRESS_LENGTH = 256;
const MAX_ADDRESSES = 64;

/** Client to server, first: `[features, secret, resume, received, limits, auth, sent, attempt]`. */
export interface OpenMessage {
  /** Bits of what this side can do. */
  features: number;
  /** The session's secret: 32 bytes. */
  secret: Buffer;
  /** Whether there is a session to come back to. */
  resume: boolean;
  /** The last sequence number received, settled or not: what comes behind it is sent. */
  received: number;
  limits: WireLimits;
  /** The highest number that this side has ever sent in the session. */
  sent: number;
  /** Rises with every connection that the client tries: by it the server knows an OPEN that arrives late. */
  attempt: number;
  /** Credentials for the server's `authenticate`: any value. */
  auth: unknown;
}

/** Levels and values around `auth`: the body, its other seven fields, the four limits. */
const OPEN_DEPTH = 1;
const OPEN_VALUES = 12;

/** @throws NyotaError `NYOTA_UNSERIALIZABLE` or `NYOTA_PAYLOAD_TOO_COMPLEX` for `auth`, naming the path */
export function encodeOpen(message: OpenMessage): Buffer {
  const { features, secret, resume, received, limits, sent, attempt } = message;
  const auth = prepare(message.auth, limits, 'auth', OPEN_DEPTH, OPEN_VALUES);
  return encodeFields([features, secret, resume, received, limitsFields(limits), auth, sent, attempt]);
}

export function parseOpen(value: unknown): OpenMessage {
  const body = bodyOf(value, 'OPEN', 8);
  const secret = bin(body[1], 'OPEN', 'secret');
  if (secret.length !== SECRET_BYTES) wrongField('OPEN', 'secret', `of ${SECRET_BYTES} bytes`);
  return {
    features: u32(body[0], 'OPEN', 'features'),
    secret,
    resume: bool(body[2], 'OPEN', 'resume'),
    received: u48(body[3], 'OPEN', 'received'),
    limits: limitsOf(body[4], 'OPEN'),
    auth: body[5],
    sent: u48(body[6], 'OPEN', 'sent'),
    attempt: u48(body[7], 'OPEN', 'attempt'),
  };
}

/** Server to client, the answer to OPEN: `[features, sessionId, resumed, received, limits, sent]`. */
export interface WelcomeMessage {
  /** The features that both sides have. */
  features: number;
  sessionId: string;
  /** Whether it is the session that the client came back to. */
  resumed: boolean;
  /** The last sequence number received, settled or not: what comes behind it is sent. */
  received: number;
  limits: WireLimits;
  /** The highest number that this side has ever sent in the session. */
  sent: number;
}

export function encodeWelcome(message: WelcomeMessage): Buffer {
  const { features, sessionId, resumed, received, limits, sent } = message;
  return encodeFields([features, sessionId, resumed, received, limitsFields(limits), sent]);
}

export function parseWelcome(value: unknown): WelcomeMessage {
  const body = bodyOf(value, 'WELCOME', 6);
  return {
    features: u32(body[0], 'WELCOME', 'features'),
    sessionId: text(body[1], 1, MAX_SESSION_ID_LENGTH, 'WELCOME', 'sessionId'),
    resumed: bool(body[2], 'WELCOME', 'resumed'),
    received: u48(body[3], 'WELCOME', 'received'),
    limits: limitsOf(body[4], 'WELCOME'),
    sent: u48(body[5], 'WELCOME', 'sent'),
  };
}

/** Either way, last: `[code, message, retry, retryAfterMs]`. */
export interface CloseMessage {
  /** `NYOTA_CONNECTION_LOST` where the other side's code is one that we don't know. */
  code: ErrorCode;
  /** A text for people; from the wire it is escaped and cut. */
  message: string;
  retry: Retry;
  /** Milliseconds to wait before the next attempt; undefined where the other side does not say. */
  retryAfterMs: number | undefined;
}

/** Server to client, the other answer to OPEN: `[code, message, retry, retryAfterMs, received, sent]`. */
export interface RejectMessage extends CloseMessage {
  /** Up to where the server has dispatched the messages of a session that is gone; undefined where it can't tell. */
  received: number | undefined;
  /** What the server last sent in it; undefined where it can't tell. */
  sent: number | undefined;
}

export function encodeReject(message: RejectMessage): Buffer {
  return encodeFields([...closeFields(message), message.received ?? null, message.sent ?? null]);
}

export function parseReject(value: unknown): RejectMessage {
  const body = bodyOf(value, 'REJECT', 6);
  return {
    ...closeOf(body, 'REJECT'),
    received: optionalU48(body[4], 'REJECT', 'received'),
    sent: optionalU48(body[5], 'REJECT', 'sent'),
  };
}

export function encodeClose(message: CloseMessage): Buffer {
  return encodeFields(closeFields(message));
}

export function parseClose(value: unknown): CloseMessage {
  return closeOf(bodyOf(value, 'CLOSE', 4), 'CLOSE');
}

function closeFields(message: CloseMessage): unknown[] {
  return [message.code, message.message, message.retry, message.retryAfterMs ?? null];
}

function closeOf(body: readonly unknown[], message: string): CloseMessage {
  const code = codeOr(body[0], 'NYOTA_CONNECTION_LOST', message, 'code');
  const said = body[2];
  if (typeof said !== 'string') wrongField(message, 'retry', 'a string');
  return {
    code,
    message: printableText(body[1], message, 'message'),
    retry: isRetry(said) ? said : ERROR_CODES[code],
    retryAfterMs: optionalU32(body[3], message, 'retryAfterMs'),
  };
}

/** Server to client, before it closes: `[deadlineMs, elsewhere]`. */
export interface GoawayMessage {
  /** Milliseconds until the server closes the connection. */
  deadlineMs: number;
  /** Addresses of other servers; not checked to be any. */
  elsewhere: string[];
}

export function encodeGoaway(message: GoawayMessage): Buffer {
  return encodeFields([message.deadlineMs, message.elsewhere]);
}

export function parseGoaway(value: unknown): GoawayMessage {
  const body = bodyOf(value, 'GOAWAY', 2);
  const elsewhere = body[1];
  if (!Array.isArray(elsewhere) || elsewhere.length > MAX_ADDRESSES) {
    wrongField('GOAWAY', 'elsewhere', `an array of at most ${MAX_ADDRESSES} addresses`);
  }
  return {
    deadlineMs: u32(body[0], 'GOAWAY', 'deadlineMs'),
    elsewhere: elsewhere.map((address) => text(address, 1, MAX_ADDRESS_LENGTH, 'GOAWAY', 'elsewhere')),
  };
}

// Signs of life.

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

// Fields.

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
