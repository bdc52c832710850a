/**
 * One side of a session: what it sends is kept until it is handled there, what it receives is dispatched once
 * and in order, however often the connection is cut. Pure: time, listeners and the connection are on the
 * other side of `SessionActions`; a connection pulls what is to be written.
 *
 *              attach                       detach
 *   detached ---------> attached (n) ------------------> detached
 *                          |    ^ attach: generation n+1
 *                          `----´
 *   any state -- end --> ended
 *
 * A connection is known by its generation; what an old one still says is ignored.
 */
import { NyotaError } from '../errors.js';
import type { Conflict } from '../features/store/replica.js';
import { ReplicaEndpoint } from '../features/store/replica-endpoint.js';
import { SequencerEndpoint } from '../features/store/sequencer-endpoint.js';
import type { StoreEndpoint, StoreHost } from '../features/store/store-endpoint.js';
import type { StoreFrame } from '../features/store/store-frames.js';
import type { Change } from '../features/store/types.js';
import type { Limits } from '../options.js';
import { Flag, FrameType } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import type { WireLimits } from '../wire/messages.js';
import { Attachment } from './attachment.js';
import { acknowledgedUnsent, divergence, silent, stalled } from './breaches.js';
import { type CoreState, DETACHED } from './core-state.js';
import { Dispatcher, type DispatcherHost } from './dispatcher.js';
import type { FrameView } from './frame-view.js';
import { Journal, type Step } from './journal.js';
import type { CoreImage } from './persisted.js';
import { type Carried, Sender, type SenderHost } from './sender.js';
import type { SessionActions } from './session-actions.js';
import { SessionCounters } from './session-counters.js';

export type Role = 'client' | 'server';

/** Is itself what its parts ask for: a literal of closures for each would take a third of an idle session's memory. */
export class SessionCore implements DispatcherHost, SenderHost, StoreHost {
  readonly limits: Limits;
  readonly counters = new SessionCounters();
  readonly sender: Sender;
  readonly dispatcher: Dispatcher;
  readonly store: StoreEndpoint;
  readonly #actions: SessionActions;
  #state: CoreState = DETACHED;
  #attachment: Attachment | undefined;
  #generation = 0;
  #ackAwaitsPull = false;
  /** When the chunk at hand arrived: the clock is asked once for all of its frames. */
  #chunkAt = 0;
  #roundTripMs: number | undefined;
  /** Where the session is kept in a durable store. */
  #journal: Journal | undefined;

  constructor(role: Role, limits: Limits, actions: SessionActions) {
    this.limits = limits;
    this.#actions = actions;
    this.sender = new Sender(limits, actions, this.counters, this);
    this.dispatcher = new Dispatcher(limits, actions, this, this.counters);
    this.store = role === 'server' ? new SequencerEndpoint(this) : new ReplicaEndpoint(this);
  }

  get state(): CoreState {
    return this.#state;
  }

  /** True while frames that an earlier connection had been handed are going out again. */
  get replaying(): boolean {
    return this.#attachment !== undefined && this.sender.outbox.cursorSeq < this.#attachment.replayUpTo;
  }

  /** Smoothed, in ms; undefined before the first measurement. */
  get roundTripMs(): number | undefined {
    return this.#attachment?.roundTripMs ?? this.#roundTripMs;
  }

  /** The other side has said that it pauses: that it does not read is no sign of death. */
  get peerPaused(): boolean {
    return this.#attachment?.peerPaused === true;
  }

  /** True when everything sent is handled there, and nothing runs here. */
  get quiet(): boolean {
    return this.sender.outbox.frames === 0 && this.dispatcher.idle;
  }

