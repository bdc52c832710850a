/**
 * The client's side: dials, keeps one session through every connection, and begins a new one where the server has
 * lost it.
 *
 *                 .------------------------------------------------------.
 *                 v                                                      |
 *   idle --> connecting --> opening --> replaying --> open --> backing-off
 *    ^           |             |            |           |
 *    |           `-------------´------------´-----------´--> draining --> idle, closed
 *    `-- disconnect(), or an error after which no attempt makes sense
 */
import { NyotaError } from '../errors.js';
import { storeFailed } from '../link/journal.js';
import type { Connection } from '../net/connection.js';
import type { AnyContract, StateOf, ToClient, ToServer } from '../peer/contract.js';
import type { ClientEvents } from '../peer/lifecycle-events.js';
import { Peer } from '../peer/peer.js';
import type { SessionBatch } from '../stores/session-store.js';
import { FrameType } from '../wire/constants.js';
import type { WelcomeMessage } from '../wire/messages.js';
import { type AttemptHost, attempt } from './client-attempt.js';
import { ClientIdentity } from './client-identity.js';
import { type ResolvedClientOptions, readDelays } from './client-options.js';
import type { ClientState, Dialling, Goal } from './client-state.js';
import { Connector } from './connector.js';
import { Dialler } from './dialler.js';
import { Handles } from './handle-set.js';

/** A connection that lasted so long has lived, also where nothing was said on it. */
const LIVED_MS = 5_000;

export class Client<C = AnyContract> extends Peer<ToServer<C>, ToClient<C>, StateOf<C>, ClientEvents> {
  readonly #options: ResolvedClientOptions;
  readonly #handles = new Handles();
  readonly #dialler: Dialler;
  readonly #connector: Connector;
  #schedule: ResolvedClientOptions['schedule'] | undefined;
  readonly #identity: ClientIdentity;
  /** Why the session before this one is over. */
  #newSessionReason: NyotaError | undefined;
  #goal: Goal = 'stay';
  #dialling: Dialling = 'idle';
  #resumed = false;
  #goingAway = false;
  #connectedAt = 0;
  #progressAtConnect = 0;
  #closing: Promise<void> | undefined;

