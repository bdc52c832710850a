/** What a side announces in its handshake. */
import { describe, expect, it } from 'vitest';
import { announced } from '../../../src/link/link.js';
import { readLimits } from '../../../src/options.js';

describe('what both sides agree on', () => {
  const own = readLimits({ maxFrameBytes: 5_000, maxDepth: 10, maxValues: 500, pingIntervalMs: 7 });

  it('announces four limits', () => {
    expect(announced(own)).toEqual({ maxFrameBytes: 5_000, maxDepth: 10, maxValues: 500, pingIntervalMs: 7 });
  });
});
