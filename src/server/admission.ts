/**
 * From an accepted connection to a session: its turn in the waiting line, and the server's half of the handshake, which hears
 * OPEN within the deadline, asks who it is, and answers. `Admissions` has all connections of a server that are not let in
 * yet, `Admission` is one of them. A refused peer is told why, and harms nobody else (docs/design.md, rules 62 and 63). Who
 * may have which session is decided in sessions.ts.
 */
import type { ClockTimer } from '../clock.js';
import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import { Connection, type ConnectionReader, type SocketLike } from '../net/connection.js';
import { type Listener, tlsSocketOf } from '../net/listener.js';
import { type Arrival, WaitingLine } from '../net/waiting-line.js';
import type { LifecycleEmitter } from '../peer/listeners.js';
import { FrameType, MAX_HANDSHAKE_FRAME_BYTES } from '../wire/constants.js';
import { encodeFrame } from '../wire/frame-encoder.js';
import { encodeReject, type OpenMessage, parseOpen } from '../wire/messages.js';
import type { ResolvedServerOptions } from './options.js';
import { Refusal, type Sessions, unauthorized } from './sessions.js';

/** Bytes that all unauthenticated connections together may have sent. */
const MAX_UNAUTHENTICATED_BYTES = 4 * 1024 * 1024;
/** So many times `maxUnauthenticated` connections may always wait for their turn. */
const WAITING_FACTOR = 4;
/** For which part of its deadline a handshake may wait for its turn. */
const LONGEST_WAIT = 0.75;

/** All connections of a server that are not let in yet. */
export class Admissions<C> {
  readonly options: ResolvedServerOptions;
  readonly sessions: Sessions<C>;
  readonly #lifecycle: LifecycleEmitter;
  readonly #listener: Listener;
  readonly #line: WaitingLine;
  readonly #handshakes = new Set<Admission<C>>();
  /** Bytes that those in their handshake have sent. */
  bytes = 0;
  #refusedCount = 0;
  /** From here on everybody is refused, for this reason. */
  #closed: NyotaError | undefined;

  /** @param lifecycle the server's own events */
  constructor(
    options: ResolvedServerOptions,
    sessions: Sessions<C>,
    lifecycle: LifecycleEmitter,
    listener: Listener,
  ) {
    this.options = options;
    this.sessions = sessions;
    this.#lifecycle = lifecycle;
    this.#listener = listener;
    const { clock, maxUnauthenticated, maxSessions, limits } = options;
    this.#line = new WaitingLine({
      clock,
      hasPlace: () => this.#unfinished < maxUnauthenticated,
      // Enough for all sessions to come back at once.
      takesMore: (waiting) =>
        waiting < WAITING_FACTOR * maxUnauthenticated || listener.open <= maxSessions + maxUnauthenticated,
      // Enough is left of the deadline for the handshake itself.
      longestWaitMs: LONGEST_WAIT * limits.handshakeTimeoutMs,
    });
  }

  /** Those in their handshake, and those that wait for their turn. */
  get size(): number {
    return this.#unfinished + this.#line.size;
  }

  /** How many were refused, or broke off, so far. */
  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** A connection was accepted: it begins in its turn. */
  arrived(arrival: Arrival): void {
    if (this.#closed !== undefined) arrival.refuse(this.#closed);
    else this.#line.arrive(arrival);
  }

  /** It is gone before its turn. */
  left(arrival: Arrival): void {
    this.#line.leave(arrival);
  }

  /**
   * A connection's turn has come, its TLS is done.
   *
   * @param since when it was accepted
   * @param refusal why it is not let in, where that is known already
   */
  begin(socket: SocketLike, since: number, refusal: NyotaError | undefined): void {
    const admission = new Admission(this, socket, since);
    this.#handshakes.add(admission);
    // The TLS handshake may have ended while the server was closing.
    const error = refusal ?? this.#closed;
    if (error !== undefined) admission.refuse(new Refusal(error));
  }

  /** A TLS handshake has failed. */
  tlsFailed(error: NyotaError, remoteAddress: string | undefined): void {
    this.refused(error, remoteAddress);
    this.#line.placeFreed(false);
  }

  /** Tells all of them why they are not let in. */
  refuseAll(error: NyotaError): void {
    this.#line.refuseAll(error);
    for (const admission of [...this.#handshakes]) admission.refuse(new Refusal(error));
    this.#listener.destroyHandshakes();
  }

  /** The same, and whoever comes later is refused too. */
  close(error: NyotaError): void {
    this.#closed = error;
    this.refuseAll(error);
  }

  /** The same without a word. */
  destroy(error: NyotaError): void {
    this.#closed = error;
    this.#line.clear();
    for (const admission of [...this.#handshakes]) admission.destroy();
  }

  /** One was refused, or broke off in its handshake. */
  refused(error: NyotaError, remoteAddress: string | undefined): void {
    this.#refusedCount++;
    this.#lifecycle.emit('clientError', error, { remoteAddress });
  }

  /** The handshake of one is over, either way. */
  finished(admission: Admission<C>, admitted: boolean): void {
    this.#handshakes.delete(admission);
    this.#line.placeFreed(admitted);
  }

  /** Connections in their handshake, that of TLS included. */
  get #unfinished(): number {
    return this.#handshakes.size + this.#listener.handshakes;
  }
}

/** One connection in its handshake. */
class Admission<C> {
  readonly #all: Admissions<C>;
  readonly #connection: Connection;
  readonly #remoteAddress: string | undefined;
  #timer: ClockTimer | undefined;
  #bytes = 0;
  #over = false;

  /** @param since when the TCP connection was accepted */
  constructor(all: Admissions<C>, socket: SocketLike, since: number) {
    this.#all = all;
    this.#remoteAddress = socket.remoteAddress;
    const { clock, limits } = all.options;
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
    // Nothing was read of it before its turn.
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
        this.#all.bytes += bytes;
        if (this.#all.bytes > MAX_UNAUTHENTICATED_BYTES) {
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
        const open = parseOpen(decodePayload(frame.source, frame.start, frame.end, this.#all.options.limits));
        // What follows waits until it is known who this is.
        this.#connection.hold();
        void this.#decide(open);
      },
      lastWords: (error) => rejectFrame(new Refusal(error)),
      closed: (error) => {
        this.#finish(false);
        const text = 'the connection closed before its handshake was finished';
        this.#all.refused(error ?? new NyotaError('NYOTA_CONNECTION_LOST', text), this.#remoteAddress);
      },
    };
  }

  async #decide(open: OpenMessage): Promise<void> {
    try {
      const identity = await this.#identify(open.auth);
      if (!this.#connection.open) return;
      const refusal = await this.#all.sessions.admit(this.#connection, open, identity);
      if (refusal === undefined) {
        this.#finish(true);
        this.#connection.decoder.maxFrameBytes = this.#all.options.limits.maxFrameBytes;
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
    const { authenticate } = this.#all.options;
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
    if (this.#timer !== undefined) this.#all.options.clock.clearTimeout(this.#timer);
    this.#all.bytes -= this.#bytes;
    this.#all.finished(this, admitted);
  }
}

function rejectFrame({ error, received, sent }: Refusal): Buffer {
  const { code, message, retry, retryAfterMs } = error;
  return encodeFrame(
    FrameType.REJECT,
    {},
    encodeReject({ code, message, retry, retryAfterMs, received, sent }),
  );
}
