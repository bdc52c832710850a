/**
 * One proxied connection: the socket that the client opened, the one to the target, and a lane each way.
 * May import node:net, direction, fault-lane and real-timers.
 *
 *      dialling ──target there──▶ open ──planned cut reached──▶ cutting ──flushed──▶ closed
 *          └─────────────────────── cut(), both sockets closed ───────────────────────┘
 */

import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { type Direction, type OneWay, waysOf } from './direction.js';
import { FaultLane, type LaneFaults, type LaneOwner } from './fault-lane.js';
import { clearTimeout, setTimeout } from './real-timers.js';

/** A cut that is to come after some bytes. */
export interface CutPlan {
  /** Bytes that still pass before the cut. */
  bytes: number;
  /** Where they are counted; `both`: the sum. */
  direction: Direction;
}

export interface FaultPairOwner {
  passed(way: OneWay, bytes: number): void;
  lost(bytes: number): void;
  /** The connection was cut: by a call, by a plan, or because bytes were lost. Called once at most, and before `closed`. */
  cut(pair: FaultPair): void;
  /** The connection is over, cut or not. Called once. */
  closed(pair: FaultPair): void;
  random(): number;
}

/** How long the other side may take to close after a planned cut's last byte. Its unread answers would destroy that byte. */
const LINGER_MS = 1_000;

/** Closes as by a RST, where the kind of socket has one. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  // A pipe has no RST, and a socket that is not connected nobody to send it to.
  if (socket.connecting || socket.remoteAddress === undefined) socket.destroy();
  // libuv refuses to reset a socket while it is being shut down, and Node would then never close it. The shutdown takes only
  // a moment, since everything is written.
  else if (isShuttingDown(socket)) socket.once('finish', () => resetSocket(socket));
  else socket.resetAndDestroy();
}

/** True while the socket's end is being sent: the only time at which it can't be reset. */
function isShuttingDown(socket: Socket): boolean {
  return socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
}

export class FaultPair implements LaneOwner {
  readonly id: number;
  readonly sockets: Record<'client' | 'target', Socket>;
  readonly bytes: Record<OneWay, number> = { up: 0, down: 0 };
  readonly #faults: LaneFaults;
  readonly #owner: FaultPairOwner;
  #state: 'dialling' | 'open' | 'cutting' | 'closed' = 'dialling';
  #lanes: FaultLane[] = [];
  #plan: CutPlan | undefined;

  constructor(id: number, client: Socket, target: NetConnectOpts, faults: LaneFaults, owner: FaultPairOwner) {
    this.id = id;
    this.#faults = faults;
    this.#owner = owner;
    const upstream = connect({ ...target, allowHalfOpen: true, noDelay: true });
    this.sockets = { client, target: upstream };
    upstream.on('error', () => {}); // 'close' tells the rest
    upstream.once('connect', () => this.#start());
    for (const socket of [client, upstream]) socket.once('close', () => this.#oneClosed());
  }

  /** True until it is cut or over. */
  get alive(): boolean {
    return this.#state === 'dialling' || this.#state === 'open';
  }

  /** Cuts after so many more bytes; undefined takes the plan back. */
  planCut(plan: CutPlan | undefined): void {
    this.#plan = plan === undefined ? undefined : { ...plan };
    if (plan?.bytes === 0) this.cut();
  }

  /** True once the planned cut came about. */
  get planDone(): boolean {
    return this.#plan?.bytes === 0;
  }

  /** The faults changed. */
  update(): void {
    for (const lane of this.#lanes) lane.update();
  }

  /** Resets both sides, now. */
  cut(): void {
    if (this.#state === 'closed') return;
    this.#stopLanes();
    this.destroy();
    this.#close(true);
  }

  /** Resets both sides without calling it a cut. */
  destroy(): void {
    for (const socket of Object.values(this.sockets)) resetSocket(socket);
  }

  allowance(way: OneWay): number {
    const plan = this.#plan;
    return plan !== undefined && waysOf(plan.direction).includes(way) ? plan.bytes : Number.POSITIVE_INFINITY;
  }

  passed(way: OneWay, bytes: number): void {
    this.bytes[way] += bytes;
    this.#owner.passed(way, bytes);
    const plan = this.#plan;
    if (plan === undefined || !waysOf(plan.direction).includes(way)) return;
    plan.bytes -= bytes;
    if (plan.bytes === 0) this.#cutBehind(plan.direction);
  }

  lost(bytes: number): void {
    this.#owner.lost(bytes);
  }

  passReset(way: OneWay): void {
    resetSocket(way === 'up' ? this.sockets.target : this.sockets.client);
  }

  holeFound(): void {
    this.cut();
  }

  random(): number {
    return this.#owner.random();
  }

  #start(): void {
    if (this.#state !== 'dialling') return;
    this.#state = 'open';
    const { client, target } = this.sockets;
    for (const way of waysOf('both')) {
      const [source, sink] = way === 'up' ? [client, target] : [target, client];
      this.#lanes.push(new FaultLane(way, source, sink, this.#faults, this));
    }
  }

  /**
   * Cuts behind bytes that have been written and must arrive: a RST to their receiver could destroy them on
   * its side, so it gets the end of the stream right behind them, and the other side the RST.
   */
  #cutBehind(direction: Direction): void {
    this.#state = 'cutting';
    this.#stopLanes();
    const receivers = waysOf(direction).map((way) =>
      way === 'up' ? this.sockets.target : this.sockets.client,
    );
    let unflushed = receivers.length;
    for (const socket of receivers) {
      let counted = false;
      const flushed = () => {
        if (counted) return;
        counted = true;
        unflushed -= 1;
        if (!socket.destroyed) {
          const linger = setTimeout(() => socket.destroy(), LINGER_MS);
          socket.once('close', () => clearTimeout(linger));
        }
        if (unflushed === 0) this.#finishCut(receivers);
      };
      socket.once('close', flushed);
      socket.once('finish', flushed);
      if (socket.writableFinished || socket.destroyed) flushed();
      else socket.end();
    }
  }

  #finishCut(receivers: readonly Socket[]): void {
    for (const socket of Object.values(this.sockets)) if (!receivers.includes(socket)) resetSocket(socket);
    this.#close(true);
  }

  #stopLanes(): void {
    for (const lane of this.#lanes) lane.stop();
  }

  #oneClosed(): void {
    const { client, target } = this.sockets;
    // The target never answered, or the client left before it did: nothing is there to pass on.
    if (this.#state === 'dialling') this.destroy();
    if (client.closed && target.closed && this.#state !== 'cutting') this.#close(false);
  }

  #close(wasCut: boolean): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#stopLanes();
    if (wasCut) this.#owner.cut(this);
    this.#owner.closed(this);
  }
}
