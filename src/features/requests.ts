/**
 * Requests: an event with one handler at the other side and one answer. Both ends: the requests of ours that wait for their
 * reply, and those of the other side whose handler runs here. Touches the link, and its host for the handlers. Pure.
 *
 *   REQUEST [id, event, args, timeoutMs]  ->  handler  ->  REPLY [id, ok, value]
 *   CANCEL  [id, code]                    ->  its signal is aborted, and no reply follows
 *
 * All three are sequenced, so a cut in the middle is not an error. Each request settles exactly once: by the reply, its
 * deadline, an abort, or the end of the session (docs/design.md, rule 45). Replies and cancels overtake what is held back:
 * see link.ts.
 */
import { decodePayload, encodePrepared } from '../codec/payload.js';
import type { PayloadLimits } from '../codec/scan.js';
import { type ErrorCode, isErrorCode, isRetry, NyotaError, printable } from '../errors.js';
import type { Carry, Feature, FeatureTypes, FrameView } from '../link/feature.js';
import { IdMap } from '../link/id-map.js';
import type { Link, LinkHost } from '../link/link.js';
import { type Body, bytesOf } from '../link/outbox.js';
import type { CoreImage } from '../link/persisted.js';
import { describeValue } from '../options.js';
import { MAX_U32, MAX_U48, MIN_FRAME_BYTES, SEQUENCED_HEADER_BYTES } from '../wire/constants.js';
import { bodyOf, wrongField } from '../wire/messages.js';
import { refuseReserved } from './events.js';

export const RequestFrame = { REQUEST: 0x11, REPLY: 0x12, CANCEL: 0x13 } as const;

/** `timeoutMs` is null for none. */
export type RequestBody = readonly [id: number, event: string, args: unknown[], timeoutMs: number | null];
/** Without `ok` the value is an Error. */
export type ReplyBody = readonly [id: number, ok: boolean, value: unknown];
export type CancelBody = readonly [id: number, code: ErrorCode];

/** A body of this size fits, whatever limits were agreed on. */
const SURE_BYTES = MIN_FRAME_BYTES - SEQUENCED_HEADER_BYTES;
const NEVER = Number.POSITIVE_INFINITY;

export interface RequestOptions {
  /** Infinity: no deadline. */
  timeoutMs: number;
  /** Dropped where it is still unsent at this time. */
  expiresAt?: number | undefined;
}

/** One of ours that waits for its reply. */
interface PendingRequest {
  readonly id: number;
  readonly event: string;
  /** Its number in the outbox. */
  seq: number;
  readonly deadline: number;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One of the other side's, whose handler is running. The abort signal is made only where a handler asks for it: most never do,
 * and it costs more than the rest of a request.
 */
export class RunningRequest {
  readonly id: number;
  /** Until when the other side waits; Infinity where it waits for ever. */
  readonly deadline: number;
  /** Its number in the session. */
  readonly seq: number;
  /** A process that died may have handled it before. */
  readonly redelivered: boolean;
  #controller: AbortController | undefined;
  #aborted: NyotaError | undefined;

  constructor(id: number, deadline: number, seq: number, redelivered: boolean) {
    this.id = id;
    this.deadline = deadline;
    this.seq = seq;
    this.redelivered = redelivered;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  get aborted(): boolean {
    return this.#aborted !== undefined;
  }

  abort(reason: NyotaError): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = reason;
    this.#controller?.abort(reason);
  }
}

/** Settles a request: with a reply, or with what the handler threw. */
type Done = (ok: boolean, value: unknown) => void;

/** Nothing here may throw into the session. */
export interface RequestsHost extends LinkHost {
  /** Runs the handler of a request, which calls `done` once, now or later. False if there is no handler. */
  handle(event: string, args: unknown[], request: RunningRequest, done: Done): boolean;
}

export class Requests implements Feature {
  static readonly types: FeatureTypes = {
    sequenced: [RequestFrame.REQUEST, RequestFrame.REPLY, RequestFrame.CANCEL],
  };

