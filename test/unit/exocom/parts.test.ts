/** The hub's small parts: tables, queues, lanes, meters. */
import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../../src/exocom/delivery.js';
import { HoldQueue } from '../../../src/exocom/hold-queue.js';
import { IdleTable } from '../../../src/exocom/idle-table.js';
import { InOrder } from '../../../src/exocom/in-order.js';
import { Instance, type RelayPort } from '../../../src/exocom/instance.js';
import { Monitor } from '../../../src/exocom/monitor.js';
import { RateMeter } from '../../../src/exocom/rate-meter.js';
import { Roster } from '../../../src/exocom/roster.js';
import type { DeliveredEnvelope } from '../../../src/exorelay/message.js';

describe('a table of what is in use', () => {
  it('lets go of what nobody used for the idle time', () => {
    const table = new IdleTable<string>(100, 10);
    table.set('a', 'A', 0);
    table.set('b', 'B', 0);
    expect(table.get('a', 90)).toBe('A');
    expect(table.get('a', 190)).toBe('A');
    expect(table.get('b', 190)).toBe(undefined);
    expect(table.get('a', 291)).toBe(undefined);
    expect(table.size).toBe(0);
  });

  it('clears away what is idle while new things come, and holds no more than it may', () => {
    const table = new IdleTable<number>(100, 50);
    for (let n = 0; n < 60; n++) table.set(`${n}`, n, 0);
    expect(table.size).toBe(50);
    expect(table.get('9', 0)).toBe(undefined);
    expect(table.get('10', 0)).toBe(10);
    for (let n = 0; n < 20; n++) table.set(`new ${n}`, n, 200);
    expect(table.size).toBe(20);
  });
});

