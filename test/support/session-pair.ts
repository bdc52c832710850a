/**
 * A session of two sides without sockets: two links with one clock, joined by byte lanes that a test can slice, delay, and
 * cut at any byte. Handshakes are frames in the lanes as well, so a cut may lose a WELCOME.
 *
 *   pair.connect();  pair.client.send('hello');  await pair.settle();
 *
 * Nothing happens by itself: bytes move with `deliver` and `settle`, time with `advance`.
 */

import { decodePayload } from '../../src/codec/payload.js';
import { NyotaError } from '../../src/errors.js';
import type { Role } from '../../src/features/session-core.js';
import { announced } from '../../src/link/link.js';
import type { LimitOptions } from '../../src/options.js';
import { SECRET_BYTES } from '../../src/peer/credentials.js';
import { encodeFrame } from '../../src/wire/frame-encoder.js';
import { encodeOpen, encodeWelcome, parseOpen, parseWelcome } from '../../src/wire/messages.js';
import { FrameType } from './frame-type.js';
import { SessionLane } from './session-lane.js';
import { microtasks, SessionSide, type SideWorld } from './session-side.js';

export interface PairOptions {
  readonly client?: LimitOptions;
  readonly server?: LimitOptions;
  /** Bytes that a lane holds before its writer has to wait. Default 64 KiB. */
  readonly laneBytes?: number;
}

/** One connection as one side knows it. */
interface End {
  /** Undefined before the handshake is through. */
  generation: number | undefined;
  /** Its writer had to stop: it goes on once there is room. */
  full: boolean;
  readonly inward: SessionLane;
  readonly outward: SessionLane;
}

/** More rounds than this without coming to rest are taken for a loop. */
const MAX_ROUNDS = 20_000;

