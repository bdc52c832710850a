/** Keeping a client connected: when the next attempt is made, and what stops the attempts. */
import { describe, expect, it } from 'vitest';
import { type Connectable, Connector } from '../../../src/client/connect.js';
import { readClientOptions } from '../../../src/client/options.js';
import { NyotaError } from '../../../src/errors.js';
import type { ReconnectOptions } from '../../../src/options.js';
import { createFakeClock } from '../../../src/testing/index.js';
import { turns } from '../../support/session-connection.js';

const SCHEDULE: ReconnectOptions = { minDelayMs: 100, maxDelayMs: 1_000, factor: 2, jitter: 'none' };
const REFUSED = new NyotaError('NYOTA_CONNECT_FAILED', 'refused');
const NEVER = new NyotaError('NYOTA_UNAUTHORIZED', 'no');
const CLOSED = new NyotaError('NYOTA_CLOSED', 'closed');

/** A connector whose attempts are scripted. */
class Scripted extends Connector {
  readonly #attempt: (signal: AbortSignal) => Promise<void>;

  constructor(
    options: ConstructorParameters<typeof Connector>[0],
    client: Pick<Connectable, 'waiting' | 'gaveUp'>,
    attempt: (signal: AbortSignal) => Promise<void>,
  ) {
    super(options, client as Connectable);
    this.#attempt = attempt;
  }

  protected override attempt(signal: AbortSignal): Promise<void> {
    return this.#attempt(signal);
  }
}

function setUp(attempt: (signal: AbortSignal) => Promise<void>, random = () => 0.5) {
  const clock = createFakeClock();
  const attempts: number[] = [];
  const waits: Array<[attempt: number, delayMs: number, code: string | undefined]> = [];
  const gaveUp: NyotaError[] = [];
  const states: string[] = [];
  const connector: Connector = new Scripted(
    readClientOptions({ port: 1, clock, random, reconnect: SCHEDULE }),
    {
      waiting: (number, delayMs, error) => waits.push([number, delayMs, error?.code]),
      gaveUp: (error) => gaveUp.push(error),
    },
    (signal) => {
      attempts.push(clock.now());
      states.push(connector.state);
      return attempt(signal);
    },
  );
  return { clock, attempts, waits, gaveUp, connector, states };
}

const refuse = async (): Promise<void> => {
  throw REFUSED;
};

describe('attempts to connect', () => {
  it('begin at once, and come again by the schedule, for ever', async () => {
    const { clock, attempts, waits, connector, states } = setUp(refuse);
    expect(connector.state).toBe('idle');
    connector.start();
    await clock.advance(5_500);
    expect(attempts).toEqual([0, 100, 300, 700, 1_500, 2_500, 3_500, 4_500, 5_500]);
    expect(waits.slice(0, 3)).toEqual([
      [1, 100, 'NYOTA_CONNECT_FAILED'],
      [2, 200, 'NYOTA_CONNECT_FAILED'],
      [3, 400, 'NYOTA_CONNECT_FAILED'],
    ]);
    expect(states).toEqual(Array(9).fill('connecting'));
    expect([connector.state, connector.running]).toEqual(['backing-off', true]);
    connector.stop(CLOSED);
  });

  it('go on after thousands of failures', async () => {
    const { clock, attempts, connector, gaveUp } = setUp(refuse);
    connector.schedule = { ...SCHEDULE, maxDelayMs: 100 };
    connector.start();
    await clock.advance(120_000);
    expect([attempts.length, gaveUp]).toEqual([1_201, []]);
    connector.stop(CLOSED);
  });

  it('are spread by the jitter', async () => {
    const { clock, attempts, connector } = setUp(refuse, () => 0.25);
    connector.schedule = { ...SCHEDULE, jitter: 'full' };
    connector.start();
    await clock.advance(180);
    expect(attempts).toEqual([0, 25, 75, 175]);
    connector.stop(CLOSED);
  });

  it('obey a longer pause that the other side asks for', async () => {
    const busy = new NyotaError('NYOTA_SERVER_BUSY', 'busy', { retryAfterMs: 450 });
    const { clock, attempts, connector } = setUp(async () => {
      throw busy;
    });
    connector.start();
    await clock.advance(2_000);
    expect(attempts).toEqual([0, 450, 900, 1_350, 2_150].filter((at) => at <= 2_000));
    connector.stop(CLOSED);
  });

  it('end with one that succeeds: nothing is left behind', async () => {
    const { clock, attempts, connector, gaveUp } = setUp(async () => {});
    connector.start();
    connector.start();
    await clock.advance(5_000);
    expect([attempts, connector.running, gaveUp, clock.pendingTimers]).toEqual([[0], false, [], 0]);
    expect([connector.state, connector.refd]).toEqual(['idle', true]);
  });

  it('are one alone without a schedule', async () => {
    const { clock, attempts, connector, gaveUp } = setUp(refuse);
    connector.schedule = undefined;
    connector.start();
    await clock.advance(5_000);
    expect([attempts, gaveUp, connector.running]).toEqual([[0], [REFUSED], false]);
  });

  it('follow a schedule that changes while they go on', async () => {
    const { clock, attempts, connector, gaveUp } = setUp(refuse);
    connector.start();
    await clock.advance(300);
    connector.schedule = { ...SCHEDULE, minDelayMs: 1, maxDelayMs: 10 };
    await clock.advance(420);
    expect(attempts.slice(0, 6)).toEqual([0, 100, 300, 700, 708, 718]);
    connector.schedule = undefined;
    await clock.advance(100);
    expect([gaveUp, connector.running]).toEqual([[REFUSED], false]);
  });
});

