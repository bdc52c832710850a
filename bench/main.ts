/**
 * `npm run bench` and `npm run bench:peers`: runs the measures, prints the numbers as they come, compares them with the
 * run before and writes them to bench/results.
 *
 *   --peers          against the libraries of bench/peers
 *   --only a,b       these measures alone
 *   --with a,b       these peers alone
 *   --rounds n       default 5
 *   --effort x       1: a real run; 0.01: to see that everything works
 *
 * With NYOTA_BENCH_PROFILES set to a folder each process leaves a CPU profile there.
 */
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { loadMeasure, loadStack, OWN_MEASURES, PEER_MEASURES, PEERS } from './catalog.js';
import type { StackInfo } from './measure.js';
import { formatNumber, measureLines, type RunFile, verdictLines } from './report.js';
import { readBefore, writeRun } from './results.js';
import { type MeasureResult, type Observer, runRounds } from './rounds.js';
import { judge } from './targets.js';

const { values: flags } = parseArgs({
  options: {
    peers: { type: 'boolean', default: false },
    only: { type: 'string' },
    with: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    effort: { type: 'string', default: '1' },
  },
});

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const observer: Observer = {
  round: ({ id }, label, round, value) => {
    process.stderr.write(`${id} ${round} ${label}: ${formatNumber(value)}\n`);
  },
  leftOut: ({ id }, label, reason) => {
    process.stderr.write(`${id} ${label} left out: ${reason}\n`);
  },
};

function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `${cpus().length} cores, ${cpu?.model.trim() ?? 'unknown'}, ${memory} GiB, ${process.platform} ${process.arch}`;
}

/** The peers that are installed; the others by name. */
async function findPeers(names: readonly string[]) {
  const found: StackInfo[] = [];
  const leftOut: { name: string; reason: string }[] = [];
  for (const file of names) {
    try {
      const stack = await loadStack(file);
      const { name, version, scale = 1, broadcasts = true, requests = true } = stack;
      found.push({ file, name, version, scale, broadcasts, requests });
    } catch (error) {
      leftOut.push({
        name: file,
        reason: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error),
      });
    }
  }
  return { found, leftOut };
}

const split = (list: string | undefined, all: readonly string[]): readonly string[] =>
  list?.split(',') ?? all;

async function run(): Promise<void> {
  const rounds = Number(flags.rounds);
  const effort = Number(flags.effort);
  if (!(rounds >= 1) || !(effort > 0)) throw new Error('--rounds and --effort take numbers above 0');
  const kind = flags.peers ? 'peers' : 'own';
  const load = loadavg()[0] ?? 0;
  const { found, leftOut } = flags.peers
    ? await findPeers(split(flags.with, PEERS))
    : { found: [], leftOut: [] };
  const stacks = [await loadStack('floor'), await loadStack('nyota')];
  const versions = [...stacks, ...found].map(({ version }) => version);
  print(`${machine()}; load ${load.toFixed(2)}\n${versions.join('\n')}`);
  for (const { name, reason } of leftOut) print(`${name} left out: ${reason}`);
  const before = readBefore(kind);
  const comparable = before?.effort === effort ? before : undefined;
  const results: MeasureResult[] = [];
  for (const id of split(flags.only, flags.peers ? PEER_MEASURES : OWN_MEASURES)) {
    const measure = await loadMeasure(id);
    const result = await runRounds(measure, measure.contenders(effort, found), rounds, observer);
    results.push(result);
    for (const line of measureLines(
      result,
      comparable?.results.find((old) => old.id === id),
    ))
      print(line);
  }
  const verdicts = judge(results);
  print('\nTargets');
  for (const line of verdictLines(verdicts)) print(line);
  const command = `npm run ${flags.peers ? 'bench:peers' : 'bench'} -- ${process.argv
    .slice(2)
    .filter((arg) => arg !== '--peers')
    .join(' ')}`;
  const file: RunFile = {
    at: new Date().toISOString(),
    command: command.replace(/ -- $/, ''),
    machine: machine(),
    versions,
    rounds,
    effort,
    load,
    results,
    verdicts,
    leftOut,
  };
  print(`\n${writeRun(kind, file)}`);
}

await run();
