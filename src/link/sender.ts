/**
 * The sending half of a session: turns calls into frames in the outbox, and remembers who wants to hear of
 * them again (acknowledgements, replies, deadlines). Pure.
 *
 * An encode that fails uses up no sequence number, and a refused message leaves nothing behind: all that can
 * throw comes before the first change (DESIGN.md, rule 11).
 */

import { decodePayload, encodePlain, encodePrepared, prepare } from '../codec/payload.js';
import { type PayloadLimits, scanPayload } from '../codec/scan.js';
import { NyotaError, printable } from '../errors.js';
import { OutgoingRequests } from '../features/outgoing-requests.js';
import { asError, asLocalError, briefError } from '../features/remote-errors.js';
import { isStoreFrame, parseStoreFrame } from '../features/store/store-frames.js';
import type { Limits } from '../options.js';
import { Flag, FrameType, LENGTH_BYTES, MIN_FRAME_BYTES, SEQUENCED_HEADER_BYTES } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import type { WireLimits } from '../wire/messages.js';
import { type SendLimits, sendLimits } from './agreement.js';
import { Deliveries, type DeliveryOptions } from './deliveries.js';
import { Outbox } from './outbox.js';
import { hasDrained, largerThanOutbox } from './outbox-room.js';
import { type Body, bytesOf } from './segments.js';
import type { SessionActions } from './session-actions.js';
import type { SessionCounters } from './session-counters.js';

/** A body that fits whatever was agreed. */
const SURE_BYTES = MIN_FRAME_BYTES - SEQUENCED_HEADER_BYTES;

/** What of the old session's messages has an unknown fate, and what went along into the new one. */
export interface Carried {
  /** Events and requests that were sent, and of which nobody can tell whether they were handled. */
  uncertain: number;
}

export interface RequestOptions {
  /** Infinity: no deadline. */
  timeoutMs: number;
  /** Dropped where it is still unsent at this time. */
  expiresAt?: number | undefined;
}

/** What the sending half tells the rest of the session. */
export interface SenderHost {
  /** A write to the shared store can never be sent. */
  storeWriteRefused(seq: number, error: NyotaError): void;
}

export class Sender {
  readonly #limits: Limits;
  readonly #actions: SessionActions;
  readonly #counters: SessionCounters;
  readonly #host: SenderHost;
  readonly outbox: Outbox;
  readonly deliveries: Deliveries;
  readonly requests = new OutgoingRequests();
  #sendLimits: SendLimits;
  #wantsDrain = false;
  #volatile: Buffer[] = [];
  #volatileBytes = 0;

  constructor(limits: Limits, actions: SessionActions, counters: SessionCounters, host: SenderHost) {
    this.#limits = limits;
    this.#actions = actions;
    this.#counters = counters;
    this.#host = host;
    this.outbox = new Outbox(limits);
    this.deliveries = new Deliveries(this.outbox);
    this.#sendLimits = sendLimits(limits);
  }