  readonly #link: Link;
  readonly #host: RequestsHost;
  readonly #pending = new IdMap<PendingRequest>();
  readonly #running = new IdMap<RunningRequest>();
  #lastId = 0;
  /** No deadline of ours lies before this. A lower bound: it is made exact when it is reached. */
  #pendingDeadline = NEVER;
  /** The same of the other side's. */
  #runningDeadline = NEVER;

  constructor(link: Link, host: RequestsHost) {
    this.#link = link;
    this.#host = host;
  }

  /** Requests of ours that wait for their reply. */
  get pending(): number {
    return this.#pending.size;
  }

  // Ours.

  /**
   * Sends a request. One of the two is called, once. Returns the request's id.
   * @throws NyotaError what can't travel, or does not fit; neither is called then
   */
  request(
    event: string,
    args: readonly unknown[],
    options: RequestOptions,
    resolve: (reply: unknown) => void,
    reject: (error: unknown) => void,
  ): number {
    const link = this.#link;
    const id = ++this.#lastId;
    const { timeoutMs } = options;
    const finite = Number.isFinite(timeoutMs);
    const body = link.encode([id, event, args, finite ? Math.ceil(timeoutMs) : null], 2, 'args');
    link.assertRoom(bytesOf(body));
    const seq = link.append(RequestFrame.REQUEST, 0, body);
    if (options.expiresAt !== undefined) this.#expire(seq, id, options.expiresAt);
    const deadline = finite ? this.#host.now() + timeoutMs : NEVER;
    const sooner = deadline < (this.#pending.size === 0 ? NEVER : this.#pendingDeadline);
    if (sooner) this.#pendingDeadline = deadline;
    this.#pending.set(id, { id, event, seq, deadline, resolve, reject });
    if (sooner) this.#host.rearm();
    return id;
  }

  /** Stops waiting for a reply: the request is taken back, or its handler is told (docs/design.md, rule 48). */
  cancel(id: number, error: NyotaError): void {
    const request = this.#take(id);
    if (request !== undefined) this.#giveUp(request, error);
  }

  /** Stops waiting for every reply. Those that are still unsent are taken back; the others may be handled yet. */
  fail(error: NyotaError): void {
    for (const [, { seq }] of this.#pending.entries()) this.#link.withdraw(seq, error);
    this.end(error);
  }

  #giveUp({ id, seq, reject }: PendingRequest, error: NyotaError): void {
    if (!this.#link.withdraw(seq, error))
      this.#link.append(RequestFrame.CANCEL, 0, encodePrepared([id, error.code]));
    reject(error);
    this.#host.settled();
  }

  /**
   * A request that is dropped unsent fails with its frame. A method of its own: within `request` the closure would cost every
   * request.
   */
  #expire(seq: number, id: number, expiresAt: number): void {
    const onAck = (error?: NyotaError): void => {
      if (error !== undefined) this.#take(id)?.reject(error);
    };
    this.#link.track(seq, { expiresAt, onAck });
  }

  /** Takes a request out, for the caller to settle. Undefined if it has settled already. */
  #take(id: number): PendingRequest | undefined {
    const request = this.#pending.get(id);
    if (request !== undefined) this.#pending.delete(id);
    return request;
  }

  /** The request that a frame carries. Looks at all of them: for rare occasions. */
  #find(seq: number): PendingRequest | undefined {
    for (const [, request] of this.#pending.entries()) if (request.seq === seq) return request;
    return undefined;
  }

  // The link's calls.

  decode(frame: FrameView, limits: PayloadLimits): unknown {
    const body = decodePayload(frame.source, frame.start, frame.end, limits, frame.own);
    if (frame.type === RequestFrame.REPLY) return parseReplyBody(body);
    if (frame.type === RequestFrame.CANCEL) return parseCancelBody(body);
    const request = parseRequestBody(body);
    refuseReserved(request[1]);
    return request;
  }

  overtakes(type: number): boolean {
    return type !== RequestFrame.REQUEST;
  }

