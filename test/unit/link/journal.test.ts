/** What is stored, when, and what a step lets out (docs/design.md, rules 3, 20, 21 and 23): the journal over an outbox and an inbox. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import type { Feature } from '../../../src/link/feature.js';
import { ACK_DELAY_MS, Inbox } from '../../../src/link/inbox.js';
import { Journal } from '../../../src/link/journal.js';
import { Outbox } from '../../../src/link/outbox.js';
import type { CoreImage, SessionBatch } from '../../../src/link/persisted.js';
import { type Deferred, deferred } from '../../support/deferred.js';
import { FrameType } from '../../support/frame-type.js';
import { microtasks } from '../../support/session-side.js';

/** A feature that keeps one entry in the store. */
class Keeping implements Feature {
  kept = false;
  changed = '';
  restored: CoreImage | undefined;
  firstKeptSeq: number | undefined;
  /** What it tells at the end of a chunk, as the store's server does with its results. */
  atChunkEnd = (): void => {};

  decode(): unknown {
    return undefined;
  }

  receive(): boolean {
    return true;
  }

  end(): void {}

  keepChanges(): void {
    this.kept = true;
  }

  get hasChanges(): boolean {
    return this.changed !== '';
  }

  takeChanges() {
    const bytes = Buffer.from(this.changed);
    this.changed = '';
    return { entries: [{ key: 'key', bytes, revision: 1, expiresAt: undefined }] };
  }

  chunkEnd(): void {
    this.atChunkEnd();
  }

  restore(image: CoreImage): void {
    this.restored = image;
  }
}

interface Step {
  readonly batch: SessionBatch;
  readonly answer: Deferred<void>;
}

/** @param answers 'later': the store answers where the test says so; 'at once': without a promise */
function setUp(answers: 'later' | 'at once', image?: CoreImage) {
  const outbox = new Outbox({ maxOutboxBytes: 1e6, maxOutboxFrames: 1e6 });
  const inbox = new Inbox();
  const feature = new Keeping();
  const world = { now: 0, wakes: 0 };
  const steps: Step[] = [];
  const failures: NyotaError[] = [];
  const journal: Journal = new Journal(
    {
      outbox,
      inbox,
      // One that keeps nothing beside it: events have nothing durable of their own.
      features: [{ decode: () => undefined, receive: () => true, end: () => {} }, feature],
      now: () => world.now,
      // As a pump does in the end: what a step lets out is written, and the next one is made.
      wake: () => {
        world.wakes++;
        journal.flush();
      },
    },
    {
      commit: (batch) => {
        const answer = deferred();
        steps.push({ batch, answer });
        return answers === 'later' ? answer.promise : undefined;
      },
      failed: (error) => failures.push(error),
    },
    image,
  );
  const send = (text: string): number => outbox.append(FrameType.EVENT, 0, Buffer.from(text));
  /** The numbers that a connection may be handed now. */
  const handedOut = (): number => {
    while (outbox.take() !== undefined) {}
    return outbox.cursorSeq;
  };
  const stored = (): unknown[] => steps.map(({ batch }) => (batch.outbound ?? []).map(({ seq }) => seq));
  const answer = async (index: number): Promise<void> => {
    steps[index]?.answer.resolve();
    await microtasks();
  };
  return { outbox, inbox, feature, world, steps, failures, journal, send, handedOut, stored, answer };
}

describe('what goes out', () => {
  it('is handed to no connection before the step that holds it is in the store', async () => {
    const { journal, send, handedOut, stored, answer } = setUp('later');
    send('a');
    expect(handedOut()).toBe(0);
    journal.flush();
    send('b');
    expect([stored(), handedOut()]).toEqual([[[1]], 0]);
    await answer(0);
    expect([stored(), handedOut()]).toEqual([[[1], [2]], 1]);
    await answer(1);
    expect(handedOut()).toBe(2);
  });

  it('is free at once where the store answers at once', () => {
    const { journal, send, handedOut, world } = setUp('at once');
    send('a');
    journal.flush();
    expect([handedOut(), world.wakes]).toEqual([1, 1]);
  });
});

describe('an acknowledgement', () => {
  it('claims nothing before the step that holds it is in the store, and is due then', async () => {
    const { journal, inbox, world, steps, answer } = setUp('later');
    inbox.accept(1, 10, true, 0);
    journal.flush();
    inbox.accept(2, 10, false, 0);
    expect([inbox.ackReady, inbox.ackable, steps[0]?.batch.inbound]).toEqual([
      false,
      0,
      { settled: 1, beyond: [] },
    ]);
    await answer(0);
    expect([inbox.ackDue(world.now), inbox.takeAck()]).toEqual([true, 1]);
  });

  it('is no reason for a step before it would be due: what was only received waits for company', () => {
    const { journal, inbox, world, steps } = setUp('later');
    inbox.accept(1, 10, false, 0);
    journal.flush();
    expect(steps).toEqual([]);
    world.now = ACK_DELAY_MS;
    journal.flush();
    expect(steps.map(({ batch }) => batch.inbound?.settled)).toEqual([1]);
  });

  it('goes along with a step that is made for something else', () => {
    const { journal, inbox, send, steps } = setUp('later');
    inbox.accept(1, 10, false, 0);
    send('a');
    journal.flush();
    expect(steps[0]?.batch).toMatchObject({ inbound: { settled: 1 }, lastSeq: 1 });
  });
});

