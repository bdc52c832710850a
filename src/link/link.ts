/**
 * One side of a session. What it sends is kept until the other side has handled it; what it receives is dispatched once and
 * in order, however often the connection is cut. A link carries numbered frames and never looks at what they say: that is for
 * the features that stand on it (feature.ts).
 *
 *              attach                       detach
 *   detached ---------> attached (n) ------------------> detached
 *                          |    ^ attach: generation n+1
 *                          `----´
 *   any state -- end --> ended
 *
 * A connection is known by its generation; what an old one still says is ignored (docs/design.md, rule 12). A connection
 * pulls what is to be written (docs/design.md, rule 13).
 *
 * Dispatch stops while the user paused it or while `maxRunningHandlers` frames are begun and not settled. What arrives then
 * is held, decoded, up to `highWaterBytes`; after that the connection is not read any more. Replies overtake held frames,
 * unless the user paused: two sides whose handlers all wait for a reply of the other would wait for ever (docs/design.md,
 * rule 14).
 *
 * Pure: sockets, timers and users are on the other side of `LinkHost`, so that the same link runs over TCP, in memory and in
 * a simulation. Touches outbox, inbox, tracker, attachment, journal, and features through their interface.
 */
import { encodePlain, encodePrepared, prepare } from '../codec/payload.js';
import { type PayloadLimits, scanPayload } from '../codec/scan.js';
import { NyotaError, printable } from '../errors.js';
import type { Limits } from '../options.js';
import { Flag, FrameType, LENGTH_BYTES, SEQUENCED_HEADER_BYTES } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import type { WireLimits } from '../wire/messages.js';
import { Attachment } from './attachment.js';
import { type Carry, type Feature, FeatureTable, type FrameView } from './feature.js';
import { Inbox } from './inbox.js';
import { Journal, type Keeper } from './journal.js';
import { type Body, hasDrained, largerThanOutbox, Outbox } from './outbox.js';
import type { CoreImage } from './persisted.js';
import { Tracker, type TrackOptions } from './tracker.js';

/** What a link asks of whoever carries it out. None of these methods may throw. */
export interface LinkHost {
  /** Milliseconds since the epoch. */
  now(): number;
  /** There is something to write: call `pull` soon, once for all that this tick brings. */
  wake(): void;
  /** `nextDeadline` may have become sooner. */
  rearm(): void;
  /** Start or stop reading the connection. */
  setReading(reading: boolean): void;
  /** The outbox has room again after a send that returned false. */
  drain(): void;
  /** Something has settled: `Link.quiet` may have become true. */
  settled(): void;
  /** An error that concerns the user, not the connection. */
  report(error: NyotaError): void;
  /** The connection must end: the other side broke the protocol, or is dead. */
  fail(error: NyotaError): void;
}

export type LinkState =
  | { readonly is: 'detached' }
  | { readonly is: 'attached'; readonly generation: number }
  | { readonly is: 'ended'; readonly error: NyotaError };

const DETACHED: LinkState = { is: 'detached' };
const NEVER = Number.POSITIVE_INFINITY;
const NO_FEATURES = new FeatureTable([]);

/** What a session counts of itself, for `stats()`. Counted where it happens; nothing is estimated. */
class LinkCounters {
  /** Messages accepted for sending: events, requests, replies, store writes. */
  sent = 0;
  /** Sequenced frames received for the first time. */
  received = 0;
  /** Own messages that the other side acknowledged. */
  acked = 0;
  /** Frames sent again after a reconnect. */
  replayed = 0;
  /** Received again and dropped. */
  duplicatesDropped = 0;
  /** Connections after the first. */
  reconnects = 0;
  bytesSent = 0;
  bytesReceived = 0;
  volatileDropped = 0;
  /** Dropped unsent because their ttlMs was over. */
  expired = 0;
}

/** About how many bytes a held frame takes besides its body: an empty one is not free. */
const HELD_COST = 192;

interface Held {
  /** 0: from a session that is over, so nothing is acknowledged. */
  seq: number;
  type: number;
  readonly body: unknown;
  readonly bytes: number;
}

/** What this side announces, and holds the other side to. */
export function announced(limits: WireLimits): WireLimits {
  return {
    maxFrameBytes: limits.maxFrameBytes,
    maxDepth: limits.maxDepth,
    maxValues: limits.maxValues,
    pingIntervalMs: limits.pingIntervalMs,
  };
}

