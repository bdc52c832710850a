/**
 * A server's sessions without a server: each test hands `admit` a client that has said who it is, over a connection in
 * memory. Time stands still until the test moves it.
 */
import { NyotaError } from '../../src/errors.js';
import { Connection } from '../../src/net/connection.js';
import type { AnyContract } from '../../src/peer/contract.js';
import { verifierOf } from '../../src/peer/credentials.js';
import { LifecycleEmitter } from '../../src/peer/listeners.js';
import { readServerOptions, type ServerOptions } from '../../src/server/options.js';
import type { Session } from '../../src/server/session.js';
import { type OnSession, type Refusal, Sessions } from '../../src/server/sessions.js';
import { createFakeClock, createLink, type FakeClock, type MemorySocket } from '../../src/testing/index.js';
import type { OpenMessage } from '../../src/wire/messages.js';
import { encodePreamble } from '../../src/wire/preamble.js';
import { LIMITS } from './raw-peer.js';
import { recorder } from './session-connection.js';

export const SECRET = Buffer.alloc(32, 7);
/** What a server keeps of `SECRET`. */
export const VERIFIER = verifierOf(SECRET);

export function openMessage(message: Partial<OpenMessage> = {}): OpenMessage {
  return {
    features: 0,
    secret: SECRET,
    resume: false,
    received: 0,
    limits: LIMITS,
    auth: null,
    sent: 0,
    attempt: 1,
    ...message,
  };
}

/** What a client is told that is not let in. */
interface Refused {
  readonly code: string;
  readonly retry: string;
  readonly received: number | undefined;
  readonly sent: number | undefined;
}

export class ServerSessions {
  readonly clock: FakeClock = createFakeClock();
  readonly sessions: Sessions<AnyContract>;
  /** What the server's own `error` and `clientError` told. */
  readonly errors: NyotaError[] = [];
  readonly begun: Array<{ session: Session; resumed: boolean }> = [];

  constructor(options: ServerOptions = {}, onSession?: OnSession<AnyContract>) {
    const lifecycle = new LifecycleEmitter();
    lifecycle.on('error', (error: NyotaError) => this.errors.push(error));
    lifecycle.on('clientError', (error: NyotaError) => this.errors.push(error));
    lifecycle.on('session', (session: Session, resumed: boolean) => this.begun.push({ session, resumed }));
    this.sessions = new Sessions(readServerOptions({ clock: this.clock, ...options }), lifecycle, onSession);
  }

  /** A connection whose client has sent its preamble, and the client's end of it. */
  dial(): { connection: Connection; far: MemorySocket } {
    const [near, far] = createLink();
    const connection = new Connection(near, recorder(), {
      clock: this.clock,
      maxFrameBytes: LIMITS.maxFrameBytes,
      stallTimeoutMs: 30_000,
    });
    far.on('error', () => {});
    far.resume();
    far.write(encodePreamble());
    return { connection, far };
  }

  /** Asks for a session on a connection of its own. */
  async ask(
    message: Partial<OpenMessage> = {},
    identity?: unknown,
  ): Promise<{ refused: Refused | undefined; connection: Connection; far: MemorySocket }> {
    const { connection, far } = this.dial();
    return { refused: await this.askOn(connection, message, identity), connection, far };
  }

  async askOn(
    connection: Connection,
    message: Partial<OpenMessage> = {},
    identity?: unknown,
  ): Promise<Refused | undefined> {
    try {
      return told(await this.sessions.admit(connection, openMessage(message), identity));
    } catch (error) {
      const { code, retry } = error as NyotaError;
      return { code, retry, received: undefined, sent: undefined };
    }
  }

  /** As a server that closes does. */
  close(): Promise<void> {
    return this.sessions.close(new NyotaError('NYOTA_SERVER_CLOSING', 'the server is closing'));
  }

  /** The one session that is held. */
  get only(): Session {
    const [session, ...more] = this.sessions.held.values();
    if (session === undefined || more.length > 0) throw new Error('there is not exactly one session');
    return session;
  }
}

function told(refusal: Refusal | undefined): Refused | undefined {
  if (refusal === undefined) return undefined;
  const { error, received, sent } = refusal;
  return { code: error.code, retry: error.retry, received, sent };
}
