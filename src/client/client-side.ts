/**
 * The inside of a client: keeps one session through every connection, begins a new one where the server has lost it, and
 * ends. Connections are made by connect.ts; who the client is to its server, and what is kept of it, is in identity.ts. The
 * public class over it is client.ts.
 *
 *                 .------------------------------------------------------.
 *                 v                                                      |
 *   idle --> connecting --> opening --> replaying --> open --> backing-off
 *    ^           |             |            |           |
 *    |           `-------------´------------´-----------´--> draining --> idle, closed
 *    `-- disconnect(), or an error after which no attempt makes sense
 */
import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import { storeFailed } from '../link/journal.js';
import { announced } from '../link/link.js';
import type { Connection } from '../net/connection.js';
import { readBackOff } from '../options.js';
import { Pump } from '../peer/pump.js';
import type { Awaitable, SessionBatch } from '../stores/session-store.js';
import type { FrameDecoder } from '../wire/frame-decoder.js';
import { type OpenMessage, parseGoaway, type WelcomeMessage } from '../wire/messages.js';
import { type Connectable, Connector } from './connect.js';
import { ClientIdentity } from './identity.js';
import type { ResolvedClientOptions } from './options.js';

export type ClientState =
  | 'idle'
  | 'connecting'
  | 'opening'
  | 'replaying'
  | 'open'
  | 'backing-off'
  | 'draining'
  | 'closed';

/** What the client is after: to stay connected, to end this connection, or to be done. */
type Goal = 'stay' | 'disconnect' | 'close';

/** A connection that lasted so long has lived, even if nothing was said on it. */
const LIVED_MS = 5_000;

export class ClientSide extends Pump implements Connectable {
  readonly #options: ResolvedClientOptions;
  readonly #connector: Connector;
  readonly #identity: ClientIdentity;
  /** Why the session before this one is over. */
  #newSessionReason: NyotaError | undefined;
  #goal: Goal = 'stay';
  #goingAway = false;
  #connectedAt = 0;
  #progressAtConnect = 0;
  #closing: Promise<void> | undefined;

