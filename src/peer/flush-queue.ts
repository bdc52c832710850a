/**
 * What this tick has brought is written behind it: once for each session, and in one go for all of them, so that an event to
 * a thousand sessions costs one callback, not a thousand. One queue for the process; it holds nothing between two ticks.
 */

export interface Flushable {
  flush(): void;
}

let planned: Flushable[] = [];

/** `flush` is called once this tick, and all microtasks that it leaves, are through. The caller sees to it that it plans once. */
export function planFlush(flushable: Flushable): void {
  planned.push(flushable);
  // Behind all microtasks: what the continuations of promises send, settled in this tick, goes along.
  if (planned.length === 1) queueMicrotask(planRun);
}

function planRun(): void {
  process.nextTick(run);
}

function run(): void {
  const due = planned;
  planned = [];
  let done = 0;
  try {
    while (done < due.length) due[done++]?.flush();
  } finally {
    // One that failed, loudly, takes nothing from the others.
    for (; done < due.length; done++) planFlush(due[done] as Flushable);
  }
}