describe('a step', () => {
  it('holds all that has changed since the last one, once', async () => {
    const { journal, inbox, outbox, feature, send, handedOut, steps, answer } = setUp('later');
    send('a');
    inbox.accept(1, 10, false, 0);
    inbox.open(1, 0, 'event');
    inbox.accept(2, 10, false, 0);
    feature.changed = 'value';
    journal.flush();
    expect(steps[0]?.batch).toEqual({
      outbound: [{ seq: 1, frame: expect.any(Buffer) }],
      lastSeq: 1,
      inbound: { settled: 0, beyond: [[2, 2]] },
      entries: [{ key: 'key', bytes: Buffer.from('value'), revision: 1, expiresAt: undefined }],
      trim: 0,
    });
    await answer(0);
    handedOut();
    outbox.acknowledge(1);
    send('b');
    journal.flush();
    expect(steps[1]?.batch).toEqual({
      outbound: [{ seq: 2, frame: expect.any(Buffer) }],
      lastSeq: 2,
      trim: 1,
    });
  });

  it('lets go only what no feature needs any more, though it is acknowledged', async () => {
    const { journal, outbox, feature, send, handedOut, steps, answer } = setUp('later');
    for (const text of ['a', 'b', 'c']) send(text);
    journal.flush();
    await answer(0);
    handedOut();
    outbox.acknowledge(3);
    feature.firstKeptSeq = 3;
    send('d');
    journal.flush();
    expect(steps[1]?.batch.trim).toBe(2);
  });

  it('is made for a change of a feature alone', () => {
    const { journal, feature, steps } = setUp('later');
    journal.flush();
    expect(steps).toEqual([]);
    feature.changed = 'value';
    journal.flush();
    expect(steps[0]?.batch.entries).toHaveLength(1);
  });

  it('holds what a feature has yet to tell of what was decided', () => {
    const { journal, feature, send, stored } = setUp('later');
    let undecided = true;
    feature.atChunkEnd = () => {
      if (undecided) send('result');
      undecided = false;
    };
    journal.flush();
    expect(stored()).toEqual([[1]]);
  });

  it('follows the one before it, with all that came meanwhile, and none follows without news', async () => {
    const { journal, send, stored, answer } = setUp('later');
    send('a');
    journal.flush();
    send('b');
    journal.flush();
    send('c');
    journal.flush();
    expect(stored()).toEqual([[1]]);
    await answer(0);
    expect(stored()).toEqual([[1], [2, 3]]);
    await answer(1);
    expect(stored()).toHaveLength(2);
  });

  it('lets nothing of the session out that began here meanwhile', async () => {
    const { journal, outbox, inbox, send, handedOut, stored, answer } = setUp('later');
    send('of the old session');
    inbox.accept(1, 10, true, 0);
    journal.flush();
    outbox.clear();
    inbox.reset();
    journal.restarted();
    send('of the new session');
    inbox.accept(1, 10, true, 0);
    await answer(0);
    expect([handedOut(), inbox.ackable, stored()]).toEqual([0, 0, [[1], [1]]]);
    await answer(1);
    expect([handedOut(), inbox.ackable]).toEqual([1, 1]);
  });
});

describe('a step that can not be stored', () => {
  it('is told once, as an error of ours, and lets nothing out', async () => {
    for (const answers of ['later', 'at once'] as const) {
      const { journal, send, handedOut, steps, failures } = setUp(answers);
      const disk = new Error('the disk is gone');
      if (answers === 'at once') {
        steps.push = () => {
          throw disk;
        };
      }
      send('a');
      journal.flush();
      steps[0]?.answer.reject(disk);
      await microtasks();
      expect(failures.map(({ code, cause }) => [code, cause])).toEqual([['NYOTA_STORE_FAILED', disk]]);
      expect(handedOut()).toBe(0);
    }
  });

  it('keeps the code of an error that is ours', async () => {
    const { journal, send, steps, failures } = setUp('later');
    const taken = new NyotaError('NYOTA_TAKEN_OVER', 'another has it');
    send('a');
    journal.flush();
    steps[0]?.answer.reject(taken);
    await microtasks();
    expect(failures).toEqual([taken]);
  });

  it('is the last one of a session that ends for it', async () => {
    const { journal, send, steps, stored } = setUp('later');
    send('a');
    journal.flush();
    journal.end();
    steps[0]?.answer.reject(new Error('the disk is gone'));
    send('b');
    await microtasks();
    journal.flush();
    expect([stored(), journal.unsettled]).toEqual([[[1]], false]);
  });
});

