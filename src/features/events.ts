/**
 * Events: what one side emits, the other side's listeners hear. EVENT frames are in order and exactly once while the session
 * lives; VOLATILE ones go at most once, unnumbered, and are dropped where there is no connection or nothing may be dispatched.
 * Touches the link, and its host for the listeners. Pure.
 *
 * An event is handled, for its acknowledgement, once all its listeners have run and settled.
 */
import { decodePayload } from '../codec/payload.js';
import type { PayloadLimits } from '../codec/scan.js';
import { NyotaError } from '../errors.js';
import { isLifecycleEvent } from '../lifecycle.js';
import type { Feature, FeatureTypes, FrameView } from '../link/feature.js';
import type { Link, LinkHost } from '../link/link.js';
import { type Body, bytesOf } from '../link/outbox.js';
import type { TrackOptions } from '../link/tracker.js';
import { Flag } from '../wire/constants.js';
import { bodyOf, wrongField } from '../wire/messages.js';

export const EventFrame = { EVENT: 0x10, VOLATILE: 0x14 } as const;

/** The body of both: `[event, args]`. */
export type EventBody = readonly [event: string, args: unknown[]];

/** Nothing here may throw into the session. */
export interface EventsHost extends LinkHost {
  /**
   * Runs the listeners of a remote event. A promise where one of them has not settled yet.
   *
   * @param seq the message's number in its session; 0 for one that has none
   * @param redelivered a process that died may have dispatched it before
   */
  dispatch(
    event: string,
    args: unknown[],
    seq: number,
    redelivered: boolean,
  ): PromiseLike<unknown> | undefined;
}

export class Events implements Feature {
  static readonly types: FeatureTypes = {
    sequenced: [EventFrame.EVENT],
    unsequenced: [EventFrame.VOLATILE],
  };

  readonly #link: Link;
  readonly #host: EventsHost;

  constructor(link: Link, host: EventsHost) {
    this.#link = link;
    this.#host = host;
  }

  /**
   * Sends an event. Returns false above the high-water mark. An encode that fails uses up no number, and a refused message leaves
   * nothing behind: all that can throw comes before the first change (docs/design.md, rule 11).
   * @throws NyotaError what can't travel, or does not fit
   */
  send(event: string, args: readonly unknown[], options?: TrackOptions): boolean {
    return this.#append(this.#link.encode([event, args], 1, 'args'), options);
  }

  /** The same for a body that was encoded once for many sessions: the other side may accept less than we do. */
  sendEncoded(body: Buffer): boolean {
    this.#link.assertAccepted(body);
    return this.#append(body, undefined);
  }

  /** Sends an event at most once. False if it was dropped. */
  sendVolatile(event: string, args: readonly unknown[]): boolean {
    this.#link.assertLive();
    const body = this.#link.encodeView([event, args], 1, 'args');
    return this.#link.sendUnsequenced(EventFrame.VOLATILE, Flag.OPTIONAL, body);
  }

  decode(frame: FrameView, limits: PayloadLimits): EventBody {
    const body = parseEventBody(decodePayload(frame.source, frame.start, frame.end, limits, frame.own));
    refuseReserved(body[0]);
    return body;
  }

  receive(_type: number, body: unknown, seq: number): boolean {
    // By index: taking an array apart by its iterator costs more.
    const event = (body as EventBody)[0];
    const link = this.#link;
    const settling = this.#host.dispatch(event, (body as EventBody)[1], seq, link.wasDispatched(seq));
    if (settling === undefined || seq === 0) return true;
    this.#settleWith(seq, event, settling);
    return false;
  }

  receiveUnsequenced(frame: FrameView, blocked: boolean): void {
    const { counters, limits } = this.#link;
    const [event, args] = this.decode(frame, limits);
    if (blocked) counters.volatileDropped++;
    else this.#host.dispatch(event, args, 0, false);
  }

  withdrawn(_type: number, _seq: number, error: NyotaError): void {
    this.#host.report(error);
  }

  wanted(): () => boolean {
    return () => true;
  }

  keepsHeld(): boolean {
    return true;
  }

  end(): void {}

  #append(body: Body, options: TrackOptions | undefined): boolean {
    const link = this.#link;
    link.assertRoom(bytesOf(body));
    const urgent = options?.onAck === undefined ? 0 : Flag.ACK_NOW;
    const seq = link.append(EventFrame.EVENT, urgent, body);
    if (options !== undefined) link.track(seq, options);
    return link.hasRoom;
  }

  // Not within `receive`, where a closure would cost every event the memory of what it captures.
  #settleWith(seq: number, event: string, settling: PromiseLike<unknown>): void {
    const link = this.#link;
    const epoch = link.begin(seq, this.#host.now(), event);
    const settled = () => link.settled(seq, epoch);
    settling.then(settled, settled);
  }
}

export function parseEventBody(value: unknown): EventBody {
  const body = bodyOf(value, 'EVENT', 2);
  if (typeof body[0] !== 'string') wrongField('EVENT', 'event', 'a string');
  if (!Array.isArray(body[1])) wrongField('EVENT', 'args', 'an array');
  return body as unknown as EventBody;
}

/** Refuses the names of nyota's own events: the other side can neither cause nor fake one (docs/design.md, rule 60). */
export function refuseReserved(event: string): void {
  if (!isLifecycleEvent(event)) return;
  throw new NyotaError('NYOTA_RESERVED_EVENT', `the event name '${event}' is reserved`);
}
