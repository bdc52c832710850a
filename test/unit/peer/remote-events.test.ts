/** The other side's events: who hears them, when all have settled, and what becomes of a listener that fails. */
import { describe, expect, it } from 'vitest';
import type { NyotaError } from '../../../src/errors.js';
import { LifecycleEmitter, RemoteEmitter } from '../../../src/peer/listeners.js';

function setUp() {
  const owner = { name: 'owner' };
  /** What was reported: its text, and what was thrown. */
  const reports: Array<[text: string, cause: unknown]> = [];
  const lifecycle = new LifecycleEmitter(owner);
  lifecycle.on('error', ({ message, cause }: NyotaError) => reports.push([message, cause]));
  const emitter = new RemoteEmitter(lifecycle);
  const heard: unknown[] = [];
  return { owner, reports, emitter, heard };
}

describe('a remote event', () => {
  it('is heard by its listeners in their order, then by those of any event, with its name first', () => {
    const { owner, emitter, heard } = setUp();
    emitter.on('e', function (this: unknown, ...args: unknown[]) {
      heard.push(['first', this === owner, ...args]);
    });
    emitter.onAny((event, ...args) => heard.push(['any', event, ...args]));
    emitter.on('e', (...args: unknown[]) => heard.push(['second', ...args]));
    expect(emitter.dispatch('e', [1, 2])).toBeUndefined();
    expect(heard).toEqual([
      ['first', true, 1, 2],
      ['second', 1, 2],
      ['any', 'e', 1, 2],
    ]);
  });

  it('knows whether anybody would hear it', () => {
    const { emitter } = setUp();
    const any = (): void => {};
    expect(emitter.hears('e')).toBe(false);
    emitter.on('e', any);
    expect([emitter.hears('e'), emitter.hears('f')]).toEqual([true, false]);
    emitter.off('e');
    emitter.onAny(any);
    expect(emitter.hears('f')).toBe(true);
    emitter.offAny(any);
    expect(emitter.hears('f')).toBe(false);
    emitter.onAny(any);
    emitter.offAny();
    expect(emitter.hears('f')).toBe(false);
  });

  it('may have any name, those of Object.prototype among them', () => {
    const { emitter, heard } = setUp();
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty', 'toString', '~e', '']) {
      expect(emitter.hears(name)).toBe(false);
      emitter.on(name, () => heard.push(name));
      emitter.dispatch(name, []);
    }
    expect(heard).toEqual(['__proto__', 'constructor', 'hasOwnProperty', 'toString', '~e', '']);
  });

  it('has settled once the promises of all listeners have', async () => {
    const { emitter } = setUp();
    const settles: Array<() => void> = [];
    const slow = (): Promise<void> => new Promise((resolve) => settles.push(resolve));
    emitter.on('e', slow);
    emitter.onAny(slow);
    let settled = false;
    const settling = Promise.resolve(emitter.dispatch('e', [])).then(() => {
      settled = true;
    });
    settles[0]?.();
    await new Promise((resolve) => setImmediate(resolve));
    expect(settled).toBe(false);
    settles[1]?.();
    await settling;
  });
});

describe('a listener that fails', () => {
  it('is reported, by a throw or a rejection; the others run, and the event settles', async () => {
    const { emitter, reports, heard } = setUp();
    emitter.on('e', () => {
      throw new Error('thrown');
    });
    emitter.on('e', async () => {
      throw new Error('rejected');
    });
    emitter.on('e', () => heard.push('last'));
    await emitter.dispatch('e', []);
    expect(heard).toEqual(['last']);
    expect(reports.map(([text, cause]) => [text, (cause as Error).message])).toEqual([
      ["a listener of 'e' failed: thrown", 'thrown'],
      ["a listener of 'e' failed: rejected", 'rejected'],
    ]);
  });

  it('is reported also where it throws what is no error, or returns a broken thenable', async () => {
    const { emitter, reports } = setUp();
    const broken = new Proxy(
      {},
      {
        get: (_target, name) => {
          if (name === 'then') throw new Error('no then');
          return undefined;
        },
      },
    );
    emitter.on('e', () => {
      throw Object.create(null);
    });
    emitter.on('e', () => broken);
    await emitter.dispatch('e', []);
    expect(reports.length).toBe(2);
  });
});

describe('listeners that come and go while they run', () => {
  it('take part from the next event on', () => {
    const { emitter, heard } = setUp();
    const added = (): unknown => heard.push('added');
    const removed = (): unknown => heard.push('removed');
    emitter.on('e', () => {
      heard.push('first');
      emitter.on('e', added);
      emitter.off('e', removed);
    });
    emitter.on('e', removed);
    emitter.dispatch('e', []);
    expect(heard).toEqual(['first', 'removed']);
    emitter.dispatch('e', []);
    expect(heard.slice(2)).toEqual(['first', 'added']);
  });

  it('hear once where they asked for once, also where they dispatch again', () => {
    const { emitter, heard } = setUp();
    emitter.once('e', () => {
      heard.push('once');
      emitter.dispatch('e', []);
    });
    emitter.dispatch('e', []);
    emitter.dispatch('e', []);
    expect([heard, emitter.hears('e')]).toEqual([['once'], false]);
  });
});
