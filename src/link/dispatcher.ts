/**
 * The receiving half of a session: takes sequenced frames in once and in order, runs what they ask for, and
 * knows when each has settled. Pure: listeners run on the other side of `SessionActions`.
 *
 * Dispatch stops while the user paused it or while `maxRunningHandlers` listeners and handlers are running.
 * What arrives then is held, decoded, up to `highWaterBytes`; after that the connection is not read any more.
 * Replies and cancels overtake held frames, unless the user paused: two sides whose handlers all wait for
 * a reply of the other would wait for ever. The shared store's frames don't: a value stays in order with events.
 */
import { isErrorCode, NyotaError, printable } from '../errors.js';
import { IncomingRequests, type RunningRequest } from '../features/incoming-requests.js';
import { isStoreFrame, type StoreFrame } from '../features/store/store-frames.js';
import type { Limits } from '../options.js';
import { Flag, FrameType } from '../wire/constants.js';
import type { EventBody, ReplyBody, RequestBody } from '../wire/messages.js';
import { decodeBody, decodeEvent } from './frame-bodies.js';
import type { FrameView } from './frame-view.js';
import { Inbox } from './inbox.js';
import type { InboundState } from './persisted.js';
import type { SessionActions } from './session-actions.js';
import type { SessionCounters } from './session-counters.js';

/** What the receiving half asks of the rest of the session. */
export interface DispatcherHost {
  /** Sends the reply of a request. */
  reply(id: number, ok: boolean, value: unknown): void;
  /** A reply to a request of this side's. */
  replied(id: number, ok: boolean, value: unknown): void;
  storeFrame(frame: StoreFrame, seq: number): void;
  /** Reading was stopped or started: the heartbeat wants to know. */
  readingChanged(reading: boolean): void;
  /** A frame came again that was no replay. An honest peer sends few of them. */
  duplicate(): void;
  /** Something settled outside of a received chunk: an ack may be due. */
  ackMayBeDue(): void;
  /** Held frames have run, perhaps outside of a received chunk: what they brought must go out. */
  heldDispatched(): void;
}

/** What a held frame takes in memory besides its body, in bytes: about. An empty one is not free. */
const HELD_COST = 192;

interface Held {
  /** 0: from a session that is over, so nothing is acknowledged. */
  seq: number;
  type: number;
  readonly body: unknown;
  readonly bytes: number;
}

export class Dispatcher {
  readonly #limits: Limits;
  readonly #actions: SessionActions;
  readonly #host: DispatcherHost;
  readonly #counters: SessionCounters;
  readonly #requests = new IncomingRequests();
  #inbox = new Inbox();
  #held: Held[] = [];
  #heldBytes = 0;
  #running = 0;
  #paused = false;
  /** What settles now, settles within a received chunk: acks that are due are found at its end. */
  #receiving = false;
  /** When the chunk at hand arrived: the clock is not asked for each of its frames. */
  #receivedAt = 0;
  #draining = false;
  #reading = true;
  #holdsBack = false;
  /** The highest number that came again on this connection. */
  #replayedSeq = 0;
  /** Set by `restore`, until it is known what the other side had sent before. */
  #restoredAt: number | undefined;
  /** Up to this number a process before this one may have dispatched. */
  #redeliveredUpTo = 0;

  constructor(limits: Limits, actions: SessionActions, host: DispatcherHost, counters: SessionCounters) {
    this.#limits = limits;
    this.#actions = actions;
    this.#host = host;
    this.#counters = counters;
  }

  get inbox(): Inbox {
    return this.#inbox;
  }

