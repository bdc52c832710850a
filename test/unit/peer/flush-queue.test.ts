/** The queue of what is written behind a tick: when it runs, in which order, and that no failure stops the others. */
import { describe, expect, it } from 'vitest';
import { type Flushable, planFlush } from '../../../src/peer/flush-queue.js';
import { turns } from '../../support/session-connection.js';

describe('a planned flush', () => {
  it('runs once this tick and its microtasks are through, in the order of planning', async () => {
    const log: string[] = [];
    const flushable = (name: string): Flushable => ({ flush: () => void log.push(name) });
    planFlush(flushable('a'));
    planFlush(flushable('b'));
    void Promise.resolve()
      .then(() => log.push('microtask'))
      .then(() => planFlush(flushable('c')));
    log.push('this tick');
    await turns(1);
    expect(log).toEqual(['this tick', 'microtask', 'a', 'b', 'c']);
  });

  it('that plans another is followed by it', async () => {
    const log: string[] = [];
    planFlush({
      flush: () => {
        log.push('first');
        planFlush({ flush: () => void log.push('second') });
      },
    });
    await turns(1);
    expect(log).toEqual(['first', 'second']);
  });

  it('that throws is heard of, and takes nothing from the others', async () => {
    const log: string[] = [];
    const thrown: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error));
    const failure = new Error('a bug');
    planFlush({
      flush: () => {
        throw failure;
      },
    });
    planFlush({ flush: () => void log.push('the other') });
    await turns(5);
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
    expect([thrown, log]).toEqual([[failure], ['the other']]);
  });
});
