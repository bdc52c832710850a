/** What waits until all is quiet is asked again as things settle, and waits no longer than it was told to. */
import { describe, expect, it } from 'vitest';
import { isThenable, QuietWaiters } from '../../src/async.js';
import { createFakeClock } from '../../src/testing/index.js';

describe('QuietWaiters', () => {
  it('ends each wait once its own question is answered', async () => {
    const clock = createFakeClock();
    const waiters = new QuietWaiters();
    const ended: string[] = [];
    let quiet = '';
    for (const name of ['a', 'b']) {
      void waiters.wait(() => quiet === name, clock, 1_000).then(() => ended.push(name));
    }
    waiters.ask();
    await clock.advance(10);
    expect(ended).toEqual([]);
    quiet = 'b';
    waiters.ask();
    await clock.advance(0);
    expect(ended).toEqual(['b']);
    quiet = 'a';
    waiters.ask();
    await clock.advance(0);
    expect(ended).toEqual(['b', 'a']);
  });

  it('ends a wait when its time is over, and asks it no more', async () => {
    const clock = createFakeClock();
    const waiters = new QuietWaiters();
    let asked = 0;
    let ended = false;
    const never = (): boolean => ++asked < 0;
    void waiters.wait(never, clock, 1_000, false).then(() => {
      ended = true;
    });
    await clock.advance(999);
    expect(ended).toBe(false);
    await clock.advance(1);
    expect(ended).toBe(true);
    waiters.ask();
    expect(asked).toBe(0);
  });
});

describe('isThenable', () => {
  it.each<[unknown, boolean]>([
    [Promise.resolve(), true],
    [Object.fromEntries([['then', () => {}]]), true],
    [Object.fromEntries([['then', 1]]), false],
    [() => {}, false],
    [null, false],
    [undefined, false],
    ['then', false],
  ])('of %o is %s', (value, expected) => {
    expect(isThenable(value)).toBe(expected);
  });
});
