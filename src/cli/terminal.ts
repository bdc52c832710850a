/** The process as a command line program: colours where they are seen, warnings on a line, pipes that may close. */
import { styleText } from 'node:util';
import { escapeText } from './text.js';

type Style = Parameters<typeof styleText>[0];

/** Coloured where the stream is a terminal that shows it; NO_COLOR and FORCE_COLOR are obeyed. */
export function paint(stream: NodeJS.WriteStream, style: Style, text: string): string {
  const shown = stream.isTTY === true && stream.hasColors();
  return shown ? styleText(style, text, { validateStream: false }) : text;
}

/** Once, before anything else: a warning is one line, and a reader that has gone (`| head`) is no error. */
export function prepareProcess(): void {
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    process.stderr.write(`nyota: warning: ${escapeText(warning.message)}\n`);
  });
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      process.exit(error.code === 'EPIPE' ? 0 : 1);
    });
  }
}

/**
 * Calls `stop` at the first SIGINT or SIGTERM and `force` at the next. Returns the function that ends it.
 */
export function onStopSignal(stop: (signal: NodeJS.Signals) => void, force: () => void): () => void {
  let asked = false;
  const listener = (signal: NodeJS.Signals): void => {
    if (asked) force();
    else {
      asked = true;
      stop(signal);
    }
  };
  process.on('SIGINT', listener).on('SIGTERM', listener);
  return () => {
    process.off('SIGINT', listener).off('SIGTERM', listener);
  };
}

let draining: Promise<void> | undefined;

/** A line on stdout. A promise where its reader is slow, which resolves once there is room again. */
export function printLine(line: string): undefined | Promise<void> {
  if (process.stdout.write(`${line}\n`)) return undefined;
  draining ??= new Promise((resolve) => {
    process.stdout.once('drain', () => {
      draining = undefined;
      resolve();
    });
  });
  return draining;
}
