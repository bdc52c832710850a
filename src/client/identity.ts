/**
 * Who a client is to its server: the secret that resumes its session, and with a store what is kept of the session, so that
 * a process that starts again goes on where the one before it died.
 */
import { randomBytes } from 'node:crypto';
import { isThenable } from '../async.js';
import type { Clock } from '../clock.js';
import { NyotaError } from '../errors.js';
import { invalidOption } from '../options.js';
import { SECRET_BYTES, sessionId } from '../peer/credentials.js';
import type {
  Awaitable,
  SessionBatch,
  SessionStore,
  StoredSession,
  Tombstone,
} from '../stores/session-store.js';

/** A client's own session is kept until it is closed: it never expires. */
const FOR_EVER_MS = Number.MAX_SAFE_INTEGER;

export interface ClientStore {
  readonly store: SessionStore;
  /** Under which the session is kept: two clients on one store have two keys. */
  readonly key: string;
}

export class ClientIdentity {
  readonly #kept: ClientStore | undefined;
  readonly #clock: Clock;
  #secret: Buffer;
  #id: string;
  #established: boolean;
  /** By which the store knows that this process owns the session. */
  #fence: Awaitable<number> = 0;
  #attempts = 0;
  /** Goes into the store with the next step. */
  #news: Pick<SessionBatch, 'credential' | 'established'> | undefined;
  /** What a process before this one has kept. */
  readonly stored: StoredSession | undefined;

  /** @throws NyotaError `NYOTA_INVALID_OPTION` for a store that can't serve a client, and what the store throws */
  constructor(kept: ClientStore | undefined, clock: Clock) {
    this.#kept = kept;
    this.#clock = clock;
    this.stored = kept === undefined ? undefined : takeOver(kept, clock.now());
    this.#secret = this.stored?.record.credential ?? randomBytes(SECRET_BYTES);
    this.#id = sessionId(this.#secret);
    this.#established = this.stored?.established ?? false;
    if (kept === undefined) return;
    this.#fence = this.stored?.fence ?? this.#create(kept);
    if (isThenable(this.#fence)) this.#fence.then(undefined, () => {}); // the first commit reports it
  }

  get secret(): Buffer {
    return this.#secret;
  }

  get id(): string {
    return this.#id;
  }

  /** The server has welcomed this session: it is there to come back to. */
  get established(): boolean {
    return this.#established;
  }

  /** False if the session lives in this process alone. */
  get isKept(): boolean {
    return this.#kept !== undefined;
  }

  /**
   * The number of the attempt to connect that begins now: above all before it. With a store it is a new fence, so that it is
   * above those of the processes before this one as well (docs/design.md, rule 15).
   */
  nextAttempt(): Awaitable<number> {
    const kept = this.#kept;
    if (kept === undefined) return ++this.#attempts;
    const now = this.#clock.now();
    const raised = chain(this.#fence, (owned) => raise(kept, owned, now));
    this.#fence = raised;
    if (isThenable(raised)) raised.then(undefined, () => {}); // the caller reports it
    return raised;
  }

  /** One step, behind those before it. */
  commit(batch: SessionBatch): Awaitable<void> {
    const kept = this.#kept;
    if (kept === undefined) return undefined;
    const step = { ...batch, ...this.#news };
    this.#news = undefined;
    return chain(this.#fence, (owned) => kept.store.commit(kept.key, owned, step));
  }

  /** The server has welcomed the session. The next step says so. */
  establish(): void {
    this.#established = true;
    this.#news = { ...this.#news, established: true };
  }

  /** The session is over, and another one begins under a new secret. The next step says so, and holds what goes along. */
  renew(): void {
    this.#secret = randomBytes(SECRET_BYTES);
    this.#id = sessionId(this.#secret);
    this.#established = false;
    this.#news = { credential: this.#secret };
  }

  /** The session is closed for good: nothing is kept of it. */
  async forget(end: Tombstone): Promise<void> {
    const kept = this.#kept;
    if (kept === undefined) return;
    await chain(this.#fence, (owned) => kept.store.end(kept.key, owned, end, this.#clock.now()));
  }

  async closeStore(): Promise<void> {
    await this.#kept?.store.close();
  }

  #create({ store, key }: ClientStore): Awaitable<number> {
    const record = {
      id: key,
      credential: this.#secret,
      identity: Buffer.alloc(0),
      resumeWindowMs: FOR_EVER_MS,
    };
    // Nobody is away: no sweep may end the session.
    return chain(store.create(record, this.#clock.now()), (fence) =>
      chain(store.commit(key, fence, { detachedAt: null }), () => fence),
    );
  }
}

function takeOver({ store, key }: ClientStore, now: number): StoredSession | undefined {
  const stored = store.takeOver?.(key, now);
  // The session must be there before the first call on the client: numbers and order depend on it.
  if (store.takeOver === undefined || isThenable(stored)) {
    throw invalidOption(
      'store',
      "a store for clients: its 'takeOver' answers at once, without a promise",
      store,
    );
  }
  return stored;
}

/** @throws NyotaError `NYOTA_TAKEN_OVER` where another process has raised it since */
function raise({ store, key }: ClientStore, fence: number, now: number): Awaitable<number> {
  return chain(store.attach(key, fence, now), (raised) => {
    if (raised !== undefined) return raised;
    throw new NyotaError('NYOTA_TAKEN_OVER', `another process goes on with the client session '${key}'`);
  });
}

/** Goes on with what a store has answered: at once if the store has answered at once. */
function chain<T, R>(answer: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isThenable(answer) ? answer.then(next as (value: unknown) => Awaitable<R>) : next(answer as T);
}
