/** What a bench run is asked to do, read from the command line. Pure. */
import { InvalidArgumentError } from 'commander';
import type { ConnectionFlags } from './connection-options.js';

export interface BenchFlags extends ConnectionFlags {
  readonly connections: number;
  /** Messages a second, all connections together; absent: as many as the server takes. */
  readonly rate?: number;
  /** Bytes of the one argument, a Buffer. */
  readonly size: number;
  /** How long it sends, in seconds. */
  readonly duration: number;
  readonly requests?: boolean;
  readonly event?: string;
  readonly json?: boolean;
}

/** What `nyota serve` answers, and a name of our own for events. */
export const DEFAULT_REQUEST = 'echo';
export const DEFAULT_EVENT = 'bench';

const MAX_SECONDS = 24 * 3600;

/** Seconds, fractions included. */
export function parseSeconds(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= 0.1 && seconds <= MAX_SECONDS) return seconds;
  throw new InvalidArgumentError(`It takes seconds from 0.1 to ${MAX_SECONDS}.`);
}
