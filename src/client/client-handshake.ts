/**
 * The client's half of a handshake on one socket: sends OPEN, and hears WELCOME or REJECT within the deadline.
 * It ends there; the session reads the connection from then on.
 */

import type { Clock } from '../clock.js';
import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import { Connection, type ConnectionReader, type SocketLike } from '../net/connection.js';
import type { Limits } from '../options.js';
import { closeError, closeFrame } from '../peer/last-words.js';
import { FrameType, LENGTH_BYTES, MAX_HANDSHAKE_FRAME_BYTES } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import {
  encodeOpen,
  type OpenMessage,
  parseClose,
  parseReject,
  parseWelcome,
  type RejectMessage,
  type WelcomeMessage,
} from '../wire/messages.js';

/** The server's refusal: an error that also says what the server knows of a session that is gone. */
export class Rejected {
  readonly error: NyotaError;
  readonly message: RejectMessage;

  constructor(message: RejectMessage) {
    this.error = closeError(message);
    this.message = message;
  }
}

export interface ClientHandshake {
  readonly socket: SocketLike;
  readonly open: OpenMessage;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /**
   * Takes the connection over, before any frame behind the WELCOME is read. What it throws ends the connection.
   */
  welcomed(connection: Connection, message: WelcomeMessage): void;
}

/** Resolves once `welcomed` has run. Rejects with a NyotaError, or a `Rejected` where the server said no. */
export async function shakeHands(handshake: ClientHandshake): Promise<void> {
  const { socket, limits, clock, signal } = handshake;
  let open: Buffer;
  try {
    open = openFrame(handshake.open);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return new Promise((resolve, reject) => {
    let outcome: unknown;
    const finish = (act: () => void): void => {
      clock.clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      act();
    };
    const reader: ConnectionReader = {
      frame: (frame) => {
        const body = (): unknown => decodePayload(frame.source, frame.start, frame.end, limits);
        if (frame.type === FrameType.WELCOME) {
          handshake.welcomed(connection, parseWelcome(body()));
          finish(resolve);
        } else if (frame.type === FrameType.REJECT) {
          outcome = new Rejected(parseReject(body()));
          connection.end(undefined);
        } else if (frame.type === FrameType.CLOSE) {
          outcome = new Rejected({ ...parseClose(body()), received: undefined, sent: undefined });
          connection.end(undefined);
        } else {
          throw new NyotaError(
            'NYOTA_PROTOCOL_ERROR',
            `a frame of type 0x${frame.type.toString(16)} instead of WELCOME`,
          );
        }
      },
      lastWords: closeFrame,
      closed: (error) => {
        const lost =
          error ??
          new NyotaError('NYOTA_CONNECTION_LOST', 'the server closed the connection during the handshake');
        finish(() => reject(outcome ?? lost));
      },
    };
    const timer = clock.setTimeout(() => {
      const text = `no answer to the handshake within ${limits.handshakeTimeoutMs} ms`;
      connection.destroy(new NyotaError('NYOTA_HANDSHAKE_TIMEOUT', text));
    }, limits.handshakeTimeoutMs);
    // The socket holds the process; this timer only cuts it.
    timer.unref?.();
    const onAbort = (): void =>
      connection.destroy(signal.reason instanceof NyotaError ? signal.reason : undefined);
    // The preamble and OPEN leave in one piece.
    socket.cork();
    const connection = new Connection(socket, reader, { ...limits, clock });
    connection.write(open);
    socket.uncork();
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
  });
}

/** @throws NyotaError where the credentials can't travel, or are larger than any server takes */
function openFrame(open: OpenMessage): Buffer {
  const frame = encodeFrame(FrameType.OPEN, {}, encodeOpen(open));
  if (frame.length - LENGTH_BYTES <= MAX_HANDSHAKE_FRAME_BYTES) return frame;
  throw new NyotaError(
    'NYOTA_FRAME_TOO_LARGE',
    `the credentials make a handshake of ${frame.length} bytes, and a server takes at most ${MAX_HANDSHAKE_FRAME_BYTES}`,
  );
}
