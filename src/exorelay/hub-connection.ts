/**
 * The relay's connection to ExoCom: one nyota session after the other, and in each of them it registers anew. This is what is
 * said on it, apart from the messages themselves, which messenger.ts hands over. What arrives on it, relay.ts passes on.
 *
 *   idle --connect--> unregistered --exo.registered--> registered --close--> closing --> closed
 *                          ^                               |
 *                          `--- a new session, or exo.hello
 */
import { randomUUID } from 'node:crypto';
import { type Client, createClient, NyotaError } from '../index.js';
import {
  type AwaitedReply,
  type Envelope,
  type Handled,
  MAX_AWAITED,
  type Registration,
  type RelayContract,
} from './message.js';
import type { ResolvedRelayOptions } from './options.js';

export class HubConnection {
  readonly #options: ResolvedRelayOptions;
  /** This relay object, for its whole life. */
  readonly #instance = randomUUID();
  /** By the names of their messages. */
  readonly #handlers: ReadonlyMap<string, unknown>;
  readonly #report: (error: Error) => void;
  #client: Client<RelayContract> | undefined;
  #state: 'idle' | 'unregistered' | 'registered' | 'closing' | 'closed' = 'idle';
  /** The session has taken as many messages as it should hold: `drain` follows. */
  #full = false;
  #registrationPlanned = false;
  #leaving = false;
  /** The hub process that the session at hand is with, and the one that this relay was registered at before. */
  #hub: string | undefined;
  #before: string | undefined;

  constructor(
    options: ResolvedRelayOptions,
    handlers: ReadonlyMap<string, unknown>,
    report: (error: Error) => void,
  ) {
    this.#options = options;
    this.#handlers = handlers;
    this.#report = report;
  }

  get registered(): boolean {
    return this.#state === 'registered';
  }

  get connected(): boolean {
    return this.registered && this.#client?.connected === true;
  }

  /** Messages may be handed over. */
  get hasRoom(): boolean {
    return this.connected && !this.#full;
  }

  /** Returns what to listen on. Undefined where it was begun before, or is over. */
  connect(): Client<RelayContract> | undefined {
    if (this.#state !== 'idle') return undefined;
    this.#state = 'unregistered';
    this.#client = createClient<RelayContract>(this.#options.client);
    return this.#client;
  }

  /**
   * A new session, or a hub that has said hello: what was said before holds no longer. False while this relay closes.
   * @param hub the id of the hub process, where it said hello
   */
  begunAnew(hub = this.#hub): boolean {
    if (this.#state === 'closing' || this.#state === 'closed') return false;
    this.#hub = hub;
    this.#state = 'unregistered';
    this.#full = false;
    return true;
  }

  /** @param awaited whose replies are waited for, of messages that went out in an earlier session */
  register(awaited: readonly AwaitedReply[]): void {
    this.#tell((client) => client.send('exo.register', this.#registration()));
    for (let i = 0; i < awaited.length; i += MAX_AWAITED) {
      this.#tell((client) => client.send('exo.awaiting', awaited.slice(i, i + MAX_AWAITED)));
    }
  }

  /** The hub has said so. False where it was so already. */
  confirmed(): boolean {
    if (this.#state !== 'unregistered') return false;
    this.#state = 'registered';
    this.#before = this.#hub;
    if (this.#leaving) this.leave();
    return true;
  }

  /** The handlers have changed: says so once for all that change in one go. */
  reregister(): void {
    if (this.#registrationPlanned || !this.registered) return;
    this.#registrationPlanned = true;
    process.nextTick(() => {
      this.#registrationPlanned = false;
      if (this.registered) this.register([]);
    });
  }

  /** The session has room for messages again. */
  drained(): void {
    this.#full = false;
  }

  /**
   * Hands a message to the session. False where there is no room for it.
   * @param signal takes it back while it is unsent there
   * @throws NyotaError where it can't be sent at all
   */
  message(envelope: Envelope, signal: AbortSignal): boolean {
    if (this.#client === undefined) return false;
    try {
      this.#full = !this.#client.with({ signal }).send('exo.message', envelope);
      return true;
    } catch (cause) {
      const error = asNyotaError(cause);
      if (error.code !== 'NYOTA_OUTBOX_FULL') throw error;
      this.#full = true;
      return false;
    }
  }

  /** Nobody here wants the replies to that message any more. */
  cancel(id: string): void {
    if (this.registered) this.#tell((client) => client.send('exo.cancel', { id }));
  }

  /** `confirmed` is called once ExoCom knows. */
  handled(handled: Handled, confirmed: () => void): void {
    this.#tell((client) =>
      client.send('exo.handled', handled, (error) => {
        if (error === undefined) confirmed();
      }),
    );
  }

  /** No new messages, please; what runs here finishes. */
  leave(): void {
    this.#leaving = true;
    if (this.registered) this.#tell((client) => client.send('exo.leave'));
  }

  /** What still arrives meanwhile is still reported as handled. */
  async close(): Promise<void> {
    this.#state = 'closing';
    await this.#client?.close();
    this.#state = 'closed';
  }

  destroy(): void {
    this.#state = 'closed';
    this.#client?.destroy();
  }

  #registration(): Registration {
    return {
      instance: this.#instance,
      handles: [...this.#handlers.keys()],
      ...(this.#before !== undefined && { before: this.#before }),
    };
  }

  #tell(say: (client: Client<RelayContract>) => void): void {
    if (this.#client === undefined || this.#state === 'closed') return;
    try {
      say(this.#client);
    } catch (cause) {
      this.#report(asNyotaError(cause));
    }
  }
}

function asNyotaError(cause: unknown): NyotaError {
  if (cause instanceof NyotaError) return cause;
  return new NyotaError('NYOTA_INTERNAL', 'a message could not be sent', { cause });
}
