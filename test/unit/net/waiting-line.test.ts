/** The line before a server's door: who begins, who waits, and who is refused when. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { type Arrival, WaitingLine } from '../../../src/net/waiting-line.js';
import { createFakeClock } from '../../../src/testing/index.js';

function setUp(places: number, room = 100) {
  const clock = createFakeClock();
  const begun: string[] = [];
  const refused: Array<[name: string, error: NyotaError]> = [];
  let busy = 0;
  const line = new WaitingLine({
    clock,
    hasPlace: () => busy < places,
    takesMore: (waiting) => waiting < room,
    longestWaitMs: 5_000,
  });
  const arrive = (name: string, mayWait = true): Arrival => {
    const arrival: Arrival = {
      mayWait,
      begin: () => {
        busy++;
        begun.push(name);
      },
      refuse: (error) => refused.push([name, error]),
    };
    line.arrive(arrival);
    return arrival;
  };
  const free = (finished = true): void => {
    busy--;
    line.placeFreed(finished);
  };
  const refusedNames = (): string[] => refused.map(([name]) => name);
  return { clock, line, begun, refused, refusedNames, arrive, free };
}

describe('a waiting line', () => {
  it('lets begin while there are places, then in the order of arrival as places are freed', () => {
    const { line, begun, refused, arrive, free, clock } = setUp(2);
    for (const name of ['a', 'b', 'c', 'd', 'e']) arrive(name);
    expect([begun, line.size]).toEqual([['a', 'b'], 3]);
    free();
    free(false);
    expect([begun, line.size]).toEqual([['a', 'b', 'c', 'd'], 1]);
    free();
    expect([begun.at(-1), line.size, refused, clock.pendingTimers]).toEqual(['e', 0, [], 0]);
  });

  it('keeps the places for those that wait: who comes later does not overtake', () => {
    const { begun, arrive, free } = setUp(1);
    arrive('a');
    arrive('b');
    free();
    arrive('c');
    expect(begun).toEqual(['a', 'b']);
  });

  it('refuses at once above what it takes, and what can’t wait', () => {
    const { line, refused, arrive } = setUp(1, 2);
    for (const name of ['a', 'b', 'c', 'd']) arrive(name);
    arrive('e', false);
    expect(refused.map(([name, { code, retry }]) => [name, code, retry])).toEqual([
      ['d', 'NYOTA_SERVER_BUSY', 'backoff'],
      ['e', 'NYOTA_SERVER_BUSY', 'backoff'],
    ]);
    expect(line.size).toBe(2);
  });

  it('refuses who has waited a second while nobody finished, and nobody sooner', async () => {
    const { clock, line, refusedNames, arrive, free } = setUp(1);
    arrive('a');
    arrive('b');
    await clock.advance(500);
    arrive('c');
    await clock.advance(499);
    expect(refusedNames()).toEqual([]);
    await clock.advance(1);
    expect([refusedNames(), line.size]).toEqual([['b'], 1]);
    await clock.advance(500);
    expect([refusedNames(), line.size, clock.pendingTimers]).toEqual([['b', 'c'], 0, 0]);
    // A connection that comes after all were refused waits its own second.
    arrive('d');
    await clock.advance(999);
    free();
    expect(refusedNames()).toEqual(['b', 'c']);
  });

  it('is more patient with a crowd: a quarter of a second more for each thousand that wait', async () => {
    const { clock, refused, arrive } = setUp(1, 5_000);
    arrive('silent');
    for (let i = 0; i < 2_500; i++) arrive('honest');
    await clock.advance(1_499);
    expect(refused.length).toBe(0);
    await clock.advance(1);
    expect(refused.length).toBe(2_500);
  });

  it('waits on while handshakes finish, up to the longest wait', async () => {
    const { clock, refusedNames, begun, arrive, free } = setUp(1);
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']) arrive(name);
    for (let i = 0; i < 6; i++) {
      await clock.advance(700);
      free();
    }
    expect([begun, refusedNames()]).toEqual([['a', 'b', 'c', 'd', 'e', 'f', 'g'], []]);
    await clock.advance(700);
    free();
    await clock.advance(100);
    expect([begun.at(-1), refusedNames()]).toEqual(['h', ['i']]);
  });

  it('is not moved by handshakes that fail: whoever breaks off all the time keeps nobody waiting', async () => {
    const { clock, begun, refusedNames, arrive, free } = setUp(1);
    for (const name of ['a', 'b', 'c', 'd']) arrive(name);
    await clock.advance(900);
    free(false);
    await clock.advance(100);
    expect([begun, refusedNames()]).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
  });

  it('asks those that it refuses to come back at moments spread over a second', () => {
    const { refused, arrive } = setUp(0, 0);
    for (let i = 0; i < 1_000; i++) arrive('x');
    const delays = refused.map(([, { retryAfterMs }]) => retryAfterMs ?? Number.NaN);
    const tenths = new Array<number>(10).fill(0);
    for (const delay of delays)
      tenths[Math.floor((delay - 500) / 100.1)] = 1 + (tenths[Math.floor((delay - 500) / 100.1)] ?? 0);
    expect([Math.min(...delays) >= 500, Math.max(...delays) <= 1_500]).toEqual([true, true]);
    expect(tenths.every((count) => count >= 80 && count <= 120)).toBe(true);
  });

  it('forgets who has left', async () => {
    const { line, clock, begun, refused, arrive, free } = setUp(1);
    arrive('a');
    line.leave(arrive('b'));
    expect([line.size, clock.pendingTimers]).toEqual([0, 0]);
    free();
    await clock.advance(10_000);
    expect([begun, refused]).toEqual([['a'], []]);
  });

  it('can be emptied, with a reason or without a word', () => {
    const { line, clock, begun, refused, arrive, free } = setUp(1);
    for (const name of ['a', 'b', 'c']) arrive(name);
    const closing = new NyotaError('NYOTA_SERVER_CLOSING', 'closing');
    line.refuseAll(closing);
    arrive('d');
    line.clear();
    free();
    expect([begun, refused, line.size, clock.pendingTimers]).toEqual([
      ['a'],
      [
        ['b', closing],
        ['c', closing],
      ],
      0,
      0,
    ]);
  });

  it('gives no place to who was refused meanwhile: a refusal may free one', async () => {
    const { line, clock, begun, refusedNames, arrive, free } = setUp(1);
    arrive('a');
    const arrivals: Arrival = { mayWait: true, begin: () => begun.push('never'), refuse: () => free() };
    line.arrive(arrivals);
    arrive('b');
    await clock.advance(1_000);
    expect([begun, refusedNames(), line.size]).toEqual([['a', 'b'], [], 0]);
  });
});
