/**
 * What a client and a server's session share, as users see it: listeners and handlers, the calls, the shared store, and the
 * ways to end. Checks what users hand in, and leaves the rest to the pump inside. Shows nothing of it: the two sides hand it
 * over as they are made, and whoever needs it of a peer asks `pumpOf`, which the package does not export.
 */
import { NyotaError } from '../errors.js';
import type { RequestOptions } from '../features/requests.js';
import type { SocketLike } from '../net/connection.js';
import { abortedError, type CallOptions, readCallOptions } from './call-options.js';
import type { Args, HandlerArgs, Names, Reply, Sendable, SentArgs } from './contract.js';
import type { Delivery, Handler, HandlerContext } from './delivery.js';
import { type AnyListener, checkEventName, checkListener, listenerFailed } from './listeners.js';
import { type PeerStats, Pump } from './pump.js';
import { type SetOptions, type SharedStore, sharedStoreOf } from './shared-store.js';

/** Called once the other side's listeners have run and settled, or with what kept them from it. */
export type OnAck = (error?: NyotaError) => void;

/** A refused write to the shared store: what shows now is `current`. */
export interface StoreConflict {
  readonly key: string;
  /** What this side wrote; undefined: it deleted. */
  readonly attempted: unknown;
  /** What the server has instead; undefined if nothing. */
  readonly current: unknown;
  readonly error: NyotaError;
}

/** The events that nyota itself emits, of clients and of sessions on the server. */
export interface PeerEvents {
  /** A connection has shaken hands. `resumed`: the session was there before. */
  connect: (info: { resumed: boolean }) => void;
  /** The connection is gone. The session goes on. */
  disconnect: (reason: NyotaError | undefined) => void;
  /** What concerns no caller. Without a listener: a process warning. */
  error: (error: NyotaError) => void;
  /** There is room again after a `send` that returned false. */
  drain: () => void;
  /** The other side changed the shared store; `value` is undefined if the key is gone. */
  change: (key: string, value: unknown, revision: number) => void;
  /** A write of this side's was refused and rolled back. */
  conflict: (conflict: StoreConflict) => void;
  /** An event came that nobody listens to. */
  unhandled: (event: string, args: unknown[]) => void;
  /** It is over for good. */
  close: () => void;
}

/** What is inside of a peer: for checks that look behind the public classes. @testonly */
export let pumpOf: (peer: object) => Pump;

/** The options of a call without any. */
const NO_OPTIONS: Readonly<CallOptions> = Object.freeze({});

/**
 * @typeParam Out what this side sends
 * @typeParam In what this side receives
 * @typeParam State the shared store
 * @typeParam Events the lifecycle events
 */
export abstract class Peer<Out, In, State, Events extends PeerEvents> implements AsyncDisposable {
  readonly #pump: Pump;
  /** The whole of the shared store. */
  readonly store: SharedStore<State>;

