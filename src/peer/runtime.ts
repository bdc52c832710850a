/**
 * Carries out a session on a real connection and a real clock: pumps what the session wants written, feeds it what
 * arrives, and keeps the one timer that wakes it. The peer says what is to be done with events.
 */
import type { Clock, ClockTimer } from '../clock.js';
import { decodePayload } from '../codec/payload.js';
import { NyotaError } from '../errors.js';
import type { RunningRequest } from '../features/requests.js';
import { type Role, SessionCore, type SessionHost } from '../features/session-core.js';
import type { Conflict } from '../features/store/replica.js';
import type { Change } from '../features/store/writes.js';
import type { Journal, Keeper } from '../link/journal.js';
import type { Connection, ConnectionReader } from '../net/connection.js';
import type { Limits } from '../options.js';
import type { CoreImage } from '../stores/session-store.js';
import { FrameType } from '../wire/constants.js';
import type { FrameDecoder } from '../wire/frame-decoder.js';
import { parseClose, type WireLimits } from '../wire/messages.js';
import { type Planned, planFlush } from './flush-queue.js';
import { closeError, closeFrame } from './last-words.js';

/** What a peer does for its runtime: the session's actions that concern users, and the ends of connections. */
export interface RuntimeHooks
  extends Pick<
    SessionHost,
    'dispatch' | 'handle' | 'changed' | 'conflicted' | 'drain' | 'settled' | 'report'
  > {
  /** The session's connection is gone. `said`: the other side's last words were a CLOSE. */
  detached(error: NyotaError | undefined, said: boolean): void;
  /** A frame that belongs to the side, not to the session: GOAWAY. True where it was one. */
  sideFrame(frame: FrameDecoder): boolean;
  /** Whether pending work of this session keeps the process alive. */
  holdsProcess(): boolean;
}

