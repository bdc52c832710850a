/** All rounds of a measure: the contenders in turn, A B A B, and the medians. */
import type { Contender, Measure } from './measure.js';
import { runOnce } from './run-once.js';

export interface ContenderResult {
  readonly label: string;
  /** The median of each number. */
  readonly values: Readonly<Record<string, number>>;
  /** The compared number of every round, in order. */
  readonly rounds: readonly number[];
}

export interface MeasureResult {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly contenders: readonly ContenderResult[];
  /** Who is left out, and why. */
  readonly leftOut: readonly { readonly label: string; readonly reason: string }[];
}

export interface Observer {
  round(measure: Measure, label: string, round: number, value: number): void;
  leftOut(measure: Measure, label: string, reason: string): void;
}

export async function runRounds(
  measure: Measure,
  contenders: readonly Contender[],
  rounds: number,
  observer: Observer,
): Promise<MeasureResult> {
  const found = new Map<Contender, Record<string, number>[]>(contenders.map((one) => [one, []]));
  const leftOut: { label: string; reason: string }[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const [contender, values] of found) {
      try {
        const measured = await runOnce(measure, contender);
        values.push(measured);
        observer.round(measure, contender.label, round, firstOf(measured));
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        leftOut.push({ label: contender.label, reason });
        observer.leftOut(measure, contender.label, reason);
        found.delete(contender);
      }
    }
  }
  return {
    id: measure.id,
    title: measure.title,
    unit: measure.unit,
    better: measure.better,
    contenders: [...found].map(([{ label }, values]) => ({
      label,
      values: medians(values),
      rounds: values.map(firstOf),
    })),
    leftOut,
  };
}

function firstOf(values: Readonly<Record<string, number>>): number {
  for (const name in values) return values[name] ?? Number.NaN;
  return Number.NaN;
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function medians(rounds: readonly Record<string, number>[]): Record<string, number> {
  const names = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, median(rounds.map((one) => one[name] ?? Number.NaN))]),
  );
}