describe('what stops them', () => {
  it('an error whose retry is never, loudly', async () => {
    const { clock, attempts, connector, gaveUp } = setUp(async () => {
      throw attempts.length < 3 ? REFUSED : NEVER;
    });
    connector.start();
    await clock.advance(10_000);
    expect([attempts.length, gaveUp, connector.running, clock.pendingTimers]).toEqual([3, [NEVER], false, 0]);
  });

  it('an error that is none of ours goes on, as one of ours', async () => {
    const bug = new TypeError('a bug');
    const { clock, waits, connector } = setUp(async () => {
      throw bug;
    });
    connector.start();
    await clock.advance(150);
    expect(waits.map(([, , code]) => code)).toEqual(['NYOTA_INTERNAL', 'NYOTA_INTERNAL']);
    connector.stop(CLOSED);
  });

  it('stop: quietly, in a wait or in an attempt, whose signal tells it', async () => {
    const waiting = setUp(refuse);
    waiting.connector.start();
    await turns(2);
    waiting.connector.stop(CLOSED);
    await waiting.clock.advance(5_000);
    expect([
      waiting.attempts,
      waiting.gaveUp,
      waiting.clock.pendingTimers,
      waiting.connector.running,
    ]).toEqual([[0], [], 0, false]);

    let reason: unknown;
    const attempting = setUp(
      (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            reject(signal.reason);
          });
        }),
    );
    attempting.connector.start();
    await turns(2);
    attempting.connector.stop(CLOSED);
    attempting.connector.stop(CLOSED);
    await attempting.clock.advance(5_000);
    expect([attempting.attempts, attempting.gaveUp, reason]).toEqual([[0], [], CLOSED]);
  });

  it('stop and start again: the new run makes its own attempts, and the old one counts for nothing', async () => {
    const rejects: Array<(error: unknown) => void> = [];
    const { clock, attempts, waits, connector } = setUp(
      () =>
        new Promise((_resolve, reject) => {
          rejects.push(reject);
        }),
    );
    connector.start();
    await turns(2);
    connector.stop(CLOSED);
    connector.start();
    await turns(2);
    rejects[0]?.(CLOSED); // late
    await turns(2);
    expect([attempts.length, connector.running]).toEqual([2, true]);
    rejects[1]?.(REFUSED);
    await clock.advance(0);
    expect(waits).toEqual([[1, 100, 'NYOTA_CONNECT_FAILED']]);
    connector.stop(CLOSED);
  });
});

describe('hurry', () => {
  it('ends the wait, and the delays begin anew', async () => {
    const { clock, attempts, connector } = setUp(refuse);
    connector.start();
    await clock.advance(800);
    expect(attempts).toEqual([0, 100, 300, 700]);
    connector.hurry();
    await clock.advance(300);
    expect(attempts.slice(4)).toEqual([800, 900, 1_100]);
    connector.stop(CLOSED);
  });

  it('may be called where nothing waits, and from within the news of a wait', async () => {
    const { clock, attempts, connector, waits } = setUp(refuse);
    connector.hurry();
    waits.push = (...items) => {
      if (attempts.length < 4) connector.hurry();
      return items.length;
    };
    connector.start();
    await clock.advance(50);
    expect(attempts).toEqual([0, 0, 0, 0]);
    connector.stop(CLOSED);
  });
});

describe('a connection that is lost', () => {
  it('and had lived brings the first delay; one that had not, the next', async () => {
    const { clock, attempts, connector } = setUp(async () => {});
    connector.start();
    await turns(2);
    connector.lost(false, REFUSED);
    connector.lost(false, REFUSED);
    connector.start();
    await clock.advance(200);
    expect(attempts).toEqual([0, 200]);
    connector.lost(true, undefined);
    connector.start();
    await clock.advance(100);
    expect(attempts).toEqual([0, 200, 300]);
  });

  it('in the same turn in which it was made is dialled again', async () => {
    const made = setUp(async () => {
      made.connector.succeeded();
      if (made.attempts.length > 1) return;
      made.connector.lost(true, undefined);
      made.connector.start();
    });
    made.connector.start();
    await made.clock.advance(100);
    expect([made.attempts, made.connector.running]).toEqual([[0, 100], false]);
  });
});
