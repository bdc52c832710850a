/**
 * What a client and a server's session share: the remote emitter, requests, the shared store, and the ways to end.
 * A thin class: it checks what users hand in, keeps the listeners, and leaves the rest to the session behind it.
 */
import type { Clock } from '../clock.js';
import type { NyotaError } from '../errors.js';
import type { RunningRequest } from '../features/requests.js';
import type { SessionCore } from '../features/session-core.js';
import type { Conflict } from '../features/store/replica.js';
import type { Change } from '../features/store/writes.js';
import { isLifecycleEvent } from '../lifecycle.js';
import type { SocketLike } from '../net/connection.js';
import type { Limits } from '../options.js';
import type { FrameDecoder } from '../wire/frame-decoder.js';
import { type CallOptions, readCallOptions } from './call-options.js';
import { Calls, type CallsHost, type OnAck } from './calls.js';
import { checkEventName, checkListener } from './checks.js';
import type { Args, HandlerArgs, Names, Reply, Sendable, SentArgs } from './contract.js';
import { Delivery, type HandlerContext, settleAfter } from './delivery.js';
import { type Handler, Handlers } from './handlers.js';
import { LifecycleEmitter } from './lifecycle-emitter.js';
import type { PeerEvents } from './lifecycle-events.js';
import { QuietWaiters } from './quiet-waiters.js';
import { type AnyListener, RemoteEmitter } from './remote-emitter.js';
import { Runtime, type RuntimeHooks } from './runtime.js';
import { type SetOptions, SharedStore, type SharedStoreHost } from './shared-store.js';
import { type PeerStats, peerStats } from './stats.js';
import { withOptions } from './with-options.js';

/** The remote event whose listeners are being called. */
interface Delivering {
  readonly seq: number;
  readonly redelivered: boolean;
  /** Made where a listener asks for it. */
  delivery: Delivery | undefined;
}

type AnyPeer = Peer<unknown, unknown, Record<string, unknown>, PeerEvents>;

/**
 * @typeParam Out what this side sends
 * @typeParam In what this side receives
 * @typeParam State the shared store
 * @typeParam Events the lifecycle events
 */
export abstract class Peer<Out, In, State, Events extends PeerEvents> implements AsyncDisposable {
  readonly #lifecycle = new LifecycleEmitter(this);
  readonly #remote: RemoteEmitter;
  /** Made when first needed, as many sessions have none. */
  #handlers: Handlers | undefined;
  #quietWaiters: QuietWaiters | undefined;
  readonly #limits: Limits;
  readonly #clock: Clock;
  #delivering: Delivering | undefined;
  readonly #calls: Calls;
  /** For the subclasses: carries out this side of the session. */
  protected readonly runtime: Runtime;
  /** The whole of the shared store. */
  readonly store: SharedStore<State>;

  protected constructor(role: 'client' | 'server', limits: Limits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    const inside = new Peer.#Inside(this as unknown as AnyPeer);
    this.runtime = new Runtime(role, limits, clock, inside);
    this.#calls = new Calls(inside);
    this.#remote = new RemoteEmitter(this, inside);
    this.store = new SharedStore<State>(inside);
  }

  /** The session's id: 128 bits, public, the same through every reconnect. */
  abstract get id(): string;
  /** Where it stands; see docs/architecture.md for the diagrams. */
  abstract get state(): string;
  /** Sends what is queued, then ends the connection; the client does not come back by itself. */
  abstract disconnect(): void;
  /** Graceful: what is queued is handled and what runs has finished, within `drainTimeoutMs`. Then it is over. */
  abstract close(): Promise<void>;
  /** Abrupt: it is over at once, and nothing is told to the other side. */
  abstract destroy(): void;

  /** True while a connection is up. */
  get connected(): boolean {
    return this.core.link.state.is === 'attached';
  }

  /**
   * In a listener of a remote event, before its first await: the message that it is called for. Undefined elsewhere. A
   * request handler has the same in its context.
   */
  get delivery(): Delivery | undefined {
    const delivering = this.#delivering;
    if (delivering === undefined) return undefined;
    delivering.delivery ??= new Delivery(this, delivering.seq, delivering.redelivered);
    return delivering.delivery;
  }

  /** Bytes that the other side has not acknowledged. */
  get bufferedBytes(): number {
    return this.core.link.outbox.bytes;
  }

  /** The socket at the moment; undefined while there is none. */
  get socket(): SocketLike | undefined {
    return this.runtime.connection?.socket;
  }

  /** A listener for a lifecycle event or for one of the other side's. The ack of a remote event waits for its promise. */
  on<K extends Names<Events>>(event: K, listener: Events[K]): this;
  on<K extends Names<In>>(event: K, listener: (...args: Args<In, K>) => unknown): this;
  on(event: string, listener: unknown): this {
    this.#listeners(event).on(event, checkListener(event, listener));
    return this;
  }