  /** Use `createClient`, in create-client.ts. */
  constructor(options: ResolvedClientOptions, onConnect: ((info: { resumed: boolean }) => void) | undefined) {
    super('client', options.limits, options.clock);
    this.#options = options;
    this.#identity = new ClientIdentity(options.store, options.clock);
    if (this.#identity.isKept) {
      const keeper = {
        commit: (batch: SessionBatch) => this.#identity.commit(batch),
        failed: (error: NyotaError) => this.#storeFailed(error),
      };
      this.runtime.keepInStore(keeper, this.#identity.stored);
    }
    this.#dialler = new Dialler(options, this.#handles);
    this.#schedule = options.reconnect ? options.schedule : undefined;
    this.#connector = new Connector({ ...options, handles: this.#handles }, this.#connectorHooks());
    if (onConnect !== undefined) this.once('connect', onConnect);
    const { signal } = options;
    if (signal !== undefined) {
      const abort = (): void => this.destroy();
      signal.addEventListener('abort', abort, { once: true });
      this.once('close', () => signal.removeEventListener('abort', abort));
    }
    if (signal?.aborted === true) this.destroy();
    this.#start();
  }

  override get id(): string {
    return this.#identity.id;
  }

  override get state(): ClientState {
    if (this.core.link.state.is === 'ended') return 'closed';
    if (this.#goal !== 'stay') return this.connected || this.#connector.running ? 'draining' : 'idle';
    if (this.connected) return this.core.link.replaying ? 'replaying' : 'open';
    return this.#dialling;
  }

  /** Whether the connection at hand, or the last one, resumed a session. */
  get resumed(): boolean {
    return this.#resumed;
  }

  /** Connects again after `disconnect`, or after an error that stopped the attempts. */
  connect(): this {
    this.core.link.assertLive();
    if (this.#closing === undefined) this.#goal = 'stay';
    if (this.connected) return this;
    this.#connector.hurry();
    this.#start();
    return this;
  }

  /** Drops this socket and comes back at once. */
  reconnect(): this {
    this.core.link.assertLive();
    if (this.#closing === undefined) this.#goal = 'stay';
    this.#connector.hurry();
    if (this.connected) this.runtime.cut();
    this.#connector.hurry();
    this.#start();
    return this;
  }

  /**
   * Turns reconnecting on and sets its bounds, in ms.
   * @throws NyotaError `NYOTA_INVALID_OPTION`
   */
  autoReconnect(minDelayMs?: number, maxDelayMs?: number): this {
    this.#schedule = readDelays(minDelayMs, maxDelayMs, this.#schedule ?? this.#options.schedule);
    return this;
  }

  override disconnect(): void {
    if (this.state === 'closed' || this.state === 'idle') return;
    if (this.#goal === 'stay') this.#goal = 'disconnect';
    const flushed = (): boolean =>
      this.core.link.outbox.frames === 0 || this.#goal === 'stay' || !this.#active;
    void this.untilQuiet(flushed).then(() => {
      if (this.#goal === 'disconnect')
        this.#hangUp(new NyotaError('NYOTA_DISCONNECTED', 'the client disconnected'));
    });
  }

  override close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  override destroy(): void {
    this.#end();
    this.runtime.cut();
  }

  /** Holds the process while connected or connecting; the default. Kept through every reconnect. */
  ref(): this {
    this.#handles.ref();
    this.runtime.reholdProcess();
    return this;
  }

  unref(): this {
    this.#handles.unref();
    this.runtime.reholdProcess();
    return this;
  }

  protected override holdsProcess(): boolean {
    return this.#handles.refd && (this.#active || this.core.requests.pending > 0);
  }

  protected override sideFrame(type: number): boolean {
    // The server is going, and says so again when it closes. This connection serves until then.
    if (type === FrameType.GOAWAY) this.#goingAway = true;
    return type === FrameType.GOAWAY;
  }

  protected override detached(error: NyotaError | undefined, said: boolean): void {
    const { clock } = this.#options;
    const lived = this.#progress > this.#progressAtConnect || clock.now() - this.#connectedAt >= LIVED_MS;
    this.#connector.lost(lived, error);
    if (this.#goingAway || error?.retry === 'elsewhere') this.#dialler.advance();
    this.#goingAway = false;
    if (error?.retry === 'new-session') this.#sessionLost(error, undefined, undefined);
    this.emitLifecycle('disconnect', error);
    // A listener may have decided otherwise, or connected again already.
    if (this.connected || this.core.link.state.is === 'ended') return;
    if (error?.retry === 'never') this.#stopped(error, said);
    else if (this.#goal !== 'stay' && this.core.link.outbox.frames === 0) this.#dialling = 'idle';
    else if (this.#schedule !== undefined && this.#dialler.canDial) this.#start();
    else this.#stopped(error, said);
    this.quietChanged();
    this.runtime.reholdProcess();
  }

  /** No attempt follows by itself. `connect()` may still be called, unless there is nothing to dial. */
  #stopped(error: NyotaError | undefined, said: boolean): void {
    this.#dialling = 'idle';
    // What either side did on purpose and by its rights is told by 'disconnect' alone.
    const orderly =
      error === undefined || error.code === 'NYOTA_DISCONNECTED' || error.code === 'NYOTA_SESSION_CLOSED';
    if (!orderly && (said || error.retry === 'never')) {
      this.#failRequests(error);
      this.emitLifecycle('error', error);
    }
    if (!this.#dialler.canDial) this.#end();
  }

  /** Nobody will answer them as long as nobody connects. */
  #failRequests(reason: NyotaError): void {
    const text = `the client has stopped connecting: ${reason.message}`;
    this.core.requests.fail(new NyotaError('NYOTA_CLOSED', text, { cause: reason }));
  }

  get #progress(): number {
    const { received, acked } = this.core.link.counters;
    return received + acked;
  }

  get #active(): boolean {
    return this.connected || this.#connector.running;
  }

  #start(): void {
    if (this.connected || this.core.link.state.is === 'ended' || !this.#dialler.canDial) return;
    this.#connector.start(() => this.#schedule);
  }

  #hangUp(reason: NyotaError): void {
    this.#connector.stop(reason);
    this.#dialling = 'idle';
    this.runtime.close(reason);
  }

  async #close(): Promise<void> {
    if (this.core.link.state.is === 'ended') return;
    this.#goal = 'close';
    const { link, requests } = this.core;
    const done = (): boolean =>
      link.state.is === 'ended' || (link.quiet && requests.pending === 0) || !this.#active;
    await this.untilQuiet(done);
    const connection = this.runtime.connection;
    const { received } = this.core.link.inbox;
    const { lastSeq, frames } = this.core.link.outbox;
    this.#hangUp(new NyotaError('NYOTA_SESSION_CLOSED', 'the client closed the session'));
    const { journal } = this.runtime;
    if (journal === undefined) this.#end();
    else await journal.whenSettled(() => this.#end());
    await connection?.whenClosed();
    await this.#leaveStore(frames === 0 ? { received, sent: lastSeq } : undefined);
  }

  /** @param numbers where nothing is left to be sent: then nothing is kept either */
  async #leaveStore(numbers: { received: number; sent: number } | undefined): Promise<void> {
    try {
      if (numbers !== undefined) await this.#identity.forget({ code: 'NYOTA_SESSION_CLOSED', ...numbers });
      await this.#identity.closeStore();
    } catch (cause) {
      this.emitLifecycle(
        'error',
        new NyotaError('NYOTA_STORE_FAILED', 'the store could not be closed', { cause }),
      );
    }
  }

  async #nextAttempt(): Promise<number> {
    try {
      return await this.#identity.nextAttempt();
    } catch (cause) {
      const error = storeFailed(cause);
      this.#storeFailed(error);
      throw error;
    }
  }

  /** What is in memory is ahead of the store: this process can't go on with the session. */
  #storeFailed(error: NyotaError): void {
    if (this.core.link.state.is === 'ended') return;
    this.emitLifecycle('error', error);
    this.destroy();
  }

  #end(): void {
    if (this.core.link.state.is === 'ended') return;
    const error = new NyotaError('NYOTA_CLOSED', 'the client is closed');
    this.#connector.stop(error);
    this.#dialler.dispose();
    this.runtime.end(error);
    this.#dialling = 'idle';
    // The connection's own end finds the session ended, so what it would have told is told here.
    if (this.runtime.connection !== undefined) this.emitLifecycle('disconnect', undefined);
    this.emitLifecycle('close');
    this.quietChanged();
  }

  #welcomed(connection: Connection, message: WelcomeMessage): void {
    const { id, established } = this.#identity;
    if (message.sessionId !== id) {
      throw new NyotaError('NYOTA_PROTOCOL_ERROR', 'the server welcomed a session that is not this one');
    }
    const diverged =
      established && !message.resumed
        ? new NyotaError(
            'NYOTA_DIVERGED',
            'the server welcomed a new session where this one should be resumed',
          )
        : this.core.link.diverged(message.received);
    if (diverged !== undefined) {
      this.#sessionLost(diverged, undefined, undefined);
      throw diverged;
    }
    const isNew = !established;
    const reason = this.#newSessionReason;
    if (isNew) {
      this.#identity.establish();
      if (this.#identity.isKept) this.#storeWelcome(id);
    }
    this.core.link.expectRedelivery(message.sent);
    this.#newSessionReason = undefined;
    this.#resumed = !isNew;
    this.#connectedAt = this.#options.clock.now();
    this.#progressAtConnect = this.#progress;
    this.#dialling = 'idle';
    this.#connector.succeeded();
    this.runtime.attach(connection, message.limits, message.received);
    if (isNew) this.emitLifecycle('session', { id, reason });
    this.emitLifecycle('connect', { resumed: !isNew });
  }

  /**
   * Nothing is sent before the store knows that the server has the session: a process that did not would begin it anew
   * where the server has ended it meanwhile, and what had been handled would be sent again.
   */
  #storeWelcome(id: string): void {
    const { outbox } = this.core.link;
    outbox.shut();
    void this.runtime.journal?.stepNow().then(() => {
      if (this.id !== id) return; // that session is over
      outbox.open();
      this.runtime.wake();
    });
  }

