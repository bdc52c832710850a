/** nyota's own events: listeners that fail never break anything, and an error nobody hears is a process warning. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { NyotaError, textOf, warn } from '../../../src/errors.js';
import { LifecycleEmitter, listenerFailed } from '../../../src/peer/listeners.js';

const warnings: Array<[text: unknown, options: unknown]> = [];
beforeEach(() => {
  vi.spyOn(process, 'emitWarning').mockImplementation((text: unknown, options?: unknown) => {
    warnings.push([text, options]);
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  warnings.length = 0;
});

const ERROR = new NyotaError('NYOTA_STALLED', 'stalled');

describe('a lifecycle event', () => {
  it('reaches its listeners with its arguments and the owner as this', () => {
    const owner = {};
    const emitter = new LifecycleEmitter(owner);
    const heard: unknown[] = [];
    emitter.on('connect', function (this: unknown, ...args: unknown[]) {
      heard.push(this === owner, ...args);
    });
    emitter.emit('connect', { resumed: true });
    emitter.emit('disconnect', 1);
    expect([heard, warnings]).toEqual([[true, { resumed: true }], []]);
  });

  it('goes on to the next listener where one throws, and tells of it as an error', () => {
    const emitter = new LifecycleEmitter({});
    const errors: NyotaError[] = [];
    const heard: string[] = [];
    const cause = new Error('broken');
    emitter.on('connect', () => {
      throw cause;
    });
    emitter.on('connect', () => heard.push('second'));
    emitter.on('error', (error: NyotaError) => errors.push(error));
    emitter.emit('connect');
    expect(heard).toEqual(['second']);
    expect(errors).toMatchObject([
      { code: 'NYOTA_LISTENER_FAILED', message: "a listener of 'connect' failed: broken", cause },
    ]);
  });

  it('treats a rejection like a throw', async () => {
    const emitter = new LifecycleEmitter({});
    const errors: NyotaError[] = [];
    emitter.on('connect', async () => {
      throw new Error('later');
    });
    emitter.on('error', (error: NyotaError) => errors.push(error));
    emitter.emit('connect');
    await new Promise((resolve) => setImmediate(resolve));
    expect(errors.map(({ message }) => message)).toEqual(["a listener of 'connect' failed: later"]);
  });
});

describe('an error', () => {
  it('that nobody hears is a process warning with its code, never a throw', () => {
    new LifecycleEmitter({}).emit('error', ERROR);
    expect(warnings).toEqual([['stalled', { type: 'NyotaWarning', code: 'NYOTA_STALLED' }]]);
  });

  it('listener that throws is a warning, and is not told of its own error', () => {
    const emitter = new LifecycleEmitter({});
    let calls = 0;
    emitter.on('error', () => {
      calls++;
      throw new Error('in the listener');
    });
    emitter.emit('error', ERROR);
    expect([calls, warnings]).toEqual([
      1,
      [
        [
          "a listener of 'error' failed: in the listener",
          { type: 'NyotaWarning', code: 'NYOTA_LISTENER_FAILED' },
        ],
      ],
    ]);
  });

  it('has a text whatever was thrown', () => {
    const odd = {
      toString() {
        throw new Error('no text');
      },
    };
    for (const value of [Object.create(null), odd, Symbol('s'), undefined, null, 5]) {
      expect(typeof textOf(value)).toBe('string');
      expect(listenerFailed('e', value).cause).toBe(value);
      warn(value);
    }
    expect(warnings.every(([, options]) => (options as { code: string }).code === 'NYOTA_INTERNAL')).toBe(
      true,
    );
  });

  it('shows names and texts from the wire escaped and cut', () => {
    const { message } = listenerFailed(
      `\u001b[31m${'x'.repeat(500)}\n`,
      new Error(`\nfake log line${'y'.repeat(500)}`),
    );
    expect([message.includes('\u001b'), message.includes('\n'), message.length < 400]).toEqual([
      false,
      false,
      true,
    ]);
  });
});
