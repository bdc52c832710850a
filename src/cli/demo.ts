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
  readonly seed?: number;
  readonly json?: boolean;
}

const MAX_SEED = 2 ** 31 - 1;

export function addDemo(program: Command): void {
  program
    .command('demo')
    .summary('See events get through while connections are cut again and again.')
    .description(
      'Two clients and a server exchange numbered events while their connections are cut again and again.\n' +
        'Exits 0 only if every event was handled once and in order, counted by those that sent and those that handled.',
    )
    .option('--events <n>', 'events for each direction', parseWhole('It takes a count', 1, 1_000_000), 20_000)
    .option('--cuts <n>', 'how often a connection is cut', parseWhole('It takes a count', 0, 1_000), 40)
    .option('--seed <n>', 'for the same faults as another run', parseWhole('It takes a number', 0, MAX_SEED))
    .option('--json', 'print the result as JSON')
    .action(demo);
}

async function demo(flags: DemoFlags): Promise<void> {
  const { events, cuts, seed = randomInt(MAX_SEED) } = flags;
  const interrupted = new AbortController();
  const offSignals = onStopSignal(
    (signal) => interrupted.abort(new Exit(signal === 'SIGINT' ? 130 : 143)),
    () => process.exit(130),
  );
  const progress = new DemoProgress(events * 4, cuts);
  try {
    const result = await runDemo({ events, cuts, seed }, progress, interrupted.signal);
    progress.stop();
    process.stdout.write(flags.json === true ? `${JSON.stringify(result, null, 2)}\n` : renderResult(result));
    finish(result);
  } finally {
    progress.stop();
    offSignals();
  }
}

function finish({ problems }: DemoResult): void {
  if (problems.length > 0) throw new Failure(`the demo found ${problems.join('; ')}`);
}