export class Link {
  readonly limits: Limits;
  readonly counters = new LinkCounters();
  readonly outbox: Outbox;
  readonly inbox = new Inbox();
  readonly #host: LinkHost;
  readonly #tracker: Tracker;
  #table = NO_FEATURES;
  #features: readonly Feature[] = [];
  #state: LinkState = DETACHED;
  #attachment: Attachment | undefined;
  #generation = 0;
  #roundTripMs: number | undefined;
  /** Undefined unless the session is kept in a durable store. */
  #journal: Journal | undefined;

  // Sending.
  /** Limits of payloads and frames: of both sides' the smaller ones. */
  #payloadLimits: PayloadLimits;
  #maxFrameBytes: number;
  #wantsDrain = false;
  #unsequenced: Buffer[] = [];
  #unsequencedBytes = 0;
  #ackAwaitsPull = false;

  // Receiving.
  #held: Held[] = [];
  #heldBytes = 0;
  /** Frames that are begun and not settled. */
  #running = 0;
  #paused = false;
  #reading = true;
  /** True while a frame is being received: acks that become due are found at the end of its chunk. */
  #receiving = false;
  #draining = false;
  /** When the chunk at hand arrived: the clock is asked once for all of its frames. */
  #chunkAt = 0;
  /** The highest number that came again on this connection. */
  #replayedSeq = 0;
  /** Set by an image, until the other side has said what it had sent before. */
  #restoredAt: number | undefined;
  /** A process before this one may have dispatched frames up to this number. */
  #redeliveredUpTo = 0;

  constructor(limits: Limits, host: LinkHost) {
    this.limits = limits;
    this.#host = host;
    this.outbox = new Outbox(limits);
    this.#tracker = new Tracker(this.outbox);
    this.#payloadLimits = limits;
    this.#maxFrameBytes = limits.maxFrameBytes;
  }

