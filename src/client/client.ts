/**
 * The client, as users see it: one side of a session, which connects by itself and comes back after every cut. What it does
 * is done by the client's side inside (client-side.ts), where its states are drawn.
 */
import type { Duplex } from 'node:stream';
import type { NyotaError } from '../errors.js';
import type { AnyContract, StateOf, ToClient, ToServer } from '../peer/contract.js';
import { Peer, type PeerEvents } from '../peer/peer.js';
import { ClientSide, type ClientState } from './client-side.js';
import {
  type ClientOptions,
  clientArguments,
  type ResolvedClientOptions,
  readClientOptions,
} from './options.js';

/** What may be missing after a session was lost. */
export interface Gap {
  /** Messages of this side's that were sent, and of which nobody can tell whether they were handled. */
  readonly uncertain: number;
  /**
   * Messages of the server's that were certainly lost, replies and store changes among them. Where the server has no memory of the session (`reason.code`
   * is `NYOTA_SESSION_UNKNOWN`) it can't be counted, and is 0.
   */
  readonly lost: number;
  readonly reason: NyotaError;
}

export interface ClientEvents extends PeerEvents {
  /** The next attempt to connect is `delayMs` away. `error`: what ended the last one; undefined for a clean end. */
  reconnecting: (info: { attempt: number; delayMs: number; error: NyotaError | undefined }) => void;
  /** A new session began. `reason`: why the old one is over; undefined for the first. */
  session: (info: { id: string; reason: NyotaError | undefined }) => void;
  /** The server forgot the session on purpose. A new one follows, with an empty store. */
  sessionInvalidated: () => void;
  /** A session was lost, and something may be missing. */
  gap: (gap: Gap) => void;
}

let newClient: <C>(options: ResolvedClientOptions, onConnect: (() => void) | undefined) => Client<C>;

export class Client<C = AnyContract> extends Peer<ToServer<C>, ToClient<C>, StateOf<C>, ClientEvents> {
  readonly #side: ClientSide;

  static {
    newClient = (options, onConnect) => new Client(options, onConnect);
  }

  private constructor(options: ResolvedClientOptions, onConnect: (() => void) | undefined) {
    const side = new ClientSide(options);
    super(side);
    this.#side = side;
    if (onConnect !== undefined) this.once('connect', onConnect);
    side.start();
  }

  override get state(): ClientState {
    return this.#side.state;
  }

  /** Connects again after `disconnect`, or after an error that stopped the attempts. */
  connect(): this {
    this.#side.connect();
    return this;
  }

  /** Drops this socket and comes back at once. */
  reconnect(): this {
    this.#side.reconnect();
    return this;
  }

  /**
   * Turns reconnecting on and sets its bounds, in ms.
   * @throws NyotaError `NYOTA_INVALID_OPTION`
   */
  autoReconnect(minDelayMs?: number, maxDelayMs?: number): this {
    this.#side.autoReconnect(minDelayMs, maxDelayMs);
    return this;
  }

  /** Holds the process while connected or connecting; the default. Kept through every reconnect. */
  ref(): this {
    this.#side.ref();
    return this;
  }

  unref(): this {
    this.#side.unref();
    return this;
  }
}

/**
 * Connects to a nyota server, at once, and reconnects for ever. `onConnect` is called at the first connection.
 *
 * The target is a port, `'host:port'`, a unix path, a URL (`tcp://`, `tls://`, `unix:`), an existing socket, or options.
 * @throws NyotaError `NYOTA_INVALID_OPTION` that names the option and what it takes
 */
export function createClient<C = AnyContract>(
  target: number | string | Duplex | ClientOptions,
  onConnect?: () => void,
): Client<C>;
export function createClient<C = AnyContract>(
  target: number | string,
  host: string,
  onConnect?: () => void,
): Client<C>;
export function createClient<C = AnyContract>(
  target: Duplex,
  options: ClientOptions,
  onConnect?: () => void,
): Client<C>;
export function createClient<C = AnyContract>(target: unknown, ...rest: unknown[]): Client<C> {
  const { options, onConnect } = clientArguments(target, rest);
  return newClient<C>(readClientOptions(options), onConnect);
}
