/** A moment of each fuzzer in every test run, two seconds in a long one; `npm run simulate -- --fuzz 60` takes longer, and another seed each time. */
import { describe, expect, it } from 'vitest';
import { inLength } from '../support/length.js';
import { fuzzDecoder, fuzzSession } from './fuzz.js';

const MS = inLength(2_000, 1_000);
const SEED = 1;

describe('bytes from anybody', () => {
  it('are decoded within the limits, or refused with a code', async () => {
    const { executions } = await fuzzDecoder(SEED, MS);
    expect(executions).toBeGreaterThan(100);
  });

  it('harm neither the server nor its other clients', async () => {
    const { executions } = await fuzzSession(SEED, MS);
    expect(executions).toBeGreaterThan(inLength(10, 3));
  });
});
