/**
 * The inside of a peer: carries out one side of a session on a real connection and a real clock. Writes what the session
 * wants written, feeds it what arrives, keeps the one timer that wakes it, and puts its steps into a durable store; runs the
 * user's listeners and handlers for what comes. The session calls it by `SessionHost`, the public classes by its other
 * members. The client's side and a session held by a server extend it, each with its own ways to begin and to end.
 *
 *   public class (peer.ts) --> pump --> session (link/)      what the user sends
 *   connection (net/) --> reader --> session --> pump --> listeners, handlers
 *
 * Is not exported from the package: what the two sides need of it, users must not see.
 */
import { QuietWaiters } from '../async.js';
import type { Clock, ClockTimer } from '../clock.js';
import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import type { RequestOptions, RunningRequest } from '../features/requests.js';
import { type Role, SessionCore, type SessionHost } from '../features/session-core.js';
import type { Conflict } from '../features/store/replica.js';
import type { Change } from '../features/store/writes.js';
import { isLifecycleEvent } from '../lifecycle.js';
import type { Journal } from '../link/journal.js';
import type { TrackOptions } from '../link/tracker.js';
import type { Connection, ConnectionReader, SocketLike } from '../net/connection.js';
import type { Limits } from '../options.js';
import type { Awaitable, CoreImage, SessionBatch } from '../stores/session-store.js';
import { FrameType } from '../wire/constants.js';
import type { FrameDecoder } from '../wire/frame-decoder.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import { type CloseMessage, encodeClose, parseClose, type WireLimits } from '../wire/messages.js';
import {
  type Delivery,
  type Handler,
  MessageDelivery,
  RequestContext,
  runHandler,
  settleAfter,
} from './delivery.js';
import { type Flushable, type Planned, planFlush } from './flush-queue.js';
import { LifecycleEmitter, type Listeners, RemoteEmitter } from './listeners.js';
import { StoreValues } from './store-values.js';

/** What a peer tells about itself. All of it is counted, nothing estimated. */
export interface PeerStats {
  /** Messages accepted for sending: events, requests, replies, store writes. */
  readonly sent: number;
  /** Messages received for the first time. */
  readonly received: number;
  /** Own messages that the other side has handled. */
  readonly acked: number;
  /** Messages sent again after a reconnect. */
  readonly replayed: number;
  /** Messages that came again and were dropped. */
  readonly duplicatesDropped: number;
  /** Connections after the first. */
  readonly reconnects: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Volatile messages that were dropped. */
  readonly volatileDropped: number;
  /** Messages dropped unsent because their `ttlMs` was over. */
  readonly expired: number;
  /** Messages and bytes that the other side has not acknowledged. */
  readonly outboxFrames: number;
  readonly outboxBytes: number;
  /** Requests that wait for their reply. */
  readonly pendingRequests: number;
  /** Smoothed round-trip time in ms; undefined before the first measurement. */
  readonly roundTripMs: number | undefined;
}

/** The remote event whose listeners are being called. */
interface Delivering {
  readonly seq: number;
  readonly redelivered: boolean;
  /** Made where a listener asks for it. */
  delivery: MessageDelivery | undefined;
}