  get reading(): boolean {
    return this.#reading;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** The highest number whose listeners have been run, or are running. */
  get dispatchedSeq(): number {
    const first = this.#held.find(({ seq }) => seq > 0);
    return first === undefined ? this.#inbox.received : first.seq - 1;
  }

  /** False after `restore`, until all has been dispatched again that a process before this one may have dispatched. */
  get knowsDispatched(): boolean {
    return this.#restoredAt === undefined && this.dispatchedSeq >= this.#redeliveredUpTo;
  }

  /** True when no listener or handler runs and nothing is held. */
  get idle(): boolean {
    return this.#running === 0 && this.#held.length === 0;
  }

  /** A sequenced frame. Throws what must end the connection; the frame is not accepted then. */
  receive(frame: FrameView, now: number): void {
    const inbox = this.#inbox;
    const { seq, type } = frame;
    if (seq !== inbox.received + 1) {
      if (seq > inbox.received) {
        throw new NyotaError('NYOTA_SEQUENCE_GAP', `frame ${seq} came after frame ${inbox.received}`);
      }
      this.#counters.duplicatesDropped++;
      // A replay from further back than need be rises; what comes yet again is a flood.
      if (seq > this.#replayedSeq) this.#replayedSeq = seq;
      else this.#host.duplicate();
      inbox.acknowledgeAgain();
      return;
    }
    const body = decodeBody(frame, this.#limits);
    const bytes = frame.end - frame.start;
    const holds = this.#blocked && !this.#mayOvertake(type);
    const forStore = isStoreFrame(type) && !holds && !inbox.wasSettled(seq);
    // The store checks a frame against its own state: one that it refuses was never received.
    if (forStore) this.#host.storeFrame(body as StoreFrame, seq);
    inbox.accept(seq, bytes, (frame.flags & Flag.ACK_NOW) !== 0, now);
    this.#counters.received++;
    if (forStore || inbox.wasSettled(seq)) return;
    if (holds) {
      inbox.open(seq, Number.POSITIVE_INFINITY, undefined);
      this.#held.push({ seq, type, body, bytes: bytes + HELD_COST });
      this.#heldBytes += bytes + HELD_COST;
      this.#updateReading();
      return;
    }
    this.#receiving = true;
    this.#receivedAt = now;
    try {
      this.#run(seq, type, body, now, false);
    } finally {
      this.#receiving = false;
    }
  }

  /** An event that is not sequenced: dropped where it can't run at once. */
  receiveVolatile(frame: FrameView): void {
    const [event, args] = decodeEvent(frame, this.#limits);
    if (this.#blocked) this.#counters.volatileDropped++;
    else this.#actions.dispatch(event, args, 0, false);
  }

  pause(): void {
    this.#paused = true;
    this.#updateReading();
  }

  resume(): void {
    this.#paused = false;
    this.#drain();
  }

  get nextDeadline(): number {
    return Math.min(this.#inbox.oldestSince + this.#limits.settleTimeoutMs, this.#requests.nextDeadline);
  }

  tick(now: number): void {
    this.#requests.expire(now);
    const inbox = this.#inbox;
    if (inbox.oldestSince + this.#limits.settleTimeoutMs > now) return;
    for (const [seq, { since, event }] of inbox.unsettled()) {
      if (since + this.#limits.settleTimeoutMs > now) break;
      if (!inbox.isOpen(seq)) continue; // settled by what one before it brought
      if (event !== undefined) {
        this.#actions.report(
          new NyotaError(
            'NYOTA_SETTLE_TIMEOUT',
            `a listener of '${printable(event)}' has not settled in ${this.#limits.settleTimeoutMs} ms; the event counts as handled`,
          ),
        );
      }
      this.#settled(inbox, seq);
    }
  }

  /** A new connection: the other side may replay. */
  attached(): void {
    this.#replayedSeq = 0;
    this.#inbox.acknowledgeAgain();
  }

  /** With a durable store: acks wait for it, in the sessions that follow as well. */
  holdBack(): void {
    this.#holdsBack = true;
    this.#inbox.holdBack();
  }

  /**
   * Takes over what a process before this one has handled. What the other side sends again up to `sentBefore` may have
   * been dispatched by it: those are flagged as redelivered.
   */
  restore({ settled, beyond }: InboundState): void {
    this.#inbox.restore(settled, beyond);
    this.#restoredAt = settled;
  }

  /** After `restore`: the other side has sent up to this number before. */
  expectRedelivery(sentBefore: number): void {
    if (this.#restoredAt === undefined) return;
    this.#redeliveredUpTo = Math.max(this.#redeliveredUpTo, sentBefore);
    this.#restoredAt = undefined;
  }

  /** Held frames of the shared store take effect: what they hold would be lost with their session. */
  applyHeldStore(): void {
    for (const held of this.#held) {
      if (!isStoreFrame(held.type)) continue;
      this.#host.storeFrame(held.body as StoreFrame, held.seq);
      held.type = FrameType.SKIP;
    }
  }

  /** The session is over and another begins on this side: numbers start anew, running handlers lose their caller. */
  reset(reason: NyotaError): void {
    this.#inbox = new Inbox();
    if (this.#holdsBack) this.#inbox.holdBack();
    this.#redeliveredUpTo = 0;
    this.#running = 0;
    this.#requests.abandon(reason);
    this.#held = this.#held.filter(({ type }) => type === FrameType.EVENT);
    this.#heldBytes = 0;
    for (const held of this.#held) {
      held.seq = 0;
      this.#heldBytes += held.bytes;
    }
    // Nothing of the old session's settles any more, so nothing else would set these going.
    this.#drain();
  }

  /** The session is over for good. */
  end(reason: NyotaError): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#running = 0;
    this.#inbox = new Inbox();
    this.#requests.abandon(reason);
  }

  get #blocked(): boolean {
    return this.#paused || this.#held.length > 0 || this.#running >= this.#limits.maxRunningHandlers;
  }

  #mayOvertake(type: number): boolean {
    return !this.#paused && (type === FrameType.REPLY || type === FrameType.CANCEL);
  }

  #run(seq: number, type: number, body: unknown, now: number, wasHeld: boolean): void {
    const inbox = this.#inbox;
    switch (type) {
      case FrameType.EVENT: {
        // By index: taking an array apart by its iterator costs more.
        const event = (body as EventBody)[0];
        const settling = this.#actions.dispatch(
          event,
          (body as EventBody)[1],
          seq,
          seq <= this.#redeliveredUpTo,
        );
        if (settling !== undefined && seq > 0) {
          this.#settleWith(inbox, seq, event, settling);
          return;
        }
        break;
      }
      case FrameType.REQUEST:
        this.#running++;
        inbox.open(seq, now, undefined);
        this.#startRequest(inbox, seq, body as RequestBody, now);
        return;
      case FrameType.REPLY: {
        const reply = body as ReplyBody;
        this.#host.replied(reply[0], reply[1], reply[2]);
        break;
      }
      case FrameType.CANCEL:
        this.#cancel(body as readonly [number, string]);
        break;
      case FrameType.KV_OP:
      case FrameType.KV_DELTA:
      case FrameType.KV_RESULT:
        this.#host.storeFrame(body as StoreFrame, seq);
        break;
    }
    if (wasHeld) inbox.settle(seq, now);
  }

  // A closure within `#run` would cost every frame the memory of what it sees.
  #settleWith(inbox: Inbox, seq: number, event: string, settling: PromiseLike<unknown>): void {
    this.#running++;
    inbox.open(seq, this.#actions.now(), event);
    const settled = () => this.#settled(inbox, seq);
    settling.then(settled, settled);
  }

  #startRequest(inbox: Inbox, seq: number, body: RequestBody, now: number): void {
    const event = body[1];
    const timeoutMs = body[3];
    const deadline = typeof timeoutMs === 'number' ? now + timeoutMs : Number.POSITIVE_INFINITY;
    const request = this.#requests.start(body[0], deadline, seq, seq <= this.#redeliveredUpTo);
    const done = (ok: boolean, value: unknown): void => {
      this.#finish(request, ok, value);
      this.#settled(inbox, seq);
    };
    if (!this.#actions.handle(event, body[2], request, done)) {
      done(false, new NyotaError('NYOTA_NO_HANDLER', `nobody handles the request '${printable(event)}'`));
    }
  }

  #finish(request: RunningRequest, ok: boolean, value: unknown): void {
    // A request of a session that is over, or one that was cancelled: nobody waits for the reply.
    if (this.#requests.finish(request) && !request.aborted) this.#host.reply(request.id, ok, value);
  }

  #cancel([id, code]: readonly [number, string]): void {
    const reason = new NyotaError(
      isErrorCode(code) ? code : 'NYOTA_ABORTED',
      code === 'NYOTA_TIMEOUT' ? 'the caller stopped waiting' : 'the caller cancelled the request',
    );
    if (this.#requests.cancel(id, reason) !== undefined) return;
    const held = this.#held.find(
      ({ type, body }) => type === FrameType.REQUEST && (body as [number])[0] === id,
    );
    if (held !== undefined) held.type = FrameType.SKIP;
  }

  #settled(inbox: Inbox, seq: number): void {
    const now = this.#receiving ? this.#receivedAt : this.#actions.now();
    // Not open: it was counted as settled before, or the session it came in is over.
    if (!inbox.settle(seq, now) || inbox !== this.#inbox) return;
    this.#running--;
    this.#drain();
    if (!this.#receiving) this.#host.ackMayBeDue();
    this.#actions.settled();
  }

  #drain(): void {
    // A handler that is done at once, or a listener that resumes, gets here from within the loop.
    if (this.#draining) return;
    this.#draining = true;
    const before = this.#held.length;
    try {
      while (this.#held.length > 0 && !this.#paused && this.#running < this.#limits.maxRunningHandlers) {
        const held = this.#held.shift() as Held;
        this.#heldBytes -= held.bytes;
        this.#run(held.seq, held.type, held.body, this.#actions.now(), true);
      }
    } catch (error) {
      this.#actions.fail(
        error instanceof NyotaError
          ? error
          : new NyotaError('NYOTA_INTERNAL', 'dispatching failed', { cause: error }),
      );
    } finally {
      this.#draining = false;
    }
    this.#updateReading();
    if (before > 0) this.#host.heldDispatched();
  }

  #updateReading(): void {
    const reading = !this.#paused && this.#heldBytes <= this.#limits.highWaterBytes;
    if (reading === this.#reading) return;
    this.#reading = reading;
    this.#host.readingChanged(reading);
  }
}
