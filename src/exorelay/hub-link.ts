/**
 * The relay's side of the connection to ExoCom: one nyota session after the other, registered anew in each, and the
 * outbox sent through it. Says what arrives; what it means is the relay's business.
 *
 *   idle --start--> unregistered --exo.registered--> registered --close--> closing --> closed
 *                        ^                               |
 *                        `--- a new session, or exo.hello
 */
import { type Client, createClient, NyotaError } from '../index.js';
import {
  type AwaitedReply,
  type Handled,
  MAX_AWAITED,
  type MessageRef,
  type Registration,
  type Rejection,
  type RelayContract,
} from './message.js';
import type { ResolvedRelayOptions } from './options.js';
import type { Outbox, Outgoing } from './outbox.js';

export interface HubLinkHooks {
  registration(): Omit<Registration, 'before'>;
  /** Whose replies are waited for, of messages that went out in an earlier session. */
  awaited(): AwaitedReply[];
  known(refs: readonly MessageRef[]): readonly MessageRef[];
  deliver(envelope: unknown): void;
  cancelled(ref: MessageRef): void;
  accepted(id: string): void;
  rejected(rejection: Rejection): void;
  /** ExoCom has given up on this session: its messages went to other instances. */
  revoked(): void;
  /** The message can't be sent at all. */
  unsendable(outgoing: Outgoing, error: NyotaError): void;
  /** Registered, for the first time or again. */
  registered(): void;
  disconnected(reason: NyotaError | undefined): void;
  resumed(): void;
  error(error: Error): void;
}

export class HubLink {
  readonly #options: ResolvedRelayOptions;
  readonly #outbox: Outbox;
  readonly #hooks: HubLinkHooks;
  #client: Client<RelayContract> | undefined;
  #state: 'idle' | 'unregistered' | 'registered' | 'closing' | 'closed' = 'idle';
  /** The session has taken as much as it should hold: `drain` follows. */
  #full = false;
  #registrationPlanned = false;
  #leaving = false;
  /** The hub process that the session at hand is with, and the one that this relay was registered at before. */
  #hub: string | undefined;
  #before: string | undefined;

  constructor(options: ResolvedRelayOptions, outbox: Outbox, hooks: HubLinkHooks) {
    this.#options = options;
    this.#outbox = outbox;
    this.#hooks = hooks;
  }

  get connected(): boolean {
    return this.#state === 'registered' && this.#client?.connected === true;
  }

  start(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'unregistered';
    const client = createClient<RelayContract>(this.#options.client);
    this.#client = client;
    client.on('session', ({ reason }) => {
      if (reason !== undefined) this.#begunAnew();
    });
    client.on('sessionInvalidated', () => this.#hooks.revoked());
    client.on('connect', ({ resumed }) => {
      if (!resumed || this.#state !== 'registered') return;
      this.flush();
      this.#hooks.resumed();
    });
    client.on('disconnect', (reason) => this.#hooks.disconnected(reason));
    client.on('drain', () => {
      this.#full = false;
      this.flush();
    });
    client.on('error', (error) => this.#hooks.error(error));
    client.on('exo.hello', ({ hub }) => {
      if (this.#state === 'closing' || this.#state === 'closed') return;
      this.#hub = hub;
      this.#begunAnew();
      this.#register(client);
    });
    client.on('exo.registered', () => {
      if (this.#state !== 'unregistered') return;
      this.#state = 'registered';
      this.#before = this.#hub;
      if (this.#leaving) this.leave();
      this.flush();
      this.#hooks.registered();
    });
    // No listener returns a promise: what handlers do holds nothing up.
    client.on('exo.deliver', (envelope) => this.#hooks.deliver(envelope));
    client.on('exo.cancel', (ref) => this.#hooks.cancelled(ref));
    client.on('exo.accepted', ({ id }) => this.#hooks.accepted(id));
    client.on('exo.rejected', (rejection) => this.#hooks.rejected(rejection));
    client.handle('exo.known', (refs) => this.#hooks.known(refs));
  }

  /** Sends what waits in the outbox, as far as the session should hold it. */
  flush(): void {
    const client = this.#client;
    if (client === undefined) return;
    while (this.connected && !this.#full) {
      const outgoing = this.#outbox.take();
      if (outgoing === undefined) return;
      this.#hand(client, outgoing);
    }
  }

  /** The handlers have changed. */
  reregister(): void {
    if (this.#registrationPlanned || this.#state !== 'registered') return;
    this.#registrationPlanned = true;
    process.nextTick(() => {
      this.#registrationPlanned = false;
      if (this.#state === 'registered') {
        this.#send((client) => client.send('exo.register', this.#registration()));
      }
    });
  }

  /** `confirmed` is called once ExoCom knows. */
  handled(handled: Handled, confirmed: () => void): void {
    this.#send((client) =>
      client.send('exo.handled', handled, (error) => {
        if (error === undefined) confirmed();
      }),
    );
  }

  /** Nobody here wants that message's replies any more. It is taken back where it has not gone out. */
  cancel(id: string): void {
    const outgoing = this.#outbox.remove(id);
    outgoing?.handed?.abort();
    const neverSent = outgoing !== undefined && outgoing.handed === undefined;
    if (!neverSent && this.#state === 'registered') this.#send((client) => client.send('exo.cancel', { id }));
  }

  /** No new messages, please; what runs here finishes. */
  leave(): void {
    this.#leaving = true;
    if (this.#state === 'registered') this.#send((client) => client.send('exo.leave'));
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

  #begunAnew(): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.#state = 'unregistered';
    this.#full = false;
    this.#outbox.restart();
  }

  #register(client: Client<RelayContract>): void {
    this.#send(() => client.send('exo.register', this.#registration()));
    const awaited = this.#hooks.awaited();
    for (let i = 0; i < awaited.length; i += MAX_AWAITED) {
      this.#send(() => client.send('exo.awaiting', awaited.slice(i, i + MAX_AWAITED)));
    }
  }

  #registration(): Registration {
    const registration = this.#hooks.registration();
    return this.#before === undefined ? registration : { ...registration, before: this.#before };
  }

  #hand(client: Client<RelayContract>, outgoing: Outgoing): void {
    const { envelope, handed } = outgoing;
    if (handed === undefined) return;
    try {
      this.#full = !client.with({ signal: handed.signal }).send('exo.message', envelope);
    } catch (cause) {
      const error = asNyotaError(cause);
      if (error.code === 'NYOTA_OUTBOX_FULL') {
        this.#outbox.putBack(outgoing);
        this.#full = true;
      } else {
        this.#outbox.remove(envelope.id);
        this.#hooks.unsendable(outgoing, error);
      }
    }
  }

  #send(send: (client: Client<RelayContract>) => void): void {
    if (this.#client === undefined || this.#state === 'closed') return;
    try {
      send(this.#client);
    } catch (cause) {
      this.#hooks.error(asNyotaError(cause));
    }
  }
}

function asNyotaError(cause: unknown): NyotaError {
  if (cause instanceof NyotaError) return cause;
  return new NyotaError('NYOTA_INTERNAL', 'a message could not be sent', { cause });
}
