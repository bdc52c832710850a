/** `nyota demo`: the command, its options and its output. What it shows is run by demo-run.ts. */
import { randomInt } from 'node:crypto';
import type { Command } from 'commander';
import { parseWhole } from './arguments.js';
import { DemoProgress } from './demo-progress.js';
import type { DemoResult } from './demo-result.js';
import { runDemo } from './demo-run.js';
import { renderResult } from './demo-table.js';
import { Exit, Failure } from './failures.js';
import { onStopSignal } from './terminal.js';

interface DemoFlags {
  readonly events: number;
  readonly cuts: number;
  readonly kills: number;
  readonly seed?: number;
  readonly json?: boolean;
}

const MAX_SEED = 2 ** 31 - 1;

export function addDemo(program: Command): void {
  program
    .command('demo')
    .summary('See events get through while connections are cut and the server is killed.')
    .description(
      'Two clients and a server exchange numbered events while their connections are cut again and again,\n' +
        'and the server process is killed with SIGKILL and started again.\n' +
        'Exits 0 only if every event was handled once and in order, counted by those that sent and those that handled;\n' +
        'one that a killed process had begun may be handled again where it is flagged as redelivered.',
    )
    .option('--events <n>', 'events for each direction', parseWhole('It takes a count', 1, 1_000_000), 20_000)
    .option('--cuts <n>', 'how often a connection is cut', parseWhole('It takes a count', 0, 1_000), 40)
    .option('--kills <n>', 'how often the server is killed', parseWhole('It takes a count', 0, 20), 2)
    .option('--seed <n>', 'for the same faults as another run', parseWhole('It takes a number', 0, MAX_SEED))
    .option('--json', 'print the result as JSON')
    .action(demo);
}

async function demo(flags: DemoFlags): Promise<void> {
  const { events, cuts, seed = randomInt(MAX_SEED) } = flags;
  const durable = await lmdbIsThere();
  const kills = durable ? flags.kills : 0;
  const interrupted = new AbortController();
  const offSignals = onStopSignal(
    (signal) => interrupted.abort(new Exit(signal === 'SIGINT' ? 130 : 143)),
    () => process.exit(130),
  );
  const progress = new DemoProgress(events * 4, cuts, kills);
  if (!durable) {
    progress.remark(
      'The package lmdb is not installed: the server keeps its sessions in memory, and is not killed.',
    );
  }
  try {
    const result = await runDemo({ events, cuts, kills, durable, seed }, progress, interrupted.signal);
    progress.stop();
    process.stdout.write(flags.json === true ? `${JSON.stringify(result, null, 2)}\n` : renderResult(result));
    finish(result);
  } finally {
    progress.stop();
    offSignals();
  }
}

/** It is an optional peer dependency. */
async function lmdbIsThere(): Promise<boolean> {
  try {
    await import('lmdb');
    return true;
  } catch {
    return false;
  }
}

function finish({ problems }: DemoResult): void {
  if (problems.length > 0) throw new Failure(`the demo found ${problems.join('; ')}`);
}
