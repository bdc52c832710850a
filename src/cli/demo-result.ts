/** The verdict: what both ends of every link reported, compared. Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { EndReport, LinkName } from './demo-messages.js';
import { flaws, percentile, type Tally, tally } from './demo-tally.js';

export interface DirectionResult extends Tally {
  readonly from: string;
  readonly to: string;
  /** Of the link. */
  readonly reconnects: number;
  readonly eventsPerSecond: number;
  readonly requests: {
    readonly sent: number;
    readonly answered: number;
    readonly failed: number;
    /** Those whose asking process was killed before it had the answer. */
    readonly interrupted: number;
    /** Times that a handler ran, and how many of them were for a request that a killed process had begun to handle. */
    readonly handled: number;
    readonly redelivered: number;
    /** Undefined if none was answered. */
    readonly p50Ms: number | undefined;
    readonly p99Ms: number | undefined;
  };
  /**
   * Messages that were sent again after a cut, and those that the other end had already and dropped. What a killed process
   * counted is not known.
   */
  readonly replayed: number;
  readonly duplicatesDropped: number;
}

interface StoreResult {
  readonly link: LinkName;
  /** By both ends. */
  readonly writes: number;
  readonly equal: boolean;
  /** What both ends together have counted up, and what the counter in the store says. */
  readonly steps: number;
  readonly counter: number;
}

export interface DemoResult {
  readonly ok: boolean;
  readonly seed: number;
  readonly durationMs: number;
  readonly cuts: { readonly planned: number; readonly made: number };
  /** Of the server's process. */
  readonly kills: { readonly planned: number; readonly made: number };
  /** Where the server keeps its sessions. */
  readonly sessionStore: 'lmdb' | 'memory';
  readonly directions: readonly DirectionResult[];
  readonly stores: readonly StoreResult[];
  /** Empty where all went well. */
  readonly problems: readonly string[];
}

/** A link's two ends. */
export interface LinkReport {
  readonly link: LinkName;
  readonly client: EndReport;
  readonly server: EndReport;
}

export interface RunFacts {
  readonly seed: number;
  readonly durationMs: number;
  /** Events that each end was to send. */
  readonly events: number;
  readonly cuts: DemoResult['cuts'];
  readonly kills: DemoResult['kills'];
  readonly sessionStore: DemoResult['sessionStore'];
  /** What was wrong beside the counts. */
  readonly problems: readonly string[];
}

export function judge(facts: RunFacts, links: readonly LinkReport[], counterKey: string): DemoResult {
  const { seed, durationMs, events, cuts, kills, sessionStore } = facts;
  const directions = links.flatMap(({ link, client, server }) => [
    judgeDirection(`client ${link}`, 'server', client, server, client.stats.reconnects),
    judgeDirection('server', `client ${link}`, server, client, client.stats.reconnects),
  ]);
  const stores = links.map((link) => judgeStore(link, counterKey));
  const problems = [
    ...facts.problems,
    ...directions.flatMap((direction) => directionProblems(direction, events)),
    ...stores.flatMap(storeProblems),
    ...(cuts.made < cuts.planned ? [`only ${cuts.made} of ${cuts.planned} cuts made`] : []),
    ...(kills.made < kills.planned ? [`only ${kills.made} of ${kills.planned} kills made`] : []),
  ];
  const ok = problems.length === 0;
  return { ok, seed, durationMs, sessionStore, cuts, kills, directions, stores, problems };
}

function judgeDirection(
  from: string,
  to: string,
  sender: EndReport,
  handler: EndReport,
  reconnects: number,
): DirectionResult {
  const { roundTripsMs, ...requests } = sender.requests;
  const events = tally(sender.sent, handler.handled);
  const requestTally = tally(requests.sent, handler.requestsHandled);
  return {
    from,
    to,
    ...events,
    reconnects,
    eventsPerSecond: handler.handledMs > 0 ? (events.handled / handler.handledMs) * 1_000 : 0,
    requests: {
      ...requests,
      handled: requestTally.handled,
      redelivered: requestTally.redelivered,
      p50Ms: percentile(roundTripsMs, 0.5),
      p99Ms: percentile(roundTripsMs, 0.99),
    },
    replayed: sender.stats.replayed,
    duplicatesDropped: handler.stats.duplicatesDropped,
  };
}

function judgeStore({ link, client, server }: LinkReport, counterKey: string): StoreResult {
  return {
    link,
    writes: client.writes + server.writes,
    equal: isDeepStrictEqual(client.store, server.store),
    steps: client.steps + server.steps,
    counter: totalOf(server.store[counterKey]),
  };
}

function directionProblems(direction: DirectionResult, events: number): string[] {
  const { from, to, sent, requests } = direction;
  const found = flaws(direction);
  if (sent !== events) found.push(`${sent} sent instead of ${events}`);
  if (requests.failed > 0) found.push(`${requests.failed} requests failed`);
  if (requests.answered + requests.failed + requests.interrupted !== requests.sent)
    found.push('requests never settled');
  if (requests.handled - requests.redelivered !== requests.sent)
    found.push(`${requests.sent} requests handled ${requests.handled} times`);
  return found.length === 0 ? [] : [`${from} to ${to}: ${found.join(', ')}`];
}

function storeProblems({ link, equal, steps, counter }: StoreResult): string[] {
  const found: string[] = [];
  if (!equal) found.push('its two sides differ');
  if (counter !== steps) found.push(`the counter is ${counter} after ${steps} steps`);
  return found.length === 0 ? [] : [`store ${link}: ${found.join(', ')}`];
}

function totalOf(counter: unknown): number {
  return Number((counter as { total?: unknown } | undefined)?.total ?? 0);
}
