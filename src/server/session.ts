/**
 * A session on the server, as users see it: one client's side of the conversation, through all of its reconnects. Listeners
 * are attached once. What it does is done by the held session inside (held-session.ts), where its states are drawn.
 */
import type { AnyContract, StateOf, ToClient, ToServer } from '../peer/contract.js';
import { Peer, type PeerEvents } from '../peer/peer.js';
import type { HeldSession, SessionState } from './held-session.js';

export interface SessionEvents extends PeerEvents {
  /** The client did not come back within `resumeWindowMs`. `close` follows. */
  expired: () => void;
}

/** Makes the public object over a session that the server holds. */
export let sessionOver: <C>(held: HeldSession) => Session<C>;
/** What is inside of a session. */
export let heldIn: <C>(session: Session<C>) => HeldSession;

export class Session<C = AnyContract> extends Peer<ToClient<C>, ToServer<C>, StateOf<C>, SessionEvents> {
  readonly #held: HeldSession;

  static {
    sessionOver = (held) => new Session(held);
    heldIn = (session) => session.#held;
  }

  private constructor(held: HeldSession) {
    super(held);
    this.#held = held;
  }

  override get state(): SessionState {
    return this.#held.state;
  }

  /** What `authenticate` returned for this session's client. */
  get identity(): unknown {
    return this.#held.identity;
  }

  /** Forgets this session everywhere. Its client hears `sessionInvalidated` and starts a new one, with an empty store. */
  invalidate(): void {
    this.#held.invalidate();
  }

  /** The same as `invalidate`. */
  invalidateSession(): void {
    this.#held.invalidate();
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
}
