/**
 * The server's half of a handshake on one socket: hears OPEN within the deadline, asks who it is, and answers. What it
 * admits is the registry's business; what it refuses is told to the peer, and harms nobody else.
 */
import type { Clock, ClockTimer } from '../clock.js';
import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import { Connection, type ConnectionReader, type SocketLike } from '../net/connection.js';
import { tlsSocketOf } from '../net/listener.js';
import type { Limits } from '../options.js';
import { FrameType, MAX_HANDSHAKE_FRAME_BYTES } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import { encodeReject, type OpenMessage, parseOpen } from '../wire/messages.js';
import type { Authenticate } from './server-options.js';

/** Bytes that all unauthenticated connections together may have sent. */
export const MAX_UNAUTHENTICATED_BYTES = 4 * 1024 * 1024;
const MAX_REPORTED_SENT = 2 ** 48 - 1;

/** A refusal that may tell what is known of a session that is gone. */
export class Refusal {
  readonly error: NyotaError;
  readonly received: number | undefined;
  readonly sent: number | undefined;

  /** @param numbers `exact` false: up to `received` is handled, and of what lies beyond nobody can tell */
  constructor(error: NyotaError, numbers?: { received: number; sent: number; exact?: boolean | undefined }) {
    this.error = error;
    this.received = numbers?.exact === false ? undefined : numbers?.received;
    this.sent = numbers && Math.min(numbers.sent, MAX_REPORTED_SENT);
  }
}

export interface AdmissionHost {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly authenticate: Authenticate | undefined;
  /** Bytes that unauthenticated connections have sent; admissions keep it. */
  unauthenticatedBytes: number;
  /** Lets the client in, or says why not. May throw a NyotaError too. */
  admit(connection: Connection, open: OpenMessage, identity: unknown): Promise<Refusal | undefined>;
  /** The connection was refused, or broke off in its handshake. */
  refused(error: NyotaError, remoteAddress: string | undefined): void;
  /** The handshake is over, either way. */
  finished(admission: Admission, admitted: boolean): void;
}

export class Admission {
  readonly #host: AdmissionHost;
  readonly #connection: Connection;
  readonly #remoteAddress: string | undefined;
  #timer: ClockTimer | undefined;
  #bytes = 0;
  #over = false;

  /** @param since when the TCP connection was accepted */
  constructor(host: AdmissionHost, socket: SocketLike, since: number) {
    this.#host = host;
    this.#remoteAddress = socket.remoteAddress;
    const { clock, limits } = host;
    this.#connection = new Connection(socket, this.#reader(), {
      clock,
      maxFrameBytes: Math.min(MAX_HANDSHAKE_FRAME_BYTES, limits.maxFrameBytes),
      stallTimeoutMs: limits.stallTimeoutMs,
    });
    const left = Math.max(0, since + limits.handshakeTimeoutMs - clock.now());
    this.#timer = clock.setTimeout(() => {
      const text = `no finished handshake within ${limits.handshakeTimeoutMs} ms`;
      this.refuse(new Refusal(new NyotaError('NYOTA_HANDSHAKE_TIMEOUT', text)));
    }, left);
    this.#timer.unref?.();
    // It was unread until its turn.
    socket.resume();
  }

  /** Tells the peer, and ends the connection. */
  refuse(refusal: Refusal): void {
    this.#connection.end(rejectFrame(refusal), refusal.error);
  }

  /** Cuts it without a word. */
  destroy(): void {
    this.#connection.destroy();
  }

  #reader(): ConnectionReader {
    return {
      chunkStart: (bytes) => {
        this.#bytes += bytes;
        this.#host.unauthenticatedBytes += bytes;
        if (this.#host.unauthenticatedBytes > MAX_UNAUTHENTICATED_BYTES) {
          this.refuse(
            new Refusal(new NyotaError('NYOTA_SERVER_BUSY', 'too many connections are in their handshake')),
          );
          return false;
        }
        return true;
      },
      frame: (frame) => {
        if (frame.type !== FrameType.OPEN) {
          throw new NyotaError(
            'NYOTA_PROTOCOL_ERROR',
            `a frame of type 0x${frame.type.toString(16)} instead of OPEN`,
          );
        }
        const open = parseOpen(decodePayload(frame.source, frame.start, frame.end, this.#host.limits));
        // What follows waits until it is known who this is.
        this.#connection.hold();
        void this.#decide(open);
      },
      lastWords: (error) => rejectFrame(new Refusal(error)),
      closed: (error) => {
        this.#finish(false);
        const text = 'the connection closed before its handshake was finished';
        this.#host.refused(error ?? new NyotaError('NYOTA_CONNECTION_LOST', text), this.#remoteAddress);
      },
    };
  }

  async #decide(open: OpenMessage): Promise<void> {
    try {
      const identity = await this.#identify(open.auth);
      if (!this.#connection.open) return;
      const refusal = await this.#host.admit(this.#connection, open, identity);
      if (refusal === undefined) {
        this.#finish(true);
        this.#connection.decoder.maxFrameBytes = this.#host.limits.maxFrameBytes;
        this.#connection.release();
      } else {
        this.refuse(refusal);
      }
    } catch (error) {
      this.refuse(
        new Refusal(
          error instanceof NyotaError
            ? error
            : new NyotaError('NYOTA_INTERNAL', 'the handshake failed', { cause: error }),
        ),
      );
    }
  }

  async #identify(credentials: unknown): Promise<unknown> {
    const { authenticate } = this.#host;
    if (authenticate === undefined) return undefined;
    const { socket } = this.#connection;
    try {
      return await authenticate(credentials, {
        remoteAddress: this.#remoteAddress,
        tls: tlsSocketOf(socket),
      });
    } catch (cause) {
      throw unauthorized(cause);
    }
  }

  #finish(admitted: boolean): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#timer !== undefined) this.#host.clock.clearTimeout(this.#timer);
    this.#host.unauthenticatedBytes -= this.#bytes;
    this.#host.finished(this, admitted);
  }
}

/** One text for any failed authentication, so that nobody learns which part of it was wrong. */
export function unauthorized(cause?: unknown): NyotaError {
  return new NyotaError('NYOTA_UNAUTHORIZED', 'authentication failed', { cause });
}

function rejectFrame({ error, received, sent }: Refusal): Buffer {
  const { code, message, retry, retryAfterMs } = error;
  return encodeFrame(
    FrameType.REJECT,
    {},
    encodeReject({ code, message, retry, retryAfterMs, received, sent }),
  );
}
