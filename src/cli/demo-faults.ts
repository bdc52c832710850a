/**
 * How a link of the demo is broken: cuts at once, cuts after a number of bytes, stalls, black holes, and cuts in the middle of
 * the next handshake. All drawn from a seed, so that another run breaks it the same way.
 */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { Direction, FaultProxy } from '../testing/index.js';

export interface FaultPlan {
  /** How often the link is to be cut, at least. */
  readonly cuts: number;
  /** Over how long a time that is spread. */
  readonly durationMs: number;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** A cut that waits for bytes is forced after so long, since the traffic may be waiting for the cut. */
const LONGEST_WAIT_MS = 250;
const DIRECTIONS: readonly Direction[] = ['up', 'down', 'both'];

/** Breaks the link as planned. Resolves once the last cut is made; rejects where the signal is aborted. */
export async function breakLink(proxy: FaultProxy, plan: FaultPlan): Promise<void> {
  const { cuts, durationMs, random, signal } = plan;
  const startedAt = performance.now();
  const slotMs = durationMs / (cuts + 1);
  while (proxy.totals.cuts < cuts) {
    const before = proxy.totals.cuts;
    const dueMs = slotMs * (before + 0.7 + 0.6 * random());
    await pause(Math.max(0, startedAt + dueMs - performance.now()), undefined, { signal });
    const fault = FAULTS[Math.floor(random() * FAULTS.length)] ?? cutNow;
    await fault(proxy, random, signal);
    proxy.heal();
    if (proxy.totals.cuts === before) await forceCut(proxy, signal);
  }
}

type Fault = (proxy: FaultProxy, random: () => number, signal: AbortSignal) => Promise<void>;

const between = (random: () => number, min: number, max: number): number =>
  min + Math.floor(random() * (max - min));
const anyDirection = (random: () => number): Direction => DIRECTIONS[between(random, 0, 3)] ?? 'both';

const cutNow: Fault = async (proxy) => {
  proxy.cut();
};

const cutAfterBytes: Fault = async (proxy, random, signal) => {
  proxy.cutAfter({ bytes: between(random, 0, 20_000), direction: anyDirection(random) });
  await cutMade(proxy, signal, LONGEST_WAIT_MS);
};

/** The link looks alive and nothing passes; then it is cut with all that waited in it. */
const stallThenCut: Fault = async (proxy, random, signal) => {
  proxy.stall(anyDirection(random));
  await pause(between(random, 30, 150), undefined, { signal });
  proxy.cut();
};

/** Bytes vanish. The proxy resets the link afterwards: a stream with a hole is shown to nobody. */
const blackhole: Fault = async (proxy, random, signal) => {
  proxy.blackhole(anyDirection(random));
  await pause(between(random, 30, 150), undefined, { signal });
};

/** Cut, and again somewhere in what the client sends and hears first when it comes back. */
const cutTheHandshake: Fault = async (proxy, random, signal) => {
  proxy.cut();
  proxy.cutAfter({ bytes: between(random, 0, 300), direction: anyDirection(random) });
  await cutMade(proxy, signal, LONGEST_WAIT_MS * 2);
};

const FAULTS: readonly Fault[] = [
  cutNow,
  cutAfterBytes,
  cutAfterBytes,
  stallThenCut,
  blackhole,
  cutTheHandshake,
];

/** Cuts now, or the next connection as soon as it is there. */
async function forceCut(proxy: FaultProxy, signal: AbortSignal): Promise<void> {
  if (proxy.cut() > 0) return;
  const cut = once(proxy, 'cut', { signal });
  proxy.cutAfter({ bytes: 0 });
  await cut;
}

/** Resolves at the next cut, or when the time is over. */
async function cutMade(proxy: FaultProxy, signal: AbortSignal, withinMs: number): Promise<void> {
  let heard = (): void => {};
  const cut = new Promise<void>((resolve) => {
    heard = resolve;
  });
  proxy.once('cut', heard);
  try {
    await Promise.race([cut, pause(withinMs, undefined, { signal })]);
  } finally {
    proxy.off('cut', heard);
  }
}
