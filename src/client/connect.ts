/**
 * Keeps a client connected: asks for credentials, dials one of its servers, shakes hands, and after a failure does so again,
 * later and later. Has the sockets and timers that hold the process in the meantime. What is done with a connection, and with
 * a session that the server has lost, is decided in client-side.ts.
 *
 *             start                                    WELCOME
 *   idle ------------> connecting ------> opening -----------------> idle, and the client has a connection
 *                        ^       |           |
 *                        |       v           v     `retry` is never, or reconnecting is off
 *                       backing-off <--------´ -------------------> idle, and the client is told: gaveUp
 */
import pRetry from 'p-retry';
import type { ClockTimer } from '../clock.js';
import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import { Connection, type ConnectionReader, type SocketLike } from '../net/connection.js';
import { dial, type HandleSet, type Refable } from '../net/dial.js';
import type { ReconnectOptions } from '../options.js';
import { listenerFailed } from '../peer/listeners.js';
import { closeError, closeFrame } from '../peer/pump.js';
import type { Awaitable } from '../stores/session-store.js';
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
import type { ResolvedClientOptions } from './options.js';

export type Dialling = 'idle' | 'connecting' | 'opening' | 'backing-off';

/** What the connector asks of its client. */
export interface Connectable {
  /**
   * The number of the next attempt, by which the server tells it from earlier ones (docs/design.md, rule 15). Rejects if
   * there must be no further attempt.
   */
  nextAttempt(): Awaitable<number>;
  /** The OPEN for an attempt. */
  openMessage(attempt: number, auth: unknown): OpenMessage;
  /** Takes the connection over, before any frame behind the WELCOME is read. What it throws ends the connection. */
  welcomed(connection: Connection, message: WelcomeMessage): void;
  /** The server does not know the session any more; `received` and `sent` are what it can tell of it. */
  sessionLost(error: NyotaError, received: number | undefined, sent: number | undefined): void;
  /** The next attempt is `delayMs` away. */
  waiting(attempt: number, delayMs: number, error: NyotaError | undefined): void;
  /** There will be no further attempt: the error forbids it, or reconnecting is off. */
  gaveUp(error: NyotaError): void;
}

/**
 * How long to wait before the next attempt to connect: exponential, with full jitter, which best spreads the clients of a
 * server that fell over (docs/design.md, rule 9). p-retry caps after randomising, so that late attempts of all clients would
 * come at the same moment: its delays are not used. Pure: random is handed in.
 *
 * @param failures attempts that have failed since a connection lived; from 1
 * @param random from 0 to 1
 * @returns whole milliseconds
 */
export function reconnectDelay(failures: number, options: ReconnectOptions, random: () => number): number {
  const ceiling = Math.min(options.maxDelayMs, options.minDelayMs * options.factor ** (failures - 1));
  return Math.round(options.jitter === 'full' ? random() * ceiling : ceiling);
}

export class Connector {
  readonly #options: ResolvedClientOptions;
  readonly #client: Connectable;
  readonly #handles = new Handles();
  /** The back-off; undefined: one attempt alone, and none after a connection is lost. */
  schedule: ReconnectOptions | undefined;
  #state: Dialling = 'idle';
  #run: AbortController | undefined;
  /** Attempts that failed since a connection lived. */
  #failures = 0;
  #lastError: NyotaError | undefined;
  /** Ends the wait that is going on. */
  #skipWait: (() => void) | undefined;
  /** Which of the servers is next; grows with each that failed. */
  #server = 0;
  /** For the first connection, where the user brought it. */
  #socket: SocketLike | undefined;

  constructor(options: ResolvedClientOptions, client: Connectable) {
    this.#options = options;
    this.#client = client;
    this.schedule = options.reconnect ? options.schedule : undefined;
    this.#socket = options.socket;
  }

  get state(): Dialling {
    return this.#state;
  }

  /** True while it dials, or waits to dial. */
  get running(): boolean {
    return this.#run !== undefined;
  }