export abstract class Pump implements SessionHost, Flushable {
  readonly core: SessionCore;
  readonly limits: Limits;
  readonly lifecycle = new LifecycleEmitter();
  readonly remote: RemoteEmitter;
  readonly values: StoreValues;
  protected readonly clock: Clock;
  /** Whether the connection at hand, or the last one, resumed the session. */
  resumed = false;
  /** Made when first needed, as many sessions have none. */
  #handlers: Map<string, Handler> | undefined;
  #quietWaiters: QuietWaiters | undefined;
  #delivering: Delivering | undefined;
  #connection: Connection | undefined;
  #generation = 0;
  #planned: Planned | undefined;
  #timer: ClockTimer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  protected constructor(role: Role, limits: Limits, clock: Clock) {
    this.limits = limits;
    this.clock = clock;
    this.remote = new RemoteEmitter(this.lifecycle);
    this.core = new SessionCore(role, limits, this);
    this.values = new StoreValues(this.core);
  }

  /** The session's id. */
  abstract get id(): string;
  abstract disconnect(): void;
  abstract close(): Promise<void>;
  abstract destroy(): void;

  /** The session's connection is gone. `said`: the other side has sent a CLOSE. */
  protected abstract detached(error: NyotaError | undefined, said: boolean): void;
  /** Whether what is pending keeps the process alive. */
  protected abstract holdsProcess(): boolean;
  /** Puts a step of the session into its durable store. */
  protected abstract persist(batch: SessionBatch): Awaitable<void>;
  /** A step could not be stored: memory is ahead of the store, so this process must let go of the session. */
  protected abstract storeFailed(error: NyotaError): void;

  /** The other side has sent GOAWAY. False if a side like this must not be sent one. */
  protected goingAway(_frame: FrameDecoder): boolean {
    return false;
  }

  // What the public classes ask for.

  /** The public object over this one: what `this` is in listeners. */
  get peer(): object {
    return this.lifecycle.owner as object;
  }

  get connected(): boolean {
    return this.core.link.state.is === 'attached';
  }

  get ended(): boolean {
    return this.core.link.state.is === 'ended';
  }

  get connection(): Connection | undefined {
    return this.#connection;
  }

  get socket(): SocketLike | undefined {
    return this.#connection?.socket;
  }

  get bufferedBytes(): number {
    return this.core.link.outbox.bytes;
  }

  get delivery(): Delivery | undefined {
    const delivering = this.#delivering;
    if (delivering === undefined) return undefined;
    delivering.delivery ??= new MessageDelivery(this.values, this.id, delivering.seq, delivering.redelivered);
    return delivering.delivery;
  }

  /** The listeners of nyota's own events, or those of the other side's. */
  listenersOf(event: string): Listeners {
    return isLifecycleEvent(event) ? this.lifecycle : this.remote;
  }

  /** @throws NyotaError `NYOTA_HANDLER_EXISTS` */
  addHandler(event: string, handler: Handler): void {
    this.#handlers ??= new Map();
    if (this.#handlers.has(event)) {
      throw new NyotaError(
        'NYOTA_HANDLER_EXISTS',
        `there is already a handler for '${event}'; unhandle it first`,
      );
    }
    this.#handlers.set(event, handler);
  }

  removeHandler(event: string): void {
    this.#handlers?.delete(event);
  }

  now(): number {
    return this.clock.now();
  }

  /** @throws NyotaError why the session is over */
  assertLive(): void {
    this.core.link.assertLive();
  }

  send(event: string, args: readonly unknown[], options?: TrackOptions): boolean {
    return this.core.events.send(event, args, options);
  }

  sendVolatile(event: string, args: readonly unknown[]): boolean {
    return this.core.events.sendVolatile(event, args);
  }

  /** Calls one of the two, once. Returns the request's id, for `cancelRequest`. */
  request(
    event: string,
    args: readonly unknown[],
    options: RequestOptions,
    resolve: (reply: unknown) => void,
    reject: (error: unknown) => void,
  ): number {
    const id = this.core.requests.request(event, args, options, resolve, reject);
    this.reholdProcess();
    return id;
  }

  cancelRequest(id: number, error: NyotaError): void {
    this.core.requests.cancel(id, error);
  }

  pause(): void {
    this.core.link.pause();
  }

  resume(): void {
    this.core.link.resume();
  }

  stats(): PeerStats {
    const { link, requests } = this.core;
    const { counters, outbox, roundTripMs } = link;
    return {
      ...counters,
      outboxFrames: outbox.frames,
      outboxBytes: outbox.bytes,
      pendingRequests: requests.pending,
      roundTripMs,
    };
  }

  // What the session asks for.

  /** Runs the listeners of a remote event; what they commit is written when all have settled. */
  dispatch(
    event: string,
    args: unknown[],
    seq: number,
    redelivered: boolean,
  ): PromiseLike<unknown> | undefined {
    const { remote } = this;
    if (!remote.hears(event)) {
      this.lifecycle.emit('unhandled', event, args);
      return undefined;
    }
    const outer = this.#delivering;
    const delivering: Delivering = { seq, redelivered, delivery: undefined };
    this.#delivering = delivering;
    const settling = remote.dispatch(event, args);
    this.#delivering = outer;
    const { delivery } = delivering;
    return delivery === undefined ? settling : settleAfter(settling, delivery, this.lifecycle);
  }

  handle(
    event: string,
    args: unknown[],
    request: RunningRequest,
    done: (ok: boolean, value: unknown) => void,
  ): boolean {
    const handler = this.#handlers?.get(event);
    if (handler === undefined) return false;
    runHandler(handler, args, new RequestContext(this.values, this.id, this.peer, request), done);
    return true;
  }

  changed(changes: readonly Change[], local: boolean): void {
    const { values, lifecycle } = this;
    values.notify(changes, lifecycle);
    if (local || lifecycle.count('change') === 0) return;
    for (const { key, bytes, revision } of changes) {
      lifecycle.emit('change', key, values.decode(bytes), revision);
    }
  }

  conflicted(conflicts: readonly Conflict[]): void {
    const { values } = this;
    for (const { key, attempted, current, error } of conflicts) {
      const shown = { attempted: values.decode(attempted), current: values.decode(current?.bytes) };
      this.lifecycle.emit('conflict', { key, ...shown, error });
    }
  }

  drain(): void {
    this.lifecycle.emit('drain');
  }

  settled(): void {
    this.quietChanged();
    this.reholdProcess();
  }

  report(error: NyotaError): void {
    this.lifecycle.emit('error', error);
  }

  setReading(reading: boolean): void {
    this.#connection?.setReading(reading);
  }

  fail(error: NyotaError): void {
    this.endConnection(error);
  }

  /** Everything that this tick brings goes out as one write, after it (docs/design.md, rule 13). */
  wake(): void {
    if (this.#connection === undefined && this.journal === undefined) return;
    this.#planned = planFlush(this, this.#planned);
  }

  rearm(): void {
    if (this.ended) return;
    const at = Math.min(
      this.core.link.nextDeadline,
      this.#connection?.nextDeadline ?? Number.POSITIVE_INFINITY,
    );
    // A timer that fires too early only looks again; moving it for every message would cost more.
    if (at >= this.#timerAt || at === Number.POSITIVE_INFINITY) return;
    if (this.#timer !== undefined) this.clock.clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = this.clock.setTimeout(this.#onTimer, Math.max(0, Math.ceil(at - this.clock.now())));
    if (!this.holdsProcess()) this.#timer.unref?.();
  }

  // What the two sides ask for: connections.

  /**
   * A connection has shaken hands: the session goes on over it. One that it had before is told that it was taken over.
   * The handshake's answer is the first thing written.
   */
  attach(connection: Connection, theirs: WireLimits, received: number, answer?: Buffer): void {
    const old = this.#connection;
    // What the session asks for while it attaches is meant for the new connection.
    this.#connection = connection;
    let generation: number;
    try {
      generation = this.core.link.attach(theirs, received);
    } catch (error) {
      this.#connection = old;
      throw error;
    }
    this.#generation = generation;
    this.core.link.counters.bytesReceived += connection.bytesRead;
    if (answer !== undefined) connection.write(answer);
    connection.read(new Pump.#Reader(this, connection, generation));
    old?.end(closeFrame(new NyotaError('NYOTA_TAKEN_OVER', 'another connection has resumed this session')));
  }

  /** Ends the connection, telling the other side why. The session stays, detached. */
  protected endConnection(error: NyotaError): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    // What was queued goes out before the CLOSE.
    this.#write(connection, this.#generation);
    connection.end(closeFrame(error), error);
  }

  /** Cuts the connection without a word. */
  protected cutConnection(error?: NyotaError): void {
    this.#connection?.destroy(error);
  }

  /** The session is over: nothing is left running. */
  protected endSession(error: NyotaError): void {
    this.core.link.end(error);
    if (this.#timer !== undefined) this.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  /** Resolves when `done` says so, asked each time something settles, or when `drainTimeoutMs` is over. */
  protected untilQuiet(done: () => boolean): Promise<void> {
    if (done()) return Promise.resolve();
    this.#quietWaiters ??= new QuietWaiters();
    return this.#quietWaiters.wait(done, this.clock, this.limits.drainTimeoutMs, this.holdsProcess());
  }

  /** Ask the waiters of `untilQuiet` again. */
  protected quietChanged(): void {
    this.#quietWaiters?.ask();
  }

  /** Call it when `holdsProcess` may have changed. */
  protected reholdProcess(): void {
    if (this.#timer === undefined) return;
    if (this.holdsProcess()) this.#timer.ref?.();
    else this.#timer.unref?.();
  }

  // What the two sides ask for: a durable store.

  /** The session is kept in a durable store from here on; with an image, it is taken over from there. */
  protected keepInStore(image: CoreImage | undefined): void {
    const keeper = {
      commit: (batch: SessionBatch) => this.persist(batch),
      failed: (error: NyotaError) => this.storeFailed(error),
    };
    this.core.link.keepInStore(keeper, image);
  }

  /** Keeps the session in step with its durable store; undefined without one. */
  protected get journal(): Journal | undefined {
    return this.core.link.journal;
  }

  /**
   * Calls `act` once everything that has changed is in the store; without a store, at once. Let go of a session within `act`
   * only.
   */
  protected async whenStored(act: () => void): Promise<void> {
    if (this.journal === undefined) act();
    else await this.journal.whenSettled(act);
  }

  // Bytes.

  /** Called by the queue that `wake` has put it into. */
  flush(): void {
    this.#planned = undefined;
    this.journal?.flush();
    if (this.#connection !== undefined) this.#write(this.#connection, this.#generation);
  }

  #write(connection: Connection, generation: number): void {
    let corked = false;
    while (connection.canWrite) {
      const piece = this.core.link.pull(generation);
      if (piece === undefined) break;
      // Most often there is only one piece, and no need to cork.
      const { hasMore } = this.core.link;
      if (hasMore && !corked) {
        corked = true;
        connection.cork();
      }
      connection.write(piece);
      if (!hasMore) break;
    }
    if (corked) connection.uncork();
    if (!connection.canWrite) this.rearm();
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const overdue = this.#connection?.overdue(this.clock.now(), this.core.link.peerPaused);
    if (overdue !== undefined) this.cutConnection(overdue);
    this.core.link.tick();
    this.rearm();
  };

  /**
   * Reads one connection for the session. A class, because an object of closures for each would cost idle sessions more
   * memory.
   */
  static readonly #Reader = class implements ConnectionReader {
    readonly #pump: Pump;
    readonly #ownConnection: Connection;
    readonly #ownGeneration: number;
    /** The other side has sent a CLOSE. */
    #said = false;

    constructor(pump: Pump, connection: Connection, generation: number) {
      this.#pump = pump;
      this.#ownConnection = connection;
      this.#ownGeneration = generation;
    }

    chunkStart(bytes: number): boolean {
      return this.#pump.core.link.chunkStart(this.#ownGeneration, bytes);
    }

    frame(frame: FrameDecoder): void {
      const pump = this.#pump;
      const { link } = pump.core;
      if (frame.type === FrameType.CLOSE && this.#ownGeneration === pump.#generation) {
        const body = decodePayload(frame.source, frame.start, frame.end, link.limits);
        const reason = closeError(parseClose(body));
        this.#said = true;
        this.#ownConnection.end(undefined, reason);
      } else if (frame.type === FrameType.GOAWAY && pump.goingAway(frame)) {
        link.countControl(this.#ownGeneration);
      } else {
        link.receive(this.#ownGeneration, frame);
      }
    }

    chunkEnd(): void {
      this.#pump.core.link.chunkEnd(this.#ownGeneration);
      if (this.#ownConnection.nextDeadline !== Number.POSITIVE_INFINITY) this.#pump.rearm();
    }

    writable(): void {
      this.#pump.#write(this.#ownConnection, this.#ownGeneration);
    }

    lastWords(error: NyotaError): Buffer {
      return closeFrame(error);
    }

    closed(error: NyotaError | undefined): void {
      const pump = this.#pump;
      if (!pump.core.link.detach(this.#ownGeneration)) return;
      pump.#connection = undefined;
      pump.detached(error, this.#said);
    }
  };
}

/** The frame that tells the other side why a connection ends. */
export function closeFrame(error: NyotaError): Buffer {
  const { code, message, retry, retryAfterMs } = error;
  return encodeFrame(FrameType.CLOSE, {}, encodeClose({ code, message, retry, retryAfterMs }));
}

/** What a CLOSE says, as an error. */
export function closeError(message: CloseMessage): NyotaError {
  const { code, retry, retryAfterMs } = message;
  return new NyotaError(code, message.message, {
    retry,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
