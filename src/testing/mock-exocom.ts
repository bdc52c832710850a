/**
 * MockExoCom: stands in for ExoCom where one service is tested alone. It takes every relay at its word, keeps what they
 * send, and sends what a test tells it to. Real sockets, no routes, no queues.
 */
import { randomUUID } from 'node:crypto';
import {
  type DeliveredEnvelope,
  HUB_ROLE,
  isName,
  type Message,
  messageKey,
  openEnvelope,
  type RelayContract,
  readEnvelope,
  readHandled,
  readRegistration,
  sealMessage,
} from '../exorelay/message.js';
import { type Clock, createServer, NyotaError, type Server, type Session, systemClock } from '../index.js';

export interface MockExoComOptions {
  /** How long `registerService` and `waitUntilReceived` wait, in ms. Default 5 000. */
  timeoutMs?: number;
  /** Default: the system's. */
  clock?: Clock;
}

/** What a service has sent. */
export interface ReceivedMessage extends Message {
  /** The role that sent it. */
  readonly sender: string;
}

/** A message to a service. */
export interface MockMessage {
  /** The role that gets it. */
  readonly service: string;
  readonly name: string;
  readonly payload?: unknown;
  /** Default: a new one. */
  readonly id?: string;
  readonly activityId?: string;
  /** The id of the service's message that this one answers. */
  readonly responseTo?: string;
  /** The role that it seems to come from. Default `exocom`. */
  readonly sender?: string;
  readonly auth?: unknown;
  readonly isSecurity?: boolean;
  readonly redelivered?: boolean;
}

/** What `send` tells. */
export interface MockSent {
  readonly id: string;
  readonly activityId: string;
  /** Resolves once the service's handler has finished, with what it threw. */
  readonly handled: Promise<{ error?: string }>;
}

interface Waiter {
  readonly done: () => boolean;
  readonly settle: (error?: NyotaError) => void;
}

/** How long `close` waits for the relays: one that a test has destroyed never answers. */
const DRAIN_MS = 200;

export class MockExoCom implements AsyncDisposable {
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #server: Server<RelayContract>;
  /** By role, the relay that registered last. */
  readonly #services = new Map<string, Session<RelayContract>>();
  readonly #handled = new Map<string, (result: { error?: string }) => void>();
  readonly #waiters = new Set<Waiter>();
  #received: ReceivedMessage[] = [];
  #seen = new Set<string>();

  constructor(options: MockExoComOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? 5_000;
    this.#clock = options.clock ?? systemClock;
    const authenticate = (credentials: unknown): { role: string } => {
      const { role } = (credentials ?? {}) as { role?: unknown };
      if (!isName(role)) throw new NyotaError('NYOTA_UNAUTHORIZED', 'a relay names its role');
      return { role };
    };
    const serverOptions = { authenticate, clock: this.#clock, drainTimeoutMs: DRAIN_MS };
    this.#server = createServer<RelayContract>(serverOptions, (session) => this.#serve(session));
  }

  /** Resolves once it listens. 0, the default: any free port. */
  listen(port = 0, host = '127.0.0.1'): Promise<this> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve(this);
      });
    });
  }

  /** The port it listens at; undefined while it does not. */
  get port(): number | undefined {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : undefined;
  }

  /** Resolves once a relay with that name as its role is registered. */
  async registerService({ name }: { readonly name: string; readonly port?: number }): Promise<void> {
    const there = (): boolean => this.#services.has(name);
    await this.#until(there, `no relay with the role '${name}' has registered`);
  }

  /**
   * Sends a message to a service that is registered.
   * @throws NyotaError `NYOTA_NOT_CONNECTED` where it is not
   */
  send(message: MockMessage): MockSent {
    const { service, id = randomUUID(), activityId = randomUUID(), sender = HUB_ROLE, ...rest } = message;
    const session = this.#services.get(service);
    if (session === undefined) throw new NyotaError('NYOTA_NOT_CONNECTED', `unknown service: '${service}'`);
    const timestamp = this.#clock.now();
    const envelope: DeliveredEnvelope = sealMessage({ ...rest, id, activityId, sender, timestamp });
    const handled = new Promise<{ error?: string }>((resolve) => {
      this.#handled.set(messageKey(sender, id), resolve);
    });
    session.send('exo.deliver', envelope);
    return { id, activityId, handled };
  }

  /** What services have sent since the start or the last `reset`, in order. */
  get receivedMessages(): readonly ReceivedMessage[] {
    return this.#received;
  }

  /**
   * Resolves once so many messages (default 1), or one of that name, were received since the start or the last `reset`;
   * with all that was received. Rejects with `NYOTA_TIMEOUT`.
   */
  async waitUntilReceived(wanted: number | string = 1): Promise<readonly ReceivedMessage[]> {
    const done =
      typeof wanted === 'number'
        ? (): boolean => this.#received.length >= wanted
        : (): boolean => this.#received.some(({ name }) => name === wanted);
    const what = typeof wanted === 'number' ? `${wanted} messages` : `the message '${wanted}'`;
    await this.#until(done, `${what} did not come`);
    return this.#received;
  }

  /** Forgets what was received. */
  reset(): void {
    this.#received = [];
  }

  close(): Promise<void> {
    for (const { settle } of this.#waiters) settle(new NyotaError('NYOTA_CLOSED', 'MockExoCom was closed'));
    return this.#server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #serve(session: Session<RelayContract>): void {
    const { role } = session.identity as { role: string };
    session.on('exo.register', (raw) => {
      if (readRegistration(raw) === undefined) return;
      this.#services.set(role, session);
      session.send('exo.registered');
      this.#look();
    });
    session.on('close', () => {
      if (this.#services.get(role) === session) this.#services.delete(role);
    });
    session.on('exo.message', (raw) => this.#take(session, role, raw));
    session.on('exo.handled', (raw) => {
      const handled = readHandled(raw);
      if (handled === undefined) return;
      const { sender, id, error } = handled;
      const key = messageKey(sender, id);
      this.#handled.get(key)?.(error === undefined ? {} : { error });
      this.#handled.delete(key);
    });
    session.send('exo.hello', { hub: 'mock' });
  }

  #take(session: Session<RelayContract>, role: string, raw: unknown): void {
    const envelope = readEnvelope(raw);
    if (typeof envelope === 'string') return;
    session.send('exo.accepted', { id: envelope.id });
    // Sent again in a new session: it was received already.
    const key = messageKey(role, envelope.id);
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#received = [...this.#received, { ...openEnvelope(envelope), sender: role }];
    this.#look();
  }

  #until(done: () => boolean, failure: string): Promise<void> {
    if (done()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        done,
        settle: (error) => {
          this.#waiters.delete(waiter);
          this.#clock.clearTimeout(timer);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      const timer = this.#clock.setTimeout(() => {
        waiter.settle(new NyotaError('NYOTA_TIMEOUT', `${failure} within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      this.#waiters.add(waiter);
    });
  }

  #look(): void {
    for (const waiter of [...this.#waiters]) if (waiter.done()) waiter.settle();
  }
}
