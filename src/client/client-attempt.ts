/**
 * One attempt of a client to connect: credentials, a socket, the handshake. Where the server has lost the session, the attempt
 * goes on with a new one.
 */
import { NyotaError } from '../errors.js';
import type { SessionCore } from '../features/session-core.js';
import { announced } from '../link/link.js';
import type { Connection } from '../net/connection.js';
import type { WelcomeMessage } from '../wire/messages.js';
import { Rejected, shakeHands } from './client-handshake.js';
import type { ClientIdentity } from './client-identity.js';
import type { ResolvedClientOptions } from './client-options.js';
import type { Dialler } from './dialler.js';

/** What an attempt needs of its client. */
export interface AttemptHost {
  readonly options: ResolvedClientOptions;
  readonly core: SessionCore;
  readonly identity: ClientIdentity;
  readonly dialler: Dialler;
  /** What the server tells this attempt from earlier ones by. Rejects where the client's store has failed it. */
  nextAttempt(): Promise<number>;
  /** The socket is connected; the handshake begins. */
  opening(): void;
  /** Takes the connection over. What it throws ends the connection. */
  welcomed(connection: Connection, message: WelcomeMessage): void;
  /** The server knows the session no more; `received` and `sent` are what it can tell of it. */
  sessionLost(error: NyotaError, received: number | undefined, sent: number | undefined): void;
}

/** Resolves once the client has a connection. Rejects with the NyotaError that says why it has none. */
export async function attempt(host: AttemptHost, signal: AbortSignal): Promise<void> {
  try {
    await connectOnce(host, signal);
  } catch (error) {
    if (!(error instanceof Rejected)) throw final(host, error);
    if (error.error.retry !== 'new-session') throw final(host, error.error);
    host.sessionLost(error.error, error.message.received, error.message.sent);
    await connectOnce(host, signal).catch((again: unknown) => {
      throw again instanceof Rejected ? again.error : again;
    });
  }
}

/** Where there is nothing left to dial, no error is worth another attempt. */
function final({ dialler }: AttemptHost, error: unknown): unknown {
  if (dialler.canDial || !(error instanceof NyotaError)) return error;
  const { code, message, cause } = error;
  return new NyotaError(code, message, { cause, retry: 'never' });
}

async function connectOnce(host: AttemptHost, signal: AbortSignal): Promise<void> {
  const { options, core, identity, dialler } = host;
  const { limits, clock } = options;
  const auth = await dialler.credentials();
  const number = await host.nextAttempt();
  if (signal.aborted) throw signal.reason;
  const socket = await dialler.open(signal);
  host.opening();
  try {
    await shakeHands({
      socket,
      limits,
      clock,
      signal,
      open: {
        features: 0,
        secret: identity.secret,
        resume: identity.established,
        received: core.link.inbox.received,
        limits: announced(limits),
        sent: core.link.outbox.sentSeq,
        attempt: number,
        auth,
      },
      welcomed: (connection, message) => host.welcomed(connection, message),
    });
  } catch (error) {
    // One that only has lost the session is the right one for a new session.
    if (!(error instanceof Rejected && error.error.retry === 'new-session')) dialler.advance();
    throw error;
  }
}
