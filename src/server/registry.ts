/**
 * The sessions of a server: begins them, finds them again, takes them over from a store that they outlived their process
 * in, and forgets them. Decides who may have which; sockets and handshakes are the server's business.
 */
import { isDeepStrictEqual } from 'node:util';
import { decodePayload, encodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import { sessionId, verifierOf, verify } from '../link/credentials.js';
import { announced } from '../link/link.js';
import type { Connection } from '../net/connection.js';
import type { StoredSession, Tombstone } from '../stores/session-store.js';
import { FrameType } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import { encodeWelcome, type OpenMessage } from '../wire/messages.js';
import { Refusal, unauthorized } from './admission.js';
import type { ResolvedServerOptions } from './server-options.js';
import { Session, type SessionHost } from './session.js';

export interface RegistryHooks<C> {
  /** False while the server takes no new sessions. */
  isOpen(): boolean;
  /** A `Session` object was made, and nothing of it dispatched yet. */
  begun(session: Session<C>, resumed: boolean): void;
  report(error: NyotaError): void;
  /** A session's connection was broken off because of what its client did. */
  misbehaved(error: NyotaError, remoteAddress: string | undefined): void;
}

/** What is there of a session when its object is made. */
interface Beginning {
  readonly id: string;
  readonly verifier: Buffer;
  readonly identity: unknown;
  readonly fence: number;
  readonly stored: StoredSession | undefined;
}

export class Registry<C> {
  readonly sessions = new Map<string, Session<C>>();
  readonly counts = { sessionsStarted: 0, sessionsResumed: 0, sessionsExpired: 0 };
  readonly #options: ResolvedServerOptions;
  readonly #hooks: RegistryHooks<C>;
  readonly #sessionHost: SessionHost;
  /** The store may be asked in between: two connections of one client must not begin the same session twice. */
  readonly #admitting = new Map<string, Promise<unknown>>();
  readonly #endings = new Set<Promise<void>>();

  constructor(options: ResolvedServerOptions, hooks: RegistryHooks<C>) {
    this.#options = options;
    this.#hooks = hooks;
    const { limits, clock, resumeWindowMs, store } = options;
    this.#sessionHost = {
      limits,
      clock,
      resumeWindowMs,
      store,
      ended: (session, reason) => this.#ended(session as unknown as Session<C>, reason),
      misbehaved: (error, remoteAddress) => hooks.misbehaved(error, remoteAddress),
      evicted: (session) => this.#forget(session as unknown as Session<C>),
    };
  }

  /** Resolves once the store knows of every session that is over. */
  get ending(): Promise<unknown> {
    return Promise.all(this.#endings);
  }

  /** Resolves once all that are being let in at the moment are in; undefined where there are none. */
  get admitting(): Promise<unknown> | undefined {
    return this.#admitting.size === 0 ? undefined : Promise.all(this.#admitting.values());
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
    const held = this.sessions.get(id);
    if (held !== undefined) {
      this.#check(open, identity, (verified, same) => held.belongsTo(verified, same));
      if (open.attempt < held.attempt) return tooLate();
      if (await held.renewFence(open.attempt)) return this.#attach(held, connection, open, true);
      // Another process has had it since: what is known here is old.
    }
    const stored = await store.load(id);
    // A server that closes takes no session over, from a client or from a store.
    if ((stored !== undefined || !open.resume) && !this.#hooks.isOpen()) {
      return new Refusal(new NyotaError('NYOTA_SERVER_CLOSING', 'the server is closing'));
    }
    if (stored !== undefined) return this.#restore(stored, connection, open, identity);
    if (open.resume) return this.#over(id, connection);
    if (this.sessions.size >= maxSessions) {
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
    const session = this.#begin({ id, verifier, identity, fence, stored: undefined }, open);
    return this.#attach(session, connection, open, false);
  }

  /** A session that this process does not hold: it comes back from the store. */
  async #restore(
    stored: StoredSession,
    connection: Connection,
    open: OpenMessage,
    identity: unknown,
  ): Promise<Refusal | undefined> {
    const { store, clock } = this.#options;
    const { record, fence, attempt, detachedAt } = stored;
    const owner =
      decodePayload(record.identity, 0, record.identity.length, this.#options.limits) ?? undefined;
    this.#check(open, identity, (verified, same) => verified(record.credential) && same(owner));
    if (open.attempt < attempt) return tooLate();
    const now = clock.now();
    if (detachedAt !== null && detachedAt + record.resumeWindowMs <= now) {
      // What lay beyond the settled may have been dispatched: nobody knows, so it is not claimed.
      const numbers = { received: stored.inbound.settled, sent: stored.lastSeq };
      await store.end(record.id, fence, { code: 'NYOTA_SESSION_EXPIRED', ...numbers }, now);
      this.counts.sessionsExpired++;
      return this.#over(record.id, connection);
    }
    const raised = await store.attach(record.id, fence, now, open.attempt);
    // What the process before committed last is read only now that it can't commit any more.
    const image = raised === undefined ? undefined : await store.load(record.id);
    if (raised === undefined || image?.fence !== raised) {
      return new Refusal(
        new NyotaError('NYOTA_SERVER_BUSY', 'another process is taking this session over at the moment'),
      );
    }
    const beginning = {
      id: record.id,
      verifier: record.credential,
      identity: owner,
      fence: raised,
      stored: image,
    };
    return this.#attach(this.#begin(beginning, open), connection, open, true);
  }

  async #over(id: string, connection: Connection): Promise<Refusal | undefined> {
    const { store, clock } = this.#options;
    const tombstone = await store.tombstone(id, clock.now());
    if (!connection.open) return undefined;
    const numbers = tombstone && { ...tombstone, exact: tombstone.exact === true };
    const code = tombstone?.code ?? 'NYOTA_SESSION_UNKNOWN';
    const text = tombstone === undefined ? 'the server knows no such session' : 'the session is over';
    return new Refusal(new NyotaError(code, text, { retry: 'new-session' }), numbers);
  }

  /** The same error for a wrong secret and for another's: nobody learns which it was. */
  #check(
    open: OpenMessage,
    identity: unknown,
    belongs: (verified: (verifier: Buffer) => boolean, same: (owner: unknown) => boolean) => boolean,
  ): void {
    const known = belongs(
      (verifier) => verify(open.secret, verifier),
      (owner) => isDeepStrictEqual(owner, identity),
    );
    if (!known) throw unauthorized();
  }

  #begin({ id, verifier, identity, fence, stored }: Beginning, open: OpenMessage): Session<C> {
    const session = new Session<C>(this.#sessionHost, {
      id,
      verifier,
      identity,
      fence,
      attempt: open.attempt,
      stored,
      agreed: open.limits,
    });
    this.sessions.set(id, session);
    this.#hooks.begun(session, stored !== undefined);
    return session;
  }

  #attach(
    session: Session<C>,
    connection: Connection,
    open: OpenMessage,
    resumed: boolean,
  ): Refusal | undefined {
    if (resumed) {
      const diverged = session.divergence(open.received);
      if (diverged !== undefined) {
        const numbers = session.lastNumbers;
        session.destroy();
        return new Refusal(diverged, numbers);
      }
      this.counts.sessionsResumed++;
    }
    // Gone while the store was asked: the session waits for its client's next attempt.
    if (!connection.open) {
      session.abandon();
      return undefined;
    }
    // A listener may have ended the session by now.
    if (session.state !== 'dead') {
      const received = resumed ? open.received : 0;
      session.attach(connection, open.limits, received, open.sent, this.#welcome(session, resumed), resumed);
    }
    if (session.state !== 'dead' || !connection.open) return undefined;
    return new Refusal(
      new NyotaError('NYOTA_SESSION_CLOSED', 'the session is over', { retry: 'new-session' }),
    );
  }

  #welcome(session: Session<C>, resumed: boolean): Buffer {
    const body = encodeWelcome({
      features: 0,
      sessionId: session.id,
      resumed,
      received: session.received,
      limits: announced(this.#options.limits),
      sent: session.sentSeq,
    });
    return encodeFrame(FrameType.WELCOME, {}, body);
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

  #forget(session: Session<C>): void {
    if (this.sessions.get(session.id) === session) this.sessions.delete(session.id);
  }

  #ended(session: Session<C>, reason: NyotaError): void {
    this.#forget(session);
    if (reason.code === 'NYOTA_SESSION_EXPIRED') this.counts.sessionsExpired++;
    const ending = this.#storeEnd(session, { code: reason.code, ...session.lastNumbers });
    this.#endings.add(ending);
    void ending.then(() => this.#endings.delete(ending));
  }

  async #storeEnd(session: Session<C>, tombstone: Tombstone): Promise<void> {
    const { store, clock } = this.#options;
    try {
      // A fence that is being raised at the moment: by the one before it the store would not know the session's owner.
      if (session.renewing !== undefined) await session.renewing;
      await store.end(session.id, session.fence, tombstone, clock.now());
    } catch (cause) {
      this.#hooks.report(
        new NyotaError('NYOTA_STORE_FAILED', 'the end of a session could not be stored', { cause }),
      );
    }
  }
}

/** A connection that its client has given up for a later one: it must not take the session from that. */
function tooLate(): Refusal {
  return new Refusal(
    new NyotaError('NYOTA_TAKEN_OVER', 'a later connection of this client has the session by now'),
  );
}
