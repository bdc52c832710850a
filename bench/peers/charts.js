/**
 * The charts of docs/performance.md, from bench/results: `node bench/peers/charts.js`. Drawn by vega-lite, one SVG a measure, in
 * colours that can be read on white and on black.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parse, View } from 'vega';
import { compile } from 'vega-lite';

const ROOT = new URL('../../', import.meta.url);
const FOLDER = new URL('docs/performance/', ROOT);
/** As far from white as from black. */
const TEXT = '#767c85';
const GRID = '#767c8540';
const OURS = '#2f81f7';
const OTHERS = '#8b949e';
const FLOOR = '#bf8700';

/** @param {string} kind */
function results(kind) {
  const file = new URL(`bench/results/${kind}.json`, ROOT);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).results : [];
}

/** @param {{ title: string, unit: string, contenders: { label: string, values: Record<string, number>, rounds: number[] }[] }} result */
function chart({ title, unit, contenders }) {
  const values = contenders.map(({ label, values: numbers, rounds }) => ({
    label,
    value: Object.values(numbers)[0],
    low: Math.min(...rounds),
    high: Math.max(...rounds),
    kind: label === 'nyota' ? 'nyota' : label === 'floor' ? 'floor' : 'other',
  }));
  const y = { field: 'label', type: 'nominal', sort: null, title: null };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: null,
    width: 460,
    height: { step: 26 },
    title: {
      text: title,
      subtitle: `${unit}: median of the rounds; line: lowest to highest`,
      anchor: 'start',
    },
    data: { values },
    layer: [
      {
        mark: { type: 'bar', cornerRadiusEnd: 2, height: 16 },
        encoding: {
          y,
          x: { field: 'value', type: 'quantitative', title: null },
          color: {
            field: 'kind',
            scale: { domain: ['nyota', 'floor', 'other'], range: [OURS, FLOOR, OTHERS] },
            legend: null,
          },
        },
      },
      {
        mark: { type: 'rule', strokeWidth: 2, color: TEXT },
        encoding: { y, x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' } },
      },
      {
        mark: { type: 'text', align: 'left', dx: 6, dy: -7, color: TEXT, fontSize: 11 },
        encoding: {
          y,
          x: { field: 'value', type: 'quantitative' },
          text: { field: 'value', type: 'quantitative', format: ',.3~s' },
        },
      },
    ],
    config: {
      font: 'sans-serif',
      title: { color: TEXT, subtitleColor: TEXT },
      axis: { labelColor: TEXT, titleColor: TEXT, gridColor: GRID, domainColor: TEXT, tickColor: TEXT },
      view: { stroke: null },
    },
  };
}

mkdirSync(FOLDER, { recursive: true });
const own = results('own').filter(({ id }) => ['codec', 'store-writes', 'memory', 'durable'].includes(id));
for (const result of [...results('peers'), ...own]) {
  const view = new View(parse(compile(chart(result)).spec), { renderer: 'none' });
  const file = new URL(`${result.id}.svg`, FOLDER);
  writeFileSync(file, `${await view.toSVG()}\n`);
  process.stdout.write(`${file.pathname}\n`);
}
