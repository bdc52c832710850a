/** Listeners by name: on, once, off, and their count. */
import { describe, expect, it } from 'vitest';
import { Listeners } from '../../../src/peer/listeners.js';

const call = (listeners: Listeners, event: string): void => {
  for (const listener of listeners.of(event)) listener();
};

describe('listeners', () => {
  it('are called in the order in which they came', () => {
    const listeners = new Listeners();
    const heard: string[] = [];
    for (const name of ['a', 'b', 'c']) listeners.on('e', () => heard.push(name));
    call(listeners, 'e');
    expect([heard, listeners.count('e'), listeners.count('f'), listeners.of('f')]).toEqual([
      ['a', 'b', 'c'],
      3,
      0,
      [],
    ]);
  });

  it('that come or go while the others are called take no part yet', () => {
    const listeners = new Listeners();
    const heard: string[] = [];
    const second = (): void => void heard.push('second');
    const third = (): void => void heard.push('third');
    listeners.on('e', () => {
      heard.push('first');
      listeners.off('e', second);
      listeners.on('e', third);
    });
    listeners.on('e', second);
    call(listeners, 'e');
    expect([heard.splice(0), listeners.count('e')]).toEqual([['first', 'second'], 2]);
    listeners.off('e', third);
    listeners.once('e', second);
    call(listeners, 'e');
    expect([heard.splice(0), listeners.count('e')]).toEqual([['first', 'second'], 2]);
    listeners.off('e');
    expect([listeners.of('e'), listeners.count('e')]).toEqual([[], 0]);
  });

  it('keep this and what they return, also once', () => {
    const listeners = new Listeners();
    const own = { value: 5 };
    listeners.once('e', function (this: unknown) {
      return (this as typeof own).value;
    });
    const [listener] = listeners.of('e');
    expect(listener?.call(own)).toBe(5);
    expect(listeners.count('e')).toBe(0);
  });

  it('go by off, also those of once, one registration at a time, or all of an event', () => {
    const listeners = new Listeners();
    const heard: string[] = [];
    const twice = (): unknown => heard.push('twice');
    listeners.on('e', twice);
    listeners.on('e', twice);
    listeners.once('e', twice);
    call(listeners, 'e');
    expect(heard.length).toBe(3);
    listeners.off('e', twice);
    call(listeners, 'e');
    expect(heard.length).toBe(4);
    listeners.once('e', twice);
    listeners.off('e', twice);
    listeners.off('e', twice);
    listeners.off('e', twice);
    expect(listeners.count('e')).toBe(0);
    listeners.on('e', twice);
    listeners.on('e', () => {});
    listeners.off('e');
    expect(listeners.count('e')).toBe(0);
  });
});