  assertLive(): void {
    if (this.#state.is === 'ended') throw this.#state.error;
  }

  /**
   * What a handshake must hold for this session to go on: neither side may know less than it once did, nor more
   * than it was told (DESIGN.md, rule 5). Changes nothing.
   *
   * @param received what the other side has received of ours
   */
  diverged(received: number): NyotaError | undefined {
    return divergence(this.sender.outbox, received);
  }

  /**
   * A connection has shaken hands. Returns its generation, by which all its later calls are known.
   * The caller has asked `diverged` before.
   * @throws NyotaError the session's end, where it is over
   */
  attach(theirs: WireLimits, received: number): number {
    const now = this.#actions.now();
    const { outbox } = this.sender;
    if (this.#generation > 0) this.counters.reconnects++;
    this.sender.agree(theirs);
    this.assertLive(); // a callback of a message that was taken back may have ended the session
    outbox.rewind(received);
    const replayUpTo = outbox.sentSeq;
    this.counters.replayed += replayUpTo - outbox.cursorSeq;
    this.dispatcher.attached();
    this.#ackAwaitsPull = false;
    this.#chunkAt = now;
    this.#attachment = new Attachment(this.limits, theirs, replayUpTo, now);
    this.#state = { is: 'attached', generation: ++this.#generation };
    if (!this.dispatcher.reading) {
      this.#attachment.setReading(false, now);
      this.#actions.setReading(false);
    }
    this.#actions.wake();
    this.#actions.rearm();
    return this.#generation;
  }

  /** The connection is gone. False where a newer one has taken its place, or the session has ended. */
  detach(generation: number): boolean {
    if (!this.#isCurrent(generation)) return false;
    this.#roundTripMs = this.roundTripMs;
    this.#attachment = undefined;
    this.#state = DETACHED;
    this.sender.dropVolatile();
    return true;
  }

  /** Bytes have arrived; `receive` follows for each frame in them, then `chunkEnd`. */
  chunkStart(generation: number, bytes: number): boolean {
    if (!this.#isCurrent(generation)) return false;
    this.counters.bytesReceived += bytes;
    this.#chunkAt = this.#actions.now();
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
    if ((frame.flags & Flag.SEQ) !== 0) this.dispatcher.receive(frame, this.#chunkAt);
    else if (frame.type === FrameType.VOLATILE) this.dispatcher.receiveVolatile(frame);
    else if (frame.type !== FrameType.ACK) {
      if (this.#attachment?.receive(frame, this.#actions.now()) === true) this.#actions.wake();
    } else if (frame.ack < 0)
      throw new NyotaError('NYOTA_PROTOCOL_ERROR', 'an ACK that acknowledges nothing');
  }

  /** A frame that carries nothing for the user has come: too many of them end the connection. */
  countControl(generation: number): void {
    if (this.#isCurrent(generation)) this.#countControl();
  }

  chunkEnd(generation: number): void {
    if (!this.#isCurrent(generation)) return;
    this.store.flush();
    this.ackMayBeDue();
    // What was dispatched may have brought deadlines of its own.
    this.#actions.rearm();
    if (this.sender.outbox.overflowing) this.#actions.fail(stalled());
  }

  /** The next bytes to write on the current connection; undefined when there are none. */
  pull(generation: number): Buffer | undefined {
    const attachment = this.#attachment;
    if (attachment === undefined || !this.#isCurrent(generation)) return undefined;
    const piece = this.#takeControl(attachment) ?? this.sender.outbox.take() ?? this.sender.takeVolatile();
    if (piece !== undefined) this.counters.bytesSent += piece.length;
    return piece;
  }

  /** Whether `pull` has more, right after it. */
  get hasMore(): boolean {
    return this.sender.outbox.ready || this.sender.hasVolatile;
  }

  /** The session is kept in a durable store from here on; with an image, it is taken over from there. */
  keepInStore(image?: CoreImage): void {
    const { sender, dispatcher, store } = this;
    this.#journal = new Journal({ sender, dispatcher, store, now: () => this.#actions.now() }, image);
  }

  /** True where `takeStep` has something that must not wait; with `force`, where it has anything. */
  stepDue(force = false): boolean {
    return this.#state.is !== 'ended' && this.#journal?.due(force) === true;
  }

  /** What is to be committed now, in a store. Undefined without one. */
  takeStep(): Step | undefined {
    return this.#journal?.take();
  }

  /** Queues a control frame (CLOSE, GOAWAY) for the current connection. */
  control(frame: Buffer): void {
    if (this.#attachment === undefined) return;
    this.#attachment.push(frame);
    this.#actions.wake();
  }

  /** An event that is sent at most once. False where it was dropped. */
  volatile(event: string, args: readonly unknown[]): boolean {
    this.assertLive();
    const body = this.sender.encodeEvent(event, args);
    if (this.#attachment === undefined) {
      this.counters.volatileDropped++;
      return false;
    }
    const taken = this.sender.volatileEvent(body);
    if (taken) this.#actions.wake();
    return taken;
  }

  pause(): void {
    this.dispatcher.pause();
  }

  resume(): void {
    this.dispatcher.resume();
  }

  /** When `tick` has something to do; Infinity if never. */
  get nextDeadline(): number {
    const attachment = this.#attachment;
    // An ack that is due was told by `wake`: it waits for the connection to take bytes, not for time.
    const ackAt =
      attachment === undefined || this.#ackAwaitsPull
        ? Number.POSITIVE_INFINITY
        : this.dispatcher.inbox.ackDueAt;
    return Math.min(
      ackAt,
      attachment?.nextDeadline ?? Number.POSITIVE_INFINITY,
      this.sender.nextDeadline,
      this.dispatcher.nextDeadline,
      this.store.nextDeadline,
    );
  }

  /** Does what time alone brings. */
  tick(): void {
    if (this.#state.is === 'ended') return;
    const now = this.#actions.now();
    this.sender.tick(now);
    this.dispatcher.tick(now);
    // A callback may have ended the session.
    if (this.#isEnded) return;
    this.store.tick(now);
    this.ackMayBeDue();
    const attachment = this.#attachment;
    if (attachment === undefined) return;
    const pulse = attachment.tick(now, this.dispatcher.reading);
    if (pulse === 'dead') this.#actions.fail(silent(this.limits));
    else if (pulse === 'ping') this.#actions.wake();
  }

  /**
   * The session is over at the other side and a new one begins here (clients only). What was never handled goes
   * along, the store's content before it.
   *
   * @param handled up to where the other side is known to have handled; undefined where it can't be known
   */
  restart(handled: number | undefined, error: NyotaError, carryStore: boolean): Carried {
    if (this.#state.is === 'ended') return { uncertain: 0 };
    this.#attachment = undefined;
    this.#state = DETACHED;
    this.sender.dropVolatile();
    this.dispatcher.applyHeldStore();
    const carried = this.sender.restart(handled, error, () => {
      if (!(this.store instanceof ReplicaEndpoint)) return undefined;
      if (!carryStore) return this.store.clear(error);
      this.store.carry(error);
      return undefined;
    });
    this.dispatcher.reset(error);
    this.#journal?.restarted();
    return carried;
  }

  /** The session is over. Everything that waits is settled with the error. */
  end(error: NyotaError): void {
    if (this.#state.is === 'ended') return;
    this.#attachment = undefined;
    this.#state = { is: 'ended', error };
    this.dispatcher.end(error);
    this.sender.end(error);
    this.store.fail(error);
  }

  // What the dispatcher asks for.

  reply(id: number, ok: boolean, value: unknown): void {
    this.sender.reply(id, ok, value);
  }

  replied(id: number, ok: boolean, value: unknown): void {
    this.sender.replied(id, ok, value);
  }

  storeFrame(frame: StoreFrame, seq: number): void {
    this.store.receive(frame, seq);
  }

  readingChanged(reading: boolean): void {
    if (this.#attachment === undefined) return;
    this.#attachment.setReading(reading, this.#actions.now());
    this.#actions.setReading(reading);
    this.#actions.rearm();
  }

  ackMayBeDue(): void {
    if (this.#attachment === undefined) return;
    const { inbox } = this.dispatcher;
    if (inbox.ackDue(this.#actions.now())) {
      this.#ackAwaitsPull = true;
      this.#actions.wake();
    } else if (inbox.ackDueAt !== Number.POSITIVE_INFINITY) this.#actions.rearm();
  }

  heldDispatched(): void {
    if (this.#isEnded) return;
    this.store.flush();
    this.ackMayBeDue();
    this.#actions.rearm();
  }

  duplicate(): void {
    this.#countControl();
  }

  // What the sender and the store ask for.

  storeWriteRefused(seq: number, error: NyotaError): void {
    this.store.withdrawn(seq, error);
  }

  now(): number {
    return this.#actions.now();
  }

  assertRoom(payloadBytes: number): void {
    this.assertLive();
    this.sender.assertRoom(payloadBytes);
  }

  append(type: FrameType, flags: number, payload: Uint8Array): number {
    return this.sender.append(type, flags, payload);
  }

  changed(changes: readonly Change[], local: boolean): void {
    if (changes.length > 0) this.#actions.changed(changes, local);
    if (this.store.nextDeadline !== Number.POSITIVE_INFINITY) this.#actions.rearm();
  }

  conflicted(conflicts: readonly Conflict[]): void {
    if (conflicts.length > 0) this.#actions.conflicted(conflicts);
  }

  get #isEnded(): boolean {
    return this.#state.is === 'ended';
  }

  #isCurrent(generation: number): boolean {
    return this.#state.is === 'attached' && this.#state.generation === generation;
  }

  #acknowledged(frame: FrameView): void {
    const { cursorSeq } = this.sender.outbox;
    if (frame.ack > cursorSeq) throw acknowledgedUnsent(frame.ack, cursorSeq);
    if (this.sender.acknowledged(frame.ack)) this.store.acknowledged(frame.ack);
    else if (frame.type === FrameType.ACK) this.#countControl();
  }

  #countControl(): void {
    this.#attachment?.countControl(this.#actions.now());
  }

  /** Control frames and the acknowledgement as one piece. An ack goes along with whatever else is written. */
  #takeControl(attachment: Attachment): Buffer | undefined {
    const { inbox } = this.dispatcher;
    this.#ackAwaitsPull = false;
    const alongside = attachment.hasControl || this.sender.outbox.ready;
    const acks = inbox.ackReady && (alongside || inbox.ackDue(this.#actions.now()));
    return attachment.take(acks ? encodeFrame(FrameType.ACK, { ack: inbox.takeAck() }) : undefined);
  }
}