export class SessionPair implements SideWorld {
  readonly client: SessionSide;
  server: SessionSide;
  /** Why connections were broken off, other than by the test. */
  readonly failures: Array<{ role: Role; error: NyotaError }> = [];
  readonly #options: PairOptions;
  readonly #laneBytes: number;
  readonly #ends: { client: End | undefined; server: End | undefined } = {
    client: undefined,
    server: undefined,
  };
  #now = 1_000_000;
  #established = false;

  constructor(options: PairOptions = {}) {
    this.#options = options;
    this.client = new SessionSide('client', options.client ?? {}, this);
    this.server = new SessionSide('server', options.server ?? {}, this);
    this.#laneBytes = options.laneBytes ?? 64 * 1024;
  }

  now(): number {
    return this.#now;
  }

  failed(side: SessionSide, error: NyotaError): void {
    this.failures.push({ role: side.role, error });
    this.cut();
  }

  /** Dials: what was there before is dropped by the client, and the OPEN is on its way. */
  connect(): void {
    this.#detach('client');
    const { client, server } = this;
    const up = new SessionLane(server.core.link.limits.maxFrameBytes);
    const down = new SessionLane(client.core.link.limits.maxFrameBytes);
    this.#ends.client = { generation: undefined, full: false, inward: down, outward: up };
    this.#pendingServerEnd = { generation: undefined, full: false, inward: up, outward: down };
    const open = encodeOpen({
      features: 0,
      secret: Buffer.alloc(SECRET_BYTES),
      resume: this.#established,
      received: client.core.link.inbox.received,
      limits: announced(client.core.link.limits),
      auth: null,
      sent: 0,
      attempt: 0,
    });
    up.write(encodeFrame(FrameType.OPEN, {}, open));
  }

  /** The server's end of a connection whose OPEN it has not read. */
  #pendingServerEnd: End | undefined;

  /** True where the client has a connection, or is in a handshake. */
  get connecting(): boolean {
    return this.#ends.client !== undefined;
  }

  /** Cuts the connection, at the byte where it is; `unnoticedBy` that side for now. */
  cut(unnoticedBy?: Role): void {
    if (unnoticedBy !== 'client') this.#detach('client');
    if (unnoticedBy !== 'server') this.#detach('server');
    this.#pendingServerEnd = undefined;
    // A side that did not notice writes into a lane that nobody reads.
    for (const role of ['client', 'server'] as const) {
      const end = this.#ends[role];
      if (end === undefined) continue;
      const { generation } = end;
      this.#ends[role] = { generation, full: false, inward: new SessionLane(1), outward: new SessionLane(1) };
    }
  }

  /**
   * The server loses the session, and the client begins another with what was never handled; `connect` is next.
   *
   * @param handled up to where the client is told that the server had dispatched; undefined: nobody knows
   * @param carryStore false: the server forgot the session on purpose
   */
  loseSession(handled: number | undefined, carryStore = true): { uncertain: number } {
    this.cut();
    this.server.core.link.end(new NyotaError('NYOTA_CLOSED', 'the server lost the session'));
    this.server = new SessionSide('server', this.#options.server ?? {}, this);
    this.#established = false;
    const error = new NyotaError('NYOTA_SESSION_LOST', 'the session is over');
    return this.client.core.link.restart(handled, error, carryStore);
  }

  /** Bytes on their way to a side. */
  inFlight(to: Role): number {
    return this.#inwardEnd(to)?.inward.bytes ?? 0;
  }

  /** Hands up to so many bytes to a side, as one chunk. False where there is nothing, or it does not read. */
  deliver(to: Role, maxBytes = Number.POSITIVE_INFINITY): boolean {
    const side = this[to];
    const end = this.#inwardEnd(to);
    if (end === undefined || end.inward.bytes === 0) return false;
    if (end.generation !== undefined && !side.reading) return false;
    const chunk = end.inward.read(maxBytes);
    try {
      this.#receive(side, end, chunk);
    } catch (error) {
      this.failed(side, error as NyotaError);
    }
    this.pump();
    return true;
  }

  /** Writes what the sides want written, as far as there is room. A side that has not asked for it (`wake`) writes nothing. */
  pump(): void {
    for (const role of ['client', 'server'] as const) {
      const side = this[role];
      const end = this.#ends[role];
      const asked = side.woken;
      side.woken = false;
      if (end?.generation === undefined || !(asked || end.full)) continue;
      end.full = true;
      while (end.outward.bytes < this.#laneBytes) {
        const piece = side.core.link.pull(end.generation);
        end.full = piece !== undefined;
        if (piece === undefined) break;
        end.outward.write(piece);
      }
    }
  }

  /** Delivers all that is on its way, and lets promises settle, until nothing moves. Time stands still. */
  async settle(chunkBytes = Number.POSITIVE_INFINITY): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      await microtasks();
      this.pump();
      const moved = [this.deliver('server', chunkBytes), this.deliver('client', chunkBytes)];
      if (!moved.includes(true) && !this.client.woken && !this.server.woken) return;
    }
    throw new Error('the pair does not come to rest: something is sent for ever');
  }

  /** Moves time on, firing each side's timer where it is due and delivering in between (or not, with `deliver` false). */
  async advance(ms: number, { deliver = true } = {}): Promise<void> {
    const target = this.#now + ms;
    let firedAt = 0;
    let fired = 0;
    for (;;) {
      if (deliver) await this.settle();
      const at = Math.min(this.client.timerAt, this.server.timerAt);
      if (at > target) break;
      this.#now = Math.max(this.#now, at);
      fired = firedAt === this.#now ? fired + 1 : 0;
      firedAt = this.#now;
      if (fired > 100) throw new Error(`a timer sets itself again without end at ${this.#now}`);
      for (const side of [this.client, this.server]) if (side.timerAt <= this.#now) side.fireTimer();
      this.pump();
    }
    this.#now = target;
    if (deliver) await this.settle();
  }

  /** Moves time on without firing any timer: a process that stood still. */
  standStill(ms: number): void {
    this.#now += ms;
  }

  #inwardEnd(to: Role): End | undefined {
    return to === 'server' ? (this.#pendingServerEnd ?? this.#ends.server) : this.#ends.client;
  }

  #detach(role: Role): void {
    const generation = this.#ends[role]?.generation;
    this.#ends[role] = undefined;
    if (generation !== undefined) this[role].core.link.detach(generation);
    this[role].reading = true;
  }

  #receive(side: SessionSide, end: End, chunk: Buffer): void {
    const { decoder } = end.inward;
    const { core } = side;
    let opened = end.generation !== undefined;
    if (end.generation !== undefined) core.link.chunkStart(end.generation, chunk.length);
    decoder.push(chunk);
    while (this.#inwardEnd(side.role) === end && decoder.next()) {
      if (end.generation !== undefined) {
        core.link.receive(end.generation, decoder);
        continue;
      }
      const body = decodePayload(decoder.source, decoder.start, decoder.end, core.link.limits);
      if (side.role === 'server') this.#welcome(end, body);
      else this.#welcomed(end, body);
      opened = true;
    }
    if (opened && end.generation !== undefined) core.link.chunkEnd(end.generation);
  }

  #welcome(end: End, body: unknown): void {
    const open = parseOpen(body);
    const { core } = this.server;
    const diverged = core.link.diverged(open.received);
    if (diverged !== undefined) throw diverged;
    const welcome = encodeWelcome({
      features: 0,
      sessionId: 'session',
      resumed: open.resume,
      received: core.link.inbox.received,
      limits: announced(core.link.limits),
      sent: core.link.outbox.sentSeq,
    });
    this.#pendingServerEnd = undefined;
    this.#ends.server = end;
    this.server.reading = true;
    end.generation = core.link.attach(open.limits, open.received);
    end.outward.write(encodeFrame(FrameType.WELCOME, {}, welcome));
  }

  #welcomed(end: End, body: unknown): void {
    const welcome = parseWelcome(body);
    const { core } = this.client;
    const diverged = core.link.diverged(welcome.received);
    if (diverged !== undefined) throw diverged;
    this.#established = true;
    end.generation = core.link.attach(welcome.limits, welcome.received);
  }
}
