/** How fast each role sends, and what is counted. */
import { describe, expect, it } from 'vitest';
import { RateMeter, Traffic } from '../../../src/exocom/traffic.js';

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

describe('the counts', () => {
  it('tells the rate of the last ten whole seconds', () => {
    const monitor = new Traffic();
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
    const monitor = new Traffic();
    for (let n = 0; n < 10_100; n++) monitor.passed('web', `message ${n}`, 'users');
    expect(monitor.routes()).toHaveLength(10_001);
    expect(monitor.routes().at(-1)).toMatchObject({ sender: '(other)', messages: 100 });
    for (let n = 0; n < 1_100; n++) monitor.refused(`role ${n}`, 'EXO_BAD_MESSAGE');
    const roles = monitor.roles(0);
    expect(Object.keys(roles)).toHaveLength(1_001);
    expect(roles['(other)']?.refused).toEqual({ EXO_BAD_MESSAGE: 101 });
  });
});