  /** The server has lost the session, or it makes no sense any more: another begins, with what was never handled. */
  #sessionLost(reason: NyotaError, handled: number | undefined, sent: number | undefined): void {
    const invalidated = reason.code === 'NYOTA_SESSION_INVALIDATED';
    const received = this.core.link.inbox.received;
    const wasEstablished = this.#identity.established;
    this.#identity.renew();
    this.#newSessionReason = reason;
    const error = new NyotaError('NYOTA_SESSION_LOST', `the session is over: ${reason.message}`, {
      cause: reason,
    });
    // Numbers that can't be are no knowledge: what was never sent can't have been handled.
    const { ackedSeq, sentSeq } = this.core.link.outbox;
    const known = handled !== undefined && handled >= ackedSeq && handled <= sentSeq ? handled : undefined;
    const { uncertain } = this.core.link.restart(known, error, !invalidated);
    if (invalidated) this.emitLifecycle('sessionInvalidated');
    const lost = sent === undefined ? 0 : Math.max(0, sent - received);
    const unknown = wasEstablished && sent === undefined && !invalidated;
    if (uncertain > 0 || lost > 0 || unknown) this.emitLifecycle('gap', { uncertain, lost, reason });
    // What goes along is stored now, also where nobody is reached.
    void this.runtime.journal?.stepNow();
  }

  #attemptHost(): AttemptHost {
    return {
      options: this.#options,
      core: this.core,
      identity: this.#identity,
      dialler: this.#dialler,
      nextAttempt: () => this.#nextAttempt(),
      opening: () => {
        this.#dialling = 'opening';
      },
      welcomed: (connection, message) => this.#welcomed(connection, message),
      sessionLost: (error, received, sent) => this.#sessionLost(error, received, sent),
    };
  }

  #connectorHooks() {
    return {
      attempt: (signal: AbortSignal) => attempt(this.#attemptHost(), signal),
      dialling: () => {
        this.#dialling = 'connecting';
      },
      waiting: (attempt: number, delayMs: number, error: NyotaError | undefined) => {
        this.#dialling = 'backing-off';
        this.emitLifecycle('reconnecting', { attempt, delayMs, error });
      },
      gaveUp: (error: NyotaError) => {
        this.#dialling = 'idle';
        this.#failRequests(error);
        this.emitLifecycle('error', error);
        if (!this.#dialler.canDial) this.#end();
        this.quietChanged();
        this.runtime.reholdProcess();
      },
    };
  }
}
