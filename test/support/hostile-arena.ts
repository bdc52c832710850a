/**
 * Where hostile peers are let loose: a server with a witness, a well-behaved client that must not notice anything, and
 * records of all that the server says and does for anybody else. Test support: on the public API alone.
 */
import { afterEach, expect } from 'vitest';
import {
  type Client,
  type ClientOptions,
  createClient,
  createServer,
  type NyotaError,
  type Server,
  type ServerOptions,
  type Session,
} from '../../src/index.js';
import type { FakeClock } from '../../src/testing/index.js';
import { Arrivals, RawPeer, RawServer } from './raw-peer.js';

/** What happened at a session that is not the witness's. */
export interface Happening {
  readonly id: string;
  readonly what: 'connect' | 'disconnect' | 'close' | 'error';
  readonly code: string | undefined;
}

export interface ArenaOptions extends ServerOptions {
  /** The credentials of the witness. */
  witnessAuth?: unknown;
  onSession?: (session: Session) => void;
}

const FAILURES = ['unhandledRejection', 'uncaughtExceptionMonitor'] as const;

export class Arena {
  readonly server: Server;
  /** What `clientError` told. */
  readonly refusals = new Arrivals<NyotaError>('clientError', ({ code }) => code);
  /** Events that reached a listener, the witness's not among them. */
  readonly dispatched = new Arrivals<readonly [event: string, ...args: unknown[]]>('event', String);
  readonly happenings = new Arrivals<Happening>('happening', ({ what, code }) => `${what} ${code}`);
  readonly changes: string[] = [];
  /** Texts of everything that could end up in a log: errors of all kinds, and process warnings. */
  readonly texts: string[] = [];
  readonly #failures: unknown[] = [];
  readonly #witnessLosses: unknown[] = [];
  readonly #peers: RawPeer[] = [];
  #witness: Client | undefined;
  #witnessCalls = 0;