  receive(type: number, body: unknown, seq: number, now: number): boolean {
    if (type === RequestFrame.REQUEST) {
      this.#start(body as RequestBody, seq, now);
      return false;
    }
    if (type === RequestFrame.REPLY) {
      const reply = body as ReplyBody;
      this.#replied(reply[0], reply[1], reply[2]);
    } else {
      this.#cancelled(body as CancelBody);
    }
    return true;
  }

  withdrawn(type: number, seq: number, error: NyotaError): void {
    if (type !== RequestFrame.REQUEST) this.#host.report(error);
    else this.#take(this.#find(seq)?.id ?? 0)?.reject(error);
  }

  get nextDeadline(): number {
    return Math.min(
      this.#pending.size === 0 ? NEVER : this.#pendingDeadline,
      this.#running.size === 0 ? NEVER : this.#runningDeadline,
    );
  }

  tick(now: number): void {
    if (now >= this.#pendingDeadline) this.#giveUpOverdue(now);
    if (now >= this.#runningDeadline) this.#abortOverdue(now);
  }

  /** A request that was given up after it was sent does not go along, and neither does its CANCEL (docs/design.md, rule 46). */
  wanted(): (type: number, seq: number) => boolean {
    const seqs = new Set(this.#pending.entries().map(([, { seq }]) => seq));
    return (type, seq) => type === RequestFrame.REQUEST && seqs.has(seq);
  }

  carried({ numbers, error, later }: Carry): void {
    const over: PendingRequest[] = [];
    for (const [, request] of this.#pending.entries()) {
      const seq = numbers.get(request.seq);
      if (seq !== undefined) request.seq = seq;
      else over.push(request);
    }
    for (const { id } of over) this.#pending.delete(id);
    later.push(() => {
      for (const request of over) request.reject(error);
    });
  }

  /** No reply can be sent any more. */
  abandon(reason: NyotaError): void {
    const all = this.#running.entries();
    this.#running.clear();
    for (const [, request] of all) request.abort(reason);
  }

  end(error: NyotaError): void {
    const all = this.#pending.entries();
    this.#pending.clear();
    for (const [, request] of all) request.reject(error);
  }

  /** Each request used up a number, so no id can be higher. */
  restore(image: CoreImage): void {
    this.#lastId = Math.max(this.#lastId, image.lastSeq);
  }

  /** A reply has come. One whose request has settled already is ignored. */
  #replied(id: number, ok: boolean, value: unknown): void {
    const request = this.#take(id);
    if (request === undefined) return;
    if (ok) request.resolve(value);
    else request.reject(asLocalError(value));
    this.#host.settled();
  }

  #giveUpOverdue(now: number): void {
    const overdue: PendingRequest[] = [];
    let next = NEVER;
    for (const [, request] of this.#pending.entries()) {
      if (request.deadline <= now) overdue.push(request);
      else next = Math.min(next, request.deadline);
    }
    for (const { id } of overdue) this.#pending.delete(id);
    this.#pendingDeadline = next;
    for (const request of overdue) {
      const text = `no reply to the request '${printable(request.event)}' in time`;
      this.#giveUp(request, new NyotaError('NYOTA_TIMEOUT', text));
    }
  }

  // The other side's.

  #start(body: RequestBody, seq: number, now: number): void {
    const link = this.#link;
    const epoch = link.begin(seq, now, undefined);
    const event = body[1];
    const timeoutMs = body[3];
    const deadline = typeof timeoutMs === 'number' ? now + timeoutMs : NEVER;
    const request = new RunningRequest(body[0], deadline, seq, link.wasDispatched(seq));
    this.#running.set(request.id, request);
    if (deadline < this.#runningDeadline) this.#runningDeadline = deadline;
    const done: Done = (ok, value) => {
      this.#finish(request, ok, value);
      link.settled(seq, epoch);
    };
    if (!this.#host.handle(event, body[2], request, done)) {
      done(false, new NyotaError('NYOTA_NO_HANDLER', `nobody handles the request '${printable(event)}'`));
    }
  }

  #finish(request: RunningRequest, ok: boolean, value: unknown): void {
    // A request of a session that is over: nobody waits for the reply.
    if (this.#running.get(request.id) !== request) return;
    this.#running.delete(request.id);
    if (!request.aborted) this.#reply(request.id, ok, value);
  }

  /** Never fails: what can't be sent is replaced by the error that says so (docs/design.md, rule 47). */
  #reply(id: number, ok: boolean, value: unknown): void {
    const link = this.#link;
    let body: Body;
    try {
      body = link.encode([id, ok, ok ? value : asError(value)], 2, 'reply');
      link.assertRoom(bytesOf(body));
    } catch (error) {
      body = link.encode([id, false, briefError(ok ? error : value)], 2, 'reply');
      if (bytesOf(body) > SURE_BYTES) {
        const brief = new Error('the handler failed, and its error is too large to be sent');
        body = link.encode([id, false, brief], 2, 'reply');
      }
    }
    link.append(RequestFrame.REPLY, 0, body);
  }