  once<K extends Names<Events>>(event: K, listener: Events[K]): this;
  once<K extends Names<In>>(event: K, listener: (...args: Args<In, K>) => unknown): this;
  once(event: string, listener: unknown): this {
    this.#listeners(event).once(event, checkListener(event, listener));
    return this;
  }

  /** Without a listener: all of the event. */
  off<K extends Names<Events>>(event: K, listener?: Events[K]): this;
  off<K extends Names<In>>(event: K, listener?: (...args: Args<In, K>) => unknown): this;
  off(event: string, listener?: unknown): this {
    this.#listeners(event).off(event, listener === undefined ? undefined : checkListener(event, listener));
    return this;
  }

  /** The same as `off`, with a listener: what `once` of `node:events` calls. */
  removeListener(event: string, listener: unknown): this {
    this.#listeners(event).off(event, checkListener(event, listener));
    return this;
  }

  /** Hears every remote event: `fn(event, ...args)`. */
  onAny(listener: AnyListener): this {
    this.#remote.onAny(checkListener('onAny', listener) as AnyListener);
    return this;
  }

  offAny(listener?: AnyListener): this {
    this.#remote.offAny(listener);
    return this;
  }

  /**
   * Emits an event at the other side: exactly once, in order, as soon as there is a connection. False above
   * `highWaterBytes`: wait for `drain`. A function as the last argument is called once the other side's listeners
   * have run and settled.
   * @throws NyotaError `NYOTA_UNSERIALIZABLE`, `NYOTA_PAYLOAD_TOO_COMPLEX`, `NYOTA_FRAME_TOO_LARGE`, `NYOTA_OUTBOX_FULL`,
   * `NYOTA_RESERVED_EVENT`, `NYOTA_INVALID_ARGUMENT`, `NYOTA_CLOSED`; nothing is half sent
   */
  send<K extends Names<Out>>(event: K, ...args: [...SentArgs<Out, K>, onAck: OnAck]): boolean;
  send<K extends Names<Out>>(event: K, ...args: SentArgs<Out, K>): boolean;
  send(event: string, ...args: unknown[]): boolean {
    return this.#calls.send({}, event, args);
  }

  /** The same as a promise, which resolves at the acknowledgement. */
  sendWithAck<K extends Names<Out>>(event: K, ...args: SentArgs<Out, K>): Promise<void> {
    return this.#calls.sendWithAck({}, event, args);
  }

  /**
   * Asks the other side's handler. Settles always: with the reply, the remote's error, `NYOTA_NO_HANDLER`, `NYOTA_TIMEOUT`,
   * `NYOTA_ABORTED`, `NYOTA_SESSION_LOST` or `NYOTA_CLOSED`. A cut in the middle is not an error.
   */
  request<K extends Names<Out>>(event: K, ...args: SentArgs<Out, K>): Promise<Reply<Out, K>> {
    return this.#calls.request({}, event, args) as Promise<Reply<Out, K>>;
  }

