/**
 * The server's side of one session. Lives through its client's reconnects; its listeners are attached once.
 *
 *   new --> attached <--> detached --> dead
 *              `-------------------------^
 */
import type { Clock, ClockTimer } from '../clock.js';
import { NyotaError } from '../errors.js';
import type { SessionCore } from '../features/session-core.js';
import type { Connection } from '../net/connection.js';
import type { Limits } from '../options.js';
import type { AnyContract, StateOf, ToClient, ToServer } from '../peer/contract.js';
import type { SessionEvents } from '../peer/lifecycle-events.js';
import { Peer } from '../peer/peer.js';
import type { SessionStore, StoredSession } from '../stores/session-store.js';
import { FrameType } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import { encodeGoaway, type WireLimits } from '../wire/messages.js';

/** What a connection is broken off for because its client broke the protocol, or took more than its share. */
const MISBEHAVIOUR: ReadonlySet<string> = new Set([
  'NYOTA_PROTOCOL_ERROR',
  'NYOTA_PAYLOAD_REFUSED',
  'NYOTA_UNKNOWN_FRAME',
  'NYOTA_SEQUENCE_GAP',
  'NYOTA_RESERVED_EVENT',
  'NYOTA_CONTROL_FLOOD',
  'NYOTA_STALLED',
  'NYOTA_DIVERGED',
]);

export type SessionState = 'new' | 'attached' | 'detached' | 'dead';

/** What a session asks of its server; one for all of them. */
export interface SessionHost {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly resumeWindowMs: number;
  readonly store: SessionStore;
  /** The session is over: forget it, and remember why. */
  ended(session: Session<never>, reason: NyotaError): void;
  /** Its connection was broken off because of what the client did. */
  misbehaved(error: NyotaError, remoteAddress: string | undefined): void;
  /** This process does not hold the session any more; it lives on in the store. */
  evicted(session: Session<never>): void;
}

/** What a session is made of. */
export interface SessionOrigin {
  readonly id: string;
  /** Knows the client's secret again. */
  readonly verifier: Buffer;
  readonly identity: unknown;
  /** With a durable store: by which the store knows that this process owns the session. */
  readonly fence: number;
  /** The attempt of its client that it begins with. */
  readonly attempt: number;
  /** What a process before this one has kept of it. */
  readonly stored: StoredSession | undefined;
  /** What its client accepts: known before anything is sent. */
  readonly agreed: WireLimits;
}

export class Session<C = AnyContract> extends Peer<ToClient<C>, ToServer<C>, StateOf<C>, SessionEvents> {
  readonly #host: SessionHost;
  readonly #id: string;
  readonly #verifier: Buffer;
  readonly #identity: unknown;
  #state: SessionState = 'new';
  #resumed = false;
  #fence: number;
  #attempt: number;
  #remoteAddress: string | undefined;
  #expiry: ClockTimer | undefined;
  #closing: Promise<void> | undefined;

