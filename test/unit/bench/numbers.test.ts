/** How the numbers of a run are put together: medians, ratios against the targets, tables. */
import { describe, expect, it } from 'vitest';
import { measureLines } from '../../../bench/report.js';
import { type MeasureResult, median } from '../../../bench/rounds.js';
import { judge } from '../../../bench/targets.js';

function result(id: string, values: Record<string, Record<string, number>>): MeasureResult {
  return {
    id,
    title: id,
    unit: 'a second',
    better: 'more',
    contenders: Object.entries(values).map(([label, numbers]) => ({
      label,
      values: numbers,
      rounds: [Object.values(numbers)[0] ?? 0],
    })),
    leftOut: [{ label: 'gone', reason: 'it is not installed' }],
  };
}

describe('the median', () => {
  it.each([
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[7], 7],
  ])('of %j is %d', (numbers, middle) => {
    expect(median(numbers)).toBe(middle);
  });

  it('is not moved by one round that went wrong', () => {
    expect(median([100, 101, 99, 1, 100])).toBe(100);
  });
});

describe('the targets', () => {
  it('are ratios within the run, and what was not measured is not judged', () => {
    const verdicts = judge([result('one-way', { floor: { rate: 1000 }, nyota: { rate: 650 } })]);
    expect(verdicts).toEqual([
      { what: 'one-way, of the floor', goal: 'at least 0.7', measured: 0.65, reached: false },
    ]);
  });

  it('take the number that they name, and at most where less is better', () => {
    const latency = result('latency', { floor: { p50: 100, p99: 200 }, nyota: { p50: 120, p99: 300 } });
    expect(judge([latency]).map(({ measured, reached }) => [measured, reached])).toEqual([
      [1.2, true],
      [1.5, false],
    ]);
  });

  it('count memory over that of a bare socket', () => {
    const memory = result('memory', { 'bare socket': { heap: 1024 }, nyota: { heap: 6 * 1024 } });
    expect(judge([memory])[0]).toMatchObject({ measured: 5, reached: true });
  });

  it('keep store writes apart from the one-way events of the same turn', () => {
    const store = result('store-writes', { 'nyota one-way': { rate: 1000 }, nyota: { rate: 300 } });
    expect(judge([store])[0]).toMatchObject({ measured: 0.3, reached: false });
  });
});

describe('the printed table', () => {
  it('has the ratio to the first, the change since the run before, and who is left out', () => {
    const now = result('x', { floor: { rate: 1000 }, nyota: { rate: 500 } });
    const before = result('x', { floor: { rate: 1000 }, nyota: { rate: 400 } });
    const text = measureLines(now, before).join('\n');
    expect(text).toMatch(/nyota +500 +x0\.50 .*\+25\.0 % since the run before/);
    expect(text).toContain('left out: it is not installed');
  });
});
