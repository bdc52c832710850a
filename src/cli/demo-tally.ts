/** Compares what was sent with what was handled. Pure: numbers in, counts out. */
import type { Delivered } from './demo-messages.js';

export interface Tally {
  readonly sent: number;
  readonly handled: number;
  /** Numbers that were sent and never handled. */
  readonly lost: number;
  /** How often a number was handled again by the same process, or without the flag. */
  readonly duplicates: number;
  /** How often a number was handled again, flagged, by a later process after a killed one had handled it. */
  readonly redelivered: number;
  /** Numbers handled after a higher one, apart from those that the counts above explain. */
  readonly outOfOrder: number;
  /** Handled, and never sent. */
  readonly unknown: number;
}

/**
 * @param sent how many were sent: the numbers from 1 to this
 * @param handled in the order in which they were handled; a list for each process that did, the oldest first
 */
export function tally(sent: number, handled: readonly (readonly Delivered[])[]): Tally {
  const seen = new Set<number>();
  const counts = { handled: 0, duplicates: 0, redelivered: 0, outOfOrder: 0, unknown: 0 };
  let highest = 0;
  for (const run of handled) {
    const before = new Set(seen);
    const own = new Set<number>();
    let ownHighest = 0;
    for (const { n, redelivered } of run) {
      counts.handled++;
      if (!Number.isInteger(n) || n < 1 || n > sent) {
        counts.unknown++;
        continue;
      }
      if (own.has(n) || (before.has(n) && !redelivered)) counts.duplicates++;
      else if (n < ownHighest || (!before.has(n) && n < highest)) counts.outOfOrder++;
      else if (before.has(n)) counts.redelivered++;
      ownHighest = Math.max(ownHighest, n);
      highest = Math.max(highest, n);
      own.add(n);
      seen.add(n);
    }
  }
  return { sent, ...counts, lost: sent - seen.size };
}

/** What is wrong with it, in words; empty where nothing is. */
export function flaws({ lost, duplicates, outOfOrder, unknown }: Tally): string[] {
  const counts: [number, string][] = [
    [lost, 'lost'],
    [duplicates, 'handled again'],
    [outOfOrder, 'out of order'],
    [unknown, 'handled but never sent'],
  ];
  return counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
}

/** The value below which this share of them lies, by nearest rank; undefined if there are none. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