  /** Made by the server. */
  constructor(host: SessionHost, origin: SessionOrigin) {
    super('server', host.limits, host.clock);
    this.#host = host;
    this.#id = origin.id;
    this.#verifier = origin.verifier;
    this.#identity = origin.identity;
    this.#fence = origin.fence;
    this.#attempt = origin.attempt;
    this.core.link.agree(origin.agreed);
    if (!host.store.durable) return;
    this.runtime.keepInStore(
      {
        commit: (batch) => host.store.commit(this.#id, this.#fence, batch),
        failed: (error) => this.#evict(error),
      },
      origin.stored,
    );
  }

  override get id(): string {
    return this.#id;
  }

  override get state(): SessionState {
    return this.#state;
  }

  /** What `authenticate` returned for this session's client. */
  get identity(): unknown {
    return this.#identity;
  }

  /** Whether the connection at hand, or the last one, resumed the session. */
  get resumed(): boolean {
    return this.#resumed;
  }

  override disconnect(): void {
    if (!this.connected) return;
    void this.untilQuiet(() => this.core.link.outbox.frames === 0 || !this.connected).then(() => {
      this.runtime.close(new NyotaError('NYOTA_DISCONNECTED', 'the server disconnected this client'));
    });
  }

  override close(): Promise<void> {
    this.#closing ??= this.finish(new NyotaError('NYOTA_SESSION_CLOSED', 'the server closed the session'));
    return this.#closing;
  }

  override destroy(): void {
    this.#end(new NyotaError('NYOTA_SESSION_CLOSED', 'the session was destroyed'));
    this.runtime.cut();
  }

  /** For the server: it is destroyed. A session in a durable store lives on there, as after a crash. */
  leave(): void {
    if (!this.#host.store.durable) {
      this.destroy();
      return;
    }
    const connection = this.runtime.connection;
    if (this.#state === 'dead') return;
    this.#stopExpiry();
    this.#host.evicted(this as unknown as Session<never>);
    this.#die(new NyotaError('NYOTA_SERVER_CLOSING', 'the server was destroyed'));
    connection?.destroy();
  }

  /** Forgets this session everywhere. Its client hears `sessionInvalidated` and starts a new one, with an empty store. */
  invalidate(): void {
    const reason = new NyotaError('NYOTA_SESSION_INVALIDATED', 'the server invalidated the session');
    this.runtime.close(reason);
    this.#end(reason);
  }

  /** The same as `invalidate`. */
  invalidateSession(): void {
    this.invalidate();
  }

  /** A session does not hold the process: its server's socket does. */
  ref(): this {
    this.socket?.ref?.();
    return this;
  }

  unref(): this {
    this.socket?.unref?.();
    return this;
  }

  /** For the server: by which the store knows that this process owns the session. */
  get fence(): number {
    return this.#fence;
  }

  /**
   * For the server: before a client is let in again. False where another process has owned the session since: this one's
   * object is of no use any more.
   */
  async renewFence(attempt: number): Promise<boolean> {
    const { store, clock } = this.#host;
    this.#attempt = attempt;
    if (!store.durable) return true;
    const raised = await this.runtime.journal?.betweenSteps(async () => {
      const fence = await store.attach(this.#id, this.#fence, clock.now(), attempt);
      if (fence !== undefined) this.#fence = fence;
      return fence;
    });
    // Meanwhile it may have been ended, or given away by a server that closes.
    if (this.state === 'dead') return false;
    if (raised === undefined) {
      this.#evict(new NyotaError('NYOTA_TAKEN_OVER', 'another process owns the session by now'));
      return false;
    }
    return true;
  }

  /** For the server: while the fence is being raised. */
  get renewing(): Promise<void> | undefined {
    return this.runtime.journal?.suspended;
  }

  /** For the server: the latest attempt of its client that was let in. */
  get attempt(): number {
    return this.#attempt;
  }

  /** For the server: its client was gone before it could be attached. */
  abandon(): void {
    if (this.#state !== 'new') return;
    this.#state = 'detached';
    this.#startExpiry();
  }

  /** For the server: whether the secret and the identity are this session's. */
  belongsTo(verified: (verifier: Buffer) => boolean, sameIdentity: (identity: unknown) => boolean): boolean {
    return verified(this.#verifier) && sameIdentity(this.#identity);
  }

  /** For the server: what keeps a client from resuming, told by the numbers of its OPEN. */
  divergence(received: number): NyotaError | undefined {
    return this.core.link.diverged(received);
  }

  /** For the server: what of the client's messages has arrived. */
  get received(): number {
    return this.core.link.inbox.received;
  }

  /** For the server: the highest number ever sent. */
  get sentSeq(): number {
    return this.core.link.outbox.sentSeq;
  }

  /** For the server: what a tombstone says of this session. */
  get lastNumbers(): { received: number; sent: number; exact: boolean } {
    const { link } = this.core;
    return {
      received: link.dispatchedSeq,
      sent: link.outbox.lastSeq,
      exact: link.knowsDispatched,
    };
  }

  /** For the server: its client is there. `welcome` is the first thing written. */
  attach(
    connection: Connection,
    theirs: WireLimits,
    received: number,
    sentBefore: number,
    welcome: Buffer,
    resumed: boolean,
  ): void {
    this.core.link.expectRedelivery(sentBefore);
    this.#remoteAddress = connection.socket.remoteAddress;
    this.#stopExpiry();
    const wasAttached = this.#state === 'attached';
    this.#state = 'attached';
    this.#resumed = resumed;
    if (wasAttached)
      this.emitLifecycle(
        'disconnect',
        new NyotaError('NYOTA_TAKEN_OVER', 'another connection resumed this session'),
      );
    if (this.#host.store.durable) void this.runtime.journal?.commit({ detachedAt: null });
    this.runtime.attach(connection, theirs, received, welcome);
    this.emitLifecycle('connect', { resumed });
  }

  /** For the server: an event that was encoded once for all sessions. False above the high-water mark, or where it could not be taken. */
  sendShared(body: Buffer): boolean {
    if (this.core.link.state.is === 'ended') return true;
    try {
      return this.core.events.sendEncoded(body);
    } catch (error) {
      this.emitLifecycle('error', error);
      return false;
    }
  }

  /** For the server: tells the client that this server is going. */
  goAway(deadlineMs: number): void {
    this.core.link.control(encodeFrame(FrameType.GOAWAY, {}, encodeGoaway({ deadlineMs, elsewhere: [] })));
  }

  /** For the server: graceful, and then `before` has passed, the end for this reason. */
  async finish(reason: NyotaError, before?: () => Promise<void>): Promise<void> {
    if (this.#state === 'dead') return;
    const { link, requests } = this.core;
    // One whose client is cut meanwhile is waited for; one that was alone already is not.
    const wasAlone = !this.connected;
    await this.untilQuiet(() => wasAlone || this.#state === 'dead' || (link.quiet && requests.pending === 0));
    await before?.();
    const connection = this.runtime.connection;
    this.runtime.close(reason);
    if (this.#host.store.durable && reason.code === 'NYOTA_SERVER_CLOSING') {
      // The session outlives this process: the next one goes on with it.
      if (this.state !== 'dead') await this.runtime.journal?.commit({ detachedAt: this.#host.clock.now() });
      // Last: what is accepted until here is in the store when this process lets go.
      await this.runtime.journal?.whenSettled(() => this.#evict(reason));
    } else {
      this.#end(reason);
    }
    await connection?.whenClosed();
  }

  protected override holdsProcess(): boolean {
    return false;
  }

  protected override detached(error: NyotaError | undefined, said: boolean): void {
    if (this.#state === 'dead') return;
    const remoteAddress = this.#remoteAddress;
    this.#state = 'detached';
    if (error !== undefined && !said && MISBEHAVIOUR.has(error.code))
      this.#host.misbehaved(error, remoteAddress);
    this.emitLifecycle('disconnect', error);
    this.quietChanged();
    const closedByClient = said && error?.code === 'NYOTA_SESSION_CLOSED';
    if (closedByClient || error?.retry === 'new-session') this.#end(error as NyotaError);
    else if (this.core.link.state.is === 'detached') this.#startExpiry();
  }

  #startExpiry(): void {
    const { clock, resumeWindowMs } = this.#host;
    this.#stopExpiry();
    this.#expiry = clock.setTimeout(() => {
      this.#expiry = undefined;
      this.emitLifecycle('expired');
      this.#end(
        new NyotaError('NYOTA_SESSION_EXPIRED', `the client did not come back within ${resumeWindowMs} ms`),
      );
    }, resumeWindowMs);
    this.#expiry.unref?.();
    void this.runtime.journal?.commit({ detachedAt: clock.now() });
  }

  /** This process is done with the session, which lives on in the store. */
  #evict(reason: NyotaError): void {
    if (this.#state === 'dead') return;
    this.#stopExpiry();
    this.#host.evicted(this as unknown as Session<never>);
    if (reason.code === 'NYOTA_STORE_FAILED') this.emitLifecycle('error', reason);
    // What was taken in and not stored is nobody's any more: that is never silent.
    else if (this.core.link.outbox.unstored > 0) this.emitLifecycle('error', unstored(reason, this.core));
    this.runtime.close(reason);
    // Its end has armed the timer again.
    this.#stopExpiry();
    this.#die(reason);
  }

  #stopExpiry(): void {
    if (this.#expiry !== undefined) this.#host.clock.clearTimeout(this.#expiry);
    this.#expiry = undefined;
  }

  #end(reason: NyotaError): void {
    if (this.#state === 'dead') return;
    this.#stopExpiry();
    this.#state = 'dead';
    this.#host.ended(this as unknown as Session<never>, reason);
    this.#die(reason);
  }

  #die(reason: NyotaError): void {
    const wasAttached = this.connected;
    this.#state = 'dead';
    this.runtime.end(
      new NyotaError('NYOTA_CLOSED', `the session is over: ${reason.message}`, { cause: reason }),
    );
    if (wasAttached) this.emitLifecycle('disconnect', reason);
    this.emitLifecycle('close');
    this.quietChanged();
  }
}

function unstored(reason: NyotaError, { link }: SessionCore): NyotaError {
  const text = `${reason.message}; the last ${link.outbox.unstored} messages and replies were not stored, and are lost`;
  return new NyotaError(reason.code, text, { cause: reason });
}
