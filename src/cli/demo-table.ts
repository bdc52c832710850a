/** The demo's result as text: the table, and a line each for requests, stores and cuts. */
import Table from 'cli-table3';
import type { DemoResult, DirectionResult } from './demo-result.js';
import { paint } from './terminal.js';

const HEAD = [
  'direction',
  'sent',
  'handled',
  'lost',
  'duplicates',
  'redelivered',
  'out of order',
  'reconnects',
  'events/s',
  'round trip p50',
  'p99',
];

export function renderResult(result: DemoResult): string {
  const { directions, stores, cuts, kills, sessionStore, durationMs, seed, ok } = result;
  const table = new Table({
    head: HEAD,
    colAligns: HEAD.map((_name, i) => (i === 0 ? 'left' : 'right')),
    // No colours (`paint` adds them), and no lines between the rows.
    style: { head: [], border: [], compact: true },
  });
  for (const direction of directions) table.push(row(direction));
  const sum = (pick: (direction: DirectionResult) => number): string =>
    count(directions.reduce((total, direction) => total + pick(direction), 0));
  const lines = [
    table.toString(),
    `requests  ${sum((d) => d.requests.sent)} sent, ${sum((d) => d.requests.answered)} answered, ${sum((d) => d.requests.failed)} failed` +
      (kills.made === 0
        ? ''
        : `, ${sum((d) => d.requests.interrupted)} whose asker was killed; ${sum((d) => d.requests.redelivered)} redelivered`),
    ...stores.map(
      ({ link, writes, steps, counter, equal }) =>
        `store ${link}   ${count(writes)} writes, both sides equal: ${equal ? 'yes' : 'no'}; ` +
        `${count(steps)} steps by compare and set, counter: ${count(counter)}`,
    ),
    `cuts      ${count(cuts.made)}; ${sum((d) => d.replayed)} messages sent again after them`,
    `kills     ${count(kills.made)} of the server by SIGKILL` +
      (sessionStore === 'lmdb' ? '; its sessions are in a folder' : '; its sessions are in its memory'),
    `time      ${(durationMs / 1_000).toFixed(1)} s; the same faults again: --seed ${seed}`,
  ];
  if (ok) {
    const but = directions.some(({ redelivered }) => redelivered > 0);
    const verdict = but
      ? 'Every event was handled in the order sent: once, or again after a kill and flagged as redelivered.'
      : 'Every event was handled exactly once and in the order sent.';
    lines.push(paint(process.stdout, 'green', verdict));
  }
  return `${lines.join('\n')}\n`;
}

function row(direction: DirectionResult): string[] {
  const { from, to, sent, handled, lost, duplicates, redelivered, outOfOrder, requests } = direction;
  return [
    `${from} → ${to}`,
    count(sent),
    count(handled),
    flaw(lost),
    flaw(duplicates),
    count(redelivered),
    flaw(outOfOrder),
    count(direction.reconnects),
    count(Math.round(direction.eventsPerSecond)),
    ms(requests.p50Ms),
    ms(requests.p99Ms),
  ];
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function flaw(value: number): string {
  return value === 0 ? '0' : paint(process.stdout, 'red', count(value));
}

function ms(value: number | undefined): string {
  return value === undefined ? '-' : `${value.toFixed(1)} ms`;
}
