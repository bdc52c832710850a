/** A table that lets go of what nobody uses. */
import { describe, expect, it } from 'vitest';
import { IdleTable } from '../../../src/exocom/idle-table.js';

describe('a table of what is in use', () => {
  it('lets go of what nobody used for the idle time', () => {
    const table = new IdleTable<string>(100, 10);
    table.set('a', 'A', 0);
    table.set('b', 'B', 0);
    expect(table.get('a', 90)).toBe('A');
    expect(table.get('a', 190)).toBe('A');
    expect(table.get('b', 190)).toBe(undefined);
    expect(table.get('a', 291)).toBe(undefined);
    expect(table.size).toBe(0);
  });

  it('clears away what is idle while new things come, and holds no more than it may', () => {
    const table = new IdleTable<number>(100, 50);
    for (let n = 0; n < 60; n++) table.set(`${n}`, n, 0);
    expect(table.size).toBe(50);
    expect(table.get('9', 0)).toBe(undefined);
    expect(table.get('10', 0)).toBe(10);
    for (let n = 0; n < 20; n++) table.set(`new ${n}`, n, 200);
    expect(table.size).toBe(20);
  });
});