describe('who lets go of a session', () => {
  it('does so once everything is stored, in that very moment, also what came while it waited', async () => {
    const { journal, send, outbox, inbox, stored, answer, steps } = setUp('later');
    const seen: unknown[] = [];
    inbox.accept(1, 10, false, 0); // no step is due for it, and yet it is stored before
    void journal.whenSettled(() => seen.push([stored(), outbox.hasUncommitted, inbox.changed]));
    await microtasks();
    send('late');
    await answer(0);
    expect([seen, steps.map(({ batch }) => batch.inbound?.settled)]).toEqual([[], [1, undefined]]);
    await answer(1);
    expect(seen).toEqual([[[[], [1]], false, false]]);
  });

  it('does so at once where nothing has changed', () => {
    const { journal } = setUp('later');
    let gone = false;
    void journal.whenSettled(() => {
      gone = true;
    });
    expect([journal.unsettled, gone]).toEqual([false, true]);
  });

  it('waits while a step is under way', async () => {
    const { journal, send, answer } = setUp('later');
    send('a');
    journal.flush();
    let gone = false;
    void journal.whenSettled(() => {
      gone = true;
    });
    await microtasks();
    expect([journal.unsettled, gone]).toEqual([true, false]);
    await answer(0);
    expect([journal.unsettled, gone]).toEqual([false, true]);
  });
});

describe('a step now', () => {
  it('is made where nothing has changed, behind the one that is under way', async () => {
    const { journal, send, stored, answer } = setUp('later');
    send('a');
    journal.flush();
    let done = false;
    void journal.stepNow().then(() => {
      done = true;
    });
    await microtasks();
    expect(stored()).toEqual([[1]]);
    await answer(0);
    expect([stored(), done]).toEqual([[[1], []], false]);
    await answer(1);
    expect(done).toBe(true);
  });

  it('begins in the same turn where nothing is under way: a session that is new is stored as it is', () => {
    const { journal, stored } = setUp('later');
    void journal.stepNow();
    expect(stored()).toEqual([[]]);
  });
});

describe('while the fence is raised', () => {
  it('no step begins, and what is left to be stored is stored before', async () => {
    const { journal, send, stored, answer, world } = setUp('later');
    const raised = deferred<number>();
    let working = false;
    send('before');
    const outcome = journal.betweenSteps(() => {
      working = true;
      return raised.promise;
    });
    await microtasks();
    expect([stored(), working]).toEqual([[[1]], false]);
    await answer(0);
    expect([working, journal.suspended === undefined]).toEqual([true, false]);
    send('meanwhile');
    journal.flush();
    expect([stored(), journal.unsettled]).toEqual([[[1]], true]);
    const { wakes } = world;
    raised.resolve(7);
    expect(await outcome).toBe(7);
    expect([journal.suspended, world.wakes, stored()]).toEqual([undefined, wakes + 1, [[1], [2]]]);
  });

  it('the owner’s own steps wait too, and go on when it could not be raised', async () => {
    const { journal, steps } = setUp('later');
    const raised = deferred<number>();
    const outcome = journal.betweenSteps(() => raised.promise);
    void journal.commit({ detachedAt: 5 });
    void journal.stepNow();
    await microtasks();
    expect(steps).toEqual([]);
    raised.reject(new Error('no answer'));
    await expect(outcome).rejects.toThrow('no answer');
    await microtasks();
    expect(steps.map(({ batch }) => batch.detachedAt)).toEqual([5, undefined]);
  });
});

describe('a step of the owner’s own', () => {
  it('is asked for in the same turn, and its failure is told after the call', async () => {
    const { journal, steps, failures } = setUp('at once');
    void journal.commit({ detachedAt: null });
    expect(steps.map(({ batch }) => batch)).toEqual([{ detachedAt: null }]);
    steps.push = () => {
      throw new Error('the disk is gone');
    };
    const committed = journal.commit({ detachedAt: 3 });
    expect(failures).toEqual([]);
    await committed;
    expect(failures.map(({ code }) => code)).toEqual(['NYOTA_STORE_FAILED']);
  });
});

describe('what a process before this one has kept', () => {
  it('is where the session goes on, and nothing of it is stored again', () => {
    const image: CoreImage = {
      inbound: { settled: 4, beyond: [[6, 7]] },
      entries: [],
      revision: 0,
      outbound: [{ seq: 3, frame: frameOf(3, 'kept') }],
      trimmed: 2,
      lastSeq: 3,
      resolvedSeq: 0,
    };
    const { journal, inbox, outbox, feature, handedOut, steps } = setUp('later', image);
    journal.flush();
    expect([feature.kept, feature.restored === image, steps]).toEqual([true, true, []]);
    expect([inbox.received, inbox.wasSettled(5), inbox.wasSettled(6)]).toEqual([4, false, true]);
    expect([outbox.ackedSeq, outbox.frames, handedOut()]).toEqual([2, 1, 3]);
  });
});

/** A frame of the outbox as a store has it. */
function frameOf(seq: number, text: string): Buffer {
  const outbox = new Outbox({ maxOutboxBytes: 1e6, maxOutboxFrames: 1e6 });
  for (let i = 1; i < seq; i++) outbox.append(FrameType.EVENT, 0, Buffer.alloc(0));
  outbox.append(FrameType.EVENT, 0, Buffer.from(text));
  return outbox.takeUncommitted()[seq - 1]?.frame as Buffer;
}
