/**
 * One side of a session without sockets or timers: a link and its features, what they asked their host for, and a user whose
 * listeners and handlers a test steers. Imports of `src/` what is pure; opens nothing.
 */
import { decodePayload, encodePayload } from '../../src/codec/payload.js';
import type { NyotaError } from '../../src/errors.js';
import type { RunningRequest } from '../../src/features/requests.js';
import type { SessionHost } from '../../src/features/session-core.js';
import { type Role, SessionCore } from '../../src/features/session-core.js';
import type { Conflict } from '../../src/features/store/replica.js';
import type { Change } from '../../src/features/store/writes.js';
import { type LimitOptions, readLimits } from '../../src/options.js';
import { deferred } from './deferred.js';

export type Done = (ok: boolean, value: unknown) => void;
export type Handler = (args: unknown[], request: RunningRequest, done: Done) => void;

/** What carries a side out: the pair that it belongs to, or a test. */
export interface SideWorld {
  now(): number;
  /** The side's connection must end. */
  failed(side: SessionSide, error: NyotaError): void;
}

export interface SideEvent {
  readonly event: string;
  readonly args: unknown[];
}

/** A promise and what settles it. */
export interface Settleable {
  readonly promise: Promise<void>;
  readonly settle: () => void;
}

export function settleable(): Settleable {
  const { promise, resolve } = deferred();
  return { promise, settle: resolve };
}

export class SessionSide implements SessionHost {
  readonly role: Role;
  readonly core: SessionCore;
  readonly #world: SideWorld;

  /** The events of the other side's, in the order of their dispatch. */
  readonly dispatched: SideEvent[] = [];
  /** The names of those that a process which died may have dispatched before. */
  readonly redelivered: string[] = [];
  readonly reports: NyotaError[] = [];
  readonly conflicts: Conflict[] = [];
  /** What the visible changes of the store add up to, by key. */
  readonly seen = new Map<string, unknown>();
  drains = 0;
  /** Called for a remote event; a promise where it settles later. */
  listener: (event: SideEvent) => PromiseLike<unknown> | undefined = () => undefined;
  readonly handlers = new Map<string, Handler>();
  /** Called for visible changes of the store. */
  onChanged: (changes: readonly Change[], local: boolean) => void = () => {};

  /** There is something to pull. */
  woken = false;
  /** When a pump's one timer would fire. */
  timerAt = Number.POSITIVE_INFINITY;
  reading = true;

  constructor(role: Role, options: LimitOptions, world: SideWorld) {
    this.role = role;
    this.#world = world;
    this.core = new SessionCore(role, readLimits(options), this);
  }

  now(): number {
    return this.#world.now();
  }

  dispatch(
    event: string,
    args: unknown[],
    _seq: number,
    redelivered: boolean,
  ): PromiseLike<unknown> | undefined {
    this.dispatched.push({ event, args });
    if (redelivered) this.redelivered.push(event);
    return this.listener({ event, args });
  }

  handle(event: string, args: unknown[], request: RunningRequest, done: Done): boolean {
    const handler = this.handlers.get(event);
    if (handler === undefined) return false;
    handler(args, request, done);
    return true;
  }

  changed(changes: readonly Change[], local: boolean): void {
    for (const { key, bytes } of changes) {
      if (bytes === undefined) this.seen.delete(key);
      else this.seen.set(key, decodePayload(bytes, 0, bytes.length, this.core.link.limits));
    }
    this.onChanged(changes, local);
  }

  conflicted(conflicts: readonly Conflict[]): void {
    this.conflicts.push(...conflicts);
  }

  wake(): void {
    this.woken = true;
  }

  rearm(): void {
    if (this.core.link.state.is === 'ended') return;
    this.timerAt = Math.min(this.timerAt, this.core.link.nextDeadline);
  }

  setReading(reading: boolean): void {
    this.reading = reading;
  }

  drain(): void {
    this.drains++;
  }

  settled(): void {}

  report(error: NyotaError): void {
    this.reports.push(error);
  }

  fail(error: NyotaError): void {
    this.#world.failed(this, error);
  }

  /** Fires the timer, as a pump does. */
  fireTimer(): void {
    this.timerAt = Number.POSITIVE_INFINITY;
    this.core.link.tick();
    this.rearm();
  }

  // What a user's calls come down to.

  send(event: string, args: unknown[] = [], onAck?: (error?: NyotaError) => void): boolean {
    return this.core.events.send(event, args, onAck === undefined ? undefined : { onAck });
  }

  /** Settles with `{ reply }` or `{ error }`. */
  request(
    event: string,
    args: unknown[],
    settle: (outcome: { reply?: unknown; error?: unknown }) => void,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): number {
    return this.core.requests.request(
      event,
      args,
      { timeoutMs },
      (reply) => settle({ reply }),
      (error) => settle({ error }),
    );
  }

  set(key: string, value: unknown, ttlMs?: number): void {
    const bytes = Buffer.from(encodePayload(value, this.core.link.limits, 'value'));
    this.core.store.write({ kind: 'set', key, bytes, ...(ttlMs === undefined ? {} : { ttlMs }) });
  }

  delete(key: string): void {
    this.core.store.write({ kind: 'delete', key });
  }

  /** The visible content of the store, sorted by key. */
  content(): Array<[key: string, value: unknown]> {
    const entries = [...this.core.store.keys()].map((key): [string, unknown] => {
      const bytes = this.core.store.get(key)?.bytes ?? Buffer.alloc(0);
      return [key, decodePayload(bytes, 0, bytes.length, this.core.link.limits)];
    });
    return entries.sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

/** Lets promises that have settled tell so. */
export async function microtasks(): Promise<void> {
  for (let i = 0; i < 5; i++) await undefined;
}