  static {
    pumpOf = (peer) => {
      if (!(#pump in peer)) throw new TypeError('not a peer');
      return peer.#pump;
    };
  }

  /** For nyota's own classes: users make peers with `createClient`, and are given those of a server. */
  protected constructor(inside: object) {
    if (!(inside instanceof Pump)) throw new TypeError('a peer is made by createClient, or by a server');
    this.#pump = inside;
    inside.lifecycle.owner = this;
    this.store = sharedStoreOf(inside);
  }

  /** The session's id: 128 bits, public, the same through every reconnect. */
  get id(): string {
    return this.#pump.id;
  }

  /** Where it stands; see docs/architecture.md for the diagrams. */
  abstract get state(): string;

  /** Whether the connection at hand, or the last one, resumed the session. */
  get resumed(): boolean {
    return this.#pump.resumed;
  }

  /** True while a connection is up. */
  get connected(): boolean {
    return this.#pump.connected;
  }

  /**
   * In a listener of a remote event, before its first await: the message that it is called for. Undefined elsewhere. A
   * request handler has the same in its context.
   */
  get delivery(): Delivery | undefined {
    return this.#pump.delivery;
  }

  /** Bytes that the other side has not acknowledged. */
  get bufferedBytes(): number {
    return this.#pump.bufferedBytes;
  }

  /** The socket at the moment; undefined while there is none. */
  get socket(): SocketLike | undefined {
    return this.#pump.socket;
  }

  /** A listener for a lifecycle event or for one of the other side's. The ack of a remote event waits for its promise. */
  on<K extends Names<Events>>(event: K, listener: Events[K]): this;
  on<K extends Names<In>>(event: K, listener: (...args: Args<In, K>) => unknown): this;
  on(event: string, listener: unknown): this {
    this.#pump.listenersOf(event).on(event, checkListener(event, listener));
    return this;
  }

  once<K extends Names<Events>>(event: K, listener: Events[K]): this;
  once<K extends Names<In>>(event: K, listener: (...args: Args<In, K>) => unknown): this;
  once(event: string, listener: unknown): this {
    this.#pump.listenersOf(event).once(event, checkListener(event, listener));
    return this;
  }

  /** Without a listener: all of the event. */
  off<K extends Names<Events>>(event: K, listener?: Events[K]): this;
  off<K extends Names<In>>(event: K, listener?: (...args: Args<In, K>) => unknown): this;
  off(event: string, listener?: unknown): this {
    this.#pump
      .listenersOf(event)
      .off(event, listener === undefined ? undefined : checkListener(event, listener));
    return this;
  }

  /** The same as `off`, with a listener: what `once` of `node:events` calls. */
  removeListener(event: string, listener: unknown): this {
    this.#pump.listenersOf(event).off(event, checkListener(event, listener));
    return this;
  }

  /** Hears every remote event: `fn(event, ...args)`. */
  onAny(listener: AnyListener): this {
    this.#pump.remote.onAny(checkListener('onAny', listener) as AnyListener);
    return this;
  }

  offAny(listener?: AnyListener): this {
    this.#pump.remote.offAny(listener);
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
    return send(this.#pump, NO_OPTIONS, event, args);
  }

  /** The same as a promise, which resolves at the acknowledgement. */
  sendWithAck<K extends Names<Out>>(event: K, ...args: SentArgs<Out, K>): Promise<void> {
    return sendWithAck(this.#pump, NO_OPTIONS, event, args);
  }

  /**
   * Asks the other side's handler. Settles always: with the reply, the remote's error, `NYOTA_NO_HANDLER`, `NYOTA_TIMEOUT`,
   * `NYOTA_ABORTED`, `NYOTA_SESSION_LOST` or `NYOTA_CLOSED`. A cut in the middle is not an error.
   */
  request<K extends Names<Out>>(event: K, ...args: SentArgs<Out, K>): Promise<Reply<Out, K>> {
    return request(this.#pump, NO_OPTIONS, event, args) as Promise<Reply<Out, K>>;
  }

  /** The same peer, with these options for the calls made on what it returns. */
  with(options: CallOptions): this {
    return withOptions(this, this.#pump, readCallOptions(options));
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
    this.#pump.addHandler(event, fn as unknown as Handler);
    return this;
  }

  unhandle(event: Names<In>): this {
    this.#pump.removeHandler(event);
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

  /** True if there was something to delete. */
  delete(key: Names<State>): boolean {
    return this.store.delete(key);
  }

  /** Stops dispatching. The other side's TCP window fills, and nothing is lost. */
  pause(): this {
    this.#pump.pause();
    return this;
  }

  resume(): this {
    this.#pump.resume();
    return this;
  }

  stats(): PeerStats {
    return this.#pump.stats();
  }

  /** Sends what is queued, then ends the connection; the client does not come back by itself. */
  disconnect(): void {
    this.#pump.disconnect();
  }

  /** Graceful: what is queued is handled and what runs has finished, within `drainTimeoutMs`. Then it is over. */
  close(): Promise<void> {
    return this.#pump.close();
  }

  /** Abrupt: it is over at once, and nothing is told to the other side. */
  destroy(): void {
    this.#pump.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

// The calls, with the options that `with` may have set.

function send(pump: Pump, call: Readonly<CallOptions>, event: string, args: readonly unknown[]): boolean {
  checkEventName(event);
  const last = args[args.length - 1];
  const onAck = typeof last === 'function' ? (last as OnAck) : undefined;
  const values = onAck === undefined ? args : args.slice(0, -1);
  if (call.volatile === true) {
    if (onAck !== undefined) {
      throw new NyotaError(
        'NYOTA_INVALID_ARGUMENT',
        'a volatile message is never acknowledged: it takes no onAck',
      );
    }
    return pump.sendVolatile(event, values);
  }
  return deliver(pump, call, event, values, onAck && guarded(pump, event, onAck), undefined);
}

function sendWithAck(
  pump: Pump,
  call: Readonly<CallOptions>,
  event: string,
  args: readonly unknown[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    checkEventName(event);
    if (call.volatile === true) {
      throw new NyotaError('NYOTA_INVALID_ARGUMENT', 'a volatile message is never acknowledged: use send');
    }
    const onAck: OnAck = (error) => (error === undefined ? resolve() : reject(error));
    const { timeoutMs } = call;
    const waits = timeoutMs !== undefined && timeoutMs > 0 && timeoutMs !== Number.POSITIVE_INFINITY;
    deliver(pump, call, event, args, onAck, waits ? pump.now() + timeoutMs : undefined);
  });
}

function deliver(
  pump: Pump,
  { signal, ttlMs }: Readonly<CallOptions>,
  event: string,
  args: readonly unknown[],
  onAck: OnAck | undefined,
  deadline: number | undefined,
): boolean {
  pump.assertLive();
  if (signal?.aborted === true) throw abortedError(signal);
  if (onAck === undefined && ttlMs === undefined && signal === undefined) return pump.send(event, args);
  const expiresAt = ttlMs === undefined ? undefined : pump.now() + ttlMs;
  return pump.send(event, args, { onAck, signal, expiresAt, deadline });
}

/** A user's callback that throws is reported; it may not end the connection. */
function guarded(pump: Pump, event: string, onAck: OnAck): OnAck {
  return (error) => {
    try {
      if (error === undefined) onAck();
      else onAck(error);
    } catch (cause) {
      pump.report(listenerFailed(`the acknowledgement of ${event}`, cause));
    }
  };
}

function request(
  pump: Pump,
  call: Readonly<CallOptions>,
  event: string,
  args: readonly unknown[],
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    checkEventName(event);
    pump.assertLive();
    const { signal, ttlMs } = call;
    if (signal?.aborted === true) throw abortedError(signal);
    if (call.volatile === true && !pump.connected) {
      throw new NyotaError(
        'NYOTA_NOT_CONNECTED',
        'there is no connection, and a volatile request does not wait for one',
      );
    }
    const timeoutMs = call.timeoutMs ?? pump.limits.requestTimeoutMs;
    const options = {
      timeoutMs: timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs,
      expiresAt: ttlMs === undefined ? undefined : pump.now() + ttlMs,
    };
    if (signal === undefined) pump.request(event, args, options, resolve, reject);
    else requestUntil(signal, pump, event, args, options, resolve, reject);
  });
}

/** A request that the signal's abort cancels. A function of its own, because most requests have no signal. */
function requestUntil(
  signal: AbortSignal,
  pump: Pump,
  event: string,
  args: readonly unknown[],
  options: RequestOptions,
  resolve: (reply: unknown) => void,
  reject: (error: unknown) => void,
): void {
  const abort = (): void => pump.cancelRequest(id, abortedError(signal));
  const last =
    (settle: (outcome: unknown) => void) =>
    (outcome: unknown): void => {
      signal.removeEventListener('abort', abort);
      settle(outcome);
    };
  const id = pump.request(event, args, options, last(resolve), last(reject));
  signal.addEventListener('abort', abort);
}

/** What `peer.with(options)` returns: the same peer, but for the calls. */
function withOptions<P extends object>(peer: P, pump: Pump, call: Readonly<CallOptions>): P {
  const own: Record<PropertyKey, unknown> = {
    send: (event: string, ...args: unknown[]) => send(pump, call, event, args),
    sendWithAck: (event: string, ...args: unknown[]) => sendWithAck(pump, call, event, args),
    request: (event: string, ...args: unknown[]) => request(pump, call, event, args),
    with: (more: CallOptions) => withOptions(peer, pump, { ...call, ...readCallOptions(more) }),
  };
  return new Proxy(peer, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return own[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
