/**
 * Puts the numbers of bench/results into docs/performance.md, between its two marks: the run, what was to be reached, and a table for
 * each measure with its chart. `npm run bench:docs`, after `npm run bench` and `npm run bench:peers`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const ROOT = new URL('../../', import.meta.url);
const DOCUMENT = new URL('docs/performance.md', ROOT);
const [BEGIN, END] = ['<!-- numbers: written by npm run bench:docs -->', '<!-- end of the numbers -->'];
/** Measures whose contenders are not one against the other. */
const NO_RATIO = new Set(['codec', 'emit', 'growth', 'resume']);

/**
 * @typedef {{ label: string, values: Record<string, number>, rounds: number[] }} Contender
 * @typedef {{ id: string, title: string, unit: string, contenders: Contender[], leftOut: { label: string, reason: string }[] }} Result
 * @typedef {{ what: string, goal: string, measured: number, reached: boolean }} Verdict
 * @typedef {{ at: string, command: string, machine: string, versions: string[], rounds: number, load: number, results: Result[], verdicts: Verdict[], leftOut: { name: string, reason: string }[] }} Run
 */

/** @param {string} kind @returns {Run} */
const read = (kind) => JSON.parse(readFileSync(new URL(`bench/results/${kind}.json`, ROOT), 'utf8'));

/** @param {number | undefined} value */
function format(value) {
  if (value === undefined || !Number.isFinite(value)) return '-';
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** @param {string[]} cells */
const row = (cells) => `| ${cells.join(' | ')} |`;
/** @param {string[]} names */
const heading = (names) => [row(names), row(names.map(() => '---'))];
/** @param {Contender | undefined} one */
const compared = (one) => (one === undefined ? Number.NaN : (Object.values(one.values)[0] ?? Number.NaN));

/** @param {Result} result */
function section({ id, title, unit, contenders, leftOut }) {
  const ratio = !NO_RATIO.has(id);
  const lines = ['', `### ${title}`, ''];
  if (existsSync(new URL(`docs/performance/${id}.svg`, ROOT))) {
    lines.push(`![${title}: ${unit}, the numbers of the table](performance/${id}.svg)`, '');
  }
  lines.push(
    ...heading(['', `${unit}, median`, ...(ratio ? ['to the first'] : []), 'lowest to highest', 'besides']),
  );
  for (const one of contenders) {
    const besides = Object.entries(one.values).slice(1);
    lines.push(
      row([
        one.label,
        format(compared(one)),
        ...(ratio ? [(compared(one) / compared(contenders[0])).toFixed(2)] : []),
        `${format(Math.min(...one.rounds))} to ${format(Math.max(...one.rounds))}`,
        besides.map(([name, value]) => `${name} ${format(value)}`).join(', '),
      ]),
    );
  }
  for (const { label, reason } of leftOut) {
    lines.push(row([label, 'left out', ...(ratio ? [''] : []), '', reason]));
  }
  return lines;
}

const own = read('own');
const peers = read('peers');
const measuredWithPeers = new Set(peers.results.map(({ id }) => id));
const results = [...peers.results, ...own.results.filter(({ id }) => !measuredWithPeers.has(id))];
const decided = new Set(peers.verdicts.map(({ what }) => what));
const verdicts = [...peers.verdicts, ...own.verdicts.filter(({ what }) => !decided.has(what))];
const lines = [
  BEGIN,
  '',
  ...heading(['', '']),
  row(['date', [peers, own].map(({ at }) => `${at.slice(0, 16).replace('T', ' ')} UTC`).join(' and ')]),
  row(['machine', peers.machine]),
  row(['commands', [peers, own].map(({ command }) => `\`${command}\``).join(' and ')]),
  row(['rounds', [peers, own].map(({ rounds }) => String(rounds)).join(' and ')]),
  row(['load before each run', [peers, own].map(({ load }) => load.toFixed(2)).join(' and ')]),
  row(['versions', [...new Set([...peers.versions, ...own.versions])].join('; ')]),
  ...peers.leftOut.map(({ name, reason }) => row([`left out: ${name}`, reason])),
  '',
  '## What was to be reached',
  '',
  'Ratios of medians within one run.',
  '',
  ...heading(['measure', 'goal', 'measured', '']),
  ...verdicts.map(({ what, goal, measured, reached }) =>
    row([what, goal, measured.toFixed(2), reached ? 'reached' : '**not reached**']),
  ),
  '',
  '## The numbers',
  ...results.filter(({ contenders }) => contenders.length > 0).flatMap(section),
  '',
  END,
];

const text = readFileSync(DOCUMENT, 'utf8');
const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${BEGIN} and ${END}`);
writeFileSync(DOCUMENT, text.slice(0, from) + lines.join('\n') + text.slice(to + END.length));
