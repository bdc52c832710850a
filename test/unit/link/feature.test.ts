/** A new feature is one class and one line in a list: an echo counter, which rides a resume and a lost session's end. */
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePrepared } from '../../../src/codec/payload.js';
import type { PayloadLimits } from '../../../src/codec/scan.js';
import { NyotaError } from '../../../src/errors.js';
import { Events } from '../../../src/features/events.js';
import { Requests } from '../../../src/features/requests.js';
import { STORE_TYPES } from '../../../src/features/store/store.js';
import { type Feature, FeatureTable, type FrameView } from '../../../src/link/feature.js';
import type { Link } from '../../../src/link/link.js';
import { SessionPair } from '../../support/session-pair.js';
import type { SessionSide } from '../../support/session-side.js';

const ECHO = 0x30;

/** Sends a number, and counts up what comes back: each side answers the other's with the number above it. */
class EchoCounter implements Feature {
  static readonly types = { sequenced: [ECHO] };
  readonly heard: number[] = [];
  endedWith: string | undefined;
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  send(count: number): void {
    this.#link.append(ECHO, 0, encodePrepared([count]));
  }

  decode({ source, start, end }: FrameView, limits: PayloadLimits): number {
    const [count] = decodePayload(source, start, end, limits) as [unknown];
    if (typeof count !== 'number') throw new NyotaError('NYOTA_PROTOCOL_ERROR', 'ECHO: no count');
    return count;
  }

  receive(_type: number, body: unknown): boolean {
    const count = body as number;
    this.heard.push(count);
    if (count % 10 !== 0) this.send(count + 1);
    return true;
  }

  end(error: NyotaError): void {
    this.endedWith = error.code;
  }
}

const TABLE = new FeatureTable([STORE_TYPES, Events.types, Requests.types, EchoCounter.types]);

function echoOf({ core }: SessionSide): EchoCounter {
  const { link, store, events, requests } = core;
  const echo = new EchoCounter(link);
  link.use([store, events, requests, echo], TABLE);
  return echo;
}

describe('a feature that nobody knew of', () => {
  it('counts on through cuts at every few bytes, in order and once, between events', async () => {
    const pair = new SessionPair();
    const [client, server] = [echoOf(pair.client), echoOf(pair.server)];
    client.send(1);
    pair.client.send('between');
    client.send(11);
    for (let round = 0; round < 20; round++) {
      pair.connect();
      // The handshake is whole; of what follows each side gets some bytes.
      pair.deliver('server');
      pair.deliver('client');
      pair.deliver('server', 11 + round);
      pair.deliver('client', 7 + round);
      pair.cut();
    }
    pair.connect();
    await pair.advance(100); // acks that say nothing new wait for 50 ms
    expect(server.heard).toEqual([1, 11, 3, 13, 5, 15, 7, 17, 9, 19]);
    expect(client.heard).toEqual([2, 12, 4, 14, 6, 16, 8, 18, 10, 20]);
    expect(pair.server.dispatched.map(({ event }) => event)).toEqual(['between']);
    expect(pair.client.core.link.counters.reconnects).toBeGreaterThan(5);
    expect([pair.failures, pair.client.core.link.quiet, pair.server.core.link.quiet]).toEqual([
      [],
      true,
      true,
    ]);
  });

  it('ends a connection for what it refuses, and hears of the end of its session', async () => {
    const pair = new SessionPair();
    const echo = echoOf(pair.client);
    echoOf(pair.server);
    pair.connect();
    await pair.settle();
    pair.client.core.link.append(ECHO, 0, encodePrepared(['no number']));
    await pair.settle();
    expect(pair.failures.map(({ role, error }) => [role, error.code])).toEqual([
      ['server', 'NYOTA_PROTOCOL_ERROR'],
    ]);
    pair.client.core.link.end(new NyotaError('NYOTA_CLOSED', 'over'));
    expect(echo.endedWith).toBe('NYOTA_CLOSED');
  });

  it('can not own a frame type that another owns', () => {
    expect(() => new FeatureTable([Events.types, { sequenced: [0x10] }])).toThrow(/two features own.*0x10/);
  });
});
