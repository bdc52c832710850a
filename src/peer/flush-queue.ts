/**
 * What this tick has brought is written behind it: once for each session, and in one go for all of them, so that an event to
 * a thousand sessions costs one callback, not a thousand. One queue for the process; it holds nothing between two ticks.
 * Whoever writes to many at once may gather their flushes first, and plan them as one (fan-out.ts).
 */

export interface Flushable {
  flush(): void;
}

/** When a flush comes: `soon` behind this tick, `later` whenever the one who gathers sees fit. */
export type Planned = 'soon' | 'later';

let planned: Flushable[] = [];
let gathering: Flushable[] | undefined;

/**
 * `flush` is called once this tick, and all microtasks that it leaves, are through; what is gathered, later.
 * @param already what the call before this one has returned, where no flush came since: nothing is planned twice, but what was
 * gathered can be had soon
 */
export function planFlush(flushable: Flushable, already?: Planned): Planned {
  if (already === 'soon') return already;
  if (gathering !== undefined) {
    if (already === undefined) gathering.push(flushable);
    return 'later';
  }
  planned.push(flushable);
  // Behind all microtasks: what the continuations of promises send, settled in this tick, goes along.
  if (planned.length === 1) queueMicrotask(planRun);
  return 'soon';
}

/** What `fn` plans goes into this list instead: its owner calls `flushAll`. */
export function gatherFlushes(into: Flushable[], fn: () => void): void {
  const outer = gathering;
  gathering = into;
  try {
    fn();
  } finally {
    gathering = outer;
  }
}

export function flushAll(due: readonly Flushable[]): void {
  let done = 0;
  try {
    while (done < due.length) due[done++]?.flush();
  } finally {
    // One that failed, loudly, takes nothing from the others.
    for (; done < due.length; done++) planFlush(due[done] as Flushable);
  }
}

function planRun(): void {
  process.nextTick(run);
}

function run(): void {
  const due = planned;
  planned = [];
  flushAll(due);
}