  #cancelled([id, code]: CancelBody): void {
    const reason = new NyotaError(
      isErrorCode(code) ? code : 'NYOTA_ABORTED',
      code === 'NYOTA_TIMEOUT' ? 'the caller stopped waiting' : 'the caller cancelled the request',
    );
    const request = this.#running.get(id);
    if (request !== undefined) request.abort(reason);
    else this.#link.dropHeld(RequestFrame.REQUEST, (body) => (body as RequestBody)[0] === id);
  }

  /** Tells the handlers whose caller has stopped waiting. */
  #abortOverdue(now: number): void {
    let next = NEVER;
    for (const [, request] of this.#running.entries()) {
      if (request.deadline > now) next = Math.min(next, request.deadline);
      // One that is gone was finished by the abort of one before it.
      else if (this.#running.get(request.id) === request)
        request.abort(new NyotaError('NYOTA_TIMEOUT', 'the deadline of this request has passed'));
    }
    this.#runningDeadline = next;
  }
}

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

export function parseReplyBody(value: unknown): ReplyBody {
  const body = bodyOf(value, 'REPLY', 3);
  if (!isId(body[0])) wrongField('REPLY', 'id', `an integer from 0 to ${MAX_U48}`);
  if (typeof body[1] !== 'boolean') wrongField('REPLY', 'ok', 'a boolean');
  if (!body[1] && !(body[2] instanceof Error)) wrongField('REPLY', 'value', 'an Error');
  return body as unknown as ReplyBody;
}

/** A code that we don't know reads `NYOTA_CONNECTION_LOST`. */
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

/** What a handler threw, as an error that can travel. */
function asError(thrown: unknown): Error {
  return thrown instanceof Error
    ? thrown
    : new Error(typeof thrown === 'string' ? thrown : `the handler threw ${describeValue(thrown)}`);
}

/** The error that stands in for a reply which can't be sent: its name, message and code only. */
function briefError(error: unknown): Error {
  try {
    const { name, message } = asError(error);
    const brief = new Error(printable(String(message)));
    brief.name = printable(String(name));
    const code: unknown = (error as { code?: unknown } | null | undefined)?.code;
    return typeof code === 'string' ? Object.assign(brief, { code: printable(code) }) : brief;
  } catch {
    return new Error('the handler failed with an error that can not be read');
  }
}

/** An error from the wire; one of nyota's own codes becomes a NyotaError again. */
function asLocalError(value: unknown): Error {
  if (!(value instanceof Error)) return new Error('the handler failed', { cause: value });
  const { code, retry, retryAfterMs } = value as { code?: unknown; retry?: unknown; retryAfterMs?: unknown };
  if (value.name !== 'NyotaError' || !isErrorCode(code)) return value;
  const error = new NyotaError(code, value.message, {
    ...('cause' in value ? { cause: value.cause } : {}),
    ...(isRetry(retry) ? { retry } : {}),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
  });
  // What the handler's side put on it besides.
  for (const [name, own] of Object.entries(value)) {
    if (!Object.hasOwn(error, name))
      Object.defineProperty(error, name, {
        value: own,
        enumerable: true,
        writable: true,
        configurable: true,
      });
  }
  return error;
}