describe('a queue for who is not there', () => {
  const limits = { ttlMs: 100, maxMessages: 3, maxBytes: 100 };

  it('keeps the order, by key', () => {
    const queue = new HoldQueue<number>(limits);
    expect([queue.push('a', 1, 10, 0), queue.push('b', 2, 10, 0), queue.push('a', 3, 10, 5)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(queue.take((key) => key === 'a')).toEqual([1, 3]);
    expect([queue.length, queue.bytes, queue.nextExpiry]).toEqual([1, 10, 100]);
  });

  it('is bounded in messages and bytes, and lets go of what is too old', () => {
    const queue = new HoldQueue<number>(limits);
    expect(queue.push('a', 1, 101, 0)).toBe(false);
    for (const n of [1, 2, 3]) expect(queue.push('a', n, 20, n)).toBe(true);
    expect(queue.push('a', 4, 1, 3)).toBe(false);
    expect(queue.expire(100)).toEqual([]);
    expect(queue.expire(102)).toEqual([1, 2]);
    expect([queue.length, queue.bytes]).toEqual([1, 20]);
    expect(new HoldQueue(limits).nextExpiry).toBe(undefined);
  });
});

describe('the order of what one sender sent', () => {
  it('is kept however the decisions fall', () => {
    const order = new InOrder();
    const ran: number[] = [];
    const tickets = [0, 1, 2, 3].map((n) => order.enter(5, () => ran.push(n)));
    tickets[2]?.open();
    tickets[1]?.drop();
    expect(ran).toEqual([]);
    expect([order.length, order.bytes]).toEqual([4, 20]);
    tickets[0]?.open();
    expect(ran).toEqual([0, 2]);
    tickets[0]?.drop();
    tickets[3]?.open();
    expect(ran).toEqual([0, 2, 3]);
    expect([order.length, order.bytes]).toEqual([0, 0]);
  });

  it('holds where something that runs adds more', () => {
    const order = new InOrder();
    const ran: string[] = [];
    const first = order.enter(1, () => {
      ran.push('first');
      order.enter(1, () => ran.push('third')).open();
    });
    const second = order.enter(1, () => ran.push('second'));
    second.open();
    first.open();
    expect(ran).toEqual(['first', 'second', 'third']);
  });
});

class FakePort implements RelayPort {
  connected = true;
  answers: ('sent' | 'slow' | 'full' | 'impossible')[] = [];
  delivered: DeliveredEnvelope[] = [];

  deliver(envelope: DeliveredEnvelope): 'sent' | 'slow' | 'full' | 'impossible' {
    const answer = this.answers.shift() ?? 'sent';
    if (answer === 'sent' || answer === 'slow') this.delivered.push(envelope);
    return answer;
  }
  registered(): void {}
  accepted(): void {}
  rejected(): void {}
  cancel(): void {}
  async known(): Promise<[]> {
    return [];
  }
  pause(): void {}
  resume(): void {}
  invalidate(): void {}
}

const LIMITS = { maxInFlight: 2, maxInFlightBytes: 100, maxWaiting: 3, maxWaitingBytes: 1_000 };

function delivery(id: string, more: Partial<Delivery> = {}): Delivery & { outcomes: unknown[] } {
  const outcomes: unknown[] = [];
  return {
    key: id,
    role: 'jobs',
    envelope: { id, name: 'job', activityId: id, sender: 'web' },
    size: 10,
    waits: true,
    redelivered: false,
    given: () => undefined,
    settled: (outcome) => outcomes.push(outcome),
    outcomes,
    ...more,
  };
}

describe('an instance', () => {
  const make = () => {
    const port = new FakePort();
    return { port, instance: new Instance('jobs', '1', port, LIMITS, 0) };
  };
  const ids = (port: FakePort) => port.delivered.map(({ id }) => id);

  it('has so many messages at a time, and gets the next when one is handled', () => {
    const { port, instance } = make();
    for (const id of ['a', 'b', 'c', 'd']) instance.offer(delivery(id));
    expect([ids(port), instance.load, instance.waiting]).toEqual([['a', 'b'], 4, 2]);
    expect(instance.handled('a')?.key).toBe('a');
    expect(instance.handled('a')).toBe(undefined);
    expect(ids(port)).toEqual(['a', 'b', 'c']);
  });

  it('takes no more than may wait for it', () => {
    const { instance } = make();
    expect(['a', 'b', 'c', 'd', 'e', 'f'].map((id) => instance.offer(delivery(id)))).toEqual([
      ...[true, true, true, true, true],
      false,
    ]);
  });

  it('waits for room on the way to it, and loses nothing', () => {
    const { port, instance } = make();
    port.answers = ['full'];
    instance.offer(delivery('a'));
    instance.offer(delivery('b'));
    expect(ids(port)).toEqual([]);
    port.answers = ['slow'];
    instance.drained();
    expect(ids(port)).toEqual(['a']);
    instance.drained();
    expect(ids(port)).toEqual(['a', 'b']);
  });

  it('gives back what can’t be sent, and goes on', () => {
    const { port, instance } = make();
    port.answers = ['impossible'];
    const bad = delivery('bad');
    instance.offer(bad);
    instance.offer(delivery('good'));
    expect([ids(port), bad.outcomes]).toEqual([['good'], [{ failed: 'EXO_UNDELIVERABLE' }]]);
  });

  it('gets replies besides its messages', () => {
    const { port, instance } = make();
    for (const id of ['a', 'b', 'c']) instance.offer(delivery(id));
    instance.offer(delivery('reply', { only: '1' }));
    expect(ids(port)).toEqual(['a', 'b', 'reply']);
    expect(instance.handled('reply')?.key).toBe('reply');
  });

  it('one message is always let through, however large', () => {
    const { port, instance } = make();
    instance.offer(delivery('large', { size: 500 }));
    instance.offer(delivery('next'));
    expect(ids(port)).toEqual(['large']);
    instance.handled('large');
    expect(ids(port)).toEqual(['large', 'next']);
  });

  it('leaves what it had, in order, and what it was given is flagged', () => {
    const { instance } = make();
    for (const id of ['a', 'b', 'c']) instance.offer(delivery(id));
    expect(instance.takeAll().map(({ key, redelivered }) => [key, redelivered])).toEqual([
      ['a', true],
      ['b', true],
      ['c', false],
    ]);
    expect(instance.load).toBe(0);
  });

  it('gets all of it again over a new session', () => {
    const { instance } = make();
    instance.offer(delivery('a'));
    const port = new FakePort();
    instance.rebind(port);
    instance.offer(delivery('b'));
    expect(port.delivered).toEqual([]);
    instance.drained();
    expect(port.delivered.map(({ id, redelivered }) => [id, redelivered])).toEqual([
      ['a', true],
      ['b', undefined],
    ]);
  });
});

describe('the roster', () => {
  const instance = (id: string, handles: string[] = [], connected = true): Instance => {
    const port = new FakePort();
    port.connected = connected;
    const made = new Instance('jobs', id, port, LIMITS, 0);
    made.handles = new Set(handles);
    return made;
  };
  const roster = (...instances: Instance[]): Roster => {
    const made = new Roster(1_000);
    for (const one of instances) made.add(one);
    return made;
  };

  it('prefers who has a handler, who is connected, and who has least to do', () => {
    const [deaf, away, busy, free] = [
      instance('deaf'),
      instance('away', ['job'], false),
      instance('busy', ['job']),
      instance('free', ['job']),
    ] as const;
    busy.offer(delivery('x'));
    const all = roster(deaf, away, busy, free);
    expect(all.choose('jobs', 'job', 'a', 0)?.id).toBe('free');
    expect(roster(deaf, away).choose('jobs', 'job', 'a', 0)?.id).toBe('away');
    expect(roster(deaf).choose('jobs', 'job', 'a', 0)?.id).toBe('deaf');
    expect(roster().choose('jobs', 'job', 'a', 0)).toBe(undefined);
  });

  it('keeps an activity where it is, as long as that lives and for the idle time', () => {
    const [one, two] = [instance('1', ['job']), instance('2', ['job'])] as const;
    const both = roster(one, two);
    expect(both.choose('jobs', 'job', 'a', 0)?.id).toBe('1');
    one.offer(delivery('x'));
    expect(both.choose('jobs', 'job', 'a', 900)?.id).toBe('1');
    expect(both.choose('jobs', 'job', 'b', 900)?.id).toBe('2');
    expect(both.choose('jobs', 'job', 'a', 2_000)?.id).toBe('2');
    both.remove(two);
    expect(both.choose('jobs', 'job', 'b', 2_000)?.id).toBe('1');
  });

  it('gives nothing new to one that leaves, but what it had', () => {
    const [one, two] = [instance('1', ['job']), instance('2', ['job'])] as const;
    const both = roster(one, two);
    expect(both.choose('jobs', 'job', 'a', 0)?.id).toBe('1');
    one.leave();
    expect(both.choose('jobs', 'job', 'a', 0, '1')?.id).toBe('1');
    expect(both.choose('jobs', 'job', 'a', 0)?.id).toBe('2');
    two.leave();
    expect(both.choose('jobs', 'job', 'c', 0)).toBe(undefined);
  });
});

describe('the rate of a role', () => {
  it('is told apart for each role, with one alarm in ten seconds', () => {
    const meter = new RateMeter({ perSecond: 10, roles: { fast: 1_000 } });
    let alarms = 0;
    for (let n = 0; n < 30; n++) if (meter.count('web', 0).alarm) alarms++;
    expect(alarms).toBe(1);
    expect(meter.count('fast', 0)).toEqual({ limit: 1_000, waitMs: 0, alarm: false });
    expect(meter.count('web', 10_000)).toMatchObject({ waitMs: 0, alarm: false });
    for (let n = 0; n < 30; n++) if (meter.count('web', 10_000).alarm) alarms++;
    expect(alarms).toBe(2);
  });

  it('says how long to wait, and no longer than the debt of a second', () => {
    const meter = new RateMeter({ perSecond: 10 });
    const waits = Array.from({ length: 40 }, () => meter.count('web', 0).waitMs);
    expect(waits.slice(0, 12)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200]);
    expect(waits.at(-1)).toBe(1_000);
    meter.forget('web');
    expect(meter.count('web', 0).waitMs).toBe(0);
  });
});

describe('the monitor', () => {
  it('tells the rate of the last ten whole seconds', () => {
    const monitor = new Monitor();
    for (let second = 100; second < 110; second++) {
      for (let n = 0; n < 5; n++) monitor.sent('web', second * 1_000 + n);
    }
    expect(monitor.roles(110_000).web?.rate).toBe(5);
    monitor.sent('web', 110_500);
    expect(monitor.roles(110_600).web?.rate).toBe(5);
    expect(monitor.roles(115_000).web?.rate).toBeCloseTo(2.6);
    expect(monitor.roles(500_000).web?.rate).toBe(0);
  });

  it('counts no more routes and roles apart than it may', () => {
    const monitor = new Monitor();
    for (let n = 0; n < 10_100; n++) monitor.passed('web', `message ${n}`, 'users');
    expect(monitor.routes()).toHaveLength(10_001);
    expect(monitor.routes().at(-1)).toMatchObject({ sender: '(other)', messages: 100 });
    for (let n = 0; n < 1_100; n++) monitor.refused(`role ${n}`, 'EXO_BAD_MESSAGE');
    const roles = monitor.roles(0);
    expect(Object.keys(roles)).toHaveLength(1_001);
    expect(roles['(other)']?.refused).toEqual({ EXO_BAD_MESSAGE: 101 });
  });
});
