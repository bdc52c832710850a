/** The fake clock, and the real one that it stands in for. */

import { describe, expect, it } from 'vitest';
import { type ClockTimer, systemClock } from '../../../src/clock.js';
import { createFakeClock, createLink } from '../../../src/testing/index.js';

describe('createFakeClock', () => {
  it('stands still until it is advanced', async () => {
    const clock = createFakeClock({ startMs: 1_000 });
    let fired = false;
    clock.setTimeout(() => {
      fired = true;
    }, 0);
    await new Promise((resolve) => setTimeout(resolve, 2));
    expect([clock.now(), fired, clock.pendingTimers]).toEqual([1_000, false, 1]);
  });

  it('fires timers in order of due time, with the time each was due at', async () => {
    const clock = createFakeClock();
    const fired: string[] = [];
    for (const ms of [30, 10, 20, 10]) clock.setTimeout(() => fired.push(`${ms}@${clock.now()}`), ms);
    await clock.advance(25);
    expect(fired).toEqual(['10@10', '10@10', '20@20']);
    expect([clock.now(), clock.pendingTimers]).toEqual([25, 1]);
    await clock.advanceTo(30);
    expect(fired.at(-1)).toBe('30@30');
  });

  it('fires timers of one instant in the order they were set', async () => {
    const clock = createFakeClock();
    const fired: number[] = [];
    for (const name of [1, 2, 3]) clock.setTimeout(() => fired.push(name), 5);
    await clock.advance(5);
    expect(fired).toEqual([1, 2, 3]);
  });

  it('fires timers that timers set, in the same advance when due', async () => {
    const clock = createFakeClock();
    const fired: number[] = [];
    const tick = (): void => {
      fired.push(clock.now());
      clock.setTimeout(tick, 10);
    };
    clock.setTimeout(tick, 10);
    await clock.advance(35);
    expect(fired).toEqual([10, 20, 30]);
    expect(clock.pendingTimers).toBe(1);
  });

  it('lets promises, and timers set behind them, run between two timers', async () => {
    const clock = createFakeClock();
    const order: string[] = [];
    clock.setTimeout(async () => {
      await Promise.resolve();
      await new Promise((resolve) => setImmediate(resolve));
      order.push('promise');
      clock.setTimeout(() => order.push(`nested@${clock.now()}`), 5);
    }, 10);
    clock.setTimeout(() => order.push('second'), 20);
    await clock.advance(100);
    expect(order).toEqual(['promise', 'nested@15', 'second']);
  });

  it('lets a whole exchange in memory run between two timers', async () => {
    const clock = createFakeClock();
    const [client, server] = createLink();
    let round = 0;
    server.on('data', (chunk) => server.write(chunk));
    client.on('data', () => {
      round += 1;
      if (round < 20) client.write('x');
    });
    clock.setTimeout(() => client.write('x'), 10);
    let seen = 0;
    clock.setTimeout(() => {
      seen = round;
    }, 11);
    await clock.advance(11);
    expect(seen).toBe(20);
  });

  it('does not fire what was cleared, and takes a second clear', async () => {
    const clock = createFakeClock();
    let fired = 0;
    const timer = clock.setTimeout(() => {
      fired += 1;
    }, 10);
    let late: ClockTimer | undefined;
    clock.setTimeout(() => late !== undefined && clock.clearTimeout(late), 10);
    late = clock.setTimeout(() => {
      fired += 1;
    }, 10);
    clock.clearTimeout(timer);
    clock.clearTimeout(timer);
    await clock.advance(10);
    expect([fired, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('fires the next timer alone with runNext, and says when there is none', async () => {
    const clock = createFakeClock();
    const fired: number[] = [];
    clock.setTimeout(() => fired.push(clock.now()), 500);
    clock.setTimeout(() => fired.push(clock.now()), 70_000);
    expect(await clock.runNext()).toBe(true);
    expect(fired).toEqual([500]);
    expect(await clock.runNext()).toBe(true);
    expect(clock.now()).toBe(70_000);
    expect(await clock.runNext()).toBe(false);
  });

  it('does overlapping advances one after the other', async () => {
    const clock = createFakeClock();
    const fired: number[] = [];
    for (const ms of [5, 15]) clock.setTimeout(() => fired.push(clock.now()), ms);
    await Promise.all([clock.advance(10), clock.advance(10)]);
    expect([clock.now(), fired]).toEqual([20, [5, 15]]);
  });

  it('hands what a timer throws to the one who advances, and goes on afterwards', async () => {
    const clock = createFakeClock();
    let fired = false;
    clock.setTimeout(() => {
      throw new Error('boom');
    }, 10);
    clock.setTimeout(() => {
      fired = true;
    }, 20);
    await expect(clock.advance(50)).rejects.toThrow('boom');
    expect([clock.now(), clock.pendingTimers]).toEqual([10, 1]);
    await clock.advance(10);
    expect(fired).toBe(true);
  });

  it('stops a timer that sets itself again without a delay, instead of hanging', async () => {
    const clock = createFakeClock();
    const again = (): void => {
      clock.setTimeout(again, 0);
    };
    again();
    await expect(clock.advance(1)).rejects.toMatchObject({ code: 'NYOTA_INVALID_ARGUMENT' });
  });

  it('refuses to go back', async () => {
    const clock = createFakeClock({ startMs: 100 });
    await expect(clock.advance(-1)).rejects.toMatchObject({ code: 'NYOTA_INVALID_ARGUMENT' });
    await expect(clock.advance(Number.NaN)).rejects.toMatchObject({ code: 'NYOTA_INVALID_ARGUMENT' });
    await expect(clock.advanceTo(99)).rejects.toMatchObject({ code: 'NYOTA_INVALID_ARGUMENT' });
    expect(() => createFakeClock({ startMs: -1 })).toThrow(/startMs takes a number/);
    expect(clock.now()).toBe(100);
  });

  it('has timers that take ref and unref', () => {
    const clock = createFakeClock();
    const timer = clock.setTimeout(() => {}, 1);
    expect(timer.unref?.()).toBe(timer);
    expect(timer.ref?.()).toBe(timer);
  });
});

describe('systemClock', () => {
  it('says the time of day, and never goes back', () => {
    const first = systemClock.now();
    expect(Math.abs(first - Date.now())).toBeLessThan(60_000);
    expect(systemClock.now()).toBeGreaterThanOrEqual(first);
  });

  it('fires a timer, and not one that was cleared', async () => {
    const cleared = systemClock.setTimeout(() => expect.unreachable(), 1);
    systemClock.clearTimeout(cleared);
    await new Promise<void>((resolve) => systemClock.setTimeout(resolve, 5));
  });

  it('does not fire a delay that Node can not take at once', async () => {
    const timer = systemClock.setTimeout(() => expect.unreachable(), 2 ** 40);
    await new Promise((resolve) => setTimeout(resolve, 10));
    systemClock.clearTimeout(timer);
  });
});
