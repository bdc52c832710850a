/**
 * A process of a run: `child.js server|client MEASURE STACK PARAMS [ADDRESS]`. Talks to the runner over its IPC channel,
 * and through it to the other half. It ends when the runner lets go of it.
 */
import { loadMeasure, loadStack } from './catalog.js';
import type { Channel, Params } from './measure.js';
import type { Address } from './stack.js';

/** What a child says to the runner. */
export type Report =
  | { readonly is: 'ready'; readonly address: Address }
  | { readonly is: 'word'; readonly word: string }
  | { readonly is: 'result'; readonly result: unknown }
  | { readonly is: 'failed'; readonly reason: string };

function report(message: Report): void {
  process.send?.(message);
}

function openChannel(): Channel {
  const said = new Set<string>();
  const waiting = new Map<string, () => void>();
  process.on('message', (word: unknown) => {
    const text = String(word);
    said.add(text);
    waiting.get(text)?.();
  });
  return {
    tell: (word) => report({ is: 'word', word }),
    heard: (word) =>
      said.has(word) ? Promise.resolve() : new Promise((resolve) => waiting.set(word, resolve)),
  };
}

async function run(): Promise<void> {
  const [half = '', measureId = '', stackName = '', json = '{}', address = '0'] = process.argv.slice(2);
  process.on('disconnect', () => process.exit(0));
  const channel = openChannel();
  const measure = await loadMeasure(measureId);
  const stack = await loadStack(stackName);
  const params = JSON.parse(json) as Params;
  if (half === 'server') {
    if (measure.server === undefined) throw new Error(`${measureId} has no server`);
    const server = await measure.server(stack, params, channel);
    report({ is: 'ready', address: server.address });
    report({ is: 'result', result: await server.result });
  } else {
    const to = JSON.parse(address) as Address;
    report({ is: 'result', result: await measure.client(stack, to, params, channel) });
  }
}

run().catch((error: unknown) => {
  report({ is: 'failed', reason: error instanceof Error ? error.message : String(error) });
});
