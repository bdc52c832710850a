/**
 * What may happen to a shared store, one step at a time, for the model test. Imports fast-check only.
 */

import fc from 'fast-check';

export const KEYS = ['a', 'b', 'c', 'é', '__proto__'];

export type Write =
  | { do: 'set'; key: string; size: number; ttlMs: number | undefined }
  | { do: 'delete'; key: string }
  | { do: 'cas'; key: string; size: number | undefined; off: number; ttlMs: number | undefined };
/** What a side writes, how far frames get, when held back answers go out, how time goes by. */
export type Step =
  | { side: 'server' | 'client'; write: Write }
  | { side: 'network'; to: 'server' | 'client'; frames: number }
  | { side: 'flush' }
  | { side: 'time'; ms: number };

const key = fc.constantFrom(...KEYS);
const size = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 0, max: 8 }) },
  { weight: 1, arbitrary: fc.constant(13) },
);
const ttlMs = fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined, freq: 3 });
const write: fc.Arbitrary<Write> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('set' as const), key, size, ttlMs }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('cas' as const),
      key,
      size: fc.option(size, { nil: undefined, freq: 4 }),
      // Mostly what the writer believes the revision to be, at times another.
      off: fc.constantFrom(0, 0, 0, 1),
      ttlMs,
    }),
  },
);
export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ side: fc.constant('client' as const), write }) },
  { weight: 3, arbitrary: fc.record({ side: fc.constant('server' as const), write }) },
  {
    weight: 6,
    arbitrary: fc.record({
      side: fc.constant('network' as const),
      to: fc.constantFrom('server' as const, 'client' as const),
      frames: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ side: 'flush' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ side: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 20 }) }),
  },
);
