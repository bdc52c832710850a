/** What a bench has found, as text. Pure. */
import type { Latency } from './bench-load.js';
import { escapeText } from './text.js';

export interface BenchResult {
  readonly address: string;
  readonly kind: 'events' | 'requests';
  readonly event: string;
  readonly connections: number;
  /** Messages a second that were asked for; null for as many as the server takes. */
  readonly targetRate: number | null;
  readonly sizeBytes: number;
  readonly seconds: number;
  readonly sent: number;
  /** Requests answered, events acknowledged. */
  readonly done: number;
  readonly perSecond: number;
  readonly mibPerSecond: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly reconnects: number;
  /** In milliseconds; null where nothing was timed. */
  readonly latencyMs: Latency | null;
}

export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function formatMs(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  return ms < 100 ? `${ms.toFixed(2)} ms` : `${formatCount(ms)} ms`;
}

export function renderBench(result: BenchResult): string {
  const { kind, latencyMs } = result;
  const done = kind === 'requests' ? 'answered' : 'acknowledged';
  const lines = [
    `${escapeText(result.address)}: ${kind} '${escapeText(result.event)}' of ${formatCount(result.sizeBytes)} bytes over ` +
      `${formatCount(result.connections)} ${result.connections === 1 ? 'connection' : 'connections'}, ${result.seconds.toFixed(1)} s`,
    `throughput  ${formatCount(result.perSecond)} ${kind}/s, ${result.mibPerSecond.toFixed(2)} MiB/s`,
    `messages    ${formatCount(result.sent)} sent, ${formatCount(result.done)} ${done}`,
  ];
  if (latencyMs !== null) {
    const { count, min, mean, p50, p90, p99, p999, max } = latencyMs;
    const named = { min, mean, p50, p90, p99, 'p99.9': p999, max };
    const shown = Object.entries(named).map(([name, ms]) => `${name} ${formatMs(ms)}`);
    lines.push(`latency     ${shown.join(', ')} (${formatCount(count)} timed)`);
  }
  for (const [code, count] of Object.entries(result.failed)) {
    lines.push(`failed      ${formatCount(count)} with ${escapeText(code)}`);
  }
  if (result.reconnects > 0) lines.push(`reconnects  ${formatCount(result.reconnects)}`);
  return `${lines.join('\n')}\n`;
}
