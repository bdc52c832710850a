/**
 * The bodies that begin and end connections: OPEN, WELCOME, REJECT, CLOSE, GOAWAY. Pure.
 *
 * `encode…` returns a body in memory of its own. `parse…` takes a decoded body, checks every field, ignores
 * elements of later versions at the end, and throws `NYOTA_PROTOCOL_ERROR` naming the message and the field.
 */

import { prepare } from '../codec/prepare.js';
import { ERROR_CODES, type ErrorCode, isRetry, type Retry } from '../errors.js';
import { SECRET_BYTES } from './constants.js';
import {
  bin,
  bodyOf,
  bool,
  codeOr,
  encodeFields,
  limitsFields,
  limitsOf,
  optionalU32,
  optionalU48,
  printableText,
  text,
  u32,
  u48,
  type WireLimits,
  wrongField,
} from './message-fields.js';

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