  private constructor({ witnessAuth: _, onSession, ...options }: ArenaOptions) {
    this.server = createServer(options, (session) => this.#watch(session as Session, onSession));
    this.server.on('clientError', (error) => {
      this.texts.push(error.message);
      this.refusals.add(error);
    });
    this.server.on('error', (error) => this.texts.push(error.message));
    for (const name of FAILURES) process.on(name, this.#onFailure);
    process.on('warning', this.#onWarning);
  }

  static async start(options: ArenaOptions = {}): Promise<Arena> {
    const arena = new Arena(options);
    await new Promise<void>((resolve) => arena.server.listen(0, '127.0.0.1', () => resolve()));
    const tls = options.tls === undefined ? {} : { tls: { rejectUnauthorized: false } };
    const auth = options.witnessAuth;
    const witness = createClient({ port: arena.port, host: '127.0.0.1', auth, ...tls });
    arena.#witness = witness;
    witness.on('disconnect', (reason) => arena.#witnessLosses.push(reason));
    witness.on('error', (error) => arena.#witnessLosses.push(error));
    await witness.sendWithAck('hello');
    return arena;
  }

  /** The well-behaved client. */
  get witness(): Client {
    if (this.#witness === undefined) throw new Error('the arena has not started');
    return this.#witness;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  /** The session of a raw peer. */
  session(id: string): Session {
    const session = this.server.sessions.get(id);
    if (session === undefined) throw new Error(`there is no session ${id}`);
    return session as Session;
  }

  /** A raw peer that is put away with the arena. */
  async peer(speaks = true): Promise<RawPeer> {
    const peer = await RawPeer.connect(this.port, speaks);
    this.#peers.push(peer);
    return peer;
  }

  /** A refused handshake: what `clientError` tells next. */
  async refusedWith(code: string): Promise<NyotaError> {
    const error = await this.refusals.next();
    expect(error.code).toBe(code);
    return error;
  }

  /** The end of an established connection, by what its session hears. */
  async disconnectedWith(id: string, code: string | undefined): Promise<void> {
    const seen = await this.happenings.next(
      (happening) => happening.id === id && happening.what === 'disconnect',
      `the disconnect of ${id}`,
    );
    expect(seen.code).toBe(code);
  }

  /** The process lives and the witness has noticed nothing. */
  async unharmed(): Promise<void> {
    const call = ++this.#witnessCalls;
    expect(await this.witness.request('echo', call)).toBe(call);
    expect(this.#witnessLosses).toEqual([]);
    expect(this.#failures).toEqual([]);
    expect(this.server.sessions.has(this.witness.id)).toBe(true);
  }

  /** Nothing came of it: no session, no event, no store entry, no connection that still shakes hands. */
  async nothingCameOfIt(): Promise<void> {
    await this.unharmed();
    expect([...this.server.sessions.keys()]).toEqual([this.witness.id]);
    expect(this.server.stats().unauthenticated).toBe(0);
    this.nothingDone();
  }

  /** No event was dispatched, and nothing was written to a store. */
  nothingDone(): void {
    expect(this.dispatched.all).toEqual([]);
    expect(this.changes).toEqual([]);
  }

  /** Moves a fake clock on in steps, so that the witness, who answers over a real socket, can answer its pings. */
  async advance(clock: FakeClock, ms: number, stepMs = 2_000): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      await clock.advance(Math.min(left, stepMs));
      await this.unharmed();
    }
  }

  async close(): Promise<void> {
    for (const peer of this.#peers) peer.destroy();
    this.#witness?.destroy();
    this.server.destroy();
    await this.server.close();
    for (const name of FAILURES) process.off(name, this.#onFailure);
    process.off('warning', this.#onWarning);
    expect(this.#failures).toEqual([]);
  }

  readonly #onFailure = (error: unknown): void => {
    this.#failures.push(error);
  };

  readonly #onWarning = (warning: Error): void => {
    this.texts.push(warning.message);
  };

  #watch(session: Session, onSession: ((session: Session) => void) | undefined): void {
    session.handle('echo', (...args: unknown[]) => args[0]);
    const { id } = session;
    if (id === this.witness.id) {
      session.on('hello', () => {});
      return;
    }
    const note = (what: Happening['what'], code?: string): void => this.happenings.add({ id, what, code });
    session.on('connect', () => note('connect'));
    session.on('disconnect', (reason) => {
      if (reason !== undefined) this.texts.push(reason.message);
      note('disconnect', reason?.code);
    });
    session.on('close', () => note('close'));
    session.on('error', (error) => {
      this.texts.push(error.message);
      note('error', error.code);
    });
    session.on('change', (key) => this.changes.push(key));
    onSession?.(session);
    session.onAny((event, ...args) => {
      this.dispatched.add([event, ...args]);
    });
  }
}

/** Our client, and the record of what it says: it is given to a raw server that is rude. */
export class Patient {
  readonly client: Client;
  readonly told = new Arrivals<{
    readonly what: string;
    readonly code?: string | undefined;
    readonly info?: unknown;
  }>('event of the client', ({ what, code }) => `${what} ${code ?? ''}`);
  readonly dispatched: unknown[][] = [];

  constructor(options: ClientOptions) {
    const reconnect = { minDelayMs: 1, maxDelayMs: 20, jitter: 'none' } as const;
    this.client = createClient({ host: '127.0.0.1', reconnect, ...options });
    const { client, told } = this;
    client.on('connect', (info) => told.add({ what: 'connect', info }));
    client.on('disconnect', (reason) => told.add({ what: 'disconnect', code: reason?.code, info: reason }));
    client.on('error', (error) => told.add({ what: 'error', code: error.code, info: error }));
    client.on('session', (info) => told.add({ what: 'session', code: info.reason?.code, info }));
    client.on('gap', (gap) => told.add({ what: 'gap', code: gap.reason.code, info: gap }));
    client.on('reconnecting', (info) => told.add({ what: 'reconnecting', code: info.error?.code, info }));
    client.onAny((event, ...args) => {
      this.dispatched.push([event, ...args]);
    });
  }

  /** The next time that the client tells this. */
  hears(what: string, code?: string) {
    return this.told.next(
      (heard) => heard.what === what && (code === undefined || heard.code === code),
      `'${what}'${code === undefined ? '' : ` with ${code}`} at the client`,
    );
  }
}

/** Call once at the top of a file. What is opened through it is closed after each test, the last one first. */
export function useStage() {
  const closings: Array<() => unknown> = [];
  afterEach(async () => {
    for (const close of closings.splice(0).reverse()) await close();
  });

  async function rawServer(speaks = true): Promise<RawServer> {
    const raw = await RawServer.listen(speaks);
    closings.push(() => raw.close());
    return raw;
  }

  return {
    /** Our server with its witness, for peers that are hostile. */
    async arena(options: ArenaOptions = {}): Promise<Arena> {
      const arena = await Arena.start(options);
      closings.push(() => arena.close());
      return arena;
    },

    rawServer,

    /**
     * Our client, and the server that it dials, which is hostile.
     * @param speaks false: what the server hears is counted, not decoded
     */
    async patient(
      options: Partial<ClientOptions> = {},
      speaks = true,
    ): Promise<{ raw: RawServer; patient: Patient; client: Client }> {
      const raw = await rawServer(speaks);
      const patient = new Patient({ ...(options.servers === undefined && { port: raw.port }), ...options });
      closings.push(() => patient.client.destroy());
      return { raw, patient, client: patient.client };
    },
  };
}
