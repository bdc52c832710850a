/**
 * How long to wait before the next attempt to connect: exponential, with full jitter. Pure: random is handed in.
 * Full jitter spreads the clients of a server that fell over best; p-retry caps after randomising, so that late
 * attempts of all clients would come at the same moment, and its delays are not used.
 */

export interface ReconnectOptions {
  /** The ceiling of the first delay, in ms. Default 100. */
  minDelayMs: number;
  /** No delay is longer. Default 30 000. */
  maxDelayMs: number;
  /** By how much the ceiling grows with each attempt. Default 2. */
  factor: number;
  /** `full`: anything from 0 to the ceiling; `none`: the ceiling itself. Default `full`. */
  jitter: 'full' | 'none';
}

/**
 * @param failures attempts that have failed since a connection lived; from 1
 * @param random from 0 to 1
 * @returns whole milliseconds
 */
export function reconnectDelay(failures: number, options: ReconnectOptions, random: () => number): number {
  const ceiling = Math.min(options.maxDelayMs, options.minDelayMs * options.factor ** (failures - 1));
  return Math.round(options.jitter === 'full' ? random() * ceiling : ceiling);
}