  /** The encoded body of an event. A view: valid until the next encode. Throws what can't travel. */
  encodeEvent(event: string, args: readonly unknown[]): Buffer {
    const fields = [event, args];
    return encodePlain(fields, this.#sendLimits.payload) ?? this.#encodeOther(fields, 1, 'args');
  }

  /** Adds an event. Returns false above the high-water mark. */
  send(event: string, args: readonly unknown[], options?: DeliveryOptions): boolean {
    return this.event(this.#encode([event, args], 1, 'args'), options);
  }

  /** The same for one whose body is encoded already. */
  event(body: Body, options?: DeliveryOptions): boolean {
    this.assertRoom(bytesOf(body));
    const urgent = options?.onAck === undefined ? 0 : Flag.ACK_NOW;
    const seq = this.append(FrameType.EVENT, urgent, body);
    if (options !== undefined) this.#track(seq, options);
    return this.outbox.bytes <= this.#limits.highWaterBytes;
  }

  /** The same for a body that was encoded once for many sessions: the other side may accept less than we do. */
  sharedEvent(body: Buffer): boolean {
    const { payload } = this.#sendLimits;
    if (payload.maxDepth < this.#limits.maxDepth || payload.maxValues < this.#limits.maxValues) {
      scanPayload(body, 0, body.length, payload);
    }
    return this.event(body);
  }

  /** Adds an event that is sent at most once. False where it was dropped. */
  volatileEvent(body: Buffer): boolean {
    this.#assertFrame(body.length);
    const congested = this.outbox.unsentBytes + this.#volatileBytes > this.#limits.highWaterBytes;
    if (congested) {
      this.#counters.volatileDropped++;
      return false;
    }
    const frame = encodeFrame(FrameType.VOLATILE, { flags: Flag.OPTIONAL }, body);
    this.#volatile.push(frame);
    this.#volatileBytes += frame.length;
    return true;
  }

  /** Sends a request. One of the two is called, once. Returns the request's id. */
  request(
    event: string,
    args: readonly unknown[],
    options: RequestOptions,
    resolve: (reply: unknown) => void,
    reject: (error: unknown) => void,
  ): number {
    const id = this.requests.nextId();
    const { timeoutMs } = options;
    const finite = Number.isFinite(timeoutMs);
    const body = this.#encode([id, event, args, finite ? Math.ceil(timeoutMs) : null], 2, 'args');
    this.assertRoom(bytesOf(body));
    const seq = this.append(FrameType.REQUEST, 0, body);
    if (options.expiresAt !== undefined) this.#expire(seq, id, options.expiresAt);
    const deadline = finite ? this.#actions.now() + timeoutMs : Number.POSITIVE_INFINITY;
    if (this.requests.add({ id, event, seq, deadline, resolve, reject })) this.#actions.rearm();
    return id;
  }

  /** Stops waiting for a reply: the request is taken back, or its handler is told. */
  cancelRequest(id: number, error: NyotaError): void {
    const request = this.requests.take(id);
    if (request === undefined) return;
    if (!this.deliveries.withdraw(request.seq, error)) {
      this.append(FrameType.CANCEL, 0, encodePrepared([id, error.code]));
    }
    request.reject(error);
    this.#actions.settled();
  }

  /** Stops waiting for every reply. Those that are still unsent are taken back; the others may be handled yet. */
  failRequests(error: NyotaError): void {
    for (const seq of this.requests.seqs()) this.deliveries.withdraw(seq, error);
    this.requests.fail(error);
  }

  /** The reply to a request of the other side's. Never fails: what can't be sent is replaced by the error that says so. */
  reply(id: number, ok: boolean, value: unknown): void {
    let body: Body;
    try {
      body = this.#encode([id, ok, ok ? value : asError(value)], 2, 'reply');
      this.assertRoom(bytesOf(body));
    } catch (error) {
      body = this.#encode([id, false, briefError(ok ? error : value)], 2, 'reply');
      if (bytesOf(body) > SURE_BYTES) {
        const brief = new Error('the handler failed, and its error is too large to be sent');
        body = this.#encode([id, false, brief], 2, 'reply');
      }
    }
    this.append(FrameType.REPLY, 0, body);
  }

  /** A reply has come. A late one, whose request was settled before, is nobody's. */
  replied(id: number, ok: boolean, value: unknown): void {
    const request = this.requests.take(id);
    if (request === undefined) return;
    if (ok) request.resolve(value);
    else request.reject(asLocalError(value));
    this.#actions.settled();
  }

  /** Throws `NYOTA_FRAME_TOO_LARGE` or `NYOTA_OUTBOX_FULL` where a sequenced frame with such a body can't be taken. */
  assertRoom(bodyBytes: number): void {
    this.#assertFrame(bodyBytes);
    try {
      this.outbox.assertRoom(bodyBytes);
    } catch (error) {
      const bytes = SEQUENCED_HEADER_BYTES + bodyBytes;
      if (bytes > this.#limits.maxOutboxBytes) throw largerThanOutbox(bytes, this.#limits.maxOutboxBytes);
      this.#wantsDrain = true;
      throw error;
    }
  }

  append(type: FrameType, flags: number, body: Body): number {
    const seq = this.outbox.append(type, flags, body);
    this.#counters.sent++;
    // Also for what says nothing of it, as a write to the store: its sender may wait for 'drain' too.
    if (this.outbox.bytes > this.#limits.highWaterBytes) this.#wantsDrain = true;
    this.#actions.wake();
    return seq;
  }

  /** A cumulative ack. False where it tells nothing new. */
  acknowledged(seq: number): boolean {
    const { outbox } = this;
    if (seq <= outbox.ackedSeq) return false;
    this.#counters.acked += outbox.acknowledge(seq);
    this.deliveries.acknowledged(seq);
    this.#maybeDrain();
    if (outbox.frames === 0) this.#actions.settled();
    return true;
  }

  /** What a payload may be: never more than either side accepts. */
  get payloadLimits(): PayloadLimits {
    return this.#sendLimits.payload;
  }

  get hasVolatile(): boolean {
    return this.#volatile.length > 0;
  }

  /** The next volatile piece; they go out behind what is reliable. */
  takeVolatile(): Buffer | undefined {
    if (this.#volatile.length === 0) return undefined;
    const piece = this.#volatile.length === 1 ? this.#volatile[0] : Buffer.concat(this.#volatile);
    this.dropVolatile(0);
    return piece;
  }

  /** The connection is gone, and with it what was at most once. */
  dropVolatile(counted = this.#volatile.length): void {
    this.#counters.volatileDropped += counted;
    this.#volatile = [];
    this.#volatileBytes = 0;
  }

  /**
   * The other side's limits are known now. What was queued before and is larger than it accepts can never be
   * delivered: it is taken back, its sender is told, and the connection lives.
   */
  agree(theirs: WireLimits): void {
    const before = this.#sendLimits;
    const after = sendLimits(this.#limits, theirs);
    this.#sendLimits = after;
    const sameOrMore =
      after.maxFrameBytes >= before.maxFrameBytes &&
      after.payload.maxDepth >= before.payload.maxDepth &&
      after.payload.maxValues >= before.payload.maxValues;
    if (sameOrMore) return;
    const refused: Array<{ seq: number; type: number; error: NyotaError }> = [];
    this.outbox.forEachUnsent((seq, frame) => {
      const error = this.#refusal(frame);
      if (error !== undefined) refused.push({ seq, type: frame[LENGTH_BYTES] ?? 0, error });
    });
    for (const { seq, type, error } of refused) this.#takeBack(seq, type, error);
  }

  /**
   * For a new session after the old one was lost: what was never handled goes along, under new numbers.
   *
   * @param handled up to where the other side is known to have handled; undefined where it can't be known
   * @param first puts in what must come before everything that goes along. It may return what tells of it: callbacks
   * may send, so none runs before all is in place
   */
  restart(handled: number | undefined, error: NyotaError, first: () => (() => void) | undefined): Carried {
    const { outbox } = this;
    const acked = outbox.ackedSeq;
    const lastDelivered = handled ?? outbox.sentSeq;
    // A request that was given up after it was sent does not go along: its cancel doesn't either.
    const waiting = this.requests.seqs();
    let uncertain = 0;
    const kept: Array<{ seq: number; type: number; flags: number; body: Buffer }> = [];
    outbox.forEach((seq, frame) => {
      const type = frame[LENGTH_BYTES];
      if (type !== FrameType.EVENT && type !== FrameType.REQUEST) return;
      if (seq > lastDelivered) {
        if (type === FrameType.REQUEST && !waiting.has(seq)) return;
        const flags = (frame[LENGTH_BYTES + 1] ?? 0) & ~Flag.SEQ;
        kept.push({ seq, type, flags, body: Buffer.from(frame.subarray(SEQUENCED_HEADER_BYTES)) });
      } else if (handled === undefined && seq > acked && (type === FrameType.EVENT || waiting.has(seq))) {
        // An answered request is nothing that anybody wonders about.
        uncertain++;
      }
    });
    outbox.clear();
    const tellFirst = first();
    const numbers = new Map<number, number>();
    for (const { seq, type, flags, body } of kept) {
      numbers.set(seq, outbox.append(type as FrameType, flags, body));
    }
    outbox.markStart();
    const tellDeliveries = this.deliveries.renumber(numbers, handled ?? acked, error);
    const tellRequests = this.requests.renumber(numbers, error);
    tellFirst?.();
    tellDeliveries();
    tellRequests();
    this.#maybeDrain();
    return { uncertain };
  }

  get nextDeadline(): number {
    return Math.min(this.deliveries.nextDeadline, this.requests.nextDeadline);
  }

  tick(now: number): void {
    this.#counters.expired += this.deliveries.tick(now);
    for (const request of this.requests.takeExpired(now)) {
      const error = new NyotaError(
        'NYOTA_TIMEOUT',
        `no reply to the request '${printable(request.event)}' in time`,
      );
      if (!this.deliveries.withdraw(request.seq, error)) {
        this.append(FrameType.CANCEL, 0, encodePrepared([request.id, error.code]));
      }
      request.reject(error);
      this.#actions.settled();
    }
  }

  end(error: NyotaError): void {
    this.outbox.clear();
    this.dropVolatile();
    this.deliveries.fail(error);
    this.requests.fail(error);
  }

  /** A body of these fields, of which the one at `users` is the user's; errors call it `root`. To be appended next. */
  #encode(fields: unknown[], users: number, root: string): Body {
    return this.outbox.encode(fields, this.#sendLimits.payload) ?? this.#encodeOther(fields, users, root);
  }

  /** The same for what is not plain. A view, as of `encodeEvent`. */
  #encodeOther(fields: unknown[], users: number, root: string): Buffer {
    // Around it are the array itself and its other fields.
    fields[users] = prepare(fields[users], this.#sendLimits.payload, root, 1, fields.length);
    return encodePrepared(fields);
  }

  #track(seq: number, options: DeliveryOptions): void {
    this.deliveries.add(seq, options);
    if (options.expiresAt !== undefined || options.deadline !== undefined) this.#actions.rearm();
  }

  /** A request that is dropped unsent fails with its frame. Apart from `request`: its closure would cost every request. */
  #expire(seq: number, id: number, expiresAt: number): void {
    const onAck = (error?: NyotaError): void => {
      if (error !== undefined) this.requests.take(id)?.reject(error);
    };
    this.#track(seq, { expiresAt, onAck });
  }

  #maybeDrain(): void {
    const { frames, bytes } = this.outbox;
    if (!this.#wantsDrain || !hasDrained(frames, bytes, this.#limits.highWaterBytes)) return;
    this.#wantsDrain = false;
    this.#actions.drain();
  }

  #assertFrame(bodyBytes: number): void {
    const frameBytes = SEQUENCED_HEADER_BYTES - LENGTH_BYTES + bodyBytes;
    const { maxFrameBytes } = this.#sendLimits;
    if (frameBytes > maxFrameBytes) throw tooLarge(frameBytes, maxFrameBytes);
  }

  #refusal(frame: Buffer): NyotaError | undefined {
    const { maxFrameBytes, payload } = this.#sendLimits;
    if (frame.length - LENGTH_BYTES > maxFrameBytes)
      return tooLarge(frame.length - LENGTH_BYTES, maxFrameBytes);
    try {
      if (frame.length > SEQUENCED_HEADER_BYTES) {
        const body = decodePayload(frame, SEQUENCED_HEADER_BYTES, frame.length, payload);
        const type = frame[LENGTH_BYTES] ?? 0;
        // A value of the store is a payload within the payload.
        if (isStoreFrame(type)) parseStoreFrame(type, body, payload);
      }
      return undefined;
    } catch (error) {
      return new NyotaError('NYOTA_PAYLOAD_TOO_COMPLEX', 'the other side accepts no such payload', {
        cause: error,
      });
    }
  }

  #takeBack(seq: number, type: number, error: NyotaError): void {
    const request = this.requests.find(seq);
    if (!this.deliveries.withdraw(seq, error)) return;
    if (request !== undefined) this.requests.take(request.id)?.reject(error);
    else if (type === FrameType.KV_OP) this.#host.storeWriteRefused(seq, error);
    else this.#actions.report(error);
  }
}

function tooLarge(bytes: number, limit: number): NyotaError {
  return new NyotaError(
    'NYOTA_FRAME_TOO_LARGE',
    `the message is ${bytes} bytes long, and both sides take at most ${limit} (maxFrameBytes)`,
  );
}
