/** The percentiles that `nyota bench` prints. */
import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from '../../../src/cli/bench-load.js';
import { type BenchResult, renderBench } from '../../../src/cli/bench-result.js';

describe('a histogram of latencies', () => {
  it('says nothing where nothing was timed', () => {
    expect(new LatencyHistogram().summary()).toBeUndefined();
  });

  it('has percentiles of three digits, in ms', () => {
    const histogram = new LatencyHistogram();
    for (let ms = 1; ms <= 1_000; ms++) histogram.record(ms);
    const { count, min, p50, p99, p999, max } = histogram.summary() ?? {};
    expect(count).toBe(1_000);
    for (const [measured, true_] of [
      [min, 1],
      [p50, 500],
      [p99, 990],
      [p999, 999],
      [max, 1_000],
    ]) {
      expect(Math.abs((measured ?? Number.NaN) / (true_ ?? 1) - 1)).toBeLessThan(0.002);
    }
  });

  it('never shows a percentile above the highest value', () => {
    const histogram = new LatencyHistogram();
    histogram.record(36.333);
    const summary = histogram.summary();
    expect(summary?.p999).toBeLessThanOrEqual(summary?.max ?? 0);
  });

  it('takes what is shorter than a microsecond or longer than an hour', () => {
    const histogram = new LatencyHistogram();
    histogram.record(0);
    histogram.record(1e12);
    expect(histogram.summary()?.count).toBe(2);
  });
});

describe('the printed result', () => {
  const result: BenchResult = {
    address: '5555',
    kind: 'requests',
    event: 'echo\u001b[31m',
    connections: 2,
    targetRate: null,
    sizeBytes: 100,
    seconds: 2,
    sent: 2_000,
    done: 1_990,
    perSecond: 995,
    mibPerSecond: 0.09,
    failed: { NYOTA_TIMEOUT: 10 },
    reconnects: 1,
    latencyMs: { count: 1_990, min: 0.1, mean: 2, p50: 1.5, p90: 3, p99: 20, p999: 150, max: 1_234 },
  };

  it('has throughput, percentiles, failures and reconnects', () => {
    const text = renderBench(result);
    expect(text).toContain('995 requests/s');
    expect(text).toContain('p50 1.50 ms, p90 3.00 ms, p99 20.00 ms, p99.9 150 ms, max 1,234 ms');
    expect(text).toContain('failed      10 with NYOTA_TIMEOUT');
    expect(text).toContain('reconnects  1');
  });

  it('lets nothing through that moves the cursor', () => {
    expect(renderBench(result)).not.toContain('\u001b');
  });
});
