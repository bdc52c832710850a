/** Numbers as text: the table on the terminal, what has changed since the run before, and the Markdown of the document. Pure. */
import type { ContenderResult, MeasureResult } from './rounds.js';
import type { Verdict } from './targets.js';

/** Everything of a run, as it is kept. */
export interface RunFile {
  readonly at: string;
  readonly command: string;
  readonly machine: string;
  readonly versions: readonly string[];
  readonly rounds: number;
  readonly effort: number;
  readonly load: number;
  readonly results: readonly MeasureResult[];
  readonly verdicts: readonly Verdict[];
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[];
}

export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: 0 });
}

const compared = ({ values }: ContenderResult): number => Object.values(values)[0] ?? Number.NaN;

/** How far apart the rounds are: (highest - lowest) / median. */
function spread({ rounds }: ContenderResult, middle: number): number {
  return (Math.max(...rounds) - Math.min(...rounds)) / middle;
}

/** The other numbers of a contender. */
function details({ values }: ContenderResult): string {
  return Object.entries(values)
    .slice(1)
    .map(([name, value]) => `${name} ${formatNumber(value)}`)
    .join(', ');
}

const firstRatio = (result: MeasureResult, one: ContenderResult): string => {
  const first = result.contenders[0];
  return first === undefined ? '' : (compared(one) / compared(first)).toFixed(2);
};

export function measureLines(result: MeasureResult, before?: MeasureResult): string[] {
  const lines = [`\n${result.title} (${result.unit}; ${result.better} is better)`];
  for (const one of result.contenders) {
    const value = compared(one);
    const old = before?.contenders.find(({ label }) => label === one.label);
    const change =
      old === undefined ? '' : `  ${signed((value / compared(old) - 1) * 100)} since the run before`;
    const ratio = `x${firstRatio(result, one)}`.padStart(7);
    const noise = `±${formatNumber((spread(one, value) / 2) * 100)} %`;
    lines.push(
      `  ${one.label.padEnd(24)} ${formatNumber(value).padStart(12)} ${ratio}  ${noise.padEnd(9)} ${details(one)}${change}`,
    );
  }
  for (const { label, reason } of result.leftOut) lines.push(`  ${label.padEnd(24)} left out: ${reason}`);
  return lines;
}

function signed(percent: number): string {
  return `${percent >= 0 ? '+' : ''}${percent.toFixed(1)} %`;
}

export function verdictLines(verdicts: readonly Verdict[]): string[] {
  return verdicts.map(({ what, goal, measured, reached }) => {
    return `  ${reached ? 'reached    ' : 'NOT reached'}  ${what}: ${measured.toFixed(2)} (${goal})`;
  });
}

/** The tables of docs/performance.md. */
export function markdown(run: RunFile): string {
  const rows = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const lines: string[] = [rows(['to reach', 'goal', 'measured', '']), rows(['---', '---', '---', '---'])];
  for (const { what, goal, measured, reached } of run.verdicts) {
    lines.push(rows([what, goal, measured.toFixed(2), reached ? 'reached' : '**not reached**']));
  }
  for (const result of run.results) {
    lines.push('', `### ${result.title}`, '');
    lines.push(rows(['', `${result.unit} (median)`, 'to the first', 'rounds: lowest to highest', 'besides']));
    lines.push(rows(['---', '---', '---', '---', '---']));
    for (const one of result.contenders) {
      const range = `${formatNumber(Math.min(...one.rounds))} to ${formatNumber(Math.max(...one.rounds))}`;
      lines.push(
        rows([one.label, formatNumber(compared(one)), firstRatio(result, one), range, details(one)]),
      );
    }
    for (const { label, reason } of result.leftOut) lines.push(rows([label, 'left out', '', '', reason]));
  }
  return `${lines.join('\n')}\n`;
}
