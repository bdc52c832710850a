/**
 * The inside of a session on the server: lives through its client's reconnects, waits for it within the resume window, and
 * ends. With a durable store it holds the session by its fence, and lets go of it when another process has it, or when the
 * server closes. The public class over it is session.ts; who may have a session is decided in sessions.ts.
 *
 *   new --> attached <--> detached --> dead
 *              `-------------------------^
 */
import type { ClockTimer } from '../clock.js';
import { NyotaError } from '../errors.js';
import { announced } from '../link/link.js';
import type { Connection } from '../net/connection.js';
import { verify } from '../peer/credentials.js';
import type { LifecycleEmitter } from '../peer/listeners.js';
import { Pump } from '../peer/pump.js';
import type { Awaitable, SessionBatch, StoredSession, Tombstone } from '../stores/session-store.js';
import { FrameType } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import { encodeGoaway, encodeWelcome, type OpenMessage, type WireLimits } from '../wire/messages.js';
import type { ResolvedServerOptions } from './options.js';

/** The codes of connections that end because the client broke the protocol, or took more than its share. */
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

/** What sessions are handed of their server: one object for all of them. */
export interface ServerParts {
  readonly options: ResolvedServerOptions;
  /** The server's own events. */
  readonly lifecycle: LifecycleEmitter;
  /**
   * This process does not hold the session any more.
   * @param reason why it is over; undefined if it lives on in the store
   */
  readonly gone: (session: HeldSession, reason: NyotaError | undefined) => void;
}

/** What a session is made of. */
export interface SessionOrigin {
  readonly id: string;
  /** The hash by which the client's secret is recognised. */
  readonly verifier: Buffer;
  readonly identity: unknown;
  /** With a durable store: by which the store knows that this process owns the session. */
  readonly fence: number;
  /** What a process before this one has kept of it. */
  readonly stored: StoredSession | undefined;
}