  /**
   * Sets the features, in the order in which they carry what is left into a new session. Called before anything else.
   * @param table who owns which frame type, for these features in their order
   */
  use(features: readonly Feature[], table: FeatureTable): void {
    this.#features = features;
    this.#table = table;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** True while frames that an earlier connection had been handed are going out again. */
  get replaying(): boolean {
    return this.#attachment !== undefined && this.outbox.cursorSeq < this.#attachment.replayUpTo;
  }

  /** Smoothed, in ms; undefined before the first measurement. */
  get roundTripMs(): number | undefined {
    return this.#attachment?.roundTripMs ?? this.#roundTripMs;
  }

  /** The other side has said that it pauses, so it is not dead though it does not read. */
  get peerPaused(): boolean {
    return this.#attachment?.peerPaused === true;
  }

  /** True when no listener or handler runs and nothing is held. */
  get idle(): boolean {
    return this.#running === 0 && this.#held.length === 0;
  }

  /** True when everything sent is handled there, and nothing runs here. */
  get quiet(): boolean {
    return this.outbox.frames === 0 && this.idle;
  }

  get reading(): boolean {
    return this.#reading;
  }

  /** Keeps the session in step with its durable store; undefined without one. */
  get journal(): Journal | undefined {
    return this.#journal;
  }

  /** @throws NyotaError why the session is over, if it is */
  assertLive(): void {
    if (this.#state.is === 'ended') throw this.#state.error;
  }

  // A connection comes and goes.

  /**
   * Checks the other side's number in a handshake: neither side may know less than it once did, nor more than it was told
   * (docs/design.md, rule 5). Returns the error that ends the session if they contradict each other. Changes nothing.
   *
   * @param received what the other side has received of ours
   */
  diverged(received: number): NyotaError | undefined {
    const { ackedSeq, sentSeq } = this.outbox;
    if (received >= ackedSeq && received <= sentSeq) return undefined;
    return new NyotaError(
      'NYOTA_DIVERGED',
      `the other side says it received up to ${received}, but ${sentSeq} were sent and ${ackedSeq} acknowledged`,
    );
  }

  /**
   * A connection has shaken hands. Returns its generation, by which all its later calls are known. The caller has asked
   * `diverged` before.
   * @throws NyotaError why the session is over, if it is
   */
  attach(theirs: WireLimits, received: number): number {
    const now = this.#host.now();
    const { outbox, counters } = this;
    if (this.#generation > 0) counters.reconnects++;
    this.agree(theirs);
    this.assertLive(); // a callback of a message that was taken back may have ended the session
    outbox.rewind(received);
    const replayUpTo = outbox.sentSeq;
    counters.replayed += replayUpTo - outbox.cursorSeq;
    this.#replayedSeq = 0;
    this.inbox.acknowledgeAgain();
    this.#ackAwaitsPull = false;
    this.#chunkAt = now;
    this.#attachment = new Attachment(this.limits, theirs, replayUpTo, now);
    this.#state = { is: 'attached', generation: ++this.#generation };
    if (!this.#reading) {
      this.#attachment.setReading(false, now);
      this.#host.setReading(false);
    }
    this.#host.wake();
    this.#host.rearm();
    return this.#generation;
  }

  /** The connection is gone. False if a newer one has taken its place, or the session has ended. */
  detach(generation: number): boolean {
    if (!this.#isCurrent(generation)) return false;
    this.#roundTripMs = this.roundTripMs;
    this.#detached();
    return true;
  }

  /** Queues a control frame (CLOSE, GOAWAY) for the current connection. */
  control(frame: Buffer): void {
    if (this.#attachment === undefined) return;
    this.#attachment.push(frame);
    this.#host.wake();
  }

  /** The next bytes to write on the current connection; undefined when there are none. */
  pull(generation: number): Buffer | undefined {
    const attachment = this.#attachment;
    if (attachment === undefined || !this.#isCurrent(generation)) return undefined;
    const piece = this.#takeControl(attachment) ?? this.outbox.take() ?? this.#takeUnsequenced();
    if (piece !== undefined) this.counters.bytesSent += piece.length;
    return piece;
  }

  /** True if there is more to pull; asked right after `pull`. */
  get hasMore(): boolean {
    return this.outbox.ready || this.#unsequenced.length > 0;
  }

  /** Control frames and the acknowledgement as one piece. An ack goes along with whatever else is written. */
  #takeControl(attachment: Attachment): Buffer | undefined {
    const { inbox } = this;
    this.#ackAwaitsPull = false;
    const alongside = attachment.hasControl || this.outbox.ready;
    const acks = inbox.ackReady && (alongside || inbox.ackDue(this.#host.now()));
    return attachment.take(acks ? encodeFrame(FrameType.ACK, { ack: inbox.takeAck() }) : undefined);
  }

  /** The connection is gone, and with it the unsequenced frames that wait. */
  #detached(): void {
    this.#attachment = undefined;
    this.#state = DETACHED;
    this.#dropUnsequenced();
  }

  #isCurrent(generation: number): boolean {
    return this.#state.is === 'attached' && this.#state.generation === generation;
  }

  // What a feature sends.

  /** Limits of payloads: of both sides' the smaller ones. */
  get payloadLimits(): PayloadLimits {
    return this.#payloadLimits;
  }

  /**
   * Encodes the body of the frame that is appended next: returns a view that the next encode overwrites, or the body's place
   * in the outbox. `users` is the index of the field with the user's values, which errors call `root`.
   * @throws NyotaError what can't travel
   */
  encode(fields: unknown[], users: number, root: string): Body {
    return this.outbox.encode(fields, this.#payloadLimits) ?? this.#encodeOther(fields, users, root);
  }

  /** The same, as a view only: for a frame that does not go into the outbox. */
  encodeView(fields: unknown[], users: number, root: string): Buffer {
    return encodePlain(fields, this.#payloadLimits) ?? this.#encodeOther(fields, users, root);
  }

  /**
   * @throws NyotaError `NYOTA_PAYLOAD_REFUSED` if a body that was encoded for many links is more than the other side of this
   * one accepts
   */
  assertAccepted(body: Buffer): void {
    const { maxDepth, maxValues } = this.#payloadLimits;
    if (maxDepth >= this.limits.maxDepth && maxValues >= this.limits.maxValues) return;
    scanPayload(body, 0, body.length, this.#payloadLimits);
  }

  /** @throws NyotaError `NYOTA_FRAME_TOO_LARGE` or `NYOTA_OUTBOX_FULL` where a sequenced frame with such a body can't be taken */
  assertRoom(bodyBytes: number): void {
    this.#assertFrame(bodyBytes);
    try {
      this.outbox.assertRoom(bodyBytes);
    } catch (error) {
      const bytes = SEQUENCED_HEADER_BYTES + bodyBytes;
      if (bytes > this.limits.maxOutboxBytes) throw largerThanOutbox(bytes, this.limits.maxOutboxBytes);
      this.#wantsDrain = true;
      throw error;
    }
  }

  /**
   * Adds a frame and returns its number. The caller checks the limits (`assertRoom`); an answer is appended without a check,
   * since it must go out in any case.
   */
  append(type: number, flags: number, body: Body): number {
    const seq = this.outbox.append(type, flags, body);
    this.counters.sent++;
    // Also for calls that don't return it, such as a write to the store: their senders may wait for 'drain' too.
    if (this.outbox.bytes > this.limits.highWaterBytes) this.#wantsDrain = true;
    this.#host.wake();
    return seq;
  }

  /** True while a sender need not wait for `drain`. */
  get hasRoom(): boolean {
    return this.outbox.bytes <= this.limits.highWaterBytes;
  }

  /** Remembers what the sender of a frame wants to know of it, or to undo. */
  track(seq: number, options: TrackOptions): void {
    this.#tracker.add(seq, options);
    if (options.expiresAt !== undefined || options.deadline !== undefined) this.#host.rearm();
  }

  /** Takes one frame back while it is unsent. False if it has gone out (docs/design.md, rule 19). */
  withdraw(seq: number, error: NyotaError): boolean {
    return this.#tracker.withdraw(seq, error);
  }

  /** Sends a frame that is neither numbered nor kept, behind the numbered ones. False if it was dropped. */
  sendUnsequenced(type: number, flags: number, body: Buffer): boolean {
    if (this.#attachment !== undefined) {
      this.#assertFrame(body.length);
      const waiting = this.outbox.unsentBytes + this.#unsequencedBytes;
      if (waiting <= this.limits.highWaterBytes) {
        const frame = encodeFrame(type as FrameType, { flags }, body);
        this.#unsequenced.push(frame);
        this.#unsequencedBytes += frame.length;
        this.#host.wake();
        return true;
      }
    }
    this.counters.volatileDropped++;
    return false;
  }

  #takeUnsequenced(): Buffer | undefined {
    if (this.#unsequenced.length === 0) return undefined;
    const piece = this.#unsequenced.length === 1 ? this.#unsequenced[0] : Buffer.concat(this.#unsequenced);
    this.#unsequenced = [];
    this.#unsequencedBytes = 0;
    return piece;
  }

  #dropUnsequenced(): void {
    this.counters.volatileDropped += this.#unsequenced.length;
    this.#unsequenced = [];
    this.#unsequencedBytes = 0;
  }

  /** Encodes what is not plain data. */
  #encodeOther(fields: unknown[], users: number, root: string): Buffer {
    // The user's values lie one level deep, next to the other fields.
    fields[users] = prepare(fields[users], this.#payloadLimits, root, 1, fields.length);
    return encodePrepared(fields);
  }

  #assertFrame(bodyBytes: number): void {
    const frameBytes = SEQUENCED_HEADER_BYTES - LENGTH_BYTES + bodyBytes;
    if (frameBytes > this.#maxFrameBytes) throw tooLarge(frameBytes, this.#maxFrameBytes);
  }

  #maybeDrain(): void {
    const { frames, bytes } = this.outbox;
    if (!this.#wantsDrain || !hasDrained(frames, bytes, this.limits.highWaterBytes)) return;
    this.#wantsDrain = false;
    this.#host.drain();
  }

  /**
   * The other side's limits are known now. What was queued before and is larger than it accepts can never be
   * delivered: it is taken back, its sender is told, and the connection lives.
   */
  agree(theirs: WireLimits): void {
    const maxFrameBytes = Math.min(this.limits.maxFrameBytes, theirs.maxFrameBytes);
    const maxDepth = Math.min(this.limits.maxDepth, theirs.maxDepth);
    const maxValues = Math.min(this.limits.maxValues, theirs.maxValues);
    const before = this.#payloadLimits;
    const sameOrMore =
      maxFrameBytes >= this.#maxFrameBytes && maxDepth >= before.maxDepth && maxValues >= before.maxValues;
    this.#maxFrameBytes = maxFrameBytes;
    if (maxDepth !== before.maxDepth || maxValues !== before.maxValues)
      this.#payloadLimits = { maxDepth, maxValues };
    if (sameOrMore) return;
    const refused: Array<{ seq: number; type: number; error: NyotaError }> = [];
    this.outbox.forEach((seq, frame) => {
      if (seq <= this.outbox.sentSeq) return;
      const error = this.#refusal(frame);
      if (error !== undefined) refused.push({ seq, type: frame[LENGTH_BYTES] ?? 0, error });
    });
    for (const { seq, type, error } of refused) {
      if (this.#tracker.withdraw(seq, error)) this.#ownerOf(type)?.withdrawn?.(type, seq, error);
    }
  }

  /** Why the other side could not take a frame of ours. */
  #refusal(frame: Buffer): NyotaError | undefined {
    const length = frame.length - LENGTH_BYTES;
    if (length > this.#maxFrameBytes) return tooLarge(length, this.#maxFrameBytes);
    const type = frame[LENGTH_BYTES] ?? 0;
    const start = SEQUENCED_HEADER_BYTES;
    if (frame.length === start) return undefined;
    try {
      const view = { type, flags: Flag.SEQ, seq: 0, ack: -1, source: frame, start, end: frame.length };
      this.#ownerOf(type)?.decode(view, this.#payloadLimits);
      return undefined;
    } catch (cause) {
      return new NyotaError('NYOTA_PAYLOAD_TOO_COMPLEX', 'the other side accepts no such payload', { cause });
    }
  }

  // What a connection brings.

  /** Bytes have arrived; `receive` follows for each frame in them, then `chunkEnd`. */
  chunkStart(generation: number, bytes: number): boolean {
    if (!this.#isCurrent(generation)) return false;
    this.counters.bytesReceived += bytes;
    this.#chunkAt = this.#host.now();
    this.#attachment?.heard(this.#chunkAt);
    return true;
  }

  /** One frame. Throws a NyotaError that must end the connection. */
  receive(generation: number, frame: FrameView): void {
    if (!this.#isCurrent(generation)) return;
    if (frame.ack >= 0) {
      this.#acknowledged(frame);
      if (!this.#isCurrent(generation)) return; // a callback has ended it
    }
    if ((frame.flags & Flag.SEQ) !== 0) this.receiveSequenced(frame);
    else if (frame.type !== FrameType.ACK) this.receiveUnsequenced(frame);
    else if (frame.ack < 0) throw new NyotaError('NYOTA_PROTOCOL_ERROR', 'an ACK that acknowledges nothing');
  }

  chunkEnd(generation: number): void {
    if (!this.#isCurrent(generation)) return;
    this.#dispatched();
    if (this.outbox.overflowing)
      this.#host.fail(
        new NyotaError('NYOTA_STALLED', 'the other side keeps asking and acknowledges nothing'),
      );
  }

  /** A frame that carries nothing for the user has come: too many of them end the connection (docs/design.md, rule 65). */
  countControl(generation: number): void {
    if (this.#isCurrent(generation)) this.#countControl();
  }

  /**
   * Takes a numbered frame: the next number only (docs/design.md, rule 2). Throws what must end the connection; the frame is
   * not accepted then.
   */
  receiveSequenced(frame: FrameView): void {
    const { inbox } = this;
    const now = this.#chunkAt;
    const { seq, type } = frame;
    if (seq !== inbox.received + 1) {
      if (seq > inbox.received)
        throw new NyotaError('NYOTA_SEQUENCE_GAP', `frame ${seq} came after frame ${inbox.received}`);
      this.counters.duplicatesDropped++;
      // A replay that starts further back than it must has rising numbers. A frame that comes once more counts as flood.
      if (seq > this.#replayedSeq) this.#replayedSeq = seq;
      else this.#countControl();
      inbox.acknowledgeAgain();
      return;
    }
    const owner = this.#ownerOf(type);
    if (owner === undefined) assertSkippable(frame);
    const body = owner?.decode(frame, this.limits);
    const bytes = frame.end - frame.start;
    const holds = this.#blocked && (this.#paused || owner?.overtakes?.(type) !== true);
    const wasSettled = inbox.wasSettled(seq);
    const first = owner?.mayRefuse === true && !holds && !wasSettled;
    if (first) owner.receive(type, body, seq, now);
    inbox.accept(seq, bytes, (frame.flags & Flag.ACK_NOW) !== 0, now);
    this.counters.received++;
    if (first || wasSettled || owner === undefined) return;
    if (holds) {
      inbox.open(seq, NEVER, undefined);
      this.#held.push({ seq, type, body, bytes: bytes + HELD_COST });
      this.#heldBytes += bytes + HELD_COST;
      this.#updateReading();
      return;
    }
    this.#receiving = true;
    try {
      owner.receive(type, body, seq, now);
    } finally {
      this.#receiving = false;
    }
  }

  receiveUnsequenced(frame: FrameView): void {
    const owner = this.#features[this.#table.unsequenced(frame.type)];
    if (owner?.receiveUnsequenced !== undefined) owner.receiveUnsequenced(frame, this.#blocked);
    else if (this.#attachment?.receive(frame, this.#host.now()) === true) this.#host.wake();
  }

  #acknowledged(frame: FrameView): void {
    const { outbox } = this;
    const { ack } = frame;
    if (ack > outbox.cursorSeq)
      throw new NyotaError(
        'NYOTA_DIVERGED',
        `the other side acknowledges frame ${ack}, and only ${outbox.cursorSeq} were sent`,
      );
    if (ack <= outbox.ackedSeq) {
      if (frame.type === FrameType.ACK) this.#countControl();
      return;
    }
    this.counters.acked += outbox.acknowledge(ack);
    this.#tracker.acknowledged(ack);
    this.#maybeDrain();
    if (outbox.frames === 0) this.#host.settled();
    for (const feature of this.#features) feature.acknowledged?.(ack);
  }

  #countControl(): void {
    this.#attachment?.countControl(this.#host.now());
  }

  #ownerOf(type: number): Feature | undefined {
    return this.#features[this.#table.sequenced(type)];
  }

  // What a feature does with a frame.

  /** A process that died may have dispatched the frame before. */
  wasDispatched(seq: number): boolean {
    return seq <= this.#redeliveredUpTo;
  }

  /**
   * For a frame that is not done when `receive` returns. Returns the epoch to pass to `settled`.
   *
   * @param event the event whose listeners run, which settles by itself after `settleTimeoutMs`; undefined for a request,
   * whose time is the caller's deadline
   */
  begin(seq: number, since: number, event: string | undefined): number {
    this.#running++;
    this.inbox.open(seq, since, event);
    return this.inbox.epoch;
  }

  /** The frame is done. A second call, or one for a session that is over, changes nothing. */
  settled(seq: number, epoch: number): void {
    const { inbox } = this;
    const now = this.#receiving ? this.#chunkAt : this.#host.now();
    // Not open: it was counted as settled before.
    if (epoch !== inbox.epoch || !inbox.settle(seq, now)) return;
    this.#running--;
    this.#drainHeld();
    if (!this.#receiving) this.#ackMayBeDue();
    this.#host.settled();
  }

  /** Drops the first held frame that matches: it will not be dispatched. */
  dropHeld(type: number, matches: (body: unknown) => boolean): void {
    const held = this.#held.find((one) => one.type === type && matches(one.body));
    if (held !== undefined) held.type = FrameType.SKIP;
  }

  pause(): void {
    this.#paused = true;
    this.#updateReading();
  }

  resume(): void {
    this.#paused = false;
    this.#drainHeld();
  }

  /** The highest number whose listeners have been run, or are running. */
  get dispatchedSeq(): number {
    const first = this.#held.find(({ seq }) => seq > 0);
    return first === undefined ? this.inbox.received : first.seq - 1;
  }

  /** False after an image, until all has been dispatched again that a process before this one may have dispatched. */
  get knowsDispatched(): boolean {
    return this.#restoredAt === undefined && this.dispatchedSeq >= this.#redeliveredUpTo;
  }

  /**
   * After an image: the other side had sent frames up to this number, so a process before this one may have dispatched them
   * (docs/design.md, rule 26).
   */
  expectRedelivery(sentBefore: number): void {
    if (this.#restoredAt === undefined) return;
    this.#redeliveredUpTo = Math.max(this.#redeliveredUpTo, sentBefore);
    this.#restoredAt = undefined;
  }

  get #blocked(): boolean {
    return this.#paused || this.#held.length > 0 || this.#running >= this.limits.maxRunningHandlers;
  }

  #drainHeld(): void {
    // A handler that is done at once, or a listener that resumes, gets here from within the loop.
    if (this.#draining) return;
    this.#draining = true;
    const before = this.#held.length;
    try {
      while (this.#held.length > 0 && !this.#paused && this.#running < this.limits.maxRunningHandlers) {
        const { seq, type, body, bytes } = this.#held.shift() as Held;
        this.#heldBytes -= bytes;
        const now = this.#host.now();
        if (this.#ownerOf(type)?.receive(type, body, seq, now) !== false) this.inbox.settle(seq, now);
      }
    } catch (error) {
      this.#host.fail(
        error instanceof NyotaError
          ? error
          : new NyotaError('NYOTA_INTERNAL', 'dispatching failed', { cause: error }),
      );
    } finally {
      this.#draining = false;
    }
    this.#updateReading();
    // Outside of a received chunk nothing else sends what they brought.
    if (before > 0 && !this.#isEnded) this.#dispatched();
  }

  #updateReading(): void {
    const reading = !this.#paused && this.#heldBytes <= this.limits.highWaterBytes;
    if (reading === this.#reading) return;
    this.#reading = reading;
    if (this.#attachment === undefined) return;
    // The heartbeat wants to know.
    this.#attachment.setReading(reading, this.#host.now());
    this.#host.setReading(reading);
    this.#host.rearm();
  }

  /** Frames have been dispatched: what they brought goes out, and their deadlines count. */
  #dispatched(): void {
    for (const feature of this.#features) feature.chunkEnd?.();
    this.#ackMayBeDue();
    this.#host.rearm();
  }

  #ackMayBeDue(): void {
    if (this.#attachment === undefined) return;
    if (this.inbox.ackDue(this.#host.now())) {
      this.#ackAwaitsPull = true;
      this.#host.wake();
    } else if (this.inbox.ackDueAt !== NEVER) this.#host.rearm();
  }

  // Time.

  /** When `tick` has something to do; Infinity if never. */
  get nextDeadline(): number {
    const attachment = this.#attachment;
    // An ack that is due was announced by `wake`: it waits for the connection to take bytes, not for time.
    const ackAt = attachment === undefined || this.#ackAwaitsPull ? NEVER : this.inbox.ackDueAt;
    let next = Math.min(
      ackAt,
      attachment?.nextDeadline ?? NEVER,
      this.#tracker.nextDeadline,
      this.inbox.oldestSince + this.limits.settleTimeoutMs,
    );
    for (const { nextDeadline } of this.#features) {
      if (nextDeadline !== undefined && nextDeadline < next) next = nextDeadline;
    }
    return next;
  }

  /** Does what time alone brings. */
  tick(): void {
    const now = this.#host.now();
    if (!this.#isEnded) this.counters.expired += this.#tracker.tick(now);
    // A callback may end the session.
    for (const feature of this.#features) if (!this.#isEnded) feature.tick?.(now);
    if (!this.#isEnded) this.#settleOverdue(now);
    if (this.#isEnded) return;
    this.#ackMayBeDue();
    const attachment = this.#attachment;
    if (attachment === undefined) return;
    const pulse = attachment.tick(now, this.#reading);
    if (pulse === 'ping') this.#host.wake();
    if (pulse !== 'dead') return;
    const silence = this.limits.pingIntervalMs + this.limits.pingTimeoutMs;
    this.#host.fail(
      new NyotaError('NYOTA_PING_TIMEOUT', `nothing was heard of the other side for ${silence} ms`),
    );
  }

  /** A listener that never settles must not stop the session (docs/design.md, rule 18). */
  #settleOverdue(now: number): void {
    const { inbox } = this;
    const { settleTimeoutMs } = this.limits;
    if (inbox.oldestSince + settleTimeoutMs > now) return;
    const { epoch } = inbox;
    for (const [seq, { since, event }] of inbox.unsettled()) {
      if (since + settleTimeoutMs > now) break;
      if (!inbox.isOpen(seq)) continue; // an earlier one has settled it
      if (event !== undefined) {
        const text = `a listener of '${printable(event)}' has not settled in ${settleTimeoutMs} ms; the event counts as handled`;
        this.#host.report(new NyotaError('NYOTA_SETTLE_TIMEOUT', text));
      }
      this.settled(seq, epoch);
    }
  }

  // Beginnings and ends.

  /** The session is kept in a durable store from here on; with an image, it is taken over from there. */
  keepInStore(keeper: Keeper, image?: CoreImage): void {
    const { outbox, inbox } = this;
    const parts = {
      outbox,
      inbox,
      features: this.#features,
      now: () => this.#host.now(),
      wake: () => this.#host.wake(),
    };
    this.#journal = new Journal(parts, keeper, image);
    if (image !== undefined) this.#restoredAt = image.inbound.settled;
  }

  /**
   * The session is over at the other side and a new one begins here (clients only). What was never handled goes into the new
   * one (docs/design.md, rule 6).
   *
   * @param handled up to where the other side is known to have handled; undefined if it can't be known
   * @returns `uncertain`: messages that were sent, and of which nobody can tell whether they were handled
   */
  restart(handled: number | undefined, error: NyotaError, keepShared: boolean): { uncertain: number } {
    if (this.#isEnded) return { uncertain: 0 };
    this.#detached();
    for (const held of this.#held) {
      const { type, body, seq } = held;
      if (this.#ownerOf(type)?.keepsHeld?.(type, body, seq) !== true) held.type = FrameType.SKIP;
    }
    const uncertain = this.carryOver(handled, error, keepShared);
    this.inbox.reset();
    this.#redeliveredUpTo = 0;
    this.#running = 0;
    this.#held = this.#held.filter(({ type }) => type !== FrameType.SKIP);
    this.#heldBytes = 0;
    for (const held of this.#held) {
      held.seq = 0;
      this.#heldBytes += held.bytes;
    }
    for (const feature of this.#features) feature.abandon?.(error);
    // Nothing of the old session settles any more, so nothing else would dispatch these.
    this.#drainHeld();
    this.#journal?.restarted();
    return { uncertain };
  }

  /** What was never handled goes into the outbox again, under new numbers. Returns how many messages have an unknown fate. */
  carryOver(handled: number | undefined, error: NyotaError, keepShared: boolean): number {
    const { outbox } = this;
    const acked = outbox.ackedSeq;
    const lastDelivered = handled ?? outbox.sentSeq;
    let uncertain = 0;
    const kept: Array<{ seq: number; type: number; flags: number; body: Buffer }> = [];
    const wanted = this.#features.map((feature) => feature.wanted?.());
    outbox.forEach((seq, frame) => {
      const type = frame[LENGTH_BYTES] ?? 0;
      if (wanted[this.#table.sequenced(type)]?.(type, seq) !== true) return;
      if (seq > lastDelivered) {
        const flags = (frame[LENGTH_BYTES + 1] ?? 0) & ~Flag.SEQ;
        kept.push({ seq, type, flags, body: Buffer.from(frame.subarray(SEQUENCED_HEADER_BYTES)) });
      } else if (handled === undefined && seq > acked) uncertain++;
    });
    outbox.clear();
    const numbers = new Map<number, number>();
    const carry: Carry = { error, keepShared, numbers, later: [] };
    for (const feature of this.#features) feature.carry?.(carry);
    for (const { seq, type, flags, body } of kept) numbers.set(seq, outbox.append(type, flags, body));
    outbox.markStart();
    carry.later.push(this.#tracker.renumber(numbers, handled ?? acked, error));
    for (const feature of this.#features) feature.carried?.(carry);
    for (const tell of carry.later) tell();
    this.#maybeDrain();
    return uncertain;
  }

  /** The session is over. Everything that waits is settled with the error. */
  end(error: NyotaError): void {
    if (this.#isEnded) return;
    this.#attachment = undefined;
    this.#state = { is: 'ended', error };
    this.#journal?.end();
    this.#held = [];
    this.#heldBytes = 0;
    this.#running = 0;
    this.inbox.reset();
    for (const feature of this.#features) feature.abandon?.(error);
    this.outbox.clear();
    this.#dropUnsequenced();
    this.#tracker.fail(error);
    for (const feature of this.#features) feature.end(error);
  }

  get #isEnded(): boolean {
    return this.#state.is === 'ended';
  }
}

/**
 * For a frame of a type that no feature owns: only SKIP, and one with the flag OPTIONAL, may be skipped (docs/design.md, rule
 * 54).
 */
function assertSkippable({ type, flags }: FrameView): void {
  if (type === FrameType.SKIP || (flags & Flag.OPTIONAL) !== 0) return;
  throw new NyotaError('NYOTA_UNKNOWN_FRAME', `unknown sequenced frame of type 0x${type.toString(16)}`);
}

function tooLarge(bytes: number, limit: number): NyotaError {
  return new NyotaError(
    'NYOTA_FRAME_TOO_LARGE',
    `the message is ${bytes} bytes long, and both sides take at most ${limit} (maxFrameBytes)`,
  );
}