export class Runtime implements SessionHost {
  readonly core: SessionCore;
  readonly #clock: Clock;
  readonly #hooks: RuntimeHooks;
  #connection: Connection | undefined;
  #generation = 0;
  #planned: Planned | undefined;
  #timer: ClockTimer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(role: Role, limits: Limits, clock: Clock, hooks: RuntimeHooks) {
    this.#clock = clock;
    this.#hooks = hooks;
    this.core = new SessionCore(role, limits, this);
  }

  /** The session is kept in a durable store from here on; with an image, it is taken over from there. */
  keepInStore(keeper: Keeper, image: CoreImage | undefined): void {
    this.core.link.keepInStore(keeper, image);
  }

  /** In a durable store; undefined without one. */
  get journal(): Journal | undefined {
    return this.core.link.journal;
  }

  get connection(): Connection | undefined {
    return this.#connection;
  }

  /**
   * A connection has shaken hands: the session goes on over it. One that it had before is told that it was taken over.
   * The handshake's answer is the first thing written.
   */
  attach(connection: Connection, theirs: WireLimits, received: number, answer?: Buffer): void {
    const old = this.#connection;
    // What the session asks for while it attaches is meant for the new connection.
    this.#connection = connection;
    let generation: number;
    try {
      generation = this.core.link.attach(theirs, received);
    } catch (error) {
      this.#connection = old;
      throw error;
    }
    this.#generation = generation;
    this.core.link.counters.bytesReceived += connection.bytesRead;
    if (answer !== undefined) connection.write(answer);
    connection.read(new Runtime.#Reader(this, connection, generation));
    old?.end(closeFrame(new NyotaError('NYOTA_TAKEN_OVER', 'another connection has resumed this session')));
  }

  /** Ends the connection, telling the other side why. The session stays, detached. */
  close(error: NyotaError): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    // What was queued goes out before the last words.
    this.#pump(connection, this.#generation);
    connection.end(closeFrame(error), error);
  }

  /** Cuts the connection without a word. */
  cut(error?: NyotaError): void {
    this.#connection?.destroy(error);
  }

  /** The session is over: nothing is left running. */
  end(error: NyotaError): void {
    this.core.link.end(error);
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  now(): number {
    return this.#clock.now();
  }

  dispatch(
    event: string,
    args: unknown[],
    seq: number,
    redelivered: boolean,
  ): PromiseLike<unknown> | undefined {
    return this.#hooks.dispatch(event, args, seq, redelivered);
  }

  handle(
    event: string,
    args: unknown[],
    request: RunningRequest,
    done: (ok: boolean, value: unknown) => void,
  ): boolean {
    return this.#hooks.handle(event, args, request, done);
  }

  changed(changes: readonly Change[], local: boolean): void {
    this.#hooks.changed(changes, local);
  }

  conflicted(conflicts: readonly Conflict[]): void {
    this.#hooks.conflicted(conflicts);
  }

  drain(): void {
    this.#hooks.drain();
  }

  settled(): void {
    this.#hooks.settled();
  }

  report(error: NyotaError): void {
    this.#hooks.report(error);
  }

  setReading(reading: boolean): void {
    this.#connection?.setReading(reading);
  }

  fail(error: NyotaError): void {
    this.close(error);
  }

  /** Everything that this tick brings goes out as one write, after it. */
  wake(): void {
    if (this.#connection === undefined && this.journal === undefined) return;
    this.#planned = planFlush(this, this.#planned);
  }

  /** For the queue that `wake` has put it into. */
  flush(): void {
    this.#planned = undefined;
    this.journal?.flush();
    if (this.#connection !== undefined) this.#pump(this.#connection, this.#generation);
  }

  rearm(): void {
    if (this.core.link.state.is === 'ended') return;
    const at = Math.min(
      this.core.link.nextDeadline,
      this.#connection?.nextDeadline ?? Number.POSITIVE_INFINITY,
    );
    // A timer that fires too early only looks again; moving it for every message would cost more.
    if (at >= this.#timerAt || at === Number.POSITIVE_INFINITY) return;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = this.#clock.setTimeout(this.#onTimer, Math.max(0, Math.ceil(at - this.#clock.now())));
    if (!this.#hooks.holdsProcess()) this.#timer.unref?.();
  }

  /** Whether the process is held has changed. */
  reholdProcess(): void {
    if (this.#timer === undefined) return;
    if (this.#hooks.holdsProcess()) this.#timer.ref?.();
    else this.#timer.unref?.();
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const overdue = this.#connection?.overdue(this.#clock.now(), this.core.link.peerPaused);
    if (overdue !== undefined) this.cut(overdue);
    this.core.link.tick();
    this.rearm();
  };

  #pump(connection: Connection, generation: number): void {
    let corked = false;
    while (connection.canWrite) {
      const piece = this.core.link.pull(generation);
      if (piece === undefined) break;
      // Most often there is but one piece, and nothing has to be held together.
      const { hasMore } = this.core.link;
      if (hasMore && !corked) {
        corked = true;
        connection.cork();
      }
      connection.write(piece);
      if (!hasMore) break;
    }
    if (corked) connection.uncork();
    if (!connection.canWrite) this.rearm();
  }

  /** Reads one connection for the session. A class: a literal of closures for each would weigh on idle sessions. */
  static readonly #Reader = class implements ConnectionReader {
    readonly #runtime: Runtime;
    readonly #ownConnection: Connection;
    readonly #ownGeneration: number;
    /** The other side's last words were a CLOSE. */
    #said = false;

    constructor(runtime: Runtime, connection: Connection, generation: number) {
      this.#runtime = runtime;
      this.#ownConnection = connection;
      this.#ownGeneration = generation;
    }

    chunkStart(bytes: number): boolean {
      return this.#runtime.core.link.chunkStart(this.#ownGeneration, bytes);
    }

    frame(frame: FrameDecoder): void {
      const runtime = this.#runtime;
      const { link } = runtime.core;
      if (frame.type === FrameType.CLOSE && this.#ownGeneration === runtime.#generation) {
        const body = decodePayload(frame.source, frame.start, frame.end, link.limits);
        const reason = closeError(parseClose(body));
        this.#said = true;
        this.#ownConnection.end(undefined, reason);
      } else if (runtime.#hooks.sideFrame(frame)) {
        link.countControl(this.#ownGeneration);
      } else {
        link.receive(this.#ownGeneration, frame);
      }
    }

    chunkEnd(): void {
      this.#runtime.core.link.chunkEnd(this.#ownGeneration);
      if (this.#ownConnection.nextDeadline !== Number.POSITIVE_INFINITY) this.#runtime.rearm();
    }

    writable(): void {
      this.#runtime.#pump(this.#ownConnection, this.#ownGeneration);
    }

    lastWords(error: NyotaError): Buffer {
      return closeFrame(error);
    }

    closed(error: NyotaError | undefined): void {
      const runtime = this.#runtime;
      if (!runtime.core.link.detach(this.#ownGeneration)) return;
      runtime.#connection = undefined;
      runtime.#hooks.detached(error, this.#said);
    }
  };
}