export class HeldSession extends Pump {
  readonly #server: ServerParts;
  readonly #verifier: Buffer;
  override readonly id: string;
  readonly identity: unknown;
  #state: SessionState = 'new';
  #fence: number;
  #attempt: number;
  #remoteAddress: string | undefined;
  #expiry: ClockTimer | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @param attempt the attempt of its client that it begins with
   * @param agreed what its client accepts: known before anything is sent
   */
  constructor(server: ServerParts, origin: SessionOrigin, attempt: number, agreed: WireLimits) {
    super('server', server.options.limits, server.options.clock);
    this.#server = server;
    this.id = origin.id;
    this.#verifier = origin.verifier;
    this.identity = origin.identity;
    this.#fence = origin.fence;
    this.#attempt = attempt;
    this.core.link.agree(agreed);
    if (this.#durable) this.keepInStore(origin.stored);
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The latest attempt of its client that was let in. */
  get attempt(): number {
    return this.#attempt;
  }

  /** What of the client's messages has arrived. */
  get received(): number {
    return this.core.link.inbox.received;
  }

  /** True if the secret is this session's. */
  knows(secret: Buffer): boolean {
    return verify(secret, this.#verifier);
  }

  /** The error that keeps a client from resuming: what it says it has received contradicts what was sent. */
  divergence(received: number): NyotaError | undefined {
    return this.core.link.diverged(received);
  }

  /** What a tombstone says of this session. */
  get lastNumbers(): { received: number; sent: number; exact: boolean } {
    const { link } = this.core;
    return {
      received: link.dispatchedSeq,
      sent: link.outbox.lastSeq,
      exact: link.knowsDispatched,
    };
  }

  // Its client comes.

  /**
   * Raises the fence before a client is let in again. False if another process has owned the session since: then this object
   * is out of date (docs/design.md, rule 4).
   */
  async renewFence(attempt: number): Promise<boolean> {
    const { store } = this.#server.options;
    this.#attempt = attempt;
    if (!this.#durable) return true;
    const raised = await this.journal?.betweenSteps(async () => {
      const fence = await store.attach(this.id, this.#fence, this.clock.now(), attempt);
      if (fence !== undefined) this.#fence = fence;
      return fence;
    });
    // Meanwhile it may have been ended, or given away by a server that closes.
    if (this.state === 'dead') return false;
    if (raised === undefined) {
      this.#letGo(new NyotaError('NYOTA_TAKEN_OVER', 'another process owns the session by now'));
      return false;
    }
    return true;
  }

  /** Its client is there. The WELCOME is the first thing written. */
  welcome(connection: Connection, open: OpenMessage, resumed: boolean): void {
    const welcome = this.#welcomeFrame(resumed);
    this.core.link.expectRedelivery(open.sent);
    this.#remoteAddress = connection.socket.remoteAddress;
    this.#stopExpiry();
    const wasAttached = this.#state === 'attached';
    this.#state = 'attached';
    this.resumed = resumed;
    if (wasAttached)
      this.lifecycle.emit(
        'disconnect',
        new NyotaError('NYOTA_TAKEN_OVER', 'another connection resumed this session'),
      );
    void this.journal?.commit({ detachedAt: null });
    this.attach(connection, open.limits, resumed ? open.received : 0, welcome);
    this.lifecycle.emit('connect', { resumed });
  }

  /** Its client has left before it could be attached. */
  abandon(): void {
    if (this.#state !== 'new') return;
    this.#state = 'detached';
    this.#startExpiry();
  }

  // What the server does with all of its sessions.

  /** An event that was encoded once for all sessions. False above the high-water mark, or where it could not be taken. */
  sendShared(body: Buffer): boolean {
    if (this.ended) return true;
    try {
      return this.core.events.sendEncoded(body);
    } catch (error) {
      this.lifecycle.emit('error', error);
      return false;
    }
  }

  /** Tells the client that this server is going. */
  sayGoAway(deadlineMs: number): void {
    this.core.link.control(encodeFrame(FrameType.GOAWAY, {}, encodeGoaway({ deadlineMs, elsewhere: [] })));
  }

  /** Waits until everything is handled, then for `before`, then ends for this reason. */
  async finish(reason: NyotaError, before?: () => Promise<void>): Promise<void> {
    if (this.#state === 'dead') return;
    const { link, requests } = this.core;
    // A session whose client is cut in the meantime is waited for; one that had no connection from the start is not.
    const wasAlone = !this.connected;
    await this.untilQuiet(() => wasAlone || this.#state === 'dead' || (link.quiet && requests.pending === 0));
    await before?.();
    const { connection } = this;
    this.endConnection(reason);
    if (this.#durable && reason.code === 'NYOTA_SERVER_CLOSING') {
      // The session outlives this process: the next one goes on with it.
      if (this.state !== 'dead') await this.journal?.commit({ detachedAt: this.clock.now() });
      // Last, so that everything that was accepted is in the store when this process lets go.
      await this.whenStored(() => this.#letGo(reason));
    } else {
      this.#end(reason);
    }
    await connection?.whenClosed();
  }

  /** The server is destroyed. A session in a durable store lives on there, as after a crash. */
  leave(): void {
    if (!this.#durable) {
      this.destroy();
      return;
    }
    const { connection } = this;
    if (this.#state === 'dead') return;
    this.#stopExpiry();
    this.#server.gone(this, undefined);
    this.#die(new NyotaError('NYOTA_SERVER_CLOSING', 'the server was destroyed'));
    connection?.destroy();
  }

  /** The session is over: the store forgets it, and remembers why. */
  async storeEnd(tombstone: Tombstone): Promise<void> {
    const { store, clock } = this.#server.options;
    // If the fence is being raised at the moment, the store would not take this end with the one before it.
    const suspended = this.journal?.suspended;
    if (suspended !== undefined) await suspended;
    await store.end(this.id, this.#fence, tombstone, clock.now());
  }

  // What its user does with it.

  override disconnect(): void {
    if (!this.connected) return;
    void this.untilQuiet(() => this.core.link.outbox.frames === 0 || !this.connected).then(() => {
      this.endConnection(new NyotaError('NYOTA_DISCONNECTED', 'the server disconnected this client'));
    });
  }

  override close(): Promise<void> {
    this.#closing ??= this.finish(new NyotaError('NYOTA_SESSION_CLOSED', 'the server closed the session'));
    return this.#closing;
  }

  override destroy(): void {
    this.#end(new NyotaError('NYOTA_SESSION_CLOSED', 'the session was destroyed'));
    this.cutConnection();
  }

  invalidate(): void {
    const reason = new NyotaError('NYOTA_SESSION_INVALIDATED', 'the server invalidated the session');
    this.endConnection(reason);
    this.#end(reason);
  }

  // What the pump asks for.

  protected override holdsProcess(): boolean {
    return false;
  }

  protected override persist(batch: SessionBatch): Awaitable<void> {
    return this.#server.options.store.commit(this.id, this.#fence, batch);
  }

  protected override storeFailed(error: NyotaError): void {
    this.#letGo(error);
  }

  protected override detached(error: NyotaError | undefined, said: boolean): void {
    if (this.#state === 'dead') return;
    const remoteAddress = this.#remoteAddress;
    this.#state = 'detached';
    if (error !== undefined && !said && MISBEHAVIOUR.has(error.code))
      this.#server.lifecycle.emit('clientError', error, { remoteAddress });
    this.lifecycle.emit('disconnect', error);
    this.quietChanged();
    const closedByClient = said && error?.code === 'NYOTA_SESSION_CLOSED';
    if (closedByClient || error?.retry === 'new-session') this.#end(error as NyotaError);
    else if (this.core.link.state.is === 'detached') this.#startExpiry();
  }

  get #durable(): boolean {
    return this.#server.options.store.durable;
  }

  #welcomeFrame(resumed: boolean): Buffer {
    const body = encodeWelcome({
      features: 0,
      sessionId: this.id,
      resumed,
      received: this.received,
      limits: announced(this.limits),
      sent: this.core.link.outbox.sentSeq,
    });
    return encodeFrame(FrameType.WELCOME, {}, body);
  }

  // Its end.

  #startExpiry(): void {
    const { resumeWindowMs } = this.#server.options;
    this.#stopExpiry();
    this.#expiry = this.clock.setTimeout(() => {
      this.#expiry = undefined;
      this.lifecycle.emit('expired');
      this.#end(
        new NyotaError('NYOTA_SESSION_EXPIRED', `the client did not come back within ${resumeWindowMs} ms`),
      );
    }, resumeWindowMs);
    this.#expiry.unref?.();
    void this.journal?.commit({ detachedAt: this.clock.now() });
  }

  #stopExpiry(): void {
    if (this.#expiry !== undefined) this.clock.clearTimeout(this.#expiry);
    this.#expiry = undefined;
  }

  /** This process is done with the session, which lives on in the store. */
  #letGo(reason: NyotaError): void {
    if (this.#state === 'dead') return;
    this.#stopExpiry();
    this.#server.gone(this, undefined);
    const { unstored } = this.core.link.outbox;
    if (reason.code === 'NYOTA_STORE_FAILED') this.lifecycle.emit('error', reason);
    // What was taken in and is not stored is lost with this session, and its `error` event says so (docs/design.md, rule 24).
    else if (unstored > 0) this.lifecycle.emit('error', lostUnstored(reason, unstored));
    this.endConnection(reason);
    // The end of its connection has started the expiry timer again.
    this.#stopExpiry();
    this.#die(reason);
  }

  #end(reason: NyotaError): void {
    if (this.#state === 'dead') return;
    this.#stopExpiry();
    this.#state = 'dead';
    this.#server.gone(this, reason);
    this.#die(reason);
  }

  #die(reason: NyotaError): void {
    const wasAttached = this.connected;
    this.#state = 'dead';
    this.endSession(
      new NyotaError('NYOTA_CLOSED', `the session is over: ${reason.message}`, { cause: reason }),
    );
    if (wasAttached) this.lifecycle.emit('disconnect', reason);
    this.lifecycle.emit('close');
    this.quietChanged();
  }
}

function lostUnstored(reason: NyotaError, count: number): NyotaError {
  const text = `${reason.message}; the last ${count} messages and replies were not stored, and are lost`;
  return new NyotaError(reason.code, text, { cause: reason });
}
