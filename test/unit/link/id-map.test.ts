/** A map by rising numbers does what a Map does, also where numbers meet in one slot. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdMap } from '../../../src/link/id-map.js';

describe('an id map', () => {
  it('does what a Map does', () => {
    const id = fc.oneof(
      fc.nat(40),
      fc.nat(6).map((n) => n * 1024),
      fc.nat(9).map((n) => 0xffff_ffff_ffff - n * 16),
    );
    const step = fc.oneof(
      fc.record({ set: id, value: fc.nat() }),
      fc.record({ delete: id }),
      fc.constant({ clear: true }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const ours = new IdMap<number>();
        const model = new Map<number, number>();
        for (const one of steps) {
          if ('set' in one) {
            ours.set(one.set, one.value);
            model.set(one.set, one.value);
          } else if ('delete' in one) {
            expect(ours.delete(one.delete)).toBe(model.delete(one.delete));
          } else {
            ours.clear();
            model.clear();
          }
          expect(ours.size).toBe(model.size);
          for (const known of model.keys()) expect(ours.get(known)).toBe(model.get(known));
        }
        expect(ours.entries()).toEqual([...model].sort(([a], [b]) => a - b));
      }),
    );
  });

  it('keeps one that stays while a hundred thousand others come and go', () => {
    const map = new IdMap<string>();
    map.set(3, 'stays');
    for (let id = 4; id < 100_000; id++) {
      map.set(id, 'goes');
      if (id >= 200) map.delete(id - 100);
    }
    expect([map.get(3), map.size]).toEqual(['stays', 197]);
    map.delete(3);
    expect(map.get(3)).toBeUndefined();
  });
});