  /** False once the user's socket is used up and there is nothing else to dial. */
  get canDial(): boolean {
    return (
      this.#socket !== undefined ||
      this.#options.servers.length > 0 ||
      this.#options.createConnection !== undefined
    );
  }

  /** False after `unref`. */
  get refd(): boolean {
    return this.#handles.refd;
  }

  /** Sockets and timers hold the process, also those that come later; the default. */
  ref(): void {
    this.#handles.ref();
  }

  unref(): void {
    this.#handles.unref();
  }

  /** Begins, unless it is under way already. */
  start(): void {
    if (this.#run !== undefined) return;
    const run = new AbortController();
    this.#run = run;
    const ended = (error?: unknown): void => {
      if (this.#run !== run) return; // stopped meanwhile
      this.#run = undefined;
      this.#state = 'idle';
      if (error === undefined) return;
      this.#client.gaveUp(error instanceof NyotaError ? error : listenerFailed('connecting', error));
    };
    pRetry(() => this.#tryOnce(run.signal), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0, // the delays are ours, see reconnectDelay
      signal: run.signal,
      shouldRetry: ({ error }) => this.schedule !== undefined && (error as NyotaError).retry !== 'never',
    }).then(() => ended(), ended);
  }

  /** The attempt has a connection. It may be gone again before the promise of the attempt is settled. */
  succeeded(): void {
    this.#run = undefined;
    this.#state = 'idle';
  }

  /** A connection that lived is gone: the next delay is the first again. One that did not live counts as a failure. */
  lost(lived: boolean, error: NyotaError | undefined): void {
    this.#failures = lived ? 1 : this.#failures + 1;
    this.#lastError = error;
  }

  /** The next attempt is made at once. */
  hurry(): void {
    this.#failures = 0;
    this.#lastError = undefined;
    this.#skipWait?.();
  }

  /** The next attempt is for the next server. */
  advance(): void {
    this.#server++;
  }

  /** No further attempt. One that is under way is broken off. */
  stop(reason: NyotaError): void {
    const run = this.#run;
    this.#run = undefined;
    this.#state = 'idle';
    run?.abort(reason);
    this.#skipWait?.();
  }

  /** The client is over. A socket that the user brought and that was never used is destroyed. */
  dispose(reason: NyotaError): void {
    this.stop(reason);
    this.#socket?.on('error', () => {});
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #tryOnce(signal: AbortSignal): Promise<void> {
    if (this.#failures > 0 && this.schedule !== undefined) await this.#wait(this.schedule);
    if (signal.aborted) throw signal.reason;
    this.#state = 'connecting';
    try {
      await this.attempt(signal);
    } catch (error) {
      const known =
        error instanceof NyotaError
          ? error
          : new NyotaError('NYOTA_INTERNAL', 'connecting failed', { cause: error });
      // One that was broken off tells nothing about the server.
      if (!signal.aborted) {
        this.#failures++;
        this.#lastError = known;
      }
      throw known;
    }
  }

  #wait(schedule: ReconnectOptions): Promise<void> {
    const { clock, random } = this.#options;
    const asked = this.#lastError?.retryAfterMs ?? 0;
    const delayMs = Math.max(asked, reconnectDelay(this.#failures, schedule, random));
    return new Promise((resolve) => {
      const timer: ClockTimer = clock.setTimeout(() => done(), delayMs);
      const done = (): void => {
        clock.clearTimeout(timer);
        this.#handles.delete(timer);
        this.#skipWait = undefined;
        resolve();
      };
      this.#handles.add(timer);
      this.#skipWait = done;
      this.#state = 'backing-off';
      this.#client.waiting(this.#failures, delayMs, this.#lastError);
    });
  }

  /**
   * One attempt; where the server has lost the session, it goes on with a new one. Resolves once the client has a
   * connection. Rejects with the NyotaError that says why it has none.
   */
  protected async attempt(signal: AbortSignal): Promise<void> {
    try {
      await this.#connectOnce(signal);
    } catch (error) {
      if (!(error instanceof Rejected)) throw this.#final(error);
      if (error.error.retry !== 'new-session') throw this.#final(error.error);
      this.#client.sessionLost(error.error, error.message.received, error.message.sent);
      await this.#connectOnce(signal).catch((again: unknown) => {
        throw again instanceof Rejected ? again.error : again;
      });
    }
  }

  /** Where there is nothing left to dial, no error is worth another attempt. */
  #final(error: unknown): unknown {
    if (this.canDial || !(error instanceof NyotaError)) return error;
    const { code, message, cause } = error;
    return new NyotaError(code, message, { cause, retry: 'never' });
  }

