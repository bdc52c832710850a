/** Latencies in an HdrHistogram: every value counts, with three digits, in little memory. `src/cli/` alone knows the package. */
import { build } from 'hdr-histogram-js';

/** In milliseconds. */
export interface Latency {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** A value above it counts as this one: an hour, in µs. */
const HIGHEST_US = 3_600_000_000;
const US_PER_MS = 1000;

export class LatencyHistogram {
  readonly #histogram = build({
    bitBucketSize: 64,
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_US,
    numberOfSignificantValueDigits: 3,
  });

  record(ms: number): void {
    const us = Math.round(ms * US_PER_MS);
    this.#histogram.recordValue(Math.min(HIGHEST_US, Math.max(1, us)));
  }

  /** Undefined where nothing was recorded. */
  summary(): Latency | undefined {
    const histogram = this.#histogram;
    if (histogram.totalCount === 0) return undefined;
    // A percentile is the end of its bucket: never let it pass what was really the highest.
    const at = (percentile: number): number =>
      Math.min(histogram.getValueAtPercentile(percentile), histogram.maxValue) / US_PER_MS;
    return {
      count: histogram.totalCount,
      min: histogram.minNonZeroValue / US_PER_MS,
      mean: histogram.mean / US_PER_MS,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: histogram.maxValue / US_PER_MS,
    };
  }
}