  /** The same peer, with these options for the calls made on what it returns. */
  with(options: CallOptions): this {
    return withOptions(this, this.#calls, readCallOptions(options));
  }

  /**
   * The one handler of a request. Its value, or what its promise resolves to, is the reply; its throw the error.
   * @throws NyotaError `NYOTA_HANDLER_EXISTS`, `NYOTA_RESERVED_EVENT`, `NYOTA_INVALID_ARGUMENT`
   */
  handle<K extends Names<In>>(
    event: K,
    fn: (
      ...args: HandlerArgs<Args<In, K>, HandlerContext<this>>
    ) => Sendable<Reply<In, K>> | PromiseLike<Sendable<Reply<In, K>>>,
  ): this {
    checkEventName(event);
    checkListener(event, fn);
    this.#handlers ??= new Handlers();
    this.#handlers.add(event, fn as unknown as Handler);
    return this;
  }

  unhandle(event: Names<In>): this {
    this.#handlers?.remove(event);
    return this;
  }

  /** Writes to the shared store: one entry, or each of an object's. See `store`. */
  set<K extends Names<State>>(key: K, value: Sendable<State[K]>, options?: SetOptions): this;
  set(values: Partial<State>): this;
  set(key: string | object, value?: unknown, options?: SetOptions): this {
    const store = this.store as SharedStore<Record<string, unknown>>;
    if (typeof key === 'object' && key !== null) store.setAll(key);
    else store.set(key, value, options);
    return this;
  }

  /** A value of the shared store, or a copy of all of it, as an object without a prototype. */
  get(key: 'sessionID'): string;
  get<K extends Names<State>>(key: K): State[K] | undefined;
  get(): Partial<State>;
  get(key?: string): unknown {
    const store = this.store as SharedStore<Record<string, unknown>>;
    return key === undefined ? store.toObject() : store.get(key);
  }

  /** True where there was something to delete. */
  delete(key: Names<State>): boolean {
    return this.store.delete(key);
  }

  /** Stops dispatching. The other side's TCP window fills, and nothing is lost. */
  pause(): this {
    this.core.link.pause();
    return this;
  }

  resume(): this {
    this.core.link.resume();
    return this;
  }

  stats(): PeerStats {
    return peerStats(this.core);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** For the subclasses. */
  protected get core(): SessionCore {
    return this.runtime.core;
  }

  protected emitLifecycle(event: string, ...args: unknown[]): void {
    this.#lifecycle.emit(event, ...args);
  }

  /** The connection is gone. */
  protected abstract detached(error: NyotaError | undefined, said: boolean): void;
  /** A frame that belongs to one side only. True where it was one. */
  protected sideFrame(_type: number, _frame: Parameters<RuntimeHooks['sideFrame']>[0]): boolean {
    return false;
  }
  /** Whether what is pending keeps the process alive. */
  protected abstract holdsProcess(): boolean;

  /** Resolves when `done` says so, asked each time something settles, or when `drainTimeoutMs` is over. */
  protected untilQuiet(done: () => boolean): Promise<void> {
    if (done()) return Promise.resolve();
    this.#quietWaiters ??= new QuietWaiters();
    const { drainTimeoutMs } = this.#limits;
    return this.#quietWaiters.wait(done, this.#clock, drainTimeoutMs, this.holdsProcess());
  }

  /** Ask the waiters of `untilQuiet` again. */
  protected quietChanged(): void {
    this.#quietWaiters?.ask();
  }

  #listeners(event: string) {
    return isLifecycleEvent(event) ? this.#lifecycle.listeners : this.#remote.listeners;
  }

  /** Runs the listeners of a remote event; what they commit is written when all have settled. */
  #dispatch(
    event: string,
    args: unknown[],
    seq: number,
    redelivered: boolean,
  ): PromiseLike<unknown> | undefined {
    if (!this.#remote.hears(event)) {
      this.#lifecycle.emit('unhandled', event, args);
      return undefined;
    }
    const outer = this.#delivering;
    const delivering: Delivering = { seq, redelivered, delivery: undefined };
    this.#delivering = delivering;
    const settling = this.#remote.dispatch(event, args);
    this.#delivering = outer;
    const { delivery } = delivering;
    return delivery === undefined ? settling : this.#settleDelivery(delivery, settling);
  }

  // A closure within `#dispatch` would cost every event.
  #settleDelivery(delivery: Delivery, settling: PromiseLike<unknown> | undefined) {
    return settleAfter(settling, delivery, (error) => this.emitLifecycle('error', error));
  }

  /**
   * What the parts of a peer ask of it, and users must not see. A class: a literal of closures for each peer would weigh on idle
   * sessions.
   */
  static readonly #Inside = class implements RuntimeHooks, CallsHost, SharedStoreHost {
    readonly #peer: AnyPeer;

    constructor(peer: AnyPeer) {
      this.#peer = peer;
    }

    get core(): SessionCore {
      return this.#peer.core;
    }

    get limits(): Limits {
      return this.#peer.#limits;
    }

    get clock(): Clock {
      return this.#peer.#clock;
    }

    get id(): string {
      return this.#peer.id;
    }

    dispatch(
      event: string,
      args: unknown[],
      seq: number,
      redelivered: boolean,
    ): PromiseLike<unknown> | undefined {
      return this.#peer.#dispatch(event, args, seq, redelivered);
    }

    handle(
      event: string,
      args: unknown[],
      request: RunningRequest,
      done: (ok: boolean, value: unknown) => void,
    ): boolean {
      const peer = this.#peer;
      return peer.#handlers?.run(peer, event, args, request, done) === true;
    }

    changed(changes: readonly Change[], local: boolean): void {
      const { store } = this.#peer;
      const lifecycle = this.#peer.#lifecycle;
      store.notify(changes);
      if (local || lifecycle.listeners.count('change') === 0) return;
      for (const { key, bytes, revision } of changes) {
        lifecycle.emit('change', key, store.decode(bytes), revision);
      }
    }

    conflicted(conflicts: readonly Conflict[]): void {
      const { store } = this.#peer;
      for (const { key, attempted, current, error } of conflicts) {
        const values = { attempted: store.decode(attempted), current: store.decode(current?.bytes) };
        this.#peer.emitLifecycle('conflict', { key, ...values, error });
      }
    }

    drain(): void {
      this.#peer.emitLifecycle('drain');
    }

    settled(): void {
      this.#peer.quietChanged();
      this.#peer.runtime.reholdProcess();
    }

    requested(): void {
      this.#peer.runtime.reholdProcess();
    }

    report(error: NyotaError): void {
      this.#peer.emitLifecycle('error', error);
    }

    detached(error: NyotaError | undefined, said: boolean): void {
      this.#peer.detached(error, said);
    }

    sideFrame(frame: FrameDecoder): boolean {
      return this.#peer.sideFrame(frame.type, frame);
    }

    holdsProcess(): boolean {
      return this.#peer.holdsProcess();
    }
  };
}