  async #connectOnce(signal: AbortSignal): Promise<void> {
    const auth = await this.#credentials();
    const number = await this.#client.nextAttempt();
    if (signal.aborted) throw signal.reason;
    const socket = await this.#open(signal);
    this.#state = 'opening';
    try {
      await this.#shakeHands(socket, this.#client.openMessage(number, auth), signal);
    } catch (error) {
      // A server that has only lost the session is the right one for a new session.
      if (!(error instanceof Rejected && error.error.retry === 'new-session')) this.advance();
      throw error;
    }
  }

  /** Asked for anew at every attempt. Rejects with `NYOTA_AUTH_FAILED` if the user's function does. */
  async #credentials(): Promise<unknown> {
    const { auth } = this.#options;
    if (typeof auth !== 'function') return auth ?? null;
    try {
      return (await auth()) ?? null;
    } catch (cause) {
      throw new NyotaError('NYOTA_AUTH_FAILED', "the client's own auth function failed", { cause });
    }
  }

  /** A connected socket. Rejects with `NYOTA_CONNECT_FAILED` or `NYOTA_CONNECT_TIMEOUT`, and advances then. */
  async #open(signal: AbortSignal): Promise<SocketLike> {
    const { servers } = this.#options;
    const own = this.#socket;
    this.#socket = undefined;
    const createConnection = own === undefined ? this.#options.createConnection : (): SocketLike => own;
    // Undefined if only the user's own function knows where to.
    const address = own === undefined ? servers[this.#server % Math.max(1, servers.length)] : undefined;
    try {
      const socket = await dial(address, {
        ...this.#options,
        createConnection,
        signal,
        handles: this.#handles,
      });
      this.#handles.add(socket);
      socket.once('close', () => this.#handles.delete(socket));
      return socket;
    } catch (error) {
      this.advance();
      throw error;
    }
  }

  /**
   * The client's half of a handshake: sends OPEN, and hears WELCOME or REJECT within the deadline. Resolves once the client
   * has taken the connection over. Rejects with a NyotaError, or a `Rejected` where the server said no.
   */
  #shakeHands(socket: SocketLike, message: OpenMessage, signal: AbortSignal): Promise<void> {
    const { limits, clock } = this.#options;
    let open: Buffer;
    try {
      open = openFrame(message);
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
            this.#client.welcomed(connection, parseWelcome(body()));
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
}

/** The server's refusal: an error, and what the server knows of a session that is gone. */
class Rejected {
  readonly error: NyotaError;
  readonly message: RejectMessage;

  constructor(message: RejectMessage) {
    this.error = closeError(message);
    this.message = message;
  }
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

/** What holds the process for a client: sockets and timers. `ref` and `unref` act on all, also on those that come later. */
class Handles implements HandleSet {
  readonly #handles = new Set<Refable>();
  #refd = true;

  get refd(): boolean {
    return this.#refd;
  }

  add(handle: Refable): void {
    this.#handles.add(handle);
    if (!this.#refd) handle.unref?.();
  }

  delete(handle: Refable): void {
    this.#handles.delete(handle);
  }

  ref(): void {
    this.#refd = true;
    for (const handle of this.#handles) handle.ref?.();
  }

  unref(): void {
    this.#refd = false;
    for (const handle of this.#handles) handle.unref?.();
  }
}
