/**
 * The sessions of a server: begins them, resumes them, takes them over from the store when the process that had them is gone,
 * and forgets them; lets all of them go when the server ends. Decides which client may have which session. Sockets and
 * handshakes are in admission.ts, which calls `admit` for a client that has said who it is.
 */
import { isDeepStrictEqual } from 'node:util';
import { isThenable } from '../async.js';
import type { ClockTimer } from '../clock.js';
import { decodePayload, encodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import type { Connection } from '../net/connection.js';
import { sessionId, verifierOf, verify } from '../peer/credentials.js';
import { type LifecycleEmitter, listenerFailed } from '../peer/listeners.js';
import type { StoredSession } from '../stores/session-store.js';
import type { OpenMessage } from '../wire/messages.js';
import { HeldSession, type ServerParts, type SessionOrigin } from './held-session.js';
import type { ResolvedServerOptions } from './options.js';
import { heldIn, type Session, sessionOver } from './session.js';

/** Runs once for every `Session` object, before any of its events is dispatched. */
export type OnSession<C> = (session: Session<C>, resumed: boolean) => void;

/** A server that closes ends its sessions so far apart, so that their clients don't all come to the next server at once. */
const SPREAD_PER_SESSION_MS = 1;
/** How often a durable store is asked to end what nobody came back for. */
const SWEEP_INTERVAL_MS = 30_000;
const MAX_REPORTED_SENT = 2 ** 48 - 1;

/** Why a client is not let in, and what is known of a session that is gone. */
export class Refusal {
  readonly error: NyotaError;
  readonly received: number | undefined;
  readonly sent: number | undefined;

  /** @param numbers `exact` false: up to `received` is handled, and of what lies beyond nobody can tell */
  constructor(error: NyotaError, numbers?: { received: number; sent: number; exact?: boolean | undefined }) {
    this.error = error;
    this.received = numbers?.exact === false ? undefined : numbers?.received;
    this.sent = numbers && Math.min(numbers.sent, MAX_REPORTED_SENT);
  }
}

export class Sessions<C> {
  /** Those that this process holds, by id. */
  readonly held = new Map<string, Session<C>>();
  readonly counts = { sessionsStarted: 0, sessionsResumed: 0, sessionsExpired: 0 };
  readonly #options: ResolvedServerOptions;
  readonly #lifecycle: LifecycleEmitter;
  readonly #onSession: OnSession<C> | undefined;
  readonly #parts: ServerParts;
  /** While false no session is begun or taken over; one that is held here may be resumed. */
  #takesNew = true;
  /**
   * Admissions under way, by session. The store may be asked in between, and two connections of one client must not begin the
   * same session twice.
   */
  readonly #admitting = new Map<string, Promise<unknown>>();
  readonly #endings = new Set<Promise<void>>();
  #sweeper: ClockTimer | undefined;

  /** @param lifecycle the server's own events */
  constructor(
    options: ResolvedServerOptions,
    lifecycle: LifecycleEmitter,
    onSession: OnSession<C> | undefined,
  ) {
    this.#options = options;
    this.#lifecycle = lifecycle;
    this.#onSession = onSession;
    this.#parts = { options, lifecycle, gone: (session, reason) => this.#gone(session, reason) };
  }

  /** How many have a connection. */
  get connected(): number {
    let connected = 0;
    for (const session of this.held.values()) if (session.connected) connected++;
    return connected;
  }

  /** Adds an encoded event to each. False if one of them is above its high-water mark, or could not take it. */
  sendShared(body: Buffer): boolean {
    let room = true;
    for (const session of this.held.values()) room = heldIn(session).sendShared(body) && room;
    return room;
  }

  /** Lets an authenticated client in, or says why not. */
  async admit(connection: Connection, open: OpenMessage, identity: unknown): Promise<Refusal | undefined> {
    const id = sessionId(open.secret);
    const before = this.#admitting.get(id) ?? Promise.resolve();
    const admission = before.then(() => this.#admit(id, connection, open, identity));
    const settled = admission.catch(() => {});
    this.#admitting.set(id, settled);
    try {
      return await admission;
    } finally {
      if (this.#admitting.get(id) === settled) this.#admitting.delete(id);
    }
  }

  async #admit(
    id: string,
    connection: Connection,
    open: OpenMessage,
    identity: unknown,
  ): Promise<Refusal | undefined> {
    const { store, clock, maxSessions } = this.#options;
    const session = this.held.get(id);
    if (session !== undefined) {
      const held = heldIn(session);
      checkOwner(held.knows(open.secret), held.identity, identity);
      if (open.attempt < held.attempt) return tooLate();
      if (await held.renewFence(open.attempt)) return this.#attach(held, connection, open, true);
      // Another process has had it since: what is known here is old.
    }
    const stored = await store.load(id);
    // A server that closes begins no session, and takes none over from the store.
    if ((stored !== undefined || !open.resume) && !this.#takesNew) {
      return new Refusal(new NyotaError('NYOTA_SERVER_CLOSING', 'the server is closing'));
    }
    if (stored !== undefined) return this.#restore(stored, connection, open, identity);
    if (open.resume) return this.#over(id, connection);
    if (this.held.size >= maxSessions) {
      return new Refusal(
        new NyotaError('NYOTA_TOO_MANY_SESSIONS', `the server holds ${maxSessions} sessions (maxSessions)`),
      );
    }
    const verifier = verifierOf(open.secret);
    const fence = store.durable
      ? await store.create(
          {
            id,
            credential: verifier,
            identity: this.#encodeIdentity(identity),
            resumeWindowMs: this.#options.resumeWindowMs,
          },
          clock.now(),
          open.attempt,
        )
      : 0;
    this.counts.sessionsStarted++;
    const begun = this.#begin({ id, verifier, identity, fence, stored: undefined }, open);
    return this.#attach(begun, connection, open, false);
  }

  /** A session that this process does not hold: it comes back from the store. */
  async #restore(
    stored: StoredSession,
    connection: Connection,
    open: OpenMessage,
    identity: unknown,
  ): Promise<Refusal | undefined> {
    const { store, clock, limits } = this.#options;
    const { record, fence, attempt, detachedAt } = stored;
    const owner = decodePayload(record.identity, 0, record.identity.length, limits) ?? undefined;
    checkOwner(verify(open.secret, record.credential), owner, identity);
    if (open.attempt < attempt) return tooLate();
    const now = clock.now();
    if (detachedAt !== null && detachedAt + record.resumeWindowMs <= now) {
      // What lies beyond the settled prefix may have been dispatched by the process that died, so `exact` is left out
      // (docs/design.md, rule 27).
      const numbers = { received: stored.inbound.settled, sent: stored.lastSeq };
      await store.end(record.id, fence, { code: 'NYOTA_SESSION_EXPIRED', ...numbers }, now);
      this.counts.sessionsExpired++;
      return this.#over(record.id, connection);
    }
    const raised = await store.attach(record.id, fence, now, open.attempt);
    // Read again: only now can the process before this one commit nothing more.
    const image = raised === undefined ? undefined : await store.load(record.id);
    if (raised === undefined || image?.fence !== raised) {
      return new Refusal(
        new NyotaError('NYOTA_SERVER_BUSY', 'another process is taking this session over at the moment'),
      );
    }
    const origin = {
      id: record.id,
      verifier: record.credential,
      identity: owner,
      fence: raised,
      stored: image,
    };
    return this.#attach(this.#begin(origin, open), connection, open, true);
  }

  /** The client asks for a session that is over, or was never there. */
  async #over(id: string, connection: Connection): Promise<Refusal | undefined> {
    const { store, clock } = this.#options;
    const tombstone = await store.tombstone(id, clock.now());
    if (!connection.open) return undefined;
    const numbers = tombstone && { ...tombstone, exact: tombstone.exact === true };
    const code = tombstone?.code ?? 'NYOTA_SESSION_UNKNOWN';
    const text = tombstone === undefined ? 'the server knows no such session' : 'the session is over';
    return new Refusal(new NyotaError(code, text, { retry: 'new-session' }), numbers);
  }

  #begin(origin: SessionOrigin, open: OpenMessage): HeldSession {
    const held = new HeldSession(this.#parts, origin, open.attempt, open.limits);
    const session = sessionOver<C>(held);
    this.held.set(held.id, session);
    this.#tellBegun(session, origin.stored !== undefined);
    return held;
  }

  #tellBegun(session: Session<C>, resumed: boolean): void {
    const failed = (cause: unknown): void => this.#lifecycle.emit('error', listenerFailed('session', cause));
    try {
      const result: unknown = this.#onSession?.call(this.#lifecycle.owner, session, resumed);
      if (isThenable(result)) result.then(undefined, failed);
    } catch (cause) {
      failed(cause);
    }
    this.#lifecycle.emit('session', session, resumed);
  }

  #attach(
    held: HeldSession,
    connection: Connection,
    open: OpenMessage,
    resumed: boolean,
  ): Refusal | undefined {
    if (resumed) {
      const diverged = held.divergence(open.received);
      if (diverged !== undefined) {
        const numbers = held.lastNumbers;
        held.destroy();
        return new Refusal(diverged, numbers);
      }
      this.counts.sessionsResumed++;
    }
    // Gone while the store was asked: the session waits for its client's next attempt.
    if (!connection.open) {
      held.abandon();
      return undefined;
    }
    // A listener may have ended the session by now.
    if (held.state !== 'dead') held.welcome(connection, open, resumed);
    if (held.state !== 'dead' || !connection.open) return undefined;
    return new Refusal(
      new NyotaError('NYOTA_SESSION_CLOSED', 'the session is over', { retry: 'new-session' }),
    );
  }

  #encodeIdentity(identity: unknown): Buffer {
    try {
      return Buffer.from(encodePayload(identity ?? null, this.#options.limits, 'identity'));
    } catch (cause) {
      throw new NyotaError('NYOTA_STORE_FAILED', "what 'authenticate' returned can't be kept in the store", {
        cause,
      });
    }
  }

  /** This process does not hold it any more: it is over for that reason, or lives on in the store. */
  #gone(held: HeldSession, reason: NyotaError | undefined): void {
    // Another may be held under its id by now.
    if (this.held.get(held.id) === held.peer) this.held.delete(held.id);
    if (reason === undefined) return;
    if (reason.code === 'NYOTA_SESSION_EXPIRED') this.counts.sessionsExpired++;
    const ending = this.#storeEnd(held, reason);
    this.#endings.add(ending);
    void ending.then(() => this.#endings.delete(ending));
  }

  async #storeEnd(held: HeldSession, { code }: NyotaError): Promise<void> {
    try {
      await held.storeEnd({ code, ...held.lastNumbers });
    } catch (cause) {
      this.#storeFailed('the end of a session could not be stored', cause);
    }
  }

  // The end of the server.

  /** Graceful: takes no new ones, tells the clients, lets them finish, and closes one after the other. Resolves once all are closed. */
  async close(reason: NyotaError): Promise<void> {
    this.#takesNew = false;
    const { limits, clock } = this.#options;
    const all = [...this.held.values()].map((session) => heldIn(session));
    const spreadMs = Math.min(limits.drainTimeoutMs / 2, all.length * SPREAD_PER_SESSION_MS);
    for (const held of all) held.sayGoAway(limits.drainTimeoutMs);
    await Promise.all(
      all.map((held, i) => {
        const waitMs = Math.floor((spreadMs * i) / all.length);
        const slot = (): Promise<void> =>
          waitMs === 0 ? Promise.resolve() : new Promise((resolve) => void clock.setTimeout(resolve, waitMs));
        return held.finish(reason, slot);
      }),
    );
    // Those that came back while the others drained, some of them from a slow store.
    while (this.#admitting.size > 0 || this.held.size > 0) {
      await Promise.all(this.#admitting.values());
      for (const session of [...this.held.values()]) await heldIn(session).finish(reason);
    }
  }

  /** Abrupt: ends every session that no durable store keeps. */
  destroy(): void {
    this.#takesNew = false;
    for (const session of [...this.held.values()]) heldIn(session).leave();
  }

  // The store.

  /** Ends the sessions in a durable store that nobody came back for, now and from time to time. */
  startSweeping(): void {
    if (this.#options.store.durable) void this.#sweep();
  }

  async #sweep(): Promise<void> {
    const { store, clock } = this.#options;
    try {
      await store.sweep(clock.now());
    } catch (cause) {
      this.#storeFailed('sweeping the store failed', cause);
    }
    if (!this.#takesNew) return;
    this.#sweeper = clock.setTimeout(() => void this.#sweep(), SWEEP_INTERVAL_MS);
    this.#sweeper.unref?.();
  }

  /** Closes the store, once it knows of every session that is over. */
  async closeStore(): Promise<void> {
    if (this.#sweeper !== undefined) this.#options.clock.clearTimeout(this.#sweeper);
    this.#sweeper = undefined;
    try {
      await Promise.all(this.#endings);
      await this.#options.store.close();
    } catch (cause) {
      this.#storeFailed('closing the store failed', cause);
    }
  }

  #storeFailed(text: string, cause: unknown): void {
    this.#lifecycle.emit('error', new NyotaError('NYOTA_STORE_FAILED', text, { cause }));
  }
}

/** The same error for a wrong secret and for another's session: nobody learns which it was (docs/design.md, rule 67). */
function checkOwner(knowsSecret: boolean, owner: unknown, identity: unknown): void {
  if (!knowsSecret || !isDeepStrictEqual(owner, identity)) throw unauthorized();
}

/** One text for any failed authentication, so that nobody learns which part of it was wrong. */
export function unauthorized(cause?: unknown): NyotaError {
  return new NyotaError('NYOTA_UNAUTHORIZED', 'authentication failed', { cause });
}

/**
 * A connection that its client has given up for a later one must not take the session from that one (docs/design.md, rule
 * 15).
 */
function tooLate(): Refusal {
  return new Refusal(
    new NyotaError('NYOTA_TAKEN_OVER', 'a later connection of this client has the session by now'),
  );
}
