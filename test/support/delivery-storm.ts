/**
 * One side of the storm: sends numbered events as fast as backpressure lets it, with requests, acknowledged events and
 * store writes among them, and notes everything that it hears.
 */
import type { Client, NyotaError, Session } from '../../src/index.js';
import { once } from './delivery-wait.js';

export interface StormSide {
  /** The numbers of the other side's events, as they were dispatched. */
  readonly heard: number[];
  /** How often the handler ran for each request. */
  readonly handled: Map<number, number>;
  /** Replies by request. */
  readonly replies: Map<number, unknown>;
  /** The numbers whose acknowledgement came, in order. */
  readonly acked: number[];
  /** Acknowledgements that were an error. */
  readonly ackErrors: unknown[];
  /** How often `send` asked to wait. */
  readonly waits: () => number;
  /** Sends everything; resolves once the last request has been settled. */
  send(): Promise<void>;
}

export interface StormOptions {
  readonly name: 'client' | 'server';
  readonly events: number;
  readonly random: () => number;
  /** Called after every event that was heard. */
  readonly progress: () => void;
}

const REQUEST_EVERY = 50;
const ACK_EVERY = 40;
const WRITE_EVERY = 20;

export function stormSide(peer: Client | Session, options: StormOptions): StormSide {
  const { name, events, random, progress } = options;
  const side = peer as Client;
  const heard: number[] = [];
  const handled = new Map<number, number>();
  const replies = new Map<number, unknown>();
  const acked: number[] = [];
  const ackErrors: unknown[] = [];
  let waits = 0;

  side.on('event', (number: number) => {
    heard.push(number);
    progress();
    // Some listeners settle later, and only some, so that acknowledgements wait for the slowest.
    return number % 17 === 0 ? new Promise<void>((resolve) => setImmediate(resolve)) : undefined;
  });
  side.handle('ask', (number: number) => {
    handled.set(number, (handled.get(number) ?? 0) + 1);
    return number % 3 === 0 ? Promise.resolve(number * 2) : number * 2;
  });

  const write = (number: number): void => {
    const write = number / WRITE_EVERY;
    const key = random() < 0.3 ? `shared-${write % 5}` : `${name}-${write % 40}`;
    if (random() < 0.15) side.delete(key);
    else side.set(key, { from: name, number, text: 'x'.repeat(Math.floor(random() * 50)) });
  };

  const sendEvent = (number: number): boolean => {
    const payload = 'p'.repeat(Math.floor(random() * 80));
    if (number % ACK_EVERY !== 0) return side.send('event', number, payload);
    return side.send('event', number, payload, (error?: NyotaError) => {
      if (error === undefined) acked.push(number);
      else ackErrors.push(error);
    });
  };

  return {
    heard,
    handled,
    replies,
    acked,
    ackErrors,
    waits: () => waits,
    async send() {
      const pending: Promise<void>[] = [];
      for (let number = 1; number <= events; number++) {
        if (number % WRITE_EVERY === 0) write(number);
        if (number % REQUEST_EVERY === 0) {
          const reply = side.request('ask', number);
          pending.push(
            reply.then(
              (value) => void replies.set(number, value),
              (error: unknown) => void replies.set(number, error),
            ),
          );
        }
        if (!sendEvent(number)) {
          waits++;
          await once(side, 'drain');
        }
      }
      await Promise.all(pending);
    },
  };
}

/** What a side must have heard when the other sent everything: the numbers of its requests and acknowledged events. */
export function everyNth(events: number, nth: 'ask' | 'ack'): number[] {
  const step = nth === 'ask' ? REQUEST_EVERY : ACK_EVERY;
  return Array.from({ length: Math.floor(events / step) }, (_, i) => (i + 1) * step);
}
