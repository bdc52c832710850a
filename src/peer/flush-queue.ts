/**
 * Writes what a tick has brought, after it: once for each session, and for all sessions in one go, so that an event to a
 * thousand sessions costs one callback and not a thousand (docs/design.md, rule 13). There is one queue for the process; it
 * is empty between two ticks. Whoever writes to many sessions at once may gather their flushes first, and plan them as one
 * (server/fan-out.ts).
 */

export interface Flushable {
  flush(): void;
}

/** When a flush comes. `soon`: after this tick. `later`: when whoever gathers it decides. */
export type Planned = 'soon' | 'later';

let planned: Flushable[] = [];
let gathering: Flushable[] | undefined;

/**
 * `flush` is called after this tick and all of its microtasks; gathered flushables are called when their owner decides.
 * @param already what the last call has returned, if no flush came since: nothing is planned twice, but what was gathered may
 * now be planned for soon
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
    // If one throws, the others are planned again.
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
