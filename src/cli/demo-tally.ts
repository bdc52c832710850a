/** Compares what was sent with what was handled. Pure: numbers in, counts out. */

export interface Tally {
  readonly sent: number;
  readonly handled: number;
  /** Numbers that were sent and never handled. */
  readonly lost: number;
  /** Times that a number was handled again. */
  readonly duplicates: number;
  /** Numbers handled for the first time after a higher one. */
  readonly outOfOrder: number;
  /** Handled, and never sent. */
  readonly unknown: number;
}

/**
 * @param sent how many were sent: the numbers from 1 to this
 * @param handled the numbers in the order in which they were handled
 */
export function tally(sent: number, handled: readonly number[]): Tally {
  const seen = new Set<number>();
  let duplicates = 0;
  let outOfOrder = 0;
  let unknown = 0;
  let highest = 0;
  for (const n of handled) {
    if (!Number.isInteger(n) || n < 1 || n > sent) unknown++;
    else if (seen.has(n)) duplicates++;
    else {
      if (n < highest) outOfOrder++;
      highest = Math.max(highest, n);
      seen.add(n);
    }
  }
  return { sent, handled: handled.length, lost: sent - seen.size, duplicates, outOfOrder, unknown };
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

/** The value below which this share of them lies, by nearest rank; undefined where there are none. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
