/** At a fixed rate every message has its due time, whatever the server does. */
import { describe, expect, it } from 'vitest';
import { Pace } from '../../../src/cli/bench-load.js';

describe('a pace', () => {
  it('lets the first message go at once and the next after its interval', () => {
    const pace = new Pace(100, 1_000);
    expect([pace.take(1_000), pace.take(1_009), pace.take(1_010), pace.take(1_010)]).toEqual([
      1_000,
      undefined,
      1_010,
      undefined,
    ]);
  });

  it('counts what is late from when it was due', () => {
    const pace = new Pace(1_000, 0);
    const late = [pace.take(5), pace.take(5), pace.take(5)];
    expect(late).toEqual([0, 1, 2]);
  });

  it('keeps its rate over a long time', () => {
    const pace = new Pace(3, 0);
    let sent = 0;
    for (let now = 0; now < 10_000; now++) while (pace.take(now) !== undefined) sent++;
    expect(sent).toBe(30);
  });
});