  /** Does not connect before `start`: the public object must be there first. */
  constructor(options: ResolvedClientOptions) {
    super('client', options.limits, options.clock);
    this.#options = options;
    this.#identity = new ClientIdentity(options.store, options.clock);
    this.#connector = new Connector(options, this);
    if (this.#identity.isKept) this.keepInStore(this.#identity.stored);
  }

  override get id(): string {
    return this.#identity.id;
  }

  get state(): ClientState {
    if (this.ended) return 'closed';
    if (this.#goal !== 'stay') return this.#active ? 'draining' : 'idle';
    if (this.connected) return this.core.link.replaying ? 'replaying' : 'open';
    return this.#connector.state;
  }

  // What its user does with it.

  /** Connects for the first time. */
  start(): void {
    const { signal } = this.#options;
    if (signal !== undefined) {
      const abort = (): void => this.destroy();
      signal.addEventListener('abort', abort, { once: true });
      this.lifecycle.once('close', () => signal.removeEventListener('abort', abort));
      if (signal.aborted) this.destroy();
    }
    this.#start();
  }

  connect(): void {
    this.assertLive();
    if (this.#closing === undefined) this.#goal = 'stay';
    if (this.connected) return;
    this.#connector.hurry();
    this.#start();
  }

  reconnect(): void {
    this.assertLive();
    if (this.#closing === undefined) this.#goal = 'stay';
    this.#connector.hurry();
    if (this.connected) this.cutConnection();
    this.#connector.hurry();
    this.#start();
  }

  autoReconnect(minDelayMs: number | undefined, maxDelayMs: number | undefined): void {
    const base = this.#connector.schedule ?? this.#options.schedule;
    this.#connector.schedule = readBackOff({ minDelayMs, maxDelayMs }, base);
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
    this.cutConnection();
  }

  ref(): void {
    this.#connector.ref();
    this.reholdProcess();
  }

  unref(): void {
    this.#connector.unref();
    this.reholdProcess();
  }

  // What the connector asks for.

  async nextAttempt(): Promise<number> {
    try {
      return await this.#identity.nextAttempt();
    } catch (cause) {
      const error = storeFailed(cause);
      this.storeFailed(error);
      throw error;
    }
  }

  openMessage(attempt: number, auth: unknown): OpenMessage {
    return {
      features: 0,
      secret: this.#identity.secret,
      resume: this.#identity.established,
      received: this.core.link.inbox.received,
      limits: announced(this.limits),
      sent: this.core.link.outbox.sentSeq,
      attempt,
      auth,
    };
  }

  welcomed(connection: Connection, message: WelcomeMessage): void {
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
      this.sessionLost(diverged, undefined, undefined);
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
    this.resumed = !isNew;
    this.#connectedAt = this.clock.now();
    this.#progressAtConnect = this.#progress;
    this.#connector.succeeded();
    this.attach(connection, message.limits, message.received);
    if (isNew) this.lifecycle.emit('session', { id, reason });
    this.lifecycle.emit('connect', { resumed: !isNew });
  }

  /**
   * The server has lost the session, or the two sides' numbers contradict each other: another one begins, with what was never
   * handled (docs/design.md, rule 6).
   */
  sessionLost(reason: NyotaError, handled: number | undefined, sent: number | undefined): void {
    const invalidated = reason.code === 'NYOTA_SESSION_INVALIDATED';
    const received = this.core.link.inbox.received;
    const wasEstablished = this.#identity.established;
    this.#identity.renew();
    this.#newSessionReason = reason;
    const error = new NyotaError('NYOTA_SESSION_LOST', `the session is over: ${reason.message}`, {
      cause: reason,
    });
    // Numbers that can't be true are ignored: what was never sent can't have been handled.
    const { ackedSeq, sentSeq } = this.core.link.outbox;
    const known = handled !== undefined && handled >= ackedSeq && handled <= sentSeq ? handled : undefined;
    const { uncertain } = this.core.link.restart(known, error, !invalidated);
    if (invalidated) this.lifecycle.emit('sessionInvalidated');
    const lost = sent === undefined ? 0 : Math.max(0, sent - received);
    const unknown = wasEstablished && sent === undefined && !invalidated;
    if (uncertain > 0 || lost > 0 || unknown) this.lifecycle.emit('gap', { uncertain, lost, reason });
    // What goes along is stored now, even if no server is reached.
    void this.journal?.stepNow();
  }

  waiting(attempt: number, delayMs: number, error: NyotaError | undefined): void {
    this.lifecycle.emit('reconnecting', { attempt, delayMs, error });
  }

  gaveUp(error: NyotaError): void {
    this.#failRequests(error);
    this.lifecycle.emit('error', error);
    if (!this.#connector.canDial) this.#end();
    this.quietChanged();
    this.reholdProcess();
  }

  // What the pump asks for.

  protected override holdsProcess(): boolean {
    return this.#connector.refd && (this.#active || this.core.requests.pending > 0);
  }

  protected override persist(batch: SessionBatch): Awaitable<void> {
    return this.#identity.commit(batch);
  }

  /** Memory is ahead of the store: this process can't go on with the session. */
  protected override storeFailed(error: NyotaError): void {
    if (this.ended) return;
    this.lifecycle.emit('error', error);
    this.destroy();
  }

  /** The server will close. This connection is used until then. */
  protected override goingAway({ source, start, end }: FrameDecoder): boolean {
    // Only checked, as every frame is: this version does not dial the servers that it may name.
    parseGoaway(decodePayload(source, start, end, this.limits));
    this.#goingAway = true;
    return true;
  }

  protected override detached(error: NyotaError | undefined, said: boolean): void {
    const lived =
      this.#progress > this.#progressAtConnect || this.clock.now() - this.#connectedAt >= LIVED_MS;
    this.#connector.lost(lived, error);
    if (this.#goingAway || error?.retry === 'elsewhere') this.#connector.advance();
    this.#goingAway = false;
    if (error?.retry === 'new-session') this.sessionLost(error, undefined, undefined);
    this.lifecycle.emit('disconnect', error);
    // A listener may have closed the client, or connected it again.
    if (this.connected || this.ended) return;
    const drained = this.#goal !== 'stay' && this.core.link.outbox.frames === 0;
    const comesBack = this.#connector.schedule !== undefined && this.#connector.canDial;
    if (error?.retry === 'never') this.#stopped(error, said);
    else if (!drained && comesBack) this.#start();
    else if (!drained) this.#stopped(error, said);
    this.quietChanged();
    this.reholdProcess();
  }

  // Connections.

  get #progress(): number {
    const { received, acked } = this.core.link.counters;
    return received + acked;
  }

  get #active(): boolean {
    return this.connected || this.#connector.running;
  }

  #start(): void {
    if (this.connected || this.ended || !this.#connector.canDial) return;
    this.#connector.start();
  }

  /** No attempt follows by itself. `connect()` may still be called, unless there is nothing to dial. */
  #stopped(error: NyotaError | undefined, said: boolean): void {
    // What either side does on purpose is reported by 'disconnect' alone.
    const orderly =
      error === undefined || error.code === 'NYOTA_DISCONNECTED' || error.code === 'NYOTA_SESSION_CLOSED';
    if (!orderly && (said || error.retry === 'never')) {
      this.#failRequests(error);
      this.lifecycle.emit('error', error);
    }
    if (!this.#connector.canDial) this.#end();
  }

  /** Fails the requests that wait: without a connection nobody answers them. */
  #failRequests(reason: NyotaError): void {
    const text = `the client has stopped connecting: ${reason.message}`;
    this.core.requests.fail(new NyotaError('NYOTA_CLOSED', text, { cause: reason }));
  }

  #hangUp(reason: NyotaError): void {
    this.#connector.stop(reason);
    this.endConnection(reason);
  }

  /**
   * Nothing is sent before the store knows that the server has welcomed the session. Otherwise a process that starts later
   * would not know it: if the server had ended the session, it would begin it anew, and send again what was handled
   * (docs/design.md, rule 25).
   */
  #storeWelcome(id: string): void {
    const { outbox } = this.core.link;
    outbox.shut();
    void this.journal?.stepNow().then(() => {
      if (this.id !== id) return; // that session is over
      outbox.open();
      this.wake();
    });
  }

  // Its end.

  async #close(): Promise<void> {
    if (this.ended) return;
    this.#goal = 'close';
    const { link, requests } = this.core;
    const done = (): boolean => this.ended || (link.quiet && requests.pending === 0) || !this.#active;
    await this.untilQuiet(done);
    const { connection } = this;
    const { received } = this.core.link.inbox;
    const { lastSeq, frames } = this.core.link.outbox;
    this.#hangUp(new NyotaError('NYOTA_SESSION_CLOSED', 'the client closed the session'));
    await this.whenStored(() => this.#end());
    await connection?.whenClosed();
    await this.#leaveStore(frames === 0 ? { received, sent: lastSeq } : undefined);
  }

  #end(): void {
    if (this.ended) return;
    const error = new NyotaError('NYOTA_CLOSED', 'the client is closed');
    this.#connector.dispose(error);
    this.endSession(error);
    // When the connection ends, the session is over already and reports nothing, so this is told here.
    if (this.connection !== undefined) this.lifecycle.emit('disconnect', undefined);
    this.lifecycle.emit('close');
    this.quietChanged();
  }

  /** @param numbers given if nothing is left to be sent: then the store forgets the session */
  async #leaveStore(numbers: { received: number; sent: number } | undefined): Promise<void> {
    try {
      if (numbers !== undefined) await this.#identity.forget({ code: 'NYOTA_SESSION_CLOSED', ...numbers });
      await this.#identity.closeStore();
    } catch (cause) {
      this.lifecycle.emit(
        'error',
        new NyotaError('NYOTA_STORE_FAILED', 'the store could not be closed', { cause }),
      );
    }
  }
}
